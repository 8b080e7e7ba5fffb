"""A prior trained on pictures that are encoded on the way: interrupted, resumed from its folder alone, refused when the tokenizer is another one by then."""
import pytest, torch

@pytest.fixture(scope='module')
def world(tmp_path_factory):
    "A folder of pictures, and a bundle with a tokenizer for them."
    import numpy as np
    from PIL import Image
    from vim_nb.bundle import save_bundle
    from vim_nb.train import seeded
    from vim_nb.vitvqgan import ViTConfig, ViTVQGAN, ViTVQGANConfig
    home,draw = tmp_path_factory.mktemp('fly'),np.random.default_rng(0)
    for c in ('rough', 'smooth'):
        (home/'pictures'/c).mkdir(parents=True)
        for i in range(6): Image.fromarray(draw.integers(0, 256, (24,30,3) if c == 'rough' else (3,4,3), dtype=np.uint8)).resize((30,24)).save(home/'pictures'/c/f'{i}.png')
    vit = ViTConfig(16, 1, 2, 32, 8)
    with seeded(0, torch.device('cpu')): tokenizers = [ViTVQGAN(ViTVQGANConfig(vit, vit, (16,16), 4, 16, 4)) for _ in range(2)]
    for name,t in zip(('bundle', 'other'), tokenizers): save_bundle(home/name, t)
    return home

def begin(world, folder, workers=0, **options):
    from vim_nb.bundle import load_bundle
    from vim_nb.data import load_images
    from vim_nb.stage2 import prior_for, prior_run
    from vim_nb.tokens import ImageCodes
    from vim_nb.train import Recipe
    from vim_nb.transformer import VIMConfig
    data = ImageCodes(load_bundle(world/'bundle').tokenizer, load_images(world/'pictures', size=16, augment='prior'), world/'bundle')
    recipe = Recipe(steps=12, batch_size=4, lr=3e-3, warmup=2, ema=.9, save_every=4, precision='bf16')
    return prior_run(data, prior_for(data, VIMConfig(width=16, blocks=2, heads=2, head_dim=8, hidden=32, dropout=.1)), recipe, folder, options, workers=workers)

def state(run):
    from vim_nb.core import content_hash
    return content_hash(run.task.state_dict()), content_hash(run.ema_model().state_dict()), [m['loss'] for m in run.log]

@pytest.mark.parametrize('options', [{}, dict(smoothing=.1, checkpointing=True, label_drop=.5)])
def test_resumed_to_the_bit(world, tmp_path, options):
    from vim_nb.train import Run
    whole = begin(world, tmp_path/'whole', **options)
    for m in whole: pass
    cut = begin(world, tmp_path/'cut', workers=2, **options)
    for m in cut:
        if m['step'] == 6: break
    again = Run.resume(tmp_path/'cut')
    assert again.step == 4 and repr(again.data) == repr(cut.data) and again.task.spec() == cut.task.spec()
    for m in again: pass
    assert state(again) == state(whole)

def test_pictures_move(world):
    from vim_nb.core import generator
    data = begin(world, None).data
    plain,one,two = (data.batch(range(12), g)['codes'] for g in (None, generator(1), generator(2)))
    assert not torch.equal(one, two) and not torch.equal(one, plain)
    assert torch.equal(one, data.batch(range(12), generator(1))['codes'])

def test_another_tokenizer_is_refused(world, tmp_path):
    import shutil
    from vim_nb.train import Run
    for m in begin(world, tmp_path/'run'):
        if m['step'] == 4: break
    shutil.move(world/'bundle', world/'moved')
    try:
        with pytest.raises(FileNotFoundError, match='no bundle at .*bundle, which does not exist'): Run.resume(tmp_path/'run')
        shutil.copytree(world/'other', world/'bundle')
        with pytest.raises(ValueError, match='the codes were those of tokenizer .*, the bundle .* now holds .*: codes of the two do not mix'): Run.resume(tmp_path/'run')
    finally:
        shutil.rmtree(world/'bundle', ignore_errors=True)
        shutil.move(world/'moved', world/'bundle')
    assert Run.resume(tmp_path/'run').step == 4

def test_other_pictures_are_refused(world, tmp_path):
    from PIL import Image
    from vim_nb.train import Run
    for m in begin(world, tmp_path/'run'):
        if m['step'] == 4: break
    extra = world/'pictures'/'rough'/'extra.png'
    Image.new('RGB', (30,24)).save(extra)
    try:
        with pytest.raises(ValueError, match='was trained on data with fingerprint'): Run.resume(tmp_path/'run')
    finally: extra.unlink()

def test_in_memory_must_be_brought(world, tmp_path):
    from vim_nb.bundle import load_bundle
    from vim_nb.tokens import ImageCodes
    from vim_nb.train import Run
    run = begin(world, tmp_path/'run')
    run.data.bundle = None
    for m in run:
        if m['step'] == 4: break
    with pytest.raises(ValueError, match='were in memory .* pass data= to Run.resume'): Run.resume(tmp_path/'run')
    assert Run.resume(tmp_path/'run', data=ImageCodes(load_bundle(world/'bundle').tokenizer, run.data.images)).step == 4

def test_default_bundle_reopens():
    from vim_nb.bundle import load_bundle
    from vim_nb.data import load_images
    from vim_nb.tokens import ImageCodes, open_codes
    codes = ImageCodes(load_bundle().tokenizer, load_images('digits', size=32, augment='mirror'), 'default')
    assert codes.spec()['bundle'] == 'default' and open_codes(codes.spec()).fingerprint == codes.fingerprint

def test_a_cache_with_mirrored_pictures(world, tmp_path):
    from vim_nb.bundle import load_bundle
    from vim_nb.data import load_images
    from vim_nb.tokens import tokenize
    tokenizer,pictures = load_bundle(world/'bundle').tokenizer,load_images(world/'pictures', size=16, augment='mirror')
    cache = tokenize(tokenizer, pictures, tmp_path/'mirrored', crops=4, progress=False)
    plain = pictures.batch(range(12))['image']
    both = [tokenizer.encode(x) for x in (plain, plain.flip(-1))]
    found = [(cache.codes[:,i].long() == b).flatten(1).float().mean(1) for i in range(4) for b in both]   # of another resampling, so nearly
    nearest = torch.stack(found).view(4, 2, 12).argmax(1)
    assert not nearest[0].any() and .1 < nearest[1:].float().mean() < .9
