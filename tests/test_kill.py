"""Trainings that are killed and resumed end as the unbroken ones do, to the bit.

The file is also the program that is killed: `python tests/test_kill.py ACTION KIND BASE NAME ...` trains a tokenizer or a prior on tiny data below BASE."""
import json, os, random, secrets, signal, subprocess, sys, time
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
STEPS, EVERY = 48, 5

# ---- the program ----

def pictures(base):
    "A folder of two classes of small pictures."
    import numpy as np
    from PIL import Image
    draw = np.random.default_rng(0)
    for c in ('rough', 'smooth'):
        (base/'pictures'/c).mkdir(parents=True)
        for i in range(12):
            a = draw.integers(0, 256, (24, 24, 3) if c == 'rough' else (3, 3, 3), dtype=np.uint8)
            Image.fromarray(a).resize((24, 24)).save(base/'pictures'/c/f'{i}.png')

def tokenizer_config():
    from vim_nb.vitvqgan import ViTConfig, ViTVQGANConfig
    vit = ViTConfig(16, 1, 2, 32, 8)
    return ViTVQGANConfig(vit, vit, (16,16), 4, 16, 4)

def tokenizer(base, folder):
    "Both helps of the tiny recipe on: a start by k-means at step 12, codes restarted until step 40."
    from vim_nb.data import load_images
    from vim_nb.stage1 import TokenizerRecipe, tokenizer_run
    from vim_nb.train import Recipe
    run = Recipe(steps=STEPS, batch_size=4, lr=3e-3, warmup=4, ema=.9, save_every=EVERY)
    recipe = TokenizerRecipe(run, autoencoder_steps=12, remember=256, restart_after=3, restart_until=40)
    return tokenizer_run(load_images(base/'pictures', size=16, augment='tokenizer'), tokenizer_config(), recipe, folder)

def critic(base, folder):
    "A critic that starts late, with R1, LeCam and the adaptive weight."
    from vim_nb.data import load_images
    from vim_nb.discriminators import CriticConfig
    from vim_nb.stage1 import CriticRecipe, TokenizerRecipe, tokenizer_run
    from vim_nb.train import Recipe
    run = Recipe(steps=STEPS, batch_size=4, lr=3e-3, warmup=4, ema=.9, save_every=EVERY, precision='bf16')
    weights = dict(vq=1., l2=10., logit_laplace=.01, adversarial=.1)
    how = CriticRecipe(CriticConfig('stylegan', 8, group=2), r1=.1, r1_every=4, start=3, touch=9, adaptive=True, lecam=.01, rate=.5)
    recipe = TokenizerRecipe(run, weights, autoencoder_steps=6, remember=256, restart_after=3, restart_until=40, critic=how, watch=7)
    return tokenizer_run(load_images(base/'pictures', size=16, augment='tokenizer'), tokenizer_config(), recipe, folder)

def prior(base, folder):
    "Dropout, hidden labels, one of three crops, bf16."
    import torch
    from vim_nb.data import load_images
    from vim_nb.stage2 import PriorTask
    from vim_nb.tokens import TokenCache, tokenize
    from vim_nb.train import Recipe, Run, seeded
    from vim_nb.transformer import VIM, VIMConfig
    from vim_nb.vitvqgan import ViTVQGAN
    if not (base/'tokens').exists():
        with seeded(0, torch.device('cpu')): made_by = ViTVQGAN(tokenizer_config())
        tokenize(made_by, load_images(base/'pictures', size=16, augment='prior'), base/'tokens', crops=3, progress=False)
    with seeded(1, torch.device('cpu')): task = PriorTask(VIM(VIMConfig(16, (4,4), 2, 16, 2, 2, 8, 32, .1)), .3)
    recipe = Recipe(steps=STEPS, batch_size=4, lr=3e-3, warmup=4, end_lr=1e-4, schedule='exponential', hold=10, ema=.9, precision='bf16', save_every=EVERY)
    return Run(task, TokenCache(base/'tokens'), recipe, folder)

KINDS = {'tokenizer': tokenizer, 'critic': critic, 'prior': prior}

