"The console commands: what pages print can be parsed, numbers out of range are refused by name, and a run that starts ends in a bundle."
import inspect, io, json, os, re, shlex, subprocess, sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
import pytest, torch
from fastcore.script import anno_parser
from PIL import Image
from conftest import ROOT
from vim_nb import cli
from vim_nb.bundle import load_bundle, save_bundle
from vim_nb.classifier import Classifier
from vim_nb.core import generator
from vim_nb.options import in_interval, number_ranges
from vim_nb.tokenizers import tokenizer_sizes
from vim_nb.transformer import VIMConfig, vim_sizes
from vim_nb.vitvqgan import ViTConfig, ViTVQGANConfig

COMMANDS = {k: f for k, f in vars(cli).items() if k.startswith('vim_')}
NET = ViTConfig(16, 1, 1, 32, 16)

# ---- what pages print ----

def texts():
    "Every text that a user reads, by file: cells and their outputs, pages, the library, tools, cards."
    for p in [*ROOT.glob('nbs/**/*.ipynb')]:
        if '.ipynb_checkpoints' in p.parts: continue
        for c in json.loads(p.read_text(encoding='utf-8'))['cells']:
            yield p, ''.join(c['source'])
            for o in c.get('outputs', []): yield p, ''.join(o.get('text', '')) + ''.join(o.get('data', {}).get('text/plain', ''))
    for pattern in ('*.md', 'nbs/llms.txt', 'vim_nb/**/*.py', 'tools/*.py', 'bench/*.py', 'results/*.json', 'vim_nb/bundles/*/card.json'):
        for p in ROOT.glob(pattern): yield p, p.read_text(encoding='utf-8')

def printed_commands(text):
    "Calls of our commands in `text`: a line of its own, or a quoted or backticked span that goes on after the name."
    lines = re.findall(r'^[ $>]*(vim_[a-z]+ +[^\n]+)$', text, re.M)
    spans = re.findall(r'''[`'"](vim_[a-z]+ [^`'"\n]+)[`'"]''', text)
    for o in lines + spans: yield re.split(r'\s+#|→|\\n|;|\s{2,}(?=[A-Z]\w+ \w+ )', o)[0].strip(' .",\'')

def check_call(call):
    "None when the parser takes `call`, else what it says; a span without its positional arguments is checked for its options only."
    name, *words = shlex.split(re.sub(r"\{[^}]*\}|\[[^\]]*\]", 'X', call), posix=True)
    if name not in COMMANDS or not any(w.startswith('-') or '/' in w or '.' in w or w.isupper() for w in words): return None      # prose
    parser = anno_parser(COMMANDS[name], prog=name)
    known = {s for a in parser._actions for s in a.option_strings}
    options = [w.split('=')[0] for w in words if w.startswith('--')]
    if unknown := [o for o in options if o not in known]: return f'no options {unknown}'
    needed = [a for a in parser._actions if not a.option_strings and a.nargs != '?']
    if words[0].startswith('-') and needed or '...' in words or len(words) == 1 and options: return None    # an excerpt such as `vim_train_prior --start`
    placeholders = ['1' if w.isupper() and i and words[i-1].startswith('--') else w for i, w in enumerate(words)]
    with redirect_stderr(io.StringIO()) as said, redirect_stdout(io.StringIO()):
        try: parser.parse_args(placeholders)
        except SystemExit as e: return said.getvalue().strip().splitlines()[-1] if e.code else None
    return None

def test_every_printed_command_can_be_parsed():
    calls = {(p.relative_to(ROOT).as_posix(), c) for p, t in texts() for c in printed_commands(t)}
    bad = {f'{p}: {c}: {why}' for p, c in calls if (why := check_call(c))}
    assert not bad, '\n'.join(sorted(bad))
    assert len({c for _, c in calls}) > 20

def test_the_check_of_printed_commands_can_fail():
    assert check_call('vim_generate --colour red.png') and check_call('vim_tokenize a.safetensors') and check_call('vim_train_prior a/b c d e.f')
    assert check_call('vim_generate samples.png --model runs/prior/bundle --number 40') is None
    assert list(printed_commands('see `vim_generate a.png --number 2` or\n    vim_tokenize x y z   # → z\n')) == ['vim_tokenize x y z', 'vim_generate a.png --number 2']

