"""How fast are codes drawn, beside a plain torch loop, for batch sizes from 1 to 64; which backends were chosen; and what do the lossy weights change?

    python bench/sampling.py [--rounds 3] [--threads 1] [--batches 1 2 4 8 16 32 64] [--models default large large-half] [--parts speed drift]

The models: the prior that ships; 8 blocks of width 512 with 8 heads over 8,192 codes, random weights; and the same saved in half precision, as `save_bundle` does.
The baseline is what one writes in an afternoon: `F.linear` on the weights as they are, unpadded, `scaled_dot_product_attention`, and a cache of fixed size whose filled part is read.
It shares nothing with ours but the prior. Both draw with `pick` from the same noise at temperature 1. Steps of both take turns, row by row of the grid; a ratio is
the least time of a step in the plain loop over the least of ours at the same positions, and the median over rounds. `wall` is the same for the sums of all steps, so with everything that disturbed.
Choosing backends comes before the clock starts; its cost is `choose_seconds`.

- drift: logits of the lossy weights against fp32, teacher-forced on test images of the default bundle (trained) and on random codes of the large model:
  relative error (of logits without their mean), picks changed at equal noise, change in nats per token.

Writes results/sampling_speed.json; models, batches, threads and parts that are left out stay as they are there."""
import argparse, os, re, statistics, time, warnings
from pathlib import Path
import torch
from torch.nn import functional as F
from vim_nb.bundle import load_bundle
from vim_nb.core import generator, read_json, write_json
from vim_nb.data import load_images
from vim_nb.decode import Decoder
from vim_nb.filters import noise, pick
from vim_nb.transformer import VIM, VIMConfig

def processor():
    "The kind of processor and what it can do: no names of machines."
    info = Path('/proc/cpuinfo')
    text = info.read_text() if info.exists() else ''
    found = lambda key: (re.search(rf'^{key}\s*: (.*)$', text, re.M) or ['', ''])[1]
    flags = set(found('flags').split())
    return dict(kind=found('model name') or os.uname().machine, cores=os.cpu_count(), torch=torch.backends.cpu.get_cpu_capability(),
                has=[f for f in ('avx2','avx512f','avx512_bf16','avx512_vnni','amx_bf16') if f in flags])

def prior_of(name):
    if name == 'default': return load_bundle().prior.eval()
    torch.manual_seed(0)
    prior = VIM(VIMConfig(8192, (16,16), 1000, 512, 8, 8, 64, 2048)).eval().requires_grad_(False)
    return prior.half().float() if name == 'large-half' else prior

