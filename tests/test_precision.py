"Half precision: by autocast and in the weights themselves, for every tokenizer and quantizer."
import copy
from dataclasses import replace
import pytest
import torch
from vim_nb.bundle import load_bundle
from vim_nb.cnnvqgan import cnnvqgan_sizes
from vim_nb.core import generator
from vim_nb.losses import logit_laplace
from vim_nb.machine import fresh
from vim_nb.quantizers import quantizer_kinds
from vim_nb.stage2 import codes_loss
from vim_nb.tokenizers import make_tokenizer
from vim_nb.vitvqgan import vitvqgan_sizes

special = {'fsq': dict(num_codes=64, code_dim=3, quantizer_options=dict(levels=(4, 4, 4))), 'lfq': dict(num_codes=64, code_dim=6),
           'bsq': dict(num_codes=64, code_dim=6)}
sizes = {'vit': vitvqgan_sizes['tiny'], 'vit-rgb': replace(vitvqgan_sizes['tiny'], output='rgb', tanh='blocks', position='sincos'),
         'cnn': cnnvqgan_sizes['tiny'], 'cnn-rgb': replace(cnnvqgan_sizes['tiny'], output='rgb')}
images = torch.rand(2, 3, 32, 32, generator=generator(0))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize('kind,size', [(k, s) for s in ('vit', 'cnn') for k in quantizer_kinds] + [('codebook', 'vit-rgb'), ('codebook', 'cnn-rgb')])
def test_a_call_works_like_encode_and_decode(kind, size, dtype):
    "With weights of any precision and images of another one: float32 (or more) comes out, and the codes are those of `encode`."
    if kind == 'external':
        pytest.importorskip('vector_quantize_pytorch')
    config = replace(sizes[size], quantizer=kind, **{'num_codes': 64, **special.get(kind, {})})
    t = fresh(0, make_tokenizer, config).eval().to(dtype)
    wide = torch.promote_types(dtype, torch.float32)
    with torch.no_grad():
        r = t(images)
        same = t(images.to(dtype))
    assert r.images.dtype == r.loss.dtype == wide and r.codes.dtype == torch.int64
    assert r.codes.equal(t.encode(images)) and r.codes.equal(same.codes)
    again = t.decode(r.codes)
    assert again.dtype == wide and (again - r.images.clamp(0, 1)).abs().max() < (1e-5 if dtype == torch.float64 else .05)
    if r.mean is not None: assert r.mean.dtype == r.log_scale.dtype == wide


@pytest.mark.parametrize('kind', [k for k in quantizer_kinds if k not in ('ema', 'external', 'perturbed')])
def test_half_precision_has_a_gradient(kind):
    "In training mode too, whatever the quantizer adds to the graph."
    t = fresh(0, make_tokenizer, replace(sizes['vit'], quantizer=kind, **{'num_codes': 64, **special.get(kind, {})})).bfloat16()
    r = t(images)
    (r.images.mean() + r.loss).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in t.encoder.parameters())


@pytest.mark.parametrize('kind', ['codebook', 'entropy', 'fsq', 'lfq', 'bsq', 'simvq', 'ibq', 'rotation'])
def test_autocast_leaves_the_quantizer_alone(kind):
    config = replace(sizes['vit'], quantizer=kind, **{'num_codes': 64, **special.get(kind, {})})
    book,latents = fresh(0, make_tokenizer, config).eval().quantizer, torch.randn(2, 64, 96, generator=generator(1))
    exact = book(latents)
    with torch.autocast('cpu', torch.bfloat16): half = book(latents)
    for a,b in zip(exact, half): assert torch.equal(a, b)


def certain(network, images, steps):
    "`network` after some steps towards `images`, with the smallest scale that there may be."
    opt = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(steps):
        r = network(images)
        opt.zero_grad()
        (logit_laplace(r.mean, r.log_scale, images) + r.loss).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.)
        opt.step()
    return network.eval()


def likelihoods(network, images, floor=-4.):
    "Nats per colour in float32, and under autocast."
    with torch.no_grad():
        exact = network(images)
        with torch.autocast('cpu', torch.bfloat16):
            half = network(images)
            inside = logit_laplace(half.mean, half.log_scale, images, floor=floor)
        assert half.mean.dtype == inside.dtype == torch.float32
        return logit_laplace(exact.mean, exact.log_scale, images, floor=floor).item(), inside.item()


def test_black_and_white_are_as_likely_under_autocast():
    "With mean and log-scale in bfloat16 the difference was 0.6 nats."
    extremes = torch.cat([torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)])
    exact,half = likelihoods(certain(fresh(0, make_tokenizer, sizes['vit']), extremes, 120), extremes)
    assert exact < -8 and abs(exact - half) < 1e-2


def test_the_default_tokenizer_is_as_good_under_autocast():
    "Its pictures are mostly black: 0.34 nats were lost. What autocast still changes is some codes, since the encoder's blocks are in bfloat16."
    b = load_bundle()
    images = b.examples['image'][:32]
    exact,half = likelihoods(b.tokenizer, images)
    assert abs(exact - half) < 1e-2
    whole = b.tokenizer.encode(images)
    with torch.autocast('cpu', torch.bfloat16): changed = (b.tokenizer.encode(images) != whole).float().mean()
    assert 0 < changed < .03


def test_the_prior_is_as_good_under_autocast():
    "The softmax over all codes is in float32, inside the training's loss and outside: about 1e-4 nats are lost."
    b = load_bundle()
    codes,labels = b.tokenizer.encode(b.examples['image'][:32]), b.examples['label'][:32]
    def nats():
        with torch.no_grad(): return codes_loss(b.prior.hidden(codes, labels), b.prior.out, codes.flatten(1))[1].item()
    exact = nats()
    with torch.autocast('cpu', torch.bfloat16): half = nats()
    assert abs(exact - half) < 5e-3
    b.prior.bfloat16()
    assert abs(exact - nats()) < 5e-3


def test_a_finished_tokenizer_in_half_precision_is_nearly_the_same():
    "Bundles are loaded with `dtype=`: what is drawn is the same within bfloat16, and most codes are."
    b = load_bundle()
    images = b.examples['image'][:32]
    half = copy.deepcopy(b.tokenizer).bfloat16()
    codes = b.tokenizer.encode(images)
    assert (half.encode(images) == codes).float().mean() > .95
    assert (half.decode(codes) - b.tokenizer.decode(codes)).abs().mean() < .005