def test_every_printed_target_of_make_is_there():
    targets = set(re.findall(r'^([a-z][a-z-]*):', (ROOT/'Makefile').read_text(), re.M))
    said = {(p.name, t) for p, text in texts() for t in re.findall(r'(?:`|^ {0,4}|\n)make ([a-z][a-z-]+)\b(?=[`\n ]* *(?:#|`|\n|$|[a-z-]*\b`))', text)}
    assert len(said) > 5
    assert not (bad := {o for o in said if o[1] not in targets}), bad

@pytest.mark.parametrize('name', COMMANDS)
def test_help_is_ascii(name):
    "`--help` is printed before any stream is changed."
    anno_parser(COMMANDS[name], prog=name).format_help().encode('ascii')

# ---- numbers ----

def numeric_options():
    for name, f in COMMANDS.items():
        for k, p in inspect.signature(f).parameters.items():
            if p.annotation in (int, float): yield name, k, p.annotation

def outside(interval):
    "Numbers that are not in `interval`."
    low, high = (float(b) for b in interval[1:-1].split(','))
    tries = [low-1, low, high, high+1, float('nan'), float('inf'), -1.]
    return [x for x in tries if not in_interval(x, interval)]

@pytest.mark.parametrize('name,option,kind', list(numeric_options()), ids=lambda o: getattr(o, '__name__', o))
def test_numbers_out_of_range_are_refused_by_name(name, option, kind, tmp_path):
    "Before anything is opened: none of the named files exists."
    assert option in number_ranges, f'{name} --{option} has no range in options.number_ranges'
    f, tried = COMMANDS[name], 0
    for x in outside(number_ranges[option]):
        if kind is int:
            if x != x or x in (float('inf'), -float('inf')): continue
            x = int(x)
        given = {k: str(tmp_path/'nowhere') for k, p in inspect.signature(f).parameters.items() if p.default is p.empty}
        with pytest.raises(SystemExit, match=rf'{name}: {option}='): f(**given, **{option: x})
        tried += 1
    assert tried and not (tmp_path/'nowhere').exists()

# ---- from a folder to a bundle ----

@pytest.fixture
def toy(tmp_path, monkeypatch):
    "Pictures of two classes, and networks of a toy size among the named ones."
    monkeypatch.setitem(tokenizer_sizes, 'toy', ViTVQGANConfig(NET, NET, (8,8), 4, 16, 4))
    monkeypatch.setitem(vim_sizes, 'toy', VIMConfig(16, (2,2), classes=2, width=16, blocks=1, heads=1, head_dim=16, hidden=32))
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path/'pets', ['cat', 'dog'])
    return tmp_path

def pictures(folder, classes, n=6):
    for i in range(n*len(classes)):
        p = folder/classes[i%len(classes)]/f'{i}.png'
        p.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(torch.randint(256, (8,8,3), generator=generator(i), dtype=torch.uint8).numpy()).save(p)

def tokenizer(folder='tok', pets='pets', **given):
    cli.vim_train_tokenizer(str(pets), folder, **(dict(size='toy', image_size='8', steps=2, batch_size=4) | given))
    return f'{folder}/bundle'

def prior(bundle, folder='prior', pets='pets', **given):
    cli.vim_train_prior(str(pets), bundle, folder, **(dict(size='toy', steps=2, batch_size=4, precision='fp32') | given))
    return load_bundle(f'{folder}/bundle')

def rewrite(folder, **changes):
    "The bundle in `folder` with other parts."
    b = load_bundle(folder)
    save_bundle(folder, **(dict(tokenizer=b.tokenizer, prior=b.prior, classes=b.classes, examples=b.examples, card=b.card, classifier=b.classifier) | changes))

