"""How fast are codes drawn, beside Hugging Face's `generate` with a GPT-2 of the same shape, and what do the lossy weights change?

    OMP_NUM_THREADS=1 python bench/sampling.py [--rounds 3] [--threads 1] [--shapes 1x256 1x1024 8x256 64x256] [--parts speed memory drift]

8 blocks of width 512 with 8 heads over 8,192 codes, random weights; temperature 1, nothing filtered, the same number of tokens for all. "Saved in half" is the same
prior after its weights were rounded to half precision, as `save_bundle` does: the decoder is exact for the weights that it is given, and reads these at half the bytes. GPT-2 has a head
of its own (no tied embedding), SDPA attention and its cache. Ours is `draw_codes`, the loop of `generate`, with a `Decoder`
that was packed before the clock starts (`pack_seconds`). Speeds are ratios of tokens/s, medians of rounds in which all ways take turns; with one thread by the processor's clock, with more by the wall's.

- `bandwidth`: bytes of weights and filled cache that a step must read, over its seconds, over what summing a large tensor reads in the same round.
- `outside`: share of a step that is neither a matrix product (with its casts) nor attention; those two are run alone after the first round.
- `extra_mb`: peak of a fresh process beyond what it had with the model loaded: for GPT-2 while it draws, for ours while it packs and takes a step with a full cache.
- drift: logits of the lossy weights against fp32, teacher-forced on test pictures of the default bundle (trained) and on random codes of the large model (random weights):
  relative error (of logits without their mean), picks changed at equal noise, change in nats per token.

Writes results/sampling_speed.json with one thread, results/sampling_speed_threads.json with more; shapes and parts that are left out stay as they are there."""
import argparse, os, statistics, subprocess, sys, time, warnings
from copy import deepcopy
from pathlib import Path
import torch
from torch.nn import functional as F
from vim_nb.bundle import load_bundle
from vim_nb.core import generator, read_json, write_json
from vim_nb.data import load_images
from vim_nb.decode import Decoder, look, products, sights
from vim_nb.draw import draw_codes
from vim_nb.filters import SampleSettings, noise, pick
from vim_nb.transformer import VIM, VIMConfig

grids = {256: (16,16), 1024: (32,32), 16: (4,4)}
ours = {'plain loop, fp32': ('fp32', False), 'fp32': ('fp32', True), 'fp32, saved in half': ('fp32', True), 'fp16': ('fp16', True), 'bf16': ('bf16', True), 'int8': ('int8', True)}
lossy = 'fp16','bf16','int8'
clock = time.process_time

def prior_of(tokens):
    torch.manual_seed(0)
    return VIM(VIMConfig(8192, grids[tokens], 1000, 512, 8, 8, 64, 2048)).eval().requires_grad_(False)

def weights_for(name, prior): return prior.half().float() if name == 'fp32, saved in half' else prior   # in place

def hugging_face(tokens):
    "A function of the batch that draws `(batch, tokens)` codes."
    os.environ['TRANSFORMERS_VERBOSITY'] = 'error'
    from transformers import GPT2Config, GPT2LMHeadModel
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=8192, n_positions=tokens+1, n_embd=512, n_layer=8, n_head=8, attn_implementation='sdpa', tie_word_embeddings=False,
                                       bos_token_id=None, eos_token_id=None, pad_token_id=0)).eval().requires_grad_(False)
    def draw(batch):
        start = torch.zeros(batch, 1, dtype=torch.long)
        return model.generate(start, attention_mask=torch.ones_like(start), do_sample=True, top_k=0, max_new_tokens=tokens, use_cache=True)[:,1:]
    return draw

def drawn(decoder, batch):
    "`(batch, h, w)` codes, as `generate` draws them."
    *_,codes = draw_codes(decoder, torch.arange(batch)%1000, noise(0, range(batch), decoder.config.tokens), SampleSettings())
    return codes

@torch.no_grad()
def products_alone(decoder, batch):
    "The matrix products of a whole picture and nothing else."
    c = decoder.config
    x,hidden = torch.randn(batch, c.width),torch.randn(batch, c.hidden)
    for _ in range(c.tokens):
        for o in decoder.blocks: o.qkv(x); o.out(x); o.up(x); o.down(hidden)
        decoder.out(x)

@torch.no_grad()
def attention_alone(decoder, batch, cache):
    c = decoder.config
    heads = batch*c.heads
    q = torch.randn(heads, 1, c.head_dim)
    for t in range(c.tokens):
        seen = sights(heads, c.tokens, t, t+1)
        for k,v in cache.buffer.flatten(2, 3): look(q, k, v.flatten(0, 1), seen)

def seconds(f, *args):
    start = clock()
    f(*args)
    return clock()-start

large = torch.ones(2**27)   # 512 MB
def read_bandwidth(): return large.nbytes/min(seconds(large.sum) for _ in range(3))   # bytes in a second

def bytes_read(name, decoder, batch):
    "Of weights and of the filled part of the cache, in an average step."
    c,size = decoder.config,{'fp32': 4, 'fp16': 2, 'bf16': 2, 'int8': 1}[decoder.kind]
    if name == 'fp32, saved in half': size = 2
    inner = c.heads*c.head_dim
    return size*(c.blocks*(4*c.width*inner + 2*c.width*c.hidden) + c.width*c.num_codes) + 4*c.blocks*2*inner*batch*(c.tokens+1)/2

def peak(): return int(next(o for o in Path('/proc/self/status').read_text().splitlines() if o.startswith('VmHWM')).split()[1])/1024

