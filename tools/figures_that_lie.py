"""How far a Frechet distance moves when nothing about the model changes: the large half of the tutorial on figures that lie.

    python tools/figures_that_lie.py           # into results/figures_that_lie.json, about five minutes of one CPU core

One generator throughout: training pictures of Fashion-MNIST, encoded and decoded by the default bundle's tokenizer. What changes is the number of samples, the reference,
the resize and a JPEG file in between. Distances are in the features of the bundle's own classifier."""
import argparse, io, sys
from pathlib import Path
import numpy as np
import torch
from PIL import Image
from vim_nb.bundle import load_bundle
from vim_nb.core import eval_mode, generator, to_pixels, write_json
from vim_nb.data import load_images
from vim_nb.eval import frechet_distance, standard_error
from vim_nb.features import seen
from vim_nb.fidelity import judge_of
from vim_nb.reference import picture_protocol

RESIZES = {'nearest': Image.NEAREST, 'hamming': Image.HAMMING, 'bilinear': Image.BILINEAR, 'bicubic': Image.BICUBIC, 'lanczos': Image.LANCZOS}

def each(images, change): return torch.stack([torch.from_numpy(np.array(change(Image.fromarray(a)))).permute(2, 0, 1) for a in to_pixels(images)]).float()/255

def jpeg(quality):
    def change(picture):
        picture.save(f := io.BytesIO(), 'JPEG', quality=quality)
        return Image.open(f)
    return change

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--most', type=int, default=50_000, help='samples of the longest row (default: 50000)')
    parser.add_argument('--out', type=Path, default=Path('results/figures_that_lie.json'))
    args = parser.parse_args()
    bundle = load_bundle()
    judge,train,test = judge_of('bundle', bundle),load_images('fashion_mnist'),load_images('fashion_mnist', split='test')
    real = {'train': seen(judge, train).features, 'test': seen(judge, test).features}
    order = torch.randperm(len(train), generator=generator(0))[:args.most]
    with eval_mode(bundle.tokenizer): decoded = torch.cat([bundle.tokenizer.decode(bundle.tokenizer.encode(train.batch(i)['image'])).clamp(0, 1) for i in order.split(250)])
    fake,rows = seen(judge, decoded).features,[]
    def add(lie, how, x, reference='train'):
        d = lambda f: frechet_distance(f, real[reference])
        rows.append({'lie': lie, 'how': how, 'n': len(x), 'fd': d(x), 'error': standard_error(d, x, draws=10)})
        print(rows[-1], file=sys.stderr, flush=True)
    for n in (200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000):
        if n <= args.most: add('n', f'{n:,} samples', fake[:n])
    few = decoded[:5000]
    for reference in real: add('reference', f'against the {reference} part', fake[:5000], reference)
    inner = few[:, :, 2:-2, 2:-2]
    for name,how in RESIZES.items(): add('resize', f'28 to 32 pixels, {name}', seen(judge, each(inner, lambda p: p.resize((32, 32), how))).features)
    for quality in (95, 75, 50): add('jpeg', f'JPEG, quality {quality}', seen(judge, each(few, jpeg(quality))).features)
    write_json(args.out, {'made_by': 'python tools/figures_that_lie.py', 'reference': picture_protocol(train), 'network': judge.protocol, 'rows': rows})
    print(args.out)

if __name__ == '__main__': main()
