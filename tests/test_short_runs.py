"A training that starts also ends: every number of steps, codes and images in a batch."
from dataclasses import replace
import pytest, torch
from vim_nb.data import ImageDataset
from vim_nb.quantizers import quantizer_kinds
from vim_nb.stage1 import fit_start, scaled, tokenizer_recipes, tokenizer_run, without_helps
from vim_nb.vitvqgan import ViTConfig, ViTVQGANConfig

TINY, NET = tokenizer_recipes['tiny'], ViTConfig(16, 1, 1, 16, 16)

def images(n=8):
    return ImageDataset.from_tensors(torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.zeros(n, dtype=torch.int64), ['any'])

def short_run(steps, num_codes, batch, recipe=TINY, **config):
    recipe = scaled(recipe, steps)
    recipe = replace(recipe, run=replace(recipe.run, batch_size=batch))
    return tokenizer_run(images(), ViTVQGANConfig(NET, NET, (8,8), 4, num_codes, 4, **config), recipe)

@pytest.mark.parametrize('batch', [1, 8])
@pytest.mark.parametrize('num_codes', [2, 16, 600])
@pytest.mark.parametrize('steps', [1, 2, 19, 21, 59])
def test_every_combination_ends(steps, num_codes, batch):
    run = short_run(steps, num_codes, batch)
    for m in run: pass
    assert run.step == steps and torch.isfinite(torch.tensor(m['loss']))
    weight = run.model.quantizer.weight
    assert weight.isfinite().all() and weight.unique(dim=0).shape[0] == num_codes      # no two codes in one place

def test_start_has_a_latent_for_each_code_where_steps_allow_it():
    for steps in (100, 400, 64_000):
        for k in (16, 1024, 4096, 65_536):
            r = fit_start(scaled(TINY, steps), k, 64)
            assert r.remember >= k and (r.autoencoder_steps*r.run.batch_size*64 >= k or r.autoencoder_steps >= steps//4), (steps, k)

def test_the_step_that_starts_codes_has_enough_of_them():
    "The full recipe with more codes than the latents it keeps, cut down to its arithmetic: 600 codes, 100 latents kept."
    run = tokenizer_run(images(), ViTVQGANConfig(NET, NET, (8,8), 4, 600, 4), replace(scaled(TINY, 40), autoencoder_steps=2, remember=100))
    for m in run: pass
    assert run.task.recipe.remember >= 600

@pytest.mark.parametrize('kind', [k for k in quantizer_kinds if k != 'external'])
@pytest.mark.parametrize('num_codes', [16, 100])
def test_every_quantizer_needs_its_name_only(kind, num_codes):
    probe = ViTVQGANConfig(NET, NET, (8,8), 4, num_codes, 4, quantizer=kind)
    assert probe.num_codes == num_codes or kind in ('fsq','lfq','bsq') and abs(probe.num_codes-num_codes) < .3*num_codes
    recipe = TINY if kind not in ('fsq','lfq','bsq','simvq') else without_helps(TINY)
    for m in short_run(3, num_codes, 4, recipe, quantizer=kind): pass
    assert torch.isfinite(torch.tensor(m['loss']))