def extra_memory(name, batch, tokens):
    "MB at the peak of packing and drawing beyond what the process had before."
    model = hugging_face(tokens) if name == 'Hugging Face' else weights_for(name, prior_of(tokens))
    Path('/proc/self/clear_refs').write_text('5')   # the peak starts again from what is in use now
    before = peak()
    if name == 'Hugging Face': model(batch)
    else:
        decoder = Decoder(model, *ours[name])
        cache = decoder.cache(batch)
        cache.buffer.zero_()    # as full as after the last step
        for layer in cache.layers: layer.length = tokens-1
        pick(decoder(torch.zeros(batch, 1, dtype=torch.long), None, cache).double(), noise(0, range(batch), 1)[:,0])
    return peak()-before

def in_fresh_process(*args): return float(subprocess.run([sys.executable, __file__, '--memory', *map(str, args)], capture_output=True, text=True, check=True).stdout.split()[-1])

def speed_rows(batch, tokens, rounds, threads):
    prior,theirs = prior_of(tokens),hugging_face(tokens)
    names = [name for name in ours if (batch, tokens) == (1, 256) or name not in ('plain loop, fp32','fp16')]
    decoders,packing = {},{}
    for name in names:
        weights,start = weights_for(name, deepcopy(prior)),clock()
        decoders[name] = Decoder(weights, *ours[name])
        packing[name] = clock()-start
    ways = {'Hugging Face': lambda: theirs(batch), **{name: lambda d=d: drawn(d, batch) for name,d in decoders.items()}}
    cache,took,parts,bandwidth = decoders['fp32'].cache(batch),{},{},[]
    cache.buffer.normal_()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for r in range(rounds):      # a call has hundreds of steps: the first few warm it up
            for name,way in ways.items(): took.setdefault(name, []).append(seconds(way))
            bandwidth.append(read_bandwidth())
            if r: continue
            alone = seconds(attention_alone, decoders['fp32'], batch, cache)
            parts = {name: seconds(products_alone, d, batch) + alone for name,d in decoders.items()}
    rows = []
    for name,t in took.items():
        ratio = [a/b for a,b in zip(took['Hugging Face'], t)]
        row = dict(batch=batch, tokens=tokens, threads=threads, way=name, speed=round(statistics.median(ratio), 2), least=round(min(ratio), 2), greatest=round(max(ratio), 2),
                   tokens_per_second=round(batch*tokens/statistics.median(t)), exact=name not in lossy)
        if name in decoders:
            row.update(bandwidth=round(statistics.median(bytes_read(name, decoders[name], batch)*tokens/a/b for a,b in zip(t, bandwidth)), 2), pack_seconds=round(packing[name], 2),
                       outside=round(max(0, 1-parts[name]/t[0]), 2))
        rows.append(row)
        print(row, flush=True)
    return rows

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
    for kind in products:
        logits = whole if kind == 'fp32' else teacher_forced(Decoder(prior, kind), codes, labels)
        off = logits-truth
        rows.append(dict(model=model, weights=kind if kind != 'fp32' else 'fp32, in one piece', tokens=codes.numel(), relative_error=((off-off.mean(-1, keepdim=True)).norm()/centred.norm()).item(),
                         changed_picks=(pick(logits.double(), u) != picked).double().mean().item(), nats=nats(logits)-nats(truth)))
        print(rows[-1], flush=True)
    return rows

def drifts():
    bundle,test = load_bundle(),load_images('fashion_mnist', split='test', size=32)
    with torch.no_grad(): codes = bundle.tokenizer.encode(torch.stack([test[i]['image'] for i in range(256)])).flatten(1)
    large = prior_of(256)
    return (drift('default bundle', bundle.prior.eval(), codes, torch.tensor([test[i]['label'] for i in range(256)])) +
            drift('8 x 512, random', large, torch.randint(8192, (4,256), generator=generator(0)), torch.arange(4)))

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--shapes', nargs='+', default=['1x256','8x256','64x256','1x1024'], help='batch x tokens, with 256 or 1024 tokens')
    parser.add_argument('--parts', nargs='+', default=['speed','memory','drift'], help='what to measure')
    parser.add_argument('--memory', nargs=3, metavar=('WAY','BATCH','TOKENS'), help='print the extra MB of one way and stop')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.memory:
        print(extra_memory(args.memory[0], *map(int, args.memory[1:]))); sys.exit()
    if args.threads > 1: clock = time.perf_counter
    out = Path('results/sampling_speed.json' if args.threads == 1 else 'results/sampling_speed_threads.json')
    result = dict(command=f'python bench/sampling.py --rounds {args.rounds} --threads {args.threads}', torch=torch.__version__, rows=[], drift=[])
    if out.exists(): result.update({k: read_json(out)[k] for k in ('rows','drift')})
    shapes = [tuple(map(int, shape.split('x'))) for shape in args.shapes]
    for shape in shapes if 'speed' in args.parts else ():
        result['rows'] = [row for row in result['rows'] if (row['batch'], row['tokens']) != shape] + speed_rows(*shape, args.rounds, args.threads)
        write_json(out, result)
    for row in result['rows'] if 'memory' in args.parts else ():
        if (row['batch'], row['tokens']) not in shapes: continue
        row['extra_mb'] = round(in_fresh_process(row['way'], row['batch'], row['tokens']))
        write_json(out, result)
    if 'drift' in args.parts: result['drift'] = drifts()
    write_json(out, result)
