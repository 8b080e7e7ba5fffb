"""How fast is the codebook lookup, how much memory does it take, and does it find what float64 finds?

    OMP_NUM_THREADS=1 python bench/lookup.py [--rounds 7] [--threads 1]

Speeds are ratios to the distance matrix as taming computes it (z² + e² - 2 z eᵀ, argmin), medians of rounds in which all ways take turns. With
one thread they go by the processor's clock. With more they go by the wall's, for the two largest shapes, and the cores have to be free, for the threads
wait for each other. Memory is what a fresh process has at its peak beyond what it had before the call.
Writes results/lookup.json with one thread, results/lookup_threads.json with more."""
import argparse, statistics, subprocess, sys, time
from pathlib import Path
import torch
from vim_nb.codebook import l2norm, nearest
from vim_nb.core import generator, write_json

def distance_matrix(z, e): return (z.pow(2).sum(1, keepdim=True) + e.pow(2).sum(1) - 2*torch.einsum('nd,kd->nk', z, e)).argmin(1)
def cdist(z, e): return torch.cdist(z, e).argmin(1)
def matmul(z, e): return (z @ e.T).argmax(1)

def blocks(z, e, pick=lambda scores: scores.argmax(1)):
    rows = min(len(z), 2**21*min(torch.get_num_threads(), 4)//len(e))     # as `nearest` does
    buffer = z.new_empty(rows, len(e))
    return torch.cat([pick(torch.mm(o, e.T, out=buffer[:len(o)])) for o in z.split(rows)])

def products(z, e): return blocks(z, e, lambda scores: scores[:,0].clone())

ways = {'distance matrix': distance_matrix, 'cdist': cdist, 'matmul, argmax': matmul, 'blocks, argmax': blocks, 'nearest': nearest,
        'products alone, in blocks': products}
shapes = [(16384, 8192, 32), (16384, 8192, 8), (4096, 8192, 32), (16384, 1024, 8), (64, 8192, 32), (1, 8192, 32), (1, 8192, 8)]

def data(n, k, d):
    g = generator(0)
    return l2norm(torch.randn(n, d, generator=g)), l2norm(torch.randn(k, d, generator=g))

def ratios(n, k, d, rounds, clock):
    "Way -> distance matrix's time over its own: median, least and greatest of the rounds."
    z,e = data(n, k, d)
    repeats = max(1, 2**24//(n*k))
    took = {name: [] for name in ways}
    for r in range(rounds+1):      # the first is for warming up
        for name,way in ways.items():
            start = clock()
            for _ in range(repeats): way(z, e)
            if r: took[name].append(clock()-start)
    per_round = {name: [a/b for a,b in zip(took['distance matrix'], t)] for name,t in took.items()}
    return {name: dict(speed=round(statistics.median(o), 2), least=round(min(o), 2), greatest=round(max(o), 2)) for name,o in per_round.items()}

def peak(): return int(next(o for o in Path('/proc/self/status').read_text().splitlines() if o.startswith('VmHWM')).split()[1])/1024

def extra_memory(name, n, k, d):
    "MB at the peak of one call beyond what the process had before."
    z,e = data(n, k, d)
    ways[name](z[:64], e[:64])
    Path('/proc/self/clear_refs').write_text('5')   # the peak starts again from what is in use now
    before = peak()
    ways[name](z, e)
    return peak()-before

def in_fresh_process(*args): return float(subprocess.run([sys.executable, __file__, '--threads', str(torch.get_num_threads()), '--memory', *map(str, args)], capture_output=True, text=True, check=True).stdout)

def against_float64(n, k, d):
    "How many codes differ from those of float64, and by how much their distances do."
    z,e = data(n, k, d)
    found,other,gap,close = nearest(z, e),0,0.,0
    for i in range(0, n, 1024):
        distances = 2 - 2*z[i:i+1024].double() @ e.double().T
        two = distances.topk(2, largest=False)
        wrong = two.indices[:,0] != found[i:i+1024]
        other,close = other+int(wrong.sum()),close+int((two.values.diff(dim=1) < 1e-6).sum())
        if wrong.any(): gap = max(gap, (distances.gather(1, found[i:i+1024,None]) - two.values[:,:1])[wrong].max().item())
    return dict(codes=n, differ=other, greatest_gap_where_they_differ=gap, rows_whose_two_best_are_closer_than_1e_6=close)

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--memory', nargs=4, metavar=('WAY','N','K','D'), help='print the extra MB of one way and stop')
    args = parser.parse_args()
    torch.set_num_threads(args.threads); torch.set_grad_enabled(False)
    if args.memory:
        print(extra_memory(args.memory[0], *map(int, args.memory[1:]))); sys.exit()
    clock,rows = time.process_time if args.threads == 1 else time.perf_counter,[]
    for n,k,d in shapes if args.threads == 1 else shapes[:2]:
        speed = ratios(n, k, d, args.rounds, clock)
        for name in ways:
            memory = dict(extra_mb=round(in_fresh_process(name, n, k, d), 1)) if n == 16384 and (args.threads == 1 or name == 'nearest') else {}
            rows.append(dict(latents=n, codes=k, dim=d, way=name, **speed[name], **memory))
            print(rows[-1], flush=True)
    checks = [dict(codes_in_book=k, dim=d, **against_float64(n, k, d)) for n,k,d in shapes[:2]]
    print(*checks, sep='\n')
    out = 'results/lookup.json' if args.threads == 1 else 'results/lookup_threads.json'
    write_json(out, dict(command=f'python bench/lookup.py --rounds {args.rounds} --threads {args.threads}', torch=torch.__version__, rows=rows, float64=checks))
