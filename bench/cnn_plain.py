"""Is `CNNVQGAN` as fast as a plain statement of the same network? Encodes and decodes one picture of 256×256 in taming f16's shape with either, in turn.

    OMP_NUM_THREADS=1 python bench/cnn_plain.py [--rounds 5] [--size 256]

One thread; seconds of the processor's time, the median over the rounds of each, and the median of the ratios within a round. Writes results/cnn_plain.json."""
import argparse, statistics, time
from contextlib import nullcontext
import torch
from plain_vqgan import PlainVQGAN
from vim_nb.cnnvqgan import CNNVQGAN, cnnvqgan_sizes
from vim_nb.core import write_json

def seconds(f, x):
    start = time.process_time()
    f(x)
    return time.process_time() - start

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--size', type=int, default=256)
    args = parser.parse_args()
    torch.set_num_threads(1)
    plain,ours = PlainVQGAN().eval(),CNNVQGAN(cnnvqgan_sizes['taming-f16']).eval()
    images,rows = torch.rand(1, 3, args.size, args.size),[]
    for precision in ('float32', 'bfloat16'):
        with torch.no_grad(), torch.autocast('cpu', torch.bfloat16) if precision == 'bfloat16' else nullcontext():
            codes = ours.encode(images)
            for name,x in (('encode', images), ('decode', codes)):
                both = {k: getattr(m, name) for k,m in (('plain', plain), ('ours', ours))}
                for f in both.values(): f(x)
                times = [{k: seconds(f, x) for k,f in both.items()} for _ in range(args.rounds)]
                rows.append(dict(what=name, precision=precision, **{f'{k}_seconds': statistics.median(t[k] for t in times) for k in both},
                                 speed_of_ours=statistics.median(t['plain']/t['ours'] for t in times)))
                print(rows[-1], flush=True)
    write_json('results/cnn_plain.json', dict(command=f'python bench/cnn_plain.py --rounds {args.rounds} --size {args.size}', torch=torch.__version__, threads=1, rows=rows))