def test_prior_on_other_classes_ends_in_a_bundle_of_its_own(toy, capsys):
    "A classifier, card and examples of a tokenizer's bundle that speak of other images are not taken over, and the run says so at its start."
    bundle = tokenizer()
    card = dict(title='pets', license='mit', data='pets', sampling=dict(guidance=1.25), quality=dict(fid=1.), rejection=dict(accept=.5), prior=dict(steps=7))
    rewrite(bundle, classifier=Classifier(['cat','dog'], 4, 8), card=card)
    pictures(toy/'birds', ['owl', 'robin', 'wren'])
    b = prior(bundle, pets='birds')
    assert "'cat'" in capsys.readouterr().out
    assert b.classifier is None and b.classes == ('owl', 'robin', 'wren')
    assert not b.card.keys() & {'sampling', 'quality', 'rejection', 'data'} and b.card['license'] == 'mit' and b.card['prior']['steps'] == 2
    from vim_nb.data import load_images
    ds = load_images('birds', size=8)
    for image, label in zip(b.examples['image'], b.examples['label']):         # each with the name of its own folder
        i = (ds.batch(range(len(ds)))['image'] - image).abs().flatten(1).amax(1).argmin()
        assert ds[int(i)]['label'] == label

def test_prior_on_the_same_classes_keeps_classifier_and_examples(toy):
    bundle = tokenizer()
    rewrite(bundle, classifier=Classifier(['cat','dog'], 4, 8))
    b = prior(bundle)
    assert b.classifier is not None and torch.equal(b.examples['image'], load_bundle(bundle).examples['image'])

def test_token_cache_of_other_classes_gives_examples_with_its_own_names(toy):
    bundle = tokenizer()
    pictures(toy/'birds', ['owl', 'wren', 'robin'])
    cli.vim_tokenize(bundle, 'birds', 'codes.st')                            # any suffix
    b = prior(bundle, pets='codes.st', validation='codes.st')
    assert b.classes == ('owl', 'robin', 'wren') and b.examples['label'].max() < 3 and len(b.examples['label']) == 16

def test_unconditional_prior_of_a_guided_card_draws(toy):
    bundle = tokenizer()
    rewrite(bundle, card=dict(sampling=dict(guidance=1.25)))
    prior(bundle, unconditional=True)
    cli.vim_generate('out/few.png', number=2, model='prior/bundle')
    assert Path('out/few.png').is_file()

def test_stray_files_and_old_runs(toy):
    "A `.DS_Store` in bundle/ blocks nothing; a finished run without a bundle, of an older version say, gets one by --resume; strangers are refused at the start."
    bundle = Path(tokenizer())
    (bundle/'.DS_Store').touch(), (bundle/'._x').touch(), (bundle/'Thumbs.db').touch()
    tokenizer(resume=True)
    assert load_bundle(bundle).classes == ('cat', 'dog')
    for p in bundle.iterdir(): p.unlink()
    Path('tok/log.jsonl').unlink()
    tokenizer(resume=True)
    load_bundle(bundle)
    Path('new/bundle').mkdir(parents=True)
    Path('new/bundle/thesis.txt').touch()
    with pytest.raises(SystemExit, match='thesis.txt'): tokenizer('new')
    assert sorted(p.name for p in Path('new').iterdir()) == ['bundle']       # before the first checkpoint

@pytest.mark.skipif(sys.platform == 'darwin', reason='file names are Unicode there')
def test_names_that_are_no_unicode(toy):
    os.makedirs(os.fsencode(toy/'odd')+b'/caf\xe9')
    pictures(toy/'odd', ['tea'])
    Image.new('RGB', (8,8)).save(os.fsdecode(os.fsencode(toy/'odd')+b'/caf\xe9/1.png'))
    bundle = tokenizer(pets='odd', batch_size=2)
    b = prior(bundle, pets='odd', batch_size=2)
    assert len(b.classes) == 2 and all(c.encode() for c in b.classes)

def test_a_folder_that_cannot_be_written_is_refused_at_the_start(toy):
    Path('file').touch()
    with pytest.raises(SystemExit): tokenizer('file/run')
    Path('pets/here.txt').write_text('mine')
    bundle = tokenizer()
    with pytest.raises(SystemExit, match='another kind of file'): cli.vim_tokenize(bundle, 'pets', 'pets/here.txt')
    assert Path('pets/here.txt').read_text() == 'mine'

