"""An evaluation that is killed goes on to the same report; ten ways to lie with a Frechet distance are refused or can be seen in the stamp; the card of the
default bundle has the figures of its report."""
import io, os, subprocess, sys, time
from dataclasses import replace
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
N, BATCH = 400, 8

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

# ---- killed and continued ----

VIM_EVAL = 'from vim_nb.cli import vim_eval\nvim_eval()\n'

def test_a_killed_evaluation_goes_on_to_the_same_report(tmp_path):
    "`vim_eval` killed while it draws, then with a damaged batch and killed once more after the last one, against an unbroken call."
    from vim_nb.bundle import save_bundle
    from vim_nb.measure import load_table
    b = bundle()
    save_bundle(tmp_path/'bundle', tokenizer=b.tokenizer, prior=b.prior, classes=b.classes, classifier=b.classifier)
    (tmp_path/'vim_eval.py').write_text(VIM_EVAL)
    def call(folder):
        given = ['--model', 'bundle', '--data', 'digits', '--folder', folder, '--number', N, '--settings', 'paper', '--seed', 5, '--batch_size', BATCH]
        return subprocess.Popen([sys.executable, 'vim_eval.py', *map(str, given)], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    def kept(folder): return sorted((tmp_path/folder/'samples').glob('[0-9]*.safetensors'))
    def killed(least):
        p = call('killed')
        try:
            deadline = time.time()+120
            while len(kept('killed')) < least and time.time() < deadline and p.poll() is None: time.sleep(.005)
        finally: p.kill()
        assert p.wait() == -9 and len(kept('killed')) >= least, p.stderr.read().decode()
        assert not (tmp_path/'killed'/'report.json').exists()
    def finished(folder):
        p = call(folder)
        said = p.communicate(timeout=240)[1].decode()
        assert p.returncode == 0, said
        return said
    killed(3)
    first = kept('killed')
    assert len(first) < N//BATCH
    first[1].write_bytes(first[1].read_bytes()[:-5])                        # as a full disk leaves it
    before = {f: f.stat().st_mtime_ns for f in first if f != first[1]}
    killed(N//BATCH)                                                       # all are drawn, nothing is measured
    assert 'is damaged' not in finished('killed')                           # the damaged batch was drawn again the time before
    finished('whole')
    for name in ('report.json', 'report.html'): assert (tmp_path/'killed'/name).read_bytes() == (tmp_path/'whole'/name).read_bytes(), name
    assert all(f.stat().st_mtime_ns == t for f,t in before.items())         # whole batches were kept
    assert load_table(tmp_path/'whole'/'report.json')['FD-BundleClassifier'].n == N

def test_a_damaged_report_says_so(tmp_path):
    from vim_nb.measure import load_table
    text = (ROOT/'results'/'default_report.json').read_text()
    (tmp_path/'report.json').write_text(text[:len(text)//2])
    with pytest.raises(ValueError, match='report.json is damaged: .*restore it or make it again'): load_table(tmp_path/'report.json')

# ---- the default bundle ----

def test_the_card_has_the_figures_of_the_report():
    "Every figure that the default bundle's card states is the one in results/default_report.json, which was measured on these weights with these settings."
    from vim_nb.bundle import find_bundle, load_bundle
    from vim_nb.weights import config_to_dict
    from vim_nb.filters import choose_settings
    from vim_nb.measure import card_figures, load_table
    from vim_nb.drawn import whose
    b, report = load_bundle(), load_table(ROOT/'results'/'default_report.json')
    assert b.card['quality'] == card_figures(report)
    for m in report:
        drawn = {**whose(b), 'settings': config_to_dict(choose_settings('card', b.card)), 'seed': 0}
        assert m.subject == (drawn if 'settings' in m.subject else {'tokenizer': drawn['tokenizer']}), m.name
        assert m.error is not None or m.name == 'rate', f'{m.name} has no standard error'
    said = (find_bundle('default')/'README.md').read_text()
    for name, f in b.card['quality'].items(): assert name in said and str(f['value']) in said and f['against'] in said, f'{name} is not in README.md'

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
    "No Frechet distance of 60 pictures in 64 features, whoever asks; a note says why, and the kernel distance is there."
    table = honest['measured'](honest['noisy'][:60])
    assert not [m.name for m in table if m.name.startswith('FD')] and table['KD-Judge'].n == 60
    assert [n for n in table.notes if 'no FD-Judge' in n and '60 pictures in 64 features' in n and 'at least 65' in n]

# ---- small folders, other names ----

@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    "Handwritten digits as folders of class folders: 50 to train on, 10 held out under `val`, the classes under names that sort the other way round."
    from PIL import Image
    from vim_nb.core import to_pixels
    from vim_nb.data import load_images
    home = tmp_path_factory.mktemp('folders')
    for split,part,n in (('train', 'train', 50), ('test', 'val', 10)):
        ds = load_images('digits', split=split, size=32)
        for k,i in enumerate((ds.labels == c).nonzero().flatten()[j].item() for c in range(10) for j in range(n//10)):
            path = home/part/chr(ord('j')-ds.labels[i].item())/f'{k}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(to_pixels(ds.batch([i])['image'])[0]).save(path)
    return home

@pytest.mark.parametrize('held_split', ['val', 'validation', 'dev'])
def test_small_folders_get_a_report(folders, tmp_path, held_split, monkeypatch):
    monkeypatch.setenv('VIM_NB_DATA', str(tmp_path/'data'))
    from vim_nb.report import evaluate
    table = evaluate(bundle(), str(folders), tmp_path/'eval', n=9, network='bundle', settings='paper', held_split=held_split, progress=False)
    names = [m.name for m in table]
    assert not [n for n in names if 'FD' in n] and {'KD-BundleClassifier', 'rKD-BundleClassifier', 'PSNR', 'perplexity', 'validation bits per token'} <= set(names)
    assert sum('cannot have full rank' in n for n in table.notes) == 2 and any('no inception score of 9 pictures' in n for n in table.notes)
    html = (tmp_path/'eval'/'report.html').read_text(encoding='utf-8')
    assert 'cannot have full rank' in html and table['PSNR'].protocol['split'] == 'validation'

@pytest.mark.parametrize('held_split', ['val', 'validation'])
def test_reconstructions_of_ten_images(folders, tmp_path, held_split, monkeypatch):
    "--number 0"
    monkeypatch.setenv('VIM_NB_DATA', str(tmp_path/'data'))
    from vim_nb.report import evaluate
    table = evaluate(bundle(), str(folders), tmp_path/'eval', n=0, network='bundle', held_split=held_split, progress=False)
    assert table['PSNR'].n == 10 and len(table.notes) >= 1 and (tmp_path/'eval'/'report.html').is_file()

def test_what_is_wrong_is_said_before_anything_is_measured(folders, tmp_path, monkeypatch):
    from vim_nb.report import evaluate
    def forbidden(*a, **k): raise AssertionError('measured')
    for name in ('vim_nb.fidelity.reconstruct', 'vim_nb.reference.look', 'vim_nb.drawn.snapshots', 'vim_nb.fidelity.lpips_measure'): monkeypatch.setattr(name, forbidden)
    (tmp_path/'file').touch()
    ask = dict(model=bundle(), data=str(folders), folder=tmp_path/'eval', n=9, network='bundle', held_split='val', progress=False)
    for bad,said in ((dict(held_split='test'), 'test'), (dict(held_split='train'), 'train part'), (dict(network='nobody'), 'no feature network'), (dict(batch_size=0), 'batch_size=0'),
                     (dict(folder=tmp_path/'file'), 'is a file'), (dict(settings='loud'), 'loud'), (dict(device='moon'), 'moon'), (dict(n=-1), 'n=-1')):
        with pytest.raises(ValueError, match=said): evaluate(**{**ask, **bad})

def test_images_do_not_pile_up(folders, tmp_path, monkeypatch):
    "However many samples are judged, those that are decoded at one time are a batch or two."
    import weakref
    import vim_nb.drawn
    from vim_nb.data import load_images
    from vim_nb.report import evaluate_samples
    alive,most = [],[0]
    decode = vim_nb.drawn.pictures
    def counted(tokenizer, codes):
        images = decode(tokenizer, codes)
        alive[:] = [r for r in alive if r() is not None] + [weakref.ref(images)]
        most[0] = max(most[0], sum(len(r()) for r in alive))
        return images
    monkeypatch.setattr(vim_nb.drawn, 'pictures', counted)
    monkeypatch.setattr(vim_nb.drawn, 'images_at_once', lambda size, device: 4)
    train,held = (load_images(folders, split, size=16) for split in ('train', 'val'))
    peaks = []
    for n in (40, 120):
        most[0] = 0
        evaluate_samples(bundle(), train, held, n=n, network='bundle', settings='paper', folder=tmp_path/'samples', batch_size=20, cache=tmp_path/'cache', progress=False)
        peaks.append(most[0])
    assert peaks[0] == peaks[1] < 300, peaks

def test_samples_that_were_touched_up(honest):
    "Resized, compressed, cut to another range: the library cannot know what they were, but the stamp says that they are other pictures."
    import torch
    from vim_nb.data import ImageDataset
    x, resize = honest['noisy'], torch.nn.functional.interpolate
    prints = {t[FD].subject['pictures'] for t in (honest['table'], honest['measured'](resize(resize(x, (8,8)), (16,16))), honest['measured'](x.clamp(.1, .9)))}
    assert len(prints) == 3
    with pytest.raises(ValueError, match='from -1 to 1; wanted uint8, or floats in .0,1.'): ImageDataset.from_tensors(2*x-1)

def test_samples_that_a_classifier_chose(honest):
    import torch
    from vim_nb.report import evaluate_samples
    from vim_nb.sample import Samples
    from vim_nb.filters import SampleSettings
    n = 80
    chosen = Samples(honest['noisy'][:n], torch.zeros(n, 4, 4, dtype=torch.int64), torch.arange(n) % 10, SampleSettings(), tuple('0123456789'), candidates=torch.arange(n) % 3)
    table = evaluate_samples(chosen, honest['train'], honest['test'], network=honest['judge'], cache=honest['cache'], progress=False)
    assert table[FD].subject['rejection'] == 'chosen by a classifier out of at least 3 candidates'

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

@pytest.mark.skipif('not __import__("torch").cuda.is_available()', reason='needs a GPU')
def test_a_report_on_a_gpu_says_what_one_on_the_cpu_says(folders, tmp_path, monkeypatch):
    monkeypatch.setenv('VIM_NB_DATA', str(tmp_path/'data'))
    from vim_nb.report import evaluate
    tables = [evaluate('default', str(folders), tmp_path/device, n=9, network='bundle', settings='paper', held_split='val', progress=False, device=device) for device in ('cpu', 'cuda')]
    assert [m.name for m in tables[0]] == [m.name for m in tables[1]]
    assert abs(tables[0]['PSNR'].value - tables[1]['PSNR'].value) < .05
