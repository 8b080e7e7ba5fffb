"""An evaluation that is killed goes on to the same figures, and ten ways to lie with a Frechet distance are refused or can be seen in the stamp.

The file is also the program that is killed: `python tests/test_report.py FOLDER N` draws samples of a tiny bundle into FOLDER."""
import io, os, subprocess, sys, time
from dataclasses import replace
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
N, BATCH = 120, 8

def bundle():
    "A tokenizer and a prior with random weights, and a classifier of the digits' classes."
    import torch
    from vim_nb.bundle import Bundle
    from vim_nb.classifier import Classifier
    from vim_nb.train import seeded
    from vim_nb.transformer import VIM, VIMConfig
    from vim_nb.vitvqgan import ViTConfig, ViTVQGAN, ViTVQGANConfig
    vit = ViTConfig(16, 1, 2, 32, 8)
    with seeded(0, torch.device('cpu')):
        tokenizer = ViTVQGAN(ViTVQGANConfig(vit, vit, (16,16), 4, 16, 4)).eval()
        prior = VIM(VIMConfig(width=16, blocks=1, heads=2, hidden=32, num_codes=16, grid=(4,4), classes=10)).eval()
        classifier = Classifier([str(i) for i in range(10)], 8, 16).eval()
    return Bundle(tokenizer, prior, tuple('0123456789'), classifier=classifier)

def draw(folder, n):
    from vim_nb.sampled import draw_samples
    return draw_samples(bundle(), n, 'paper', 5, folder, BATCH)

# ---- killed and continued ----

def test_a_killed_evaluation_goes_on_to_the_same_figures(tmp_path):
    from vim_nb.data import load_images
    from vim_nb.report import evaluate_samples
    p = subprocess.Popen([sys.executable, __file__, tmp_path/'killed', str(10_000)], env={**os.environ, 'PYTHONPATH': str(ROOT)})
    try:
        deadline = time.time()+60
        while len(list((tmp_path/'killed').glob('0*.safetensors'))) < 3 and time.time() < deadline and p.poll() is None: time.sleep(.01)
    finally: p.kill(); p.wait()
    found = sorted((tmp_path/'killed').glob('0*.safetensors'))
    assert 3 <= len(found) < 10_000//BATCH and p.returncode == -9
    for f in found[5:]: f.unlink()                                      # whatever it had done, more is to be drawn
    before = {f.name: f.stat().st_mtime_ns for f in found[:5]}
    reference = load_images('digits', size=16)
    call = lambda folder: evaluate_samples(bundle(), reference, n=N, settings='paper', seed=5, folder=folder, batch_size=BATCH, cache=tmp_path/'cache', progress=False)
    continued, whole = call(tmp_path/'killed'), call(tmp_path/'whole')
    assert continued.measures == whole.measures
    assert all((tmp_path/'killed'/k).stat().st_mtime_ns == t for k, t in before.items())          # the old batches were kept
    assert not list((tmp_path/'killed').glob('*.tmp*')) or len(before) >= 3

# ---- ten ways to lie ----

