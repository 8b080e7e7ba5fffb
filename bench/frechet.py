"""How fast is the Frechet distance, and how exact? Against scipy.linalg.sqrtm of the product of the covariances, as most evaluators take it.

    OMP_NUM_THREADS=1 python bench/frechet.py [--rounds 2] [--dims 2048] [--decays .5 1]

Every way starts from the same means and covariances (float64), or from the features where it needs them. Both sets have a covariance of full rank,
whose eigenvalues fall as one over their rank (a decay of .5) or over its square (1; real features are like that), in axes that both sets share, as real and generated pictures do.
What scipy takes depends much on its version: on one thread 1.15.3 took half of what 1.17.1 did.
Speeds are ratios to scipy's, medians of rounds in which all ways take turns, one thread, by the processor's clock. Writes results/frechet.json."""
import argparse, statistics, time
import numpy as np
import scipy, torch
from scipy.linalg import sqrtm
from vim_nb.core import generator, write_json
from vim_nb.eval import frechet_distance
from vim_nb.moments import Moments

def features(n, d, seed, decay):
    "Features whose covariance has the eigenvalues k**(-2*decay), in random axes that do not depend on the seed, and whose mean is not zero."
    axes = torch.linalg.qr(torch.randn(d, d, generator=generator(0), dtype=torch.float64)).Q
    g = generator(seed)
    scale = torch.arange(1, d+1, dtype=torch.float64)**-decay
    return torch.randn(n, d, generator=g, dtype=torch.float64)*scale @ axes.T + .1*torch.rand(d, generator=g, dtype=torch.float64)

def scipys(a, b):
    "From moments, the usual way: the root of a product, its imaginary part dropped."
    ca,cb = a.covariance.numpy(),b.covariance.numpy()
    root = sqrtm(ca @ cb)
    return float(((a.mean-b.mean)**2).sum()) + np.trace(ca) + np.trace(cb) - 2*np.trace(root.real)

def eigenvalues(a, b):
    "From moments: the roots of the eigenvalues of the product, which is not symmetric."
    e = torch.linalg.eigvals(a.covariance @ b.covariance)
    return ((a.mean-b.mean)**2).sum().item() + (a.covariance.trace() + b.covariance.trace()).item() - 2*e.sqrt().real.sum().item()

def rounds(ways, n, clock=time.process_time):
    "Way -> seconds of each round, and what it found."
    took,found = {k: [] for k in ways},{}
    for _ in range(n):
        for k,f in ways.items():
            start = clock(); found[k] = f(); took[k].append(clock()-start)
            print(f'{k}: {took[k][-1]:.2f} s, {found[k]!r}', flush=True)
    return took,found

def row(d, n, few, count, decay):
    "One table row for each way, at `d` features and `n` pictures; `few` pictures in the case of fewer than features."
    xs = [features(n, d, seed, decay) for seed in (1, 2)]
    a,b = (Moments(d).add(x) for x in xs)
    short = [x[:few] for x in xs]
    sa,sb = (Moments(d).add(x) for x in short)
    frechet_distance(Moments(64).add(xs[0][:,:64]), Moments(64).add(xs[1][:,:64]))      # warm up
    ways = {'scipy.linalg.sqrtm': lambda: scipys(a, b), 'eigenvalues of the product': lambda: eigenvalues(a, b), 'frechet_distance, moments': lambda: frechet_distance(a, b),
            f'frechet_distance, {few} features each': lambda: frechet_distance(*short)}
    took,found = rounds(ways, count)
    reference = 'scipy.linalg.sqrtm'
    out = []
    for k in ways:
        ratios = [s/t for s,t in zip(took[reference], took[k])]
        r = dict(dim=d, decay=decay, pictures=few if 'each' in k else n, way=k, speed=round(statistics.median(ratios), 1), least=round(min(ratios), 1), greatest=round(max(ratios), 1), value=float(found[k]))
        r['difference'] = float(abs(found[k]-(found[reference] if 'each' not in k else frechet_distance(sa, sb))))    # of few features: from their own moments
        out.append(r)
    return out

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=2)
    parser.add_argument('--dims', type=int, nargs='+', default=[2048])
    parser.add_argument('--decays', type=float, nargs='+', default=[.5, 1.])
    args = parser.parse_args()
    torch.set_num_threads(1); torch.set_grad_enabled(False)
    rows = [r for d in args.dims for decay in args.decays for r in row(d, 3*d, d//4, args.rounds, decay)]
    print(*rows, sep='\n')
    write_json('results/frechet.json', dict(command=f'python bench/frechet.py --rounds {args.rounds} --dims {" ".join(map(str, args.dims))} --decays {" ".join(map(str, args.decays))}', threads=1,
                                            torch=torch.__version__, scipy=scipy.__version__, rows=rows))
