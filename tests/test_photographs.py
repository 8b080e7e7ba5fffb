"Photographs: the list of them, the tool that fetches them, and pictures that are not square from a folder to a sample."
import os, subprocess, sys, zipfile
from dataclasses import replace
import numpy as np
import pytest
from PIL import Image
from conftest import ROOT

sys.path.insert(0, str(ROOT/'tools'))
import photographs as tool

def test_no_photograph_is_in_both_parts():
    rows = tool.listed()
    assert {r['part'] for r in rows} == {'train', 'test'} and len(rows) > 50
    for key in ('name', 'sha256'): assert len({r[key] for r in rows}) == len(rows)
    assert len({(r['package'], r['file']) for r in rows}) == len(rows) and all(r['licence'] for r in rows)

def wheel(folder, data):
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder/'foolbox-3.3.4-py3-none-any.whl', 'w') as z:
        for r in tool.listed():
            if r['package'].startswith('pip:foolbox'): z.writestr(r['file'], data)

def test_tool_refuses_another_picture(tmp_path):
    wheel(tmp_path/'packages', b'not that photograph')
    before = {p: p.read_bytes() for p in (tmp_path/'packages').iterdir()}
    code = f'import sys, photographs as t; t.listed = lambda real=t.listed: [r for r in real() if "foolbox" in r["package"]]; sys.argv[1:] = ["--packages", {str(tmp_path/"packages")!r}, "--data", {str(tmp_path/"cache")!r}]; t.main()'
    r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': f'{ROOT}{os.pathsep}{ROOT/"tools"}'})
    assert r.returncode == 1 and 'is not the photograph that photographs.csv lists' in r.stderr, r.stderr
    assert not (tmp_path/'cache').exists() and before == {p: p.read_bytes() for p in (tmp_path/'packages').iterdir()}

@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for part,n in (('train', 5), ('test', 2)):
        (tmp_path/'holiday'/part).mkdir(parents=True)
        for i in range(n):
            low = Image.fromarray(rng.integers(0, 256, (5, 8, 3), dtype=np.uint8))
            low.resize((200+20*i, 150), Image.BICUBIC).save(tmp_path/'holiday'/part/f'{i}.jpg')
    return tmp_path/'holiday'

def test_not_square_from_folder_to_sample(folder, tmp_path):
    from vim_nb.bundle import load_bundle, save_bundle
    from vim_nb.data import load_images
    from vim_nb.sample import generate
    from vim_nb.stage1 import scaled, tokenizer_recipes, tokenizer_run
    from vim_nb.stage2 import PriorTask, prior_recipes, validate
    from vim_nb.tokens import tokenize
    from vim_nb.train import Run
    from vim_nb.transformer import VIM, VIMConfig
    from vim_nb.vitvqgan import ViTConfig, ViTVQGANConfig
    size,grid,vit = (32,64),(4,8),ViTConfig(32, 1, 2, 64, 16)
    data = load_images(folder, size=size, augment='tokenizer')
    assert data.classes == load_images(folder, split='test', size=size).classes == ['holiday'] and data.size == size
    recipe = scaled(tokenizer_recipes['tiny'], 6)
    recipe = replace(recipe, run=replace(recipe.run, batch_size=4), remember=256)
    run = tokenizer_run(data, ViTVQGANConfig(vit, vit, size, 8, 64, 8), recipe, tmp_path/'run')
    for m in run: pass
    again = Run.resume(tmp_path/'run')
    assert again.step == 6 and again.data.size == size
    tokenizer = run.ema_model()
    images = data.batch(range(3))['image']
    codes = tokenizer.encode(images)
    assert codes.shape == (3,*grid) and tokenizer.decode(codes).shape == images.shape == (3,3,*size)
    assert tokenizer.encode(load_images(folder, size=(48,40)).batch([0])['image']).shape == (1,6,5)       # another grid: the table is interpolated
    cache = tokenize(tokenizer, load_images(folder, size=size, augment='prior'), tmp_path/'tokens', crops=2, progress=False)
    assert (cache.grid, cache.size) == (grid, size)
    prior = Run(PriorTask(VIM(VIMConfig(64, grid, 1, 32, 1, 2, 16, 64))), cache, replace(prior_recipes['tiny'].run, steps=2, batch_size=4, warmup=1))
    for m in prior: pass
    v = validate(prior.ema_model(), cache)
    assert abs(v['bits_per_dim'] - v['bits_per_token']*32/(3*32*64)) < 1e-9
    save_bundle(tmp_path/'bundle', tokenizer, prior.ema_model(), ['holiday'], examples=load_images(folder, split='test', size=size).batch([0, 1]), card={})
    s = generate(3, model=tmp_path/'bundle', progress=False)
    assert s.images.shape == (3,3,*size) and s.codes.shape == (3,*grid) and s.grid().size[0] > 64
    with pytest.raises(ValueError, match=r'grid of \(8, 4\), the tokenizer has \(4, 8\)'): save_bundle(tmp_path/'other', tokenizer, VIM(VIMConfig(64, (8,4), 1, 32, 1, 2, 16, 64)))
    assert load_bundle(tmp_path/'bundle').examples['image'].shape == (2,3,*size)