@pytest.fixture(scope='module')
def honest(tmp_path_factory):
    "Digits, their test part in the role of samples, and what is said about them."
    import torch
    from vim_nb.data import ImageDataset, load_images
    from vim_nb.features import feature_network
    from vim_nb.report import evaluate_samples
    cache, train, test = tmp_path_factory.mktemp('cache'), load_images('digits', size=16), load_images('digits', split='test', size=16)
    x, judge = test.batch(range(len(test)))['image'], feature_network(bundle().classifier, 'Judge')
    noisy = (x + .05*torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    def measured(images=noisy, reference=train, held=test, network=judge, **k):
        return evaluate_samples(ImageDataset.from_tensors(images), reference, held, network=network, cache=cache, progress=False, **k)
    return dict(cache=cache, train=train, test=test, judge=judge, noisy=noisy, measured=measured, table=measured())

FD = 'FD-Judge'

def refused(a, b, said):
    from vim_nb.measure import compare
    with pytest.raises(ValueError, match=said): compare(a, b)

def test_1_the_test_part_as_reference(honest):
    with pytest.raises(ValueError, match='generation is measured against the train part of the data, this reference is the test part'):
        honest['measured'](reference=honest['test'], held=honest['train'])
    with pytest.raises(ValueError, match='these are the test part of digits, not the train part'): honest['measured'](reference=honest['test'], split='train')

def test_2_more_samples_than_the_other(honest):
    refused(honest['table'][FD], honest['measured'](honest['noisy'][:150])[FD], 'n is .* in the first and 150 in the second.*grows as n falls.*draw as many')

def test_3_a_kinder_network(honest):
    from vim_nb.features import feature_network
    other = bundle().classifier
    other.head.weight.data *= 2
    refused(honest['table'][FD], honest['measured'](network=feature_network(other, 'Judge'))[FD], 'weights_sha256 is .*look at both with the same weights')

def test_4_another_network_called_fid(honest):
    assert honest['judge'].label('FD') == FD and not any(m.name in ('FID', 'KID', 'IS') for m in honest['table'])

def test_5_a_reference_from_another_resize(honest):
    import torch
    from vim_nb.data import ImageDataset, load_images
    small = load_images('digits', size=8).batch(range(len(honest['train'])))['image']
    other = ImageDataset.from_tensors(torch.nn.functional.interpolate(small, (16,16), mode='nearest'))
    m = honest['measured'](reference=other, split='train')[FD]
    assert m.protocol['resize'] == 'as given'                                                      # seen in the stamp
    refused(honest['table'][FD], m, 'fingerprint is .*: measure both against the same pictures')

def test_6_a_smaller_reference(honest):
    m = honest['measured'](reference=honest['train'].subset(range(400)), split='train')[FD]
    refused(honest['table'][FD], m, 'fingerprint is')
    assert '400' in m.against

def test_7_a_reconstruction_distance_as_a_generation_distance(honest):
    m = honest['table'][FD]
    refused(m, replace(m, protocol={**m.protocol, 'task': 'reconstruction', 'split': 'test'}), 'task is generation in the first and reconstruction in the second; split is train')

def test_8_training_pictures_as_samples(honest):
    x = honest['train'].batch(range(300))['image']
    table = honest['measured'](x)
    assert table['memorisation: nearer than test pictures (fresh: 0.5)'].value > .95 and table['memorisation: copies (fresh: 0.01)'].value > .95
    with pytest.raises(ValueError, match='can be learned by heart.*give held='): honest['measured'](reference=honest['train'].subset(range(400)), split='train', held=None)
    from vim_nb.report import evaluate_samples
    with pytest.raises(ValueError, match='the train part of digits stands where samples belong'): evaluate_samples(honest['train'], honest['train'], network=honest['judge'])

def test_9_the_best_of_many_trainings(honest):
    from vim_nb.measure import compare
    a = honest['table'][FD]
    runs = [replace(a, value=a.value*f) for f in (.9, 1., 1.1, 1.05)]
    assert compare(a, replace(a, value=a.value*.9), runs).word == 'inconclusive'
    assert compare(replace(a, error=1e-9), replace(a, value=a.value*.99, error=1e-9)).word == 'inconclusive'       # below 1.3%
    assert 'how far another training would move it is not known' in compare(a, replace(a, value=a.value*.5)).why

def test_10_fewer_samples_than_features(honest):
    with pytest.raises(ValueError, match='FD-Judge of 60 pictures in 64 features: their covariance cannot have full rank.*kernel distance'): honest['measured'](honest['noisy'][:60])

def test_jpeg_in_between_is_seen_in_the_fingerprint(honest):
    import numpy as np, torch
    from PIL import Image
    from vim_nb.core import to_pixels
    from vim_nb.data import ImageDataset
    def jpeg(a):
        Image.fromarray(a).save(f := io.BytesIO(), 'JPEG', quality=75)
        return torch.from_numpy(np.array(Image.open(f))).permute(2, 0, 1)
    x = honest['train'].batch(range(len(honest['train'])))['image']
    spoilt = ImageDataset.from_tensors(torch.stack([jpeg(a) for a in to_pixels(x)]))
    refused(honest['table'][FD], honest['measured'](reference=spoilt, split='train')[FD], 'fingerprint is')

# ---- bad input ----

def test_bad_input(honest, tmp_path):
    from vim_nb.data import ImageDataset, load_images
    from vim_nb.features import feature_network
    from vim_nb.report import evaluate_samples
    (tmp_path/'empty').mkdir()
    with pytest.raises(ValueError, match='holds no pictures'): load_images(tmp_path/'empty')
    with pytest.raises(ValueError, match='samples of 8x8, reference of 16x16'): honest['measured'](honest['noisy'][:, :, :8, :8])
    broken = feature_network(lambda x: x.flatten(1)[:, :5]*float('nan'), 'Broken')
    with pytest.raises(ValueError, match='NaN or infinite features in'): honest['measured'](network=broken)
    with pytest.raises(ValueError, match='samples come first, the reference second'): evaluate_samples(honest['test'], ImageDataset.from_tensors(honest['noisy']), honest['train'], network=honest['judge'], split='train')
    with pytest.raises(ValueError, match='held and reference are the same pictures'): honest['measured'](held=honest['train'])

def test_the_page_is_complete_in_itself(honest):
    import re
    from vim_nb.report import page
    html = page('digits', honest['table'], reference=honest['train'])
    assert not re.findall(r'https?://|src="(?!data:)|<script|<link', html)
    assert html.count('<img ') == html.count(' alt="') > 0

if __name__ == '__main__': draw(Path(sys.argv[1]), int(sys.argv[2]))
