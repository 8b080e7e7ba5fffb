"The convolutional tokenizer against a plain statement of the same network, written apart from it (bench/plain_vqgan.py)."
import sys
from dataclasses import replace
import pytest, torch
from torch import nn
from conftest import ROOT
from vim_nb.cnnvqgan import CNNVQGAN, cnnvqgan_sizes
from vim_nb.codebook import Quantized

sys.path.insert(0, str(ROOT/'bench'))
from plain_vqgan import PlainVQGAN

TAMING = cnnvqgan_sizes['taming-f16']

class Euclidean(nn.Module):
    "What taming looks codes up with: nothing is normalised."
    def __init__(self, num_codes, dim):
        super().__init__()
        self.num_codes,self.weight = num_codes,nn.Parameter(torch.randn(num_codes, dim))
        self.down,self.up = nn.Linear(dim, dim),nn.Linear(dim, dim)
    def encode(self, x): return torch.cdist(self.down(x), self.weight).argmin(-1)
    def decode(self, codes): return self.up(self.weight[codes])
    def forward(self, x): return Quantized(self.decode(codes := self.encode(x)), codes, x.new_zeros(()))

def in_order(config, decoder):
    "Names of our modules that hold parameters, in the order in which a picture meets them."
    n,middle = len(config.widths),['middle.0', 'middle.1', 'middle.2']
    names = ['first'] + middle*decoder
    for i in range(n):
        level = n-1-i if decoder else i
        for j in range(config.blocks+decoder): names += [f'levels.{i}.blocks.{j}'] + [f'levels.{i}.attentions.{j}']*(level in config.attention)
        names += [f'levels.{i}.resample']*(i < n-1)
    return names + middle*(not decoder) + ['norm', 'last']

def same_weights(plain, ours):
    "Put the weights of `plain` into `ours`, strictly, module by module."
    full = lambda net: [m for m in net if any(True for _ in m.parameters())]
    *encoder,down = full(plain.encoder)
    up,*decoder = full(plain.decoder)
    for layers,net,is_decoder in ((encoder, ours.encoder, False), (decoder, ours.decoder, True)):
        names = in_order(ours.config, is_decoder)
        assert len(names) == len(layers)
        for name,layer in zip(names, layers): net.get_submodule(name).load_state_dict(layer.state_dict())
    for linear,conv in ((ours.quantizer.down, down), (ours.quantizer.up, up)):
        linear.load_state_dict({'weight': conv.weight.flatten(1), 'bias': conv.bias})
    ours.quantizer.load_state_dict({'weight': plain.codes.weight}, strict=False)

@pytest.fixture
def both():
    torch.manual_seed(0)
    config = replace(TAMING, channels=32, num_codes=64)
    plain,ours = PlainVQGAN(width=32, num_codes=64),CNNVQGAN(config, Euclidean(64, config.latent_dim))
    for m in plain.modules():  # norms that do something, so that a mix-up would be seen
        if isinstance(m, nn.GroupNorm): nn.init.normal_(m.weight, 1, .3); nn.init.normal_(m.bias, 0, .3)
    same_weights(plain, ours)
    with torch.no_grad(): plain.codes.weight.copy_(plain.encoder(2*torch.rand(4, 3, 64, 64)-1).permute(0, 2, 3, 1).flatten(0, 2))
    ours.quantizer.load_state_dict({'weight': plain.codes.weight}, strict=False)
    return plain.eval().double(),ours.eval().double()  # where rounding cannot hide anything

@torch.no_grad()
def test_the_same_function(both):
    plain,ours = both
    images = torch.rand(2, 3, 64, 96, dtype=torch.float64)
    wanted = plain.encoder(2*images-1).flatten(2).mT
    latents = ours.quantizer.down(ours.encoder(images))
    assert latents.shape == wanted.shape == (2, 4*6, 256) and wanted.std() > .01
    assert (latents-wanted).abs().max() < 1e-9
    codes = ours.encode(images)
    assert torch.equal(codes, plain.encode(2*images-1)) and len(codes.unique()) > 5
    wanted = (plain.decode(codes)+1)/2
    assert (ours(images).images-wanted).abs().max() < 1e-9 and wanted.shape == images.shape and wanted.std() > .01
    assert (ours.decode(codes)-wanted.clamp(0, 1)).abs().max() < 1e-9

@torch.no_grad()
def test_the_same_function_in_float32(both):
    plain,ours = (m.float() for m in both)
    images = torch.rand(2, 3, 64, 96)
    codes = ours.encode(images)
    assert torch.equal(codes, plain.encode(2*images-1))
    wanted = (plain.decode(codes)+1)/2
    assert (ours(images).images-wanted).abs().max() < 5e-5  # attention sums in another order

@torch.no_grad()
@pytest.mark.parametrize('name', ['encoder.levels.1.blocks.0.norm2.bias', 'encoder.middle.1.q.weight', 'encoder.levels.0.resample.conv.weight'])
def test_it_would_be_seen(both, name):
    "One parameter a little off, and the outputs differ."
    plain,ours = both
    ours.get_parameter(name).mul_(1.5)
    images = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    assert (ours.quantizer.down(ours.encoder(images)) - plain.encoder(2*images-1).flatten(2).mT).abs().max() > 1e-4

def test_as_many_parameters_in_full():
    with torch.device('meta'): sizes = [sum(p.numel() for p in m.parameters()) for m in (PlainVQGAN(), CNNVQGAN(TAMING))]
    assert sizes[0] == sizes[1] == 72_141_699
