"What the notebooks of the images cannot hold: other processes, sets that do not fit in memory, commands."
import os
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
import numpy as np, pytest, torch
from PIL import Image

def lay(folder, *names, side=24):
    "Images of different pixels below `folder`."
    for i,name in enumerate(names):
        path = Path(folder)/name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (side, side, 3), np.uint8)).save(path)
    return Path(folder)

SIX = [f'{c}/{i}.png' for c in ('cat', 'dog', 'fox') for i in range(2)]

@pytest.fixture
def home(tmp_path, monkeypatch):
    "A folder of class folders, in a place where nothing was noted before."
    monkeypatch.setenv('VIM_NB_DATA', str(tmp_path/'data'))
    return lay(tmp_path/'pets', *SIX)

def kinds(home):
    "Every kind of data set that there is, by name."
    from vim_nb.data import ImageDataset, load_images
    from vim_nb.named import digits_pixels, save_named
    save_named('digits', *digits_pixels())
    parquet = home.parent/'data'/'digits.parquet'
    with pytest.MonkeyPatch.context() as m:
        m.setattr('vim_nb.data.hold', lambda ds: ds)
        large = load_images(home, size=16, augment='tokenizer')
        table = load_images(parquet, size=16)
    return {'folder': load_images(home, size=16), 'folder, augmented': load_images(home, size=16, augment='tokenizer'), 'large folder': large,
            'part of a large folder': large.subset([4, 1, 2]), 'named': load_images('digits', size=8, split='test'), 'named, cropped': load_images('digits', size=6, augment='prior'),
            'parquet': load_images(parquet, size=16), 'large parquet': table, 'part of it': table.subset(table.labels == 3),
            'tensors': ImageDataset.from_tensors(torch.rand(4, 3, 8, 8), augment='mirror')}

def again(x): return ForkingPickler.loads(ForkingPickler.dumps(x))

def test_every_data_set_goes_to_another_process(home):
    from vim_nb.core import generator
    from vim_nb.data import load_images
    for name,ds in kinds(home).items():
        ds.batch([0, 1], generator(0))                        # what was read meanwhile does not travel
        there = again(ds)
        for draw in (None, generator(1)):
            pair = [d.batch([2, 0], draw and generator(1)) for d in (ds, there)]
            assert all(torch.equal(pair[0][k], pair[1][k]) for k in pair[0]), name
        assert (there.fingerprint, there.classes, there.spec(), there.manifest()) == (ds.fingerprint, ds.classes, ds.spec(), ds.manifest()), name
    for source in (home, 'digits', home.parent/'data'/'digits.parquet'):
        stream = load_images(source, size=16, streaming=True)
        assert torch.equal(next(iter(again(stream)))['image'], next(iter(stream))['image']), source

def test_what_was_decoded_stays_behind(home):
    from vim_nb.data import load_images
    ds = load_images(home, size=8, augment='tokenizer')
    before = len(ForkingPickler.dumps(ds.near))
    for i in range(6): ds.near.read(i)
    assert len(ForkingPickler.dumps(ds.near)) == before

def test_workers_that_are_spawned(home):
    from vim_nb.data import load_images
    with pytest.MonkeyPatch.context() as m:
        m.setattr('vim_nb.data.hold', lambda ds: ds)
        ds = load_images(home, size=16)
    loader = torch.utils.data.DataLoader(ds, batch_size=3, num_workers=2, multiprocessing_context='spawn')
    batches = list(loader)
    assert torch.equal(torch.cat([b['image'] for b in batches]), ds[:]['image'])
    assert torch.cat([b['label'] for b in batches]).tolist() == ds.labels.tolist()

def test_identity_of_a_large_folder(home, monkeypatch):
    "It follows the content, not names and sizes, and neither place nor time."
    import shutil
    from vim_nb.data import load_images
    monkeypatch.setattr('vim_nb.data.hold', lambda ds: ds)
    print_of = lambda folder: load_images(folder, size=16).fingerprint
    first = print_of(home)
    shutil.copytree(home, home.parent/'elsewhere'/'animals', copy_function=shutil.copyfile)
    os.utime(home/'cat'/'0.png', (1, 1))
    assert print_of(home) == first == print_of(home.parent/'elsewhere'/'animals')
    data = (home/'cat'/'0.png').read_bytes()
    pixels = np.asarray(Image.open(home/'cat'/'0.png')).copy()
    sizes = set()
    for value in range(256):                                  # another image in as many bytes
        pixels[0, 0] = value
        Image.fromarray(pixels).save(home/'cat'/'0.png')
        sizes.add((home/'cat'/'0.png').stat().st_size)
        if (home/'cat'/'0.png').stat().st_size == len(data) and (home/'cat'/'0.png').read_bytes() != data: break
    else: pytest.fail(f'no image of {len(data)} bytes among {sizes}')
    assert print_of(home) != first

def test_a_large_folder_is_verified_once(home, monkeypatch):
    from vim_nb.data import load_images
    monkeypatch.setattr('vim_nb.data.hold', lambda ds: ds)
    read = []
    import vim_nb.folders as folders
    real = folders.open_picture
    monkeypatch.setattr(folders, 'open_picture', lambda path: (read.append(path.name), real(path))[1])
    load_images(home, size=16), load_images(home, size=32)
    assert len(read) == 6
    lay(home, 'fox/9.png')
    load_images(home, size=16)
    assert len(read) == 6+7                                   # other images: all anew
    for i in range(12): (home/'dog'/f'bad{i:02}.png').write_bytes(b'\x89PNG\r\n\x1a\n')
    with pytest.raises(ValueError, match=r'12 of 19 images cannot be read:\n.*bad00.png.*\n(.*\n){8}.*bad09.png.*\nand 2 more'): load_images(home, size=16)

def caches(folder):
    "Token caches: of three classes, of two of them, and one with a class of its own."
    from vim_nb.bundle import load_bundle
    from vim_nb.data import ImageDataset
    from vim_nb.tokens import tokenize
    tokenizer = load_bundle().tokenizer
    def cache(name, labels, classes):
        images = torch.rand(len(labels), 1, 32, 32, generator=torch.Generator().manual_seed(0))
        tokenize(tokenizer, ImageDataset.from_tensors(images, labels, classes), folder/name, progress=False)
        return folder/name
    return cache('train.safetensors', [0, 1, 2], ['cat', 'dog', 'fox']), cache('held.safetensors', [1, 0], ['cat', 'fox']), cache('odd.safetensors', [0, 1], ['cat', 'cow'])

def test_validation_goes_by_names(tmp_path, monkeypatch):
    from vim_nb import cli, stage2
    from vim_nb.tokens import TokenCache
    train,held,odd = caches(tmp_path)
    command = dict(codes=str(train), tokenizer='default', steps=1, batch_size=2, precision='fp32')
    with pytest.raises(SystemExit, match="classes 'cow', unknown .* 'cat', 'dog', 'fox'"): cli.vim_train_prior(folder=str(tmp_path/'a'), validation=str(odd), **command)
    assert not (tmp_path/'a').exists()
    asked,real = [],stage2.validate
    monkeypatch.setattr(stage2, 'validate', lambda vim, data, *a, **k: (asked.append(data), real(vim, data, *a, **k))[1])
    cli.vim_train_prior(folder=str(tmp_path/'b'), validation=str(held), **command)
    assert asked[0].batch([0, 1])['label'].tolist() == [2, 0] and TokenCache(held).batch([0, 1])['label'].tolist() == [1, 0]
