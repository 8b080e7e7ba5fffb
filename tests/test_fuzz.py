"""Bundles, checkpoints, classifiers and logs with bytes and values changed by chance (seeds are fixed): whatever a file says, the reader gives the thing itself or
one of our errors with the name of the file. A hash inside a file keeps damage out, so for changed values it is written anew, as whoever forges a file would."""
import copy, json, random, shutil
import pytest, torch
from safetensors.torch import load_file, save_file
from vim_nb.bundle import Bundle, load_bundle, save_bundle
from vim_nb.classifier import Classifier, load_classifier, save_classifier
from vim_nb.core import content_hash
from vim_nb.filters import choose_settings
from vim_nb.transformer import VIM, VIMConfig
from vim_nb.vitvqgan import ViTConfig, ViTVQGAN, ViTVQGANConfig

OURS = ValueError, FileNotFoundError, KeyError
# what no reader of its own makes: types that were not meant, numbers that cannot be, text that no terminal wants
VALUES = [None, True, -1, 0, 1, 7, 10**9, 10**18, 2**63, 10**400, -10**30, .5, 1e300, '', 'x', '\x1b[2J\u202e', '../../x', 'a'*5000, [], {}, [[]], [1, 'a', None], {'a': {'b': []}}, [10**9]*3]
RAW = ['NaN', 'Infinity', '-Infinity', '1e999', '9'*5000, '"\\ud800"', '['*10**5 + ']'*10**5, '{"a":'*10**5 + '1' + '}'*10**5, '{"a": 1, "a": 2}', '{', '', '\x00', '1 2', "'a'"]

def places(x, path=()):
    "Where values stand in nested lists and dicts."
    yield path
    for k, v in x.items() if isinstance(x, dict) else enumerate(x) if isinstance(x, list) else (): yield from places(v, (*path, k))

def changed(x, draw):
    "A copy with one value changed, taken out or added."
    root = at = copy.deepcopy(x)
    *path, last = draw.choice([p for p in places(root) if p])
    for k in path: at = at[k]
    how = draw.randrange(4)
    if how == 0: del at[last]
    elif how == 1 and isinstance(at, dict): at[draw.choice(['x', '\x1b', '__class__', 'self'])] = draw.choice(VALUES)
    else: at[last] = draw.choice(VALUES)
    return root

def text_of(x, draw):
    "JSON of `x`, sometimes with something in it that is none."
    if draw.random() < .8: return json.dumps(x)
    mark, y = f'mark{draw.randrange(10**9)}', copy.deepcopy(x)
    *path, last = draw.choice([p for p in places(y) if p])
    at = y
    for k in path: at = at[k]
    at[last] = mark
    return json.dumps(y).replace(f'"{mark}"', draw.choice(RAW))

def damaged(b, draw):
    "Bytes flipped, cut off, doubled or put in."
    b, at = bytearray(b), draw.randrange(len(b))
    how = draw.randrange(4)
    if how == 0: b[at] ^= draw.randrange(1, 256)
    elif how == 1: del b[at:]
    elif how == 2: b[at:at] = draw.randbytes(draw.randrange(1, 20))
    else: del b[at:at+draw.randrange(1, 20)]
    return bytes(b)

def reads(read, name, what):
    "`read()` works, or raises one of our errors, which has `name` in it."
    try: read()
    except OURS as e: assert name in str(e), f'{what}: {type(e).__name__} without the name of the file: {str(e)[:300]}'
    except Exception as e: pytest.fail(f'{what}: {type(e).__name__}: {str(e)[:300]}')

def toy():
    "A bundle that has learned nothing."
    vit = ViTConfig(16, 1, 1, 32, 16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tokenizer = ViTVQGAN(ViTVQGANConfig(vit, vit, (16,16), 4, 16, 4)).eval()
        prior, judge = VIM(VIMConfig(16, (4,4), 2, 16, 2, 2, 8, 32)).eval(), Classifier(('cat','dog'), 8, 16).eval()
    examples = {'image': torch.rand(2, 3, 16, 16), 'label': torch.tensor([0,1])}
    card = {'title': 'toy', 'sampling': {'temperature': .9, 'guidance': 1.5}, 'rejection': {'accept': .5}, 'quality': {'psnr': 5.}}
    return Bundle(tokenizer, prior, ('cat','dog'), examples, card, judge)

@pytest.fixture
def whole(tmp_path): return save_bundle(tmp_path/'whole', **vars(toy()))

def reopened(folder):
    "Everything that a sampler looks at before it draws."
    b = load_bundle(folder)
    choose_settings('card', b.card)
    return repr(b)

def rehashed(folder, name):
    "Note down the new hash of a file that was changed."
    config = json.loads((folder/'config.json').read_text())
    config['files'][name] = content_hash(folder/name)
    (folder/'config.json').write_text(json.dumps(config))

@pytest.mark.parametrize('name', ['config.json', 'card.json'])
def test_bundles_with_other_values(whole, tmp_path, name):
    original, draw = json.loads((whole/name).read_text()), random.Random(name)
    for i in range(60):
        folder = shutil.copytree(whole, tmp_path/'changed', dirs_exist_ok=True)
        text = text_of(changed(original, draw), draw)
        (folder/name).write_text(text)
        if name != 'config.json': rehashed(folder, name)
        reads(lambda: reopened(folder), 'changed' if name == 'config.json' else 'card', f'{name} {i}: {text[:600]}')

def test_bundles_with_other_bytes(whole, tmp_path):
    draw = random.Random(1)
    for i in range(80):
        folder = shutil.copytree(whole, tmp_path/'changed', dirs_exist_ok=True)
        name = draw.choice(sorted(p.name for p in whole.iterdir() if p.name != 'README.md'))
        (folder/name).write_bytes(damaged((whole/name).read_bytes(), draw))
        if name != 'config.json' and draw.random() < .7: rehashed(folder, name)
        reads(lambda: reopened(folder), 'changed', f'{name} {i}')

def test_bundles_with_other_tensors(whole, tmp_path):
    "Tensors that are missing, of another shape or kind, or named otherwise."
    draw = random.Random(2)
    other = [lambda t: t.double(), lambda t: t.long(), lambda t: t.bool(), lambda t: t.to(torch.complex64), lambda t: t[None].contiguous(), lambda t: t.flatten()[:1].clone(), lambda t: t.new_zeros(0),
             lambda t: t*float('nan') if t.is_floating_point() else t-10**6]
    for i in range(60):
        folder = shutil.copytree(whole, tmp_path/'changed', dirs_exist_ok=True)
        name = draw.choice(['tokenizer', 'prior', 'classifier', 'examples'])+'.safetensors'
        tensors = load_file(whole/name)
        k, how = draw.choice(sorted(tensors)), draw.randrange(10)
        if how == 8: del tensors[k]
        elif how == 9: tensors['\x1b[2J'] = torch.zeros(1)
        else: tensors[k] = other[how % 8](tensors[k])
        save_file(tensors, folder/name)
        rehashed(folder, name)
        reads(lambda: reopened(folder), 'changed', f'{name} {i}: {k} {how}')

def test_classifiers(tmp_path):
    save_classifier(tmp_path/'whole', toy().classifier)
    original, draw = json.loads((tmp_path/'whole'/'config.json').read_text()), random.Random(3)
    for i in range(100):
        folder = shutil.copytree(tmp_path/'whole', tmp_path/'changed', dirs_exist_ok=True)
        text = text_of(changed(original, draw), draw)
        (folder/'config.json').write_text(text)
        reads(lambda: load_classifier(folder), 'changed', f'{i}: {text[:600]}')
