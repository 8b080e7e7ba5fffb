"""What the published package `lpips` says of pictures that can be made again anywhere: results/lpips_recorded.json.

    python -m venv --system-site-packages /tmp/record && /tmp/record/bin/python -m pip install --no-deps lpips==0.1.4
    PYTHONPATH=. /tmp/record/bin/python tools/record_lpips.py

The package takes VGG16 from torchvision, which this project does without: a plain stack of the same layers stands in for it, and gets the weights
that tools/offline_weights.py has put into the local cache. Everything else is the package: scaling, taps, heads, sums. No line of
vim_nb.perceptual takes part but for the pictures and the names of the weights. tests/test_perceptual.py compares."""
import platform, sys, types
from functools import cache
from pathlib import Path
import torch
from torch import nn
from torch.nn import functional as F
from vim_nb.bundle import load_bundle
from vim_nb.core import content_hash, generator, write_json
from vim_nb.weights import load_tensors
from vim_nb.perceptual import lpips_file, lpips_state, scene, spoil

out = Path(__file__).resolve().parent.parent/'results'/'lpips_recorded.json'
errors = (.005, .01, .02, .03, .04, .06)
convolutions = (0,2,5,7,10,12,14,17,19,21,24,26,28)          # their places in torchvision's VGG16
widths = (64,64,128,128,256,256,256,512,512,512,512,512,512)


@cache
def pairs():
    "Name -> two batches of pictures in [0,1]."
    picture = scene(64)
    res = {f'scene 64, error {e}': (torch.stack(list(spoil(picture, e).values())), picture.expand(4, -1, -1, -1)) for e in errors}
    for size in (16, 32, 128): res[f'scene {size}'] = torch.stack(list(spoil(scene(size), .04).values())), scene(size).expand(4, -1, -1, -1)
    wide = scene(96)[:,10:77]
    res['scene 67 by 96'] = torch.stack(list(spoil(wide, .04).values())), wide.expand(4, -1, -1, -1)
    res['noise on black'] = torch.rand(2, 3, 64, 64, generator=generator(1)), torch.zeros(2, 3, 64, 64)
    res['black and white'] = torch.zeros(1, 3, 48, 48), torch.ones(1, 3, 48, 48)
    examples = F.interpolate(load_bundle().examples['image'][:20:2], size=64, mode='bilinear').clamp(0, 1)
    res['bundle, each and the next'] = examples, examples.roll(1, 0)
    res['bundle, each and its blur'] = examples, F.interpolate(F.avg_pool2d(examples, 4), scale_factor=4)
    return res


def stand_in(weights):
    "A module `torchvision` whose VGG16 has `weights`, by the places of torchvision."
    layers,c = [],3
    for i in range(31):
        if i in convolutions: layers.append(nn.Conv2d(c, (c := widths[convolutions.index(i)]), 3, padding=1))
        else: layers.append(nn.ReLU() if i-1 in convolutions else nn.MaxPool2d(2))
    features = nn.Sequential(*layers)
    features.load_state_dict(weights)
    res = types.ModuleType('torchvision')
    res.models = types.ModuleType('torchvision.models')
    res.models.vgg16 = lambda pretrained: types.SimpleNamespace(features=features)
    return res


def main():
    state = load_tensors(lpips_file(), 'LPIPS weights')
    kernels = [k[:-7] for k in state if k.startswith('features.') and k.endswith('.weight')]
    kernels.sort(key=lambda k: [int(n) for n in k.split('.')[2:4]])
    sys.modules['torchvision'] = tv = stand_in({f'{i}.{part}': state[f'{k}.{part}'] for i,k in zip(convolutions, kernels) for part in ('weight','bias')})
    sys.modules['torchvision.models'] = tv.models
    import lpips
    from importlib.metadata import version
    model = lpips.LPIPS(net='vgg', version='0.1', verbose=False)
    same = content_hash(lpips_state(model.state_dict()))
    assert same == content_hash(state), 'the heads of the package are not those of the cache'
    with torch.no_grad(): values = {k: [round(v, 7) for v in model(2*a-1, 2*b-1).flatten().tolist()] for k,(a,b) in pairs().items()}
    a,b = pairs()[f'scene 64, error {errors[-1]}']
    a = a.clone().requires_grad_()
    model(a, b, normalize=True).sum().backward()
    write_json(out, {'command': 'python tools/record_lpips.py', 'package': f'lpips {version("lpips")}, net vgg, version 0.1', 'torch': torch.__version__.partition('+')[0],
                     'machine': platform.machine(), 'hash': same, 'ways': list(spoil(scene(64))), 'errors': errors, 'values': values,
                     'gradient': {'pair': f'scene 64, error {errors[-1]}', 'norms': [round(v, 7) for v in a.grad.flatten(1).norm(dim=1).tolist()],
                                  'middle': [round(v, 9) for v in a.grad[:,:,32,32].flatten().tolist()]}})
    print(out)


if __name__ == '__main__': main()
