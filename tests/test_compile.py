"Trainings with compiled blocks learn what they learn without, and either goes on from the other's checkpoint."
import subprocess, sys
from dataclasses import replace
import pytest, torch
from conftest import ROOT
from vim_nb.core import generator
from vim_nb.machine import check_compiler, fresh
from vim_nb.stage1 import TokenizerRecipe, TokenizerTask
from vim_nb.stage2 import PriorTask
from vim_nb.train import Recipe, Run
from vim_nb.transformer import VIM, VIMConfig
from vim_nb.vitvqgan import ViTConfig, ViTVQGAN, ViTVQGANConfig

RECIPE = Recipe(steps=6, batch_size=4, lr=3e-3, ema=.9, save_every=3)

class Batches:
    "A dict of tensors as data, in memory."
    fingerprint = 'batches'
    def __init__(self, **tensors): self.tensors = tensors
    def __len__(self): return len(next(iter(self.tensors.values())))
    def batch(self, indices, generator=None): return {k: v[torch.as_tensor(indices)] for k, v in self.tensors.items()}

def tokenizer():
    vit = ViTConfig(16, 1, 2, 32, 8)     # encoder and decoder share a shape, so there is one thing to compile
    plan = TokenizerRecipe(RECIPE, dict(vq=1., l2=10., logit_laplace=.01), autoencoder_steps=2, remember=64, watch=1)
    return fresh(0, lambda: TokenizerTask(ViTVQGAN(ViTVQGANConfig(vit, vit, (16, 16), 4, 16, 4)), plan))

def pictures(): return Batches(image=torch.rand(8, 3, 16, 16, generator=generator(0)))

def prior(): return fresh(0, lambda: PriorTask(VIM(VIMConfig(16, (4, 4), 2, 16, 2, 2, 8, 32, .1)), .3))

def tokens(): return Batches(codes=torch.randint(16, (8, 4, 4), generator=generator(0)), label=torch.arange(8)%2)

def end(run):
    for _ in run: pass
    return run

def half(folder, task, data, recipe, compile):
    "Three steps of six."
    for m in Run(task, data, recipe, folder, compile=compile):
        if m['step'] == 3: return

def close(a, b, within):
    assert len(a) == len(b) == RECIPE.steps
    for m, n in zip(a, b):
        assert m.keys() == n.keys()
        assert [k for k in m if abs(m[k]-n[k]) > within*max(1, abs(n[k]))] == []

def same_training(tmp_path, task, data, recipe):
    try: check_compiler(torch.device('cpu'))
    except ValueError as e: pytest.skip(str(e))
    torch._dynamo.reset()
    graphs = torch._dynamo.utils.counters['stats']['unique_graphs']
    plain = end(Run(task(), data(), recipe))
    half(tmp_path/'compiled first', task(), data(), recipe, True)
    half(tmp_path/'compiled then', task(), data(), recipe, False)
    first = end(Run.resume(tmp_path/'compiled first', task=task(), data=data()))
    then = end(Run.resume(tmp_path/'compiled then', task=task(), data=data(), compile=True))
    for run in (first, then):
        close(run.log, plain.log, 1e-4 if recipe.precision == 'fp32' else .02)   # fused operations round less often to bfloat16
        assert run.task.state_dict().keys() == plain.task.state_dict().keys()
    moved = [m['loss'] for m in plain.log]
    assert max(moved)-min(moved) > 1e-2, 'losses that stand still agree without proving anything'
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] > graphs, 'something was compiled'
    compiled = [m for m in then.model.modules() if m._compiled_call_impl is not None]
    assert compiled and not any(m._compiled_call_impl for m in [*then.ema_model().modules(), *plain.model.modules()])

def test_tokenizer(tmp_path): same_training(tmp_path, tokenizer, pictures, RECIPE)

@pytest.mark.long
@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
def test_prior_with_dropout(tmp_path, precision): same_training(tmp_path, prior, tokens, replace(RECIPE, precision=precision))

def test_without_a_compiler(tmp_path, clean_env):
    "One sentence before anything is trained, and nothing on the disk."
    code = f"from test_compile import *; Run(tokenizer(), pictures(), RECIPE, {str(tmp_path/'run')!r}, compile=True)"
    env = {**clean_env, 'CXX': 'no-such-compiler', 'TORCHINDUCTOR_CACHE_DIR': str(tmp_path/'cache'), 'PYTHONPATH': str(ROOT/'tests')}
    r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=env)
    assert r.returncode == 1
    assert 'ValueError: torch.compile does not work here' in r.stderr and 'no-such-compiler' in r.stderr and 'train without compile' in r.stderr
    assert not (tmp_path/'run').exists()
