"The bundle that ships: small, sane, and what results/ says about it."
import json
from pathlib import Path
import torch
from torch.nn import functional as F
from vim_nb.bundle import find_bundle, load_bundle
from vim_nb.core import content_hash
from vim_nb.metrics import psnr
from vim_nb.sample import generate
from vim_nb.tokens import tokenizer_hash

top = Path(__file__).parent.parent
measured = json.loads((top/'results'/'fashion_mnist_bundle.json').read_text())


def test_it_fits_into_8_mb():
    assert sum(p.stat().st_size for p in find_bundle('default').iterdir()) < 8e6


def test_its_examples_come_back():
    "500 pictures that it has never seen: fidelity near the whole test part's, and nearly all codes in use."
    b = load_bundle()
    images = b.examples['image']
    codes = b.tokenizer.encode(images)
    assert images.shape == (500, 3, 32, 32) and codes.unique().numel() > .95*b.tokenizer.num_codes
    crop = lambda x: x[..., 2:-2, 2:-2]
    assert abs(psnr(crop(images), crop(b.tokenizer.decode(codes))).mean().item() - measured['tokenizer']['psnr_28_per_image']) < .5


def test_the_prior_expects_them():
    "Bits per code of the examples, told the class; told a wrong class it must be worse."
    b = load_bundle()
    codes,labels = b.tokenizer.encode(b.examples['image']),b.examples['label']
    bits = lambda y: F.cross_entropy(b.prior(codes, y).flatten(0, 1), codes.flatten()).item()/torch.log(torch.tensor(2.)).item()
    with torch.no_grad():
        assert abs(bits(labels) - measured['prior']['bits_per_token']) < .15
        assert bits((labels+5) % 10) > bits(labels) + .1


def test_results_belong_to_it():
    "What results/ says was measured on these weights, and reaches what the model card promises."
    b,card = load_bundle(),load_bundle().card
    assert measured['made_by']['tokenizer_hash'] == tokenizer_hash(b.tokenizer)
    assert measured['made_by']['prior_sha256'] == content_hash(find_bundle('default')/'prior.safetensors')
    assert measured['samples']['default']['settings']['guidance'] == card['sampling']['guidance']
    assert card['second_opinion']['class_agreement_of_default_samples'] == round(measured['samples']['default']['agreement'], 4)


def test_a_longer_call_begins_with_the_same_pictures():
    assert generate(4, progress=False, batch_size=4).codes.equal(generate(8, progress=False, batch_size=4).codes[:4])
