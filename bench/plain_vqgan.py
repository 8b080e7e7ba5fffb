"""A convolutional VQGAN in the shape of taming's f16, stated plainly: torch.nn modules, a distance matrix, nothing clever.
What `vim_nb` is measured against; random weights, since speed does not depend on them."""
import torch
from torch import nn
from torch.nn import functional as F

def norm(channels): return nn.GroupNorm(32, channels, eps=1e-6)

class Residual(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.norm1,self.conv1 = norm(cin),nn.Conv2d(cin, cout, 3, padding=1)
        self.norm2,self.conv2 = norm(cout),nn.Conv2d(cout, cout, 3, padding=1)
        self.shortcut = nn.Identity() if cin == cout else nn.Conv2d(cin, cout, 1)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))

class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = norm(channels)
        self.q,self.k,self.v,self.out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x):
        b,c,h,w = x.shape
        y = self.norm(x)
        q,k,v = (f(y).flatten(2) for f in (self.q, self.k, self.v))
        weights = torch.softmax(torch.bmm(q.transpose(1, 2), k)*c**-.5, -1)
        return x + self.out(torch.bmm(v, weights.transpose(1, 2)).view(b, c, h, w))

class Down(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)
    def forward(self, x): return self.conv(F.pad(x, (0,1,0,1)))

class Up(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
    def forward(self, x): return self.conv(F.interpolate(x, scale_factor=2., mode='nearest'))

def middle(channels): return [Residual(channels, channels), Attention(channels), Residual(channels, channels)]

def level(cin, cout, blocks, attention):
    "Residual blocks, each followed by attention on the coarsest level."
    layers = []
    for i in range(blocks):
        layers.append(Residual(cout if i else cin, cout))
        if attention: layers.append(Attention(cout))
    return layers

class PlainVQGAN(nn.Module):
    def __init__(self, width=128, multiples=(1,1,2,2,4), blocks=2, dim=256, num_codes=1024):
        super().__init__()
        widths,last = [width*m for m in multiples],len(multiples)-1
        encoder,decoder,cin = [nn.Conv2d(3, width, 3, padding=1)],[nn.Conv2d(dim, widths[-1], 3, padding=1), *middle(widths[-1])],width
        for i,cout in enumerate(widths):
            encoder += level(cin, cout, blocks, i == last) + ([Down(cout)] if i < last else [])
            cin = cout
        encoder += middle(cin) + [norm(cin), nn.SiLU(), nn.Conv2d(cin, dim, 3, padding=1), nn.Conv2d(dim, dim, 1)]
        for i,cout in reversed(list(enumerate(widths))):
            decoder += level(cin, cout, blocks+1, i == last) + ([Up(cout)] if i else [])
            cin = cout
        decoder += [norm(cin), nn.SiLU(), nn.Conv2d(cin, 3, 3, padding=1)]
        self.encoder,self.decoder = nn.Sequential(*encoder),nn.Sequential(nn.Conv2d(dim, dim, 1), *decoder)
        self.codes = nn.Embedding(num_codes, dim)

    def encode(self, x): # images (b, 3, H, W) in [-1,1] to codes (b, h, w)
        z = self.encoder(x)
        flat,e = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1]).float(),self.codes.weight.float()
        return (flat.pow(2).sum(1, keepdim=True) + e.pow(2).sum(1) - 2*flat @ e.T).argmin(1).view(len(x), *z.shape[2:])

    def decode(self, codes): return self.decoder(self.codes(codes).permute(0, 3, 1, 2).contiguous())
