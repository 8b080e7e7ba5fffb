"""Trainings that are stopped from outside, by their data or by their own numbers: what is saved, what is said, how they go on.

The file is also the program that is stopped: `python tests/test_stops.py BASE NAME` trains a tokenizer on the pictures below BASE."""
import errno, json, signal, subprocess, sys
from dataclasses import replace
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
STEPS, HELD = 30, 12     # in step HELD the program waits for a signal

def make_run(base, name):
    from test_kill import tokenizer_config
    from vim_nb.checkpoint import checkpoints
    from vim_nb.data import load_images
    from vim_nb.stage1 import TokenizerRecipe, tokenizer_run
    from vim_nb.train import Recipe, Run
    if checkpoints(base/name): return Run.resume(base/name)
    run = Recipe(steps=STEPS, batch_size=4, lr=3e-3, warmup=4, ema=.9, save_every=100)
    recipe = TokenizerRecipe(run, autoencoder_steps=5, remember=256, restart_after=3, restart_until=40)
    return tokenizer_run(load_images(base/'pictures', size=16, augment='tokenizer'), tokenizer_config(), recipe, base/name)

def main(base, name):
    "As a command trains; the step after HELD lasts until a line comes in, which is sent behind the signal."
    from vim_nb.console import one_sentence, train
    run = make_run(Path(base), name)
    forward = run.task.forward
    def wait(batch, step, generator):
        if step == HELD:
            print('inside', flush=True)
            sys.stdin.readline()
        return forward(batch, step, generator)
    run.task.forward = wait
    one_sentence(train)(run, 'vim_train_tokenizer pictures runs --resume')

@pytest.fixture
def base(tmp_path):
    from test_kill import pictures
    pictures(tmp_path)
    return tmp_path

def end(run):
    for m in run: pass
    return end_of(run)

def end_of(run):
    from vim_nb.checkpoint import optimizer_tensors
    from vim_nb.core import content_hash
    return content_hash({**run.task.state_dict(), **{f'ema/{n}': t for n, t in run.average.items()}, **optimizer_tensors(run.optimizer, run.task)}), list(run.log)

# ---- signals ----

NAMES = [n for n in ('SIGTERM', 'SIGHUP', 'SIGINT', 'SIGUSR1') if hasattr(signal, n)]