def begin(kind, base, name):
    "The run of this name, resumed where there is something to resume, from its folder alone."
    from vim_nb.checkpoint import checkpoints
    from vim_nb.train import Run
    return Run.resume(base/name) if checkpoints(base/name) else KINDS[kind](base, base/name)

def train(kind, base, name, wait=10**9):
    "Say every step; from step `wait` on, wait to be killed."
    for m in begin(kind, base, name):
        print(m['step'], flush=True)
        while m['step'] >= int(wait): time.sleep(60)

def die_writing(kind, base, name, step):
    "Be killed when one file of the checkpoint of `step` is written."
    import vim_nb.checkpoint as c
    save, target = c.save_tensors, f'step-{int(step):08d}'
    def save_and_die(path, tensors):
        save(path, tensors)
        if target in path.parent.name: os.kill(os.getpid(), signal.SIGKILL)
    c.save_tensors = save_and_die
    train(kind, base, name)

def fill_disk(kind, base, name, step):
    "No file may grow beyond 8,000 bytes from just before `step` on; when that has failed there is room again."
    import resource
    run, limits = begin(kind, base, name), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for m in run:
            if m['step'] == int(step)-1: resource.setrlimit(resource.RLIMIT_FSIZE, (8000, limits[1]))
    except OSError as e: print(e)
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    print(entries(base/name))
    for m in run: pass

def together(kind, base, name):
    "One of several processes: say what it has in the end."
    from vim_nb.core import content_hash
    for m in (run := begin(kind, base, name)): pass
    mine = {**dict(run.task.named_parameters()), **{f'ema/{n}': t for n, t in run.average.items()}}
    (base/f'{name}-{run.accelerator.process_index}.txt').write_text(f'{run.accelerator.num_processes} {content_hash(mine)} {run.log[-1]}')

# ---- the tests ----

def entries(folder):
    "What lies in the folder of a run, apart from the list of its images."
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith('data-'))

def command(*args): return [sys.executable, str(Path(__file__)), *map(str, args)]

def run(*args, rc=0):
    r = subprocess.run(command(*args), capture_output=True, text=True, timeout=300)
    assert r.returncode == rc, r.stdout + r.stderr
    return r.stdout

def end_of(folder):
    "What a finished run left: the last checkpoint byte by byte, and the log."
    last = sorted(folder.glob('step-*'))[-1]
    assert last.name == f'step-{STEPS:08d}', f'{folder} ends at {last.name}'
    log = [json.loads(line) for line in (folder/'log.jsonl').read_text().splitlines()]
    assert [m['step'] for m in log] == list(range(1, STEPS+1))
    return {p.name: p.read_bytes() for p in last.iterdir()}, log

def assert_same(a, b):
    (files, log), (files_b, log_b) = end_of(a), end_of(b)
    assert sorted(files) == sorted(files_b) == ['ema.safetensors', 'optimizer.safetensors', 'state.json', 'task.safetensors']
    assert [k for k in files if files[k] != files_b[k]] == []
    assert log == log_b