def test_start_bundle_knows_its_shape(toy):
    bundle = tokenizer(num_codes=24)
    further = tokenizer('further', size=None, image_size=None, start=bundle, recipe='tiny')
    assert load_bundle(further).tokenizer.config == load_bundle(bundle).tokenizer.config
    with pytest.raises(SystemExit, match='num_codes=32 .* 24'): tokenizer('no', size=None, image_size=None, start=bundle, num_codes=32)
    with pytest.raises(SystemExit, match='image_size='): tokenizer('no', size=None, image_size='16', start=bundle)
    first = prior(bundle)
    again = prior(bundle, 'again', size=None, start='prior/bundle')
    assert again.prior.config == first.prior.config

@pytest.mark.parametrize('kind', ['fsq', 'lfq', 'bsq', 'perturbed', 'simvq'])
def test_quantizer_alone(toy, kind):
    assert load_bundle(tokenizer(kind, quantizer=kind)).tokenizer.config.quantizer == kind

def test_conflicting_numbers_of_a_quantizer(toy):
    with pytest.raises(SystemExit, match='num_codes=900'): tokenizer('no', quantizer='fsq', num_codes=900, quantizer_options='{"levels": [8,5,5,5]}')
    with pytest.raises(SystemExit, match='code_dim=7'): tokenizer('no', quantizer='lfq', code_dim=7)
    with pytest.raises(SystemExit, match='levels'): tokenizer('no', quantizer='codebook', quantizer_options='{"levels": [8]}')
    with pytest.raises(SystemExit, match='quantizer_options'): tokenizer('no', quantizer='fsq', quantizer_options='[8,8]')
    assert not Path('no').exists()

def test_precision_is_chosen_said_and_kept(toy, capsys, monkeypatch):
    "By a measurement that says bf16 first, and then would say fp32."
    bundle = tokenizer()
    monkeypatch.setattr('vim_nb.machine.precision_times', lambda *a: dict(fp32=.002, bf16=.001))
    prior(bundle, precision=None)
    assert 'precision: bf16' in capsys.readouterr().out
    state = json.loads(max(Path('prior').glob('step-*')).joinpath('state.json').read_text())
    assert state['recipe']['precision'] == 'bf16'
    monkeypatch.setattr('vim_nb.machine.precision_times', lambda *a: dict(fp32=.001, bf16=.012))
    prior(bundle, precision=None, resume=True)
    assert 'precision' not in capsys.readouterr().out
    prior(bundle, 'other', precision='bf16')
    assert '12 times slower' in capsys.readouterr().out

def test_ascii_terminal(toy, clean_env):
    "A name that the terminal cannot show is escaped, and the exit code is 0."
    pictures(toy/'gärten', ['rosé', 'lys'])
    code = (f'import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom vim_nb.tokenizers import tokenizer_sizes\nfrom vim_nb.vitvqgan import *\n'
            'n = ViTConfig(16, 1, 1, 32, 16)\ntokenizer_sizes["toy"] = ViTVQGANConfig(n, n, (8,8), 4, 16, 4)\nfrom vim_nb.cli import vim_train_tokenizer\n'
            'vim_train_tokenizer("gärten", "läufe", size="toy", image_size="8", steps=1, batch_size=4)')
    r = subprocess.run([sys.executable, '-c', code], env=dict(clean_env, PYTHONIOENCODING='ascii', PYTHONUTF8='0'), cwd=toy, capture_output=True, timeout=120)
    assert r.returncode == 0, r.stderr.decode()
    assert b'l\\xe4ufe' in r.stdout and load_bundle(toy/'läufe'/'bundle').classes == ('lys', 'rosé')

def test_an_old_run_folder_gets_its_bundle_by_resume(toy):
    "A run of an earlier version that has done its steps and failed to save: its state has no fields of later versions."
    from vim_nb.checkpoint import seal
    tokenizer()
    for p in Path('tok/bundle').iterdir(): p.unlink()
    Path('tok/bundle').rmdir()
    for p in Path('tok').glob('step-*/state.json'):
        state = json.loads(p.read_text())
        for k in ('size', 'image_size', 'output'): del state['spec']['recipe'][k]
        for k in ('optimizer',): del state['spec']['recipe']['run'][k], state['recipe'][k]
        p.write_text(json.dumps(state | {'seal': seal(state)}))
    assert load_bundle(tokenizer(resume=True)).classes == ('cat', 'dog')
