"What the notebooks on tables cannot hold: no request over the network, the cache of the hub, a run's state that somebody else wrote, processes, commands."
import json, os, subprocess, sys
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent

def rows(labels, kind=None, **more):
    "A table of small grey images."
    import numpy as np
    from datasets import ClassLabel, Dataset, Features, Image, Value
    from PIL import Image as Pillow
    images = [Pillow.fromarray(np.full((8, 8), 20*i, np.uint8)) for i in range(len(labels))]
    kinds = {'image': Image(), 'label': kind or ClassLabel(names=['cat', 'dog']), **{k: Value('string') for k in more}}
    return Dataset.from_dict({'image': images, 'label': labels, **more}, features=Features(kinds))

@pytest.fixture
def home(tmp_path, monkeypatch):
    "A folder of parquet files, with the cache of `datasets` beside them."
    import datasets
    monkeypatch.setattr(datasets.config, 'HF_DATASETS_CACHE', tmp_path/'hf')
    (tmp_path/'pets').mkdir()
    rows([0, 1, 0, 1]).to_parquet(tmp_path/'pets'/'train.parquet')
    rows([1, 0]).to_parquet(tmp_path/'pets'/'test.parquet')
    return tmp_path

GUARD = '''
import json, socket, sys
def refuse(*args, **kwargs):
    print('ASKED', args, flush=True)
    raise OSError('no network')
socket.getaddrinfo = socket.socket.connect = socket.socket.connect_ex = refuse
from vim_nb.data import load_images
for source in sys.argv[1:]: print(len(load_images(source, size=8)))
'''

def test_local_data_asks_no_network(home, monkeypatch):
    "Nobody is asked although nothing says that there is no network: parquet, a folder of images, a named set in its cache. The guard can be asked: by an id of the hub, and not again and again."
    from PIL import Image
    from vim_nb.named import digits_pixels, save_named
    (home/'images'/'cat').mkdir(parents=True)
    Image.new('L', (8, 8)).save(home/'images'/'cat'/'a.png')
    monkeypatch.setenv('VIM_NB_DATA', str(home/'named'))
    save_named('digits', *digits_pixels())
    env = {k: v for k, v in os.environ.items() if not k.startswith('HF_')} | {'HF_HOME': str(home/'hub'), 'PYTHONPATH': str(ROOT)}
    sources = [home/'pets', home/'pets'/'train.parquet', home/'images', 'digits', 'nobody/nothing']
    r = subprocess.run([sys.executable, '-c', GUARD, *map(str, sources)], capture_output=True, text=True, env=env, cwd=home)
    lines = r.stdout.splitlines()
    assert lines[:4] == ['4', '4', '1', '1437'], r.stdout + r.stderr
    assert 1 <= len(lines[4:]) <= 3 and all('ASKED' in o for o in lines[4:]) and "'nobody/nothing' is no file or folder here" in r.stderr

def test_hub_data_out_of_the_cache(home, monkeypatch):
    "What `datasets` has cached of the hub is found when nobody answers, by part and configuration."
    import datasets, huggingface_hub
    from datasets.packaged_modules.parquet.parquet import Parquet
    files = {'train': str(home/'pets'/'train.parquet'), 'validation': str(home/'pets'/'test.parquet')}
    Parquet(dataset_name='owner___birds', hash='0123abcd', data_files=files).download_and_prepare()
    cached = next((home/'hf'/'owner___birds').iterdir())
    cached = cached.rename(cached.with_name('default'))
    for p in [*cached.rglob('*.arrow')]: p.rename(p.with_name(p.name.replace('owner___', '')))
    for p in cached.rglob('*.json'): p.write_text(p.read_text().replace('owner___', ''))
    from vim_nb.data import load_images
    asked = []
    def silent(*args, **kwargs): asked.append(args); raise ConnectionError('no network')
    for o in (datasets.config, huggingface_hub.constants): monkeypatch.setattr(o, 'HF_HUB_OFFLINE', False)
    monkeypatch.setattr(huggingface_hub.HfApi, 'dataset_info', silent)
    birds = load_images('owner/birds', split='val', size=8)
    assert birds.classes == ['cat', 'dog'] and birds.labels.tolist() == [1, 0] and len(asked) == 1
    assert load_images(**json.loads(json.dumps(birds.spec()))).fingerprint == birds.fingerprint
    assert birds.source.key != load_images('owner/birds', size=8).source.key
    with pytest.raises(ValueError, match="owner/birds has no part 'test'"): load_images('owner/birds', split='test', size=8)
    with pytest.raises(ValueError, match="owner/birds: .*nope.*default.*choose with config="): load_images('owner/birds?config=nope', size=8)
    assert not datasets.config.HF_HUB_OFFLINE and not huggingface_hub.constants.HF_HUB_OFFLINE