def kill_at(step, pause, *args):
    "Start a training, kill it `pause` seconds after it has said `step`; how many half-written folders are left."
    p = subprocess.Popen(command(*args, step+2*EVERY), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in p.stdout:
        if line.strip().isdigit() and int(line) >= step: break
    time.sleep(pause)
    p.send_signal(signal.SIGKILL)
    _, err = p.communicate()
    assert p.returncode == -signal.SIGKILL, err
    return len(list((args[2]/args[3]).glob('.*.tmp')))

def test_killed_while_writing_a_checkpoint(tmp_path):
    pictures(tmp_path)
    run('train', 'tokenizer', tmp_path, 'whole')
    run('die_writing', 'tokenizer', tmp_path, 'broken', 25, rc=-signal.SIGKILL)
    left = entries(tmp_path/'broken')
    assert left[1:] == ['log.jsonl', 'run.lock', 'step-00000015', 'step-00000020'] and left[0].startswith('.step-00000025')
    first = run('train', 'tokenizer', tmp_path, 'broken').split()[0]
    assert first == '21', 'it goes on from the last whole checkpoint'
    assert_same(tmp_path/'whole', tmp_path/'broken')
    assert not list((tmp_path/'broken').glob('.*')), 'what the killed writer left is swept away'

def test_two_in_one_folder(tmp_path):
    "The second is told who is there; when that one is killed, the lock has fallen, whatever it left behind."
    pictures(tmp_path)
    p = subprocess.Popen(command('train', 'tokenizer', tmp_path, 'run', EVERY+1), stdout=subprocess.PIPE, text=True)
    try:
        for line in p.stdout:
            if line.strip() == str(EVERY+1): break
        r = subprocess.run(command('train', 'tokenizer', tmp_path, 'run'), capture_output=True, text=True, timeout=300)
        assert r.returncode == 1 and f'ValueError: process {p.pid} on ' in r.stderr and 'let it finish or end it' in r.stderr
        assert r.stdout == '', 'not one step was made'
    finally: p.kill(); p.communicate()
    assert (tmp_path/'run'/'run.lock').exists()
    assert run('train', 'tokenizer', tmp_path, 'run').split()[0] == str(EVERY+1)
    assert entries(tmp_path/'run') == ['log.jsonl', f'step-{STEPS-STEPS%EVERY:08d}', f'step-{STEPS:08d}']

@pytest.mark.long
@pytest.mark.skipif(sys.platform == 'win32', reason='no RLIMIT_FSIZE on Windows')
def test_full_disk(tmp_path):
    pictures(tmp_path)
    run('train', 'tokenizer', tmp_path, 'whole')
    said, left = run('fill_disk', 'tokenizer', tmp_path, 'full', 25).splitlines()
    assert 'step-00000025 could not be written' in said and 'the last whole checkpoint is step-00000020' in said
    assert left == "['log.jsonl', 'step-00000015', 'step-00000020']"
    assert_same(tmp_path/'whole', tmp_path/'full')

@pytest.mark.long
@pytest.mark.parametrize('kind', KINDS)
def test_five_kills(kind, tmp_path):
    seed = int(os.environ.get('VIM_NB_KILL_SEED') or secrets.randbelow(10**6))
    draw = random.Random(seed)
    steps = sorted(draw.sample(range(1, STEPS-4), 5))
    print(f'{kind}: VIM_NB_KILL_SEED={seed}, killed at steps {steps}')
    pictures(tmp_path)
    run('train', kind, tmp_path, 'whole')
    halves = [kill_at(s, draw.uniform(0, .05), 'train', kind, tmp_path, 'broken') for s in steps]
    print(f'{sum(map(bool, halves))} of 5 kills came while a checkpoint was written')
    run('train', kind, tmp_path, 'broken')
    assert_same(tmp_path/'whole', tmp_path/'broken')

@pytest.mark.long
@pytest.mark.parametrize('kind', KINDS)
def test_two_processes_agree(kind, tmp_path):
    "Two processes have the same weights, average and log, and go on after a kill in the middle of a checkpoint."
    pictures(tmp_path)
    KINDS[kind](tmp_path, None)     # the prior's codes
    launch = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2', '--master_port', str(random.randrange(20000, 60000)), *command()[1:]]
    for action, fine in (('die_writing', False), ('together', True)):
        r = subprocess.run([*launch, action, kind, str(tmp_path), 'two', *(['25'] if not fine else [])], capture_output=True, text=True, timeout=300)
        assert (r.returncode == 0) == fine, r.stderr
    one, two = [(tmp_path/f'two-{i}.txt').read_text() for i in range(2)]
    assert one == two and one.startswith('2 ')
    end_of(tmp_path/'two')

if __name__ == '__main__':
    sys.path.insert(0, str(ROOT))
    import torch
    torch.set_num_threads(1)
    action, kind, base, *rest = sys.argv[1:]
    {'train': train, 'die_writing': die_writing, 'fill_disk': fill_disk, 'together': together}[action](kind, Path(base), *rest)