class PlainLoop:
    "A decode step as torch has it: rows times matrices by `F.linear`, a static cache, fused attention."
    def __init__(self, prior, batch):
        c = self.config = prior.config
        self.prior,self.keys,self.length = prior,torch.zeros(2, c.blocks, batch, c.heads, c.tokens, c.head_dim),0

    def __call__(self, codes, labels):
        p,c,t = self.prior,self.config,self.length
        x = p.start(labels) if t == 0 else p.codes(codes)
        x = x + p.rows.weight[t//c.grid[1]] + p.columns.weight[t%c.grid[1]]
        for i,b in enumerate(p.trunk.blocks):
            q,k,v = F.linear(b.norm1(x), b.attention.qkv.weight).view(len(x), 3, c.heads, 1, c.head_dim).unbind(1)
            self.keys[0,i,:,:,t:t+1],self.keys[1,i,:,:,t:t+1] = k,v
            y = F.scaled_dot_product_attention(q, self.keys[0,i,:,:,:t+1], self.keys[1,i,:,:,:t+1])
            x = x + F.linear(y.reshape(len(x), -1), b.attention.out.weight, b.attention.out.bias)
            up,*_,down = b.mlp.children()
            x = x + F.linear(F.gelu(F.linear(b.norm2(x), up.weight, up.bias)), down.weight, down.bias)
        self.length += 1
        return F.linear(p.trunk.norm(x), p.out.weight, p.out.bias)

class OurLoop:
    def __init__(self, decoder, batch): self.decoder,self.cache = decoder,decoder.cache(batch)
    def __call__(self, codes, labels): return self.decoder(None if codes is None else codes[:,None], labels, self.cache)

def steps(loop, labels, uniform):
    "Draw code after code; yields the seconds of each."
    codes = None
    for t in range(uniform.shape[1]):
        start = time.perf_counter()
        codes = pick(loop(codes, labels).double(), uniform[:,t])
        yield time.perf_counter()-start

@torch.inference_mode()
def speed_row(name, batch, rounds, threads, tokens):
    prior = prior_of(name)
    decoder,labels = Decoder(prior),torch.arange(batch)%prior.config.classes
    tokens = min(tokens, prior.config.tokens)
    start = time.perf_counter()
    decoder.prepare(batch)
    chosen = time.perf_counter()-start
    uniform,ratios,walls,least = noise(0, range(batch), tokens),[],[],[]
    for _ in range(rounds):
        ours,plain = steps(OurLoop(decoder, batch), labels, uniform),steps(PlainLoop(prior, batch), labels, uniform)
        a,b = map(list, zip(*zip(ours, plain)))      # in turn, step by step, at the same position
        drop = tokens//8                             # the first few warm up
        quiet = lambda t: statistics.mean(sorted(t[drop:])[:len(t)//4])     # the quarter that nobody disturbed
        ratios.append(quiet(b)/quiet(a)); walls.append(sum(b[drop:])/sum(a[drop:])); least.append(quiet(a))
    names = {}
    for p in decoder.products: names.setdefault(p.uses[batch, threads][0], set()).add('x'.join(map(str, p.weight.shape)))
    return dict(model=name, batch=batch, threads=threads, tokens=tokens, ratio=round(statistics.median(ratios), 2), ratios=[round(r, 2) for r in ratios], wall=round(statistics.median(walls), 2),
                step_ms=round(1e3*min(least), 2), tokens_per_second=round(batch/min(least)), row_invariant=decoder.row_invariant, choose_seconds=round(chosen, 2),
                backends={k: sorted(v) for k,v in sorted(names.items())})

def teacher_forced(decoder, codes, labels):
    "Logits `(b, tokens, K)` by single steps."
    cache = decoder.cache(len(codes))
    return torch.stack([decoder(codes[:,t-1:t] if t else None, labels, cache) for t in range(codes.shape[1])], 1)

def drift(model, prior, codes, labels):
    "What the lossy weights change, and for measure what fp32 changes against teacher forcing in one piece."
    truth,u = teacher_forced(Decoder(prior, 'fp32'), codes, labels),noise(0, range(len(codes)), codes.shape[1])
    nats = lambda logits: F.cross_entropy(logits.flatten(0, 1).double(), codes.flatten()).item()
    with torch.no_grad(): whole = prior(codes.unflatten(1, prior.config.grid), labels)
    centred,picked,rows = truth-truth.mean(-1, keepdim=True),pick(truth.double(), u),[]
    for kind in ('fp32', 'fp16', 'bf16', 'int8'):
        logits = whole if kind == 'fp32' else teacher_forced(Decoder(prior, kind), codes, labels)
        off = logits-truth
        rows.append(dict(model=model, weights=kind if kind != 'fp32' else 'fp32, in one piece', tokens=codes.numel(), relative_error=((off-off.mean(-1, keepdim=True)).norm()/centred.norm()).item(),
                         changed_picks=(pick(logits.double(), u) != picked).double().mean().item(), nats=nats(logits)-nats(truth)))
        print(rows[-1], flush=True)
    return rows

def drifts():
    bundle,test = load_bundle(),load_images('fashion_mnist', split='test', size=32)
    with torch.no_grad(): codes = bundle.tokenizer.encode(torch.stack([test[i]['image'] for i in range(256)])).flatten(1)
    return (drift('default bundle', bundle.prior.eval(), codes, torch.tensor([test[i]['label'] for i in range(256)])) +
            drift('8 x 512, random', prior_of('large'), torch.randint(8192, (4,256), generator=generator(0)), torch.arange(4)))

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--batches', nargs='+', type=int, default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument('--models', nargs='+', default=['default','large','large-half'], choices=['default','large','large-half'])
    parser.add_argument('--tokens', type=int, default=64, help='codes drawn for each image')
    parser.add_argument('--parts', nargs='+', default=['speed','drift'], help='what to measure')
    args = parser.parse_args()
    warnings.filterwarnings('ignore', 'weights=')
    torch.set_num_threads(args.threads)
    out = Path('results/sampling_speed.json')
    old = read_json(out) if out.exists() else {}
    result = dict(command=f'python bench/sampling.py --rounds {args.rounds} --threads {args.threads} --tokens {args.tokens}', torch=torch.__version__, processor=processor(),
                  rows=[r for r in old.get('rows', []) if 'ratio' in r], drift=old.get('drift', []))
    for name in args.models if 'speed' in args.parts else ():
        for batch in args.batches:
            busy = os.getloadavg()[0]
            row = speed_row(name, batch, args.rounds, args.threads, args.tokens) | dict(load=round(busy, 1))
            print(row, flush=True)
            result['rows'] = [r for r in result['rows'] if (r['model'], r['batch'], r['threads']) != (name, batch, args.threads)] + [row]
            worst = min(result['rows'], key=lambda r: r['ratio'])
            result['worst'] = {k: worst[k] for k in ('model','batch','threads','ratio')}
            write_json(out, result)
    if 'drift' in args.parts: result['drift'] = drifts()
    write_json(out, result)