@pytest.mark.parametrize('name', ['pandas', 'csv', 'imagefolder', 'owner', '../owner/name', 'buckets/a', 'hf://datasets/a/b', 'pandas?config=x'])
def test_a_run_cannot_name_a_builder(name, home, monkeypatch):
    "Data of a run is opened by what its state says; a name that is no id of the hub never reaches `datasets`."
    import datasets
    from vim_nb.train import Task
    def reached(*args, **kwargs): raise AssertionError(args)
    monkeypatch.setattr(datasets, 'load_dataset', reached)
    monkeypatch.chdir(home)
    (home/'train.pkl').write_bytes(b'anything')
    with pytest.raises((FileNotFoundError, ValueError), match='no file, folder or named set'):
        Task.open_data({'source': name, 'split': 'train', 'size': 8, 'augment': None})

def test_tables_by_content(home):
    "A copy with other times is the same data; another image is not. Large tables are told apart without decoding."
    import shutil
    from vim_nb.data import load_images
    first = load_images(home/'pets', size=8)
    shutil.copytree(home/'pets', home/'copy', copy_function=shutil.copyfile)
    os.utime(home/'copy'/'train.parquet', (0, 0))
    assert load_images(home/'copy', size=8).source.key == first.source.key
    rows([0, 1, 0, 1]).filter(lambda r, i: i < 3, with_indices=True).to_parquet(home/'copy'/'train.parquet')
    assert load_images(home/'copy', size=8).source.key != first.source.key

def test_another_process_reads_tables(home):
    "What a worker that was not forked needs."
    import multiprocessing
    from vim_nb.data import load_images
    ds = load_images(home/'pets', size=8)
    with multiprocessing.get_context('spawn').Pool(1) as pool: image = pool.apply(ds.source.read, (2,))
    assert image.getpixel((0, 0)) == 40

def test_commands_take_options_at_the_end_of_a_source(home, monkeypatch):
    "`vim_tokenize` with the column and the rows that are meant; the same source without options is refused in one sentence."
    import datasets
    from vim_nb.cli import vim_tokenize
    from vim_nb.tokens import TokenCache
    from vim_nb.bundle import load_bundle
    kind = datasets.ClassLabel(names=['a', 'b'])
    table = rows([0, 1, -1, 0], kind, name=['x', 'y', 'x', 'y']).rename_columns({'label': 'coarse', 'name': 'fine'}).cast_column('fine', datasets.ClassLabel(names=['x', 'y']))
    table.to_parquet(home/'two.parquet')
    with pytest.raises(SystemExit, match='several label columns, coarse, fine'): vim_tokenize('default', str(home/'two.parquet'), str(home/'codes.safetensors'))
    with pytest.raises(SystemExit, match='1 of 4 rows .* have no label'): vim_tokenize('default', f'{home}/two.parquet?label_column=coarse', str(home/'codes.safetensors'))
    vim_tokenize('default', f'{home}/two.parquet?label_column=coarse&drop_unlabelled=true', str(home/'codes.safetensors'))
    cache = TokenCache(home/'codes.safetensors', load_bundle('default').tokenizer)
    assert len(cache) == 3 and cache.classes == ['a', 'b']