def stopped(base, name, before=lambda: None):
    "Start the program, send it the signal inside a step, and let the step go on: exit code and stderr."
    p = subprocess.Popen([sys.executable, __file__, str(base), 'cut'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         preexec_fn=lambda: (signal.signal(signal.SIGINT, signal.default_int_handler), before()))
    assert p.stdout.readline() == 'inside\n', p.stderr.read()
    p.send_signal(getattr(signal, name))
    _, err = p.communicate('\n', timeout=120)
    return p.returncode, err

@pytest.mark.skipif(sys.platform == 'win32', reason='signals of POSIX')
@pytest.mark.parametrize('name', NAMES)
def test_a_signal_saves_the_step_in_progress(base, name):
    code, err = stopped(base, name)
    assert code == 128 + getattr(signal, name), err
    last = json.loads((base/'cut'/'log.jsonl').read_text().splitlines()[-1])['step']
    assert last == HELD+1 and (base/'cut'/f'step-{last:08d}').is_dir()
    for said in (name, f'step {last} of {STEPS}', f'step-{last:08d}', 'vim_train_tokenizer pictures runs --resume'): assert said in err, err
    if name == 'SIGTERM': assert end(make_run(base, 'cut')) == end(make_run(base, 'whole'))

@pytest.mark.skipif(not hasattr(signal, 'SIGHUP'), reason='no SIGHUP here')
def test_nohup_stays_in_force(base):
    code, err = stopped(base, 'SIGHUP', lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert code == 0, err
    assert (base/'cut'/f'step-{STEPS:08d}').is_dir()

def test_between_steps_and_with_others_handlers(base):
    "In the body of a loop the run saves at once; a handler that was there is called after the save, and may let the run go on."
    from vim_nb.signals import Stopped
    seen, old = [], signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as e:
        for m in (run := make_run(base, 'body')):
            if m['step'] == 7: signal.raise_signal(signal.SIGTERM)
    assert e.value.code == 143 and run.saved == 7 and signal.getsignal(signal.SIGTERM) == old
    del run, m
    other = signal.signal(signal.SIGTERM, lambda *args: seen.append((base/'other'/'step-00000009').is_dir()))
    try:
        for m in (run := make_run(base, 'other')):
            if m['step'] == 9: signal.raise_signal(signal.SIGTERM)
    finally: signal.signal(signal.SIGTERM, other)
    assert seen == [True] and run.step == STEPS

# ---- data ----

class Breaks:
    "Data whose third batch cannot be read."
    fingerprint = 'breaks'
    def __init__(self, data, error=None): self.data, self.error = data, error
    def __len__(self): return len(self.data)
    def batch(self, indices, generator=None):
        if self.error and self.count() == 3: raise self.error
        return self.data.batch(indices, generator)
    def count(self): self.n = getattr(self, 'n', 0)+1; return self.n

@pytest.mark.parametrize('error', [ValueError('smooth/3.png is damaged'), OSError(errno.EIO, 'Input/output error', 'smooth/3.png'), KeyError('smooth/3.png')])
def test_a_data_error_saves_first(base, error):
    from vim_nb.train import Run
    good = make_run(base, 'other').data
    def begin(name, data): return Run(make_run(base, 'x').task, data, make_run(base, 'x').recipe, base/name)
    run = begin('cut', Breaks(good, error))
    with pytest.raises(ValueError, match='batch of step 3 .*smooth/3.png.*step-00000002.*allow_changed_data') as e:
        for m in run: pass
    assert e.value.__cause__ is error
    resumed = Run.resume(base/'cut', data=Breaks(good))
    assert resumed.step == 2 and end(resumed) == end(begin('whole', Breaks(good)))

def test_removed_images_are_named_and_can_be_done_without(base):
    from vim_nb.train import Run
    for m in (run := make_run(base, 'run')):
        if m['step'] == 4: run.save(); break
    (base/'pictures'/'smooth'/'3.png').unlink()
    with pytest.raises(ValueError, match='1 image removed .smooth/3.png.*allow_changed_data'): Run.resume(base/'run')
    run = Run.resume(base/'run', allow_changed_data=True)
    end(run)
    notes = [m for m in run.log if 'note' in m]
    assert len(notes) == 1 and notes[0]['step'] == 4 and 'smooth/3.png' in notes[0]['note']
    assert Run.resume(base/'run').step == STEPS      # the checkpoint knows the new data

# ---- a refused step ----

OPTIONS = dict(fsq=dict(code_dim=2, quantizer_options=dict(levels=[4, 4])), lfq=dict(code_dim=4), bsq=dict(code_dim=4),
               external=dict(quantizer_options=dict(name='VectorQuantize')))

def kinds():
    from vim_nb.quantizers import quantizer_kinds
    return list(quantizer_kinds)

class Poisoned(Breaks):
    def batch(self, indices, generator=None):
        b = self.data.batch(indices, generator)
        return {**b, 'image': b['image']*float('nan')} if self.count() in self.error else b

@pytest.mark.parametrize('kind', kinds())
def test_a_refused_step_changes_nothing(base, kind):
    "Neither weights nor averages, counters, moments; and the run goes on as if there had been no such batch."
    if kind == 'external': pytest.importorskip('vector_quantize_pytorch')
    import torch
    from test_kill import tokenizer_config
    from vim_nb.discriminators import CriticConfig
    from vim_nb.stage1 import CriticRecipe, TokenizerRecipe, tokenizer_run
    from vim_nb.train import Recipe
    config = replace(tokenizer_config(), quantizer=kind, **OPTIONS.get(kind, {}))
    run = Recipe(steps=8, batch_size=4, lr=3e-3, ema=.9, save_every=0)
    critic = CriticRecipe(CriticConfig('stylegan', 8, group=2), lecam=.01)
    recipe = TokenizerRecipe(run, dict(vq=1., l2=1., logit_laplace=.1, adversarial=.1), critic=critic)
    if kind in ('codebook', 'ema'): recipe = replace(recipe, remember=64, restart_after=3, restart_until=8)
    data = make_run(base, 'x').data
    def begin(bad): return tokenizer_run(Poisoned(data, bad), config, recipe)
    poisoned, rng = begin({4}), torch.random.get_rng_state()
    with pytest.raises(FloatingPointError, match='step 4'):
        for m in poisoned: before, log = end_of(poisoned)
    after, rows = end_of(poisoned)
    assert after == before and rows[:-1] == log and 'stopped' in rows[-1] and poisoned.step == 3
    assert torch.equal(torch.random.get_rng_state(), rng)
    whole = begin(set())
    whole_state, _ = end(whole)
    assert end(poisoned)[0] == whole_state

def test_usage_is_logged_once_it_means_something(base):
    run = make_run(base, 'run')
    end(run)
    said = [m['step'] for m in run.log if 'usage' in m]
    assert said[0] == run.task.recipe.autoencoder_steps + run.task.keeper.lately and said == list(range(said[0], STEPS+1))

# ---- settings, folders, disks ----

def test_what_can_change_changes_and_what_cannot_is_named(base):
    from vim_nb.train import Run
    run = make_run(base, 'run')
    for m in run:
        if m['step'] == 8: run.save(); break
    old = run.task.recipe
    for recipe, name in ((replace(old, freeze=True), 'freeze=True'), (replace(old, remember=512), 'remember=512'), (replace(old, autoencoder_steps=20), 'autoencoder_steps=20'),
                         (replace(old, run=replace(old.run, seed=1)), 'seed=1'), (replace(old.run, steps=7), 'steps=7'), (replace(old.run, optimizer='adafactor'), 'optimizer=')):
        with pytest.raises(ValueError, match=f'cannot go on with {name}'): Run.resume(base/'run', recipe=recipe)
    new = replace(old, floor=-1., weights={**old.weights, 'l2': 5.}, restart_until=20,
                  run=replace(old.run, steps=34, lr=1e-3, batch_size=8, save_every=2, ema=.5, weight_decay=0., clip=.5, precision='bf16', betas=(.8, .9)))
    resumed = Run.resume(base/'run', recipe=new)
    for name in ('floor', 'weights.l2', 'restart_until', 'steps', 'lr', 'batch_size', 'save_every', 'ema', 'weight_decay', 'clip', 'precision', 'betas'):
        assert f'{name} ' in resumed.notes, name
    assert resumed.task.recipe == new and resumed.recipe == new.run
    assert {g['betas'] for g in resumed.optimizer.param_groups} == {(.8, .9)}
    end(resumed)
    again = Run.resume(base/'run')
    assert (again.step, again.recipe, again.task.recipe, again.notes) == (34, new.run, new, '')
    assert [m['step'] for m in again.log if 'note' in m] == [8]

def test_home_in_run_folders(base, monkeypatch):
    from vim_nb.health import verdict
    from vim_nb.train import Run
    monkeypatch.setenv('HOME', str(base)); monkeypatch.setenv('USERPROFILE', str(base))
    recipe = make_run(base, 'x').recipe
    run = Run(make_run(base, 'x').task, make_run(base, 'x').data, replace(recipe, steps=5, warmup=0), '~/runs/one')
    end(run)
    assert Run.resume('~/runs/one').step == 5 and verdict('~/runs/one').steps == 5
    assert (base/'runs'/'one'/'log.jsonl').is_file() and not Path('~').exists()

def test_the_last_checkpoint_is_made_up_for(base, monkeypatch):
    "The disk is full when the run ends; the next loop has no step to do, and saves."
    import vim_nb.checkpoint as c
    run, save = make_run(base, 'run'), c.save_tensors
    def full(path, tensors):
        if f'{STEPS:08d}' in path.parent.name: raise OSError(errno.ENOSPC, 'No space left on device')
        save(path, tensors)
    monkeypatch.setattr(c, 'save_tensors', full)
    with pytest.raises(OSError, match=f'step-{STEPS:08d} could not be written .*No space left.* step-00000000'):
        for m in run: pass
    monkeypatch.setattr(c, 'save_tensors', save)
    assert list(run) == [] and (base/'run'/f'step-{STEPS:08d}').is_dir()

def test_half_a_million_steps_fit_into_memory(tmp_path):
    from vim_nb.checkpoint import RunLog
    from vim_nb.health import verdict
    from vim_nb.runlog import rows_of
    log = RunLog()
    log.path, log.size = tmp_path/'log.jsonl', 0
    log.path.write_text(''.join(json.dumps(dict(step=i, loss=1+1/i, lr=1.))+'\n' for i in range(1, 20_001)))
    for i in range(1, 20_001): log.keep(dict(step=i, loss=1+1/i, lr=1.))
    assert len(log) == 10_000 and [log[0]['step'], log[-1]['step']] == [1, 20_000]
    assert len(rows_of(log)) == 20_000 and not verdict(log)

# ---- several processes, trackers ----

def test_tokenizers_encode_on_the_device_of_their_process(base):
    from test_kill import tokenizer_config
    from vim_nb.machine import make_accelerator
    from vim_nb.tokens import ImageCodes
    from vim_nb.vitvqgan import ViTVQGAN
    from vim_nb.stage2 import prior_run
    from vim_nb.transformer import VIMConfig
    from vim_nb.train import Recipe
    codes, moved = ImageCodes(ViTVQGAN(tokenizer_config()), make_run(base, 'x').data), []
    codes.tokenizer.to = moved.append
    accelerator = make_accelerator()
    prior_run(codes, VIMConfig(16, (4, 4), 2, 16, 1, 1, 16, 32), Recipe(steps=2, batch_size=4), accelerator=accelerator)
    assert moved == [accelerator.device]

class Two:
    "An accelerator of two processes, seen from one of them."
    num_processes, process_index, is_main_process, log_with = 2, 0, True, []

def test_the_group_divides_the_batch_of_one_process(base):
    from test_kill import tokenizer_config
    from vim_nb.discriminators import CriticConfig
    from vim_nb.stage1 import CriticRecipe, TokenizerRecipe, tokenizer_run
    from vim_nb.train import Recipe
    recipe = TokenizerRecipe(Recipe(steps=4, batch_size=4), dict(vq=1., l2=1., adversarial=.1), critic=CriticRecipe(CriticConfig('stylegan', 8, group=4)))
    with pytest.raises(ValueError, match='batch_size=2 in each process .* 4 '): tokenizer_run(make_run(base, 'x').data, tokenizer_config(), recipe, accelerator=Two())

@pytest.mark.parametrize('name', ['tensorboard', 'wandb'])
def test_trackers(base, name, monkeypatch):
    pytest.importorskip(name)
    from vim_nb.machine import make_accelerator
    from vim_nb.train import Run
    monkeypatch.setenv('WANDB_MODE', 'offline'); monkeypatch.setenv('WANDB_SILENT', 'true'); monkeypatch.chdir(base)
    task, data, recipe = (getattr(make_run(base, 'x'), k) for k in ('task', 'data', 'recipe'))
    run = Run(task, data, replace(recipe, steps=3, warmup=0), base/'run', accelerator=make_accelerator(name, base/'run'))
    try: end(run)
    finally:
        for t in run.accelerator.trackers: t.finish()
    if name != 'tensorboard': return
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    seen = EventAccumulator(str(base/'run'/'vim_nb'))
    seen.Reload()
    assert [e.step for e in seen.Scalars('psnr')] == [1, 2, 3]
    assert seen.Scalars('loss')[-1].value == pytest.approx(run.log[-1]['loss'])
    settings = next((base/'run'/'vim_nb').rglob('hparams.yml')).read_text()
    assert 'betas' in settings and 'task.recipe.floor' in settings

def test_a_tracker_that_is_not_installed_is_named():
    from vim_nb.machine import make_accelerator
    with pytest.raises(ValueError, match='swanlab'): make_accelerator('swanlab')

if __name__ == '__main__':
    sys.path[:0] = [str(ROOT), str(ROOT/'tests')]
    import torch
    torch.set_num_threads(1)
    main(*sys.argv[1:])
