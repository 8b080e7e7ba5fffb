"Completion and rejection with the bundle that ships: what takes its trained prior, and what results/ says about its acceptance."
import json
from pathlib import Path
import pytest
import torch
from vim_nb.bundle import find_bundle, load_bundle
from vim_nb.classifier import agreement
from vim_nb.complete import complete
from vim_nb.core import content_hash
from vim_nb.metrics import psnr
from vim_nb.rejection import keep_best, wished
from vim_nb.sample import generate

top = Path(__file__).parent.parent


@pytest.fixture(scope='module')
def bundle(): return load_bundle()


def test_nothing_kept_is_generate(bundle):
    "With guidance and without, in batches that do not divide the work."
    images,labels = bundle.examples['image'][:3],bundle.examples['label'][:3]
    for seed,batch_size,settings in ((0, 64, None), (7, 5, 'paper')):
        how = dict(model=bundle, seed=seed, batch_size=batch_size, settings=settings, progress=False)
        c,s = complete(images, 0, n=4, classes=labels, **how), generate(12, classes=labels.tolist(), **how)
        assert c.codes.transpose(0, 1).flatten(0, 1).equal(s.codes) and torch.allclose(c.images.transpose(0, 1).flatten(0, 1), s.images, atol=1e-4)


def test_everything_kept_is_the_reconstruction(bundle):
    images = bundle.examples['image'][:20]
    c = complete(images, 1, n=2, model=bundle, progress=False)
    expected = bundle.tokenizer.decode(bundle.tokenizer.encode(images))
    assert torch.allclose(c.images[:, 0], expected, atol=1e-4) and torch.allclose(c.images[:, 1], expected, atol=1e-4)


def test_the_batch_size_does_not_matter(bundle):
    "A rare pick may turn, so almost all codes are asked for."
    images = bundle.examples['image'][:5]
    how = dict(keep=.3, n=3, classes=bundle.examples['label'][:5], model=bundle, progress=False)
    a,b = complete(images, batch_size=15, **how),complete(images, batch_size=4, **how)
    assert (a.codes == b.codes).float().mean() > .99


def test_what_is_kept_tells(bundle):
    "The more is given, the nearer the last row of patches, which is drawn each time, and the better the class is seen that nobody named."
    some = bundle.examples['image'][:20]
    images,labels = (x.repeat_interleave(4, 0) for x in (some, bundle.examples['label'][:20]))
    few,many = (complete(some, rows=r, n=4, model=bundle, progress=False).images.flatten(0, 1) for r in (1, 7))
    last = lambda x: x[:, :, -bundle.tokenizer.patch:]
    assert psnr(last(many), last(images)).mean() > psnr(last(few), last(images)).mean() + 1
    assert agreement(bundle.classifier, many, labels) > agreement(bundle.classifier, few, labels) + .1


def test_rejected_pictures_are_candidates_of_the_unrejected_call(bundle):
    "The promise of the seed, for each candidate; the kept ones please their classifier more than those thrown away."
    how = dict(model=bundle, seed=3, batch_size=40, progress=False)
    everybody,s = generate(40, **how),generate(20, reject=True, accept=.5, **how)
    chance = wished(bundle.classifier, everybody.images, everybody.labels)
    assert s.candidates.equal(keep_best(chance, everybody.labels, 20)) and s.labels.equal(everybody.labels[:20])
    assert s.codes.equal(everybody.codes[s.candidates]) and s.images.equal(everybody.images[s.candidates])
    gone = torch.ones(40, dtype=torch.bool).index_fill(0, s.candidates, False)
    assert chance[s.candidates].mean() > chance[gone].mean()


@pytest.mark.parametrize('n,accept,each', [(5, .5, [2]*5), (16, .5, [4]*6 + [2]*4), (3, .4, [3]*3), (4, 1, [1]*4)])
def test_every_class_has_its_share_of_candidates(bundle, n, accept, each):
    "Candidates are counted for the classes of the images that are wanted; five images of ten classes used to reject nothing."
    total = sum(each)
    def judge(images):
        "Of each class it likes the later candidates better."
        logits = torch.zeros(len(images), 10)
        if len(images) == total:
            wanted = torch.tensor([c for r in range(max(each)) for c in [i%10 for i in range(n)]])[:total]
            logits[torch.arange(total), wanted] = torch.arange(total)/total
        return logits
    s = generate(n, reject=judge, accept=accept, model=bundle, settings='paper', progress=False)
    assert s.labels.tolist() == [i%10 for i in range(n)]
    assert s.candidates.tolist() == list(range(total-n, total))        # the last ones of each class, so each class had its share


def test_a_module_chooses_in_evaluation_mode(bundle):
    class Net(torch.nn.Module):
        def __init__(self): super().__init__(); self.norm,self.head = torch.nn.BatchNorm2d(3),torch.nn.Linear(3, 10)
        def forward(self, x): assert not self.training and x.min() >= 0 and x.max() <= 1; return self.head(self.norm(x).mean((2,3)))
    net = Net().train()
    before = {k: v.clone() for k,v in net.state_dict().items()}
    s = generate(3, reject=net, accept=.5, model=bundle, progress=False)
    assert len(s) == 3 and net.training and all(v.equal(before[k]) for k,v in net.state_dict().items())
    with pytest.raises(ValueError, match=r'gave shape \(2, 7\) for 2 images.*\(2, 10\)'): generate(3, reject=torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 7)), model=bundle, progress=False)


def test_the_curve_belongs_to_the_bundle(bundle):
    "Measured on these weights by another network, and what the card recommends is what the curve chose."
    curve = json.loads((top/'results'/'rejection_curve.json').read_text())
    for part in ('tokenizer', 'prior', 'classifier'): assert curve['made_by'][f'{part}_sha256'] == content_hash(find_bundle('default')/f'{part}.safetensors')
    assert curve['made_by']['judge_sha256'] != curve['made_by']['classifier_sha256'] and len(curve['made_by']['seeds']) >= 3
    assert bundle.card['rejection'] == curve['card'] and curve['card']['by_default'] == (curve['curves']['card']['chosen'] < 1)
    assert curve['curves']['card']['settings']['guidance'] == bundle.card['sampling']['guidance']
    assert (find_bundle('default')/'classifier.safetensors').stat().st_size < 1e6
