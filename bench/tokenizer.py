"""How fast do tokenizers encode and decode pictures of 256x256 on one thread?

    OMP_NUM_THREADS=1 python bench/tokenizer.py [--rounds 5]

ViT-VQGAN small against the convolutional VQGAN in the shape of taming's f16: ours (`cnnvqgan`) and a plain statement of it (plain_vqgan.py).
Both of ours also with packed weights (float32 only), so that each can be compared with the other as it is and at its best.
Ratios at the same precision (bfloat16 is autocast for all), medians of rounds in which all take turns, by the processor's clock; the first
column of numbers is against the plain one in float32. Writes results/tokenizer_speed.json.

    OMP_NUM_THREADS=1 python bench/tokenizer.py profile

prints where one decoding by the ViT spends its time, plain and packed, and how fast its products are. Writes results/tokenizer_profile.json."""
import argparse, statistics, time
import torch
from plain_vqgan import PlainVQGAN
from vim_nb.cnnvqgan import CNNVQGAN, cnnvqgan_sizes
from vim_nb.core import generator, write_json
from vim_nb.layers import Attention
from vim_nb.packed import Packed, packed
from vim_nb.vitvqgan import ViTVQGAN, vitvqgan_sizes

networks = {'plain f16': PlainVQGAN, 'cnnvqgan f16': lambda: CNNVQGAN(cnnvqgan_sizes['taming-f16']),
            'ViT-VQGAN small': lambda: ViTVQGAN(vitvqgan_sizes['small'])}

def add_packed(models):
    "Ours with packed weights too: they have the same parameters."
    return {**models, **{f'{name}, packed': packed(m) for name,m in models.items() if not name.startswith('plain')}}

def timed(f):
    start = time.process_time()
    f()
    return time.process_time()-start

def products_of(vit, n):
    "Floating point operations of the matrix products for `n` tokens through one stack, and of its attention."
    linear = 2*n*sum(m.weight.numel() for m in vit.modules() if isinstance(m, torch.nn.Linear))
    return linear, sum(4*n*n*b.attention.out.in_features for b in vit.trunk.blocks)

kinds = {'products': (torch.nn.Linear, Packed), 'attention': Attention, 'activations': (torch.nn.GELU, torch.nn.Tanh), 'norms': torch.nn.LayerNorm}

def where_time_goes(model, codes, linear, attention, rounds):
    "Shares of the time of one decoding by kind of layer, medians; GFLOP/s of the products and of attention without its products."
    spent,since,handles = dict.fromkeys([*kinds, 'its products'], 0.),{},[]
    def begin(m, *_): since[m] = time.process_time()
    def end(kind, inside):
        def add(m, *_):
            took = time.process_time()-since[m]
            spent[kind] += took
            if inside: spent['its products'] += took
        return add
    for name,m in model.named_modules():
        for kind in [k for k,classes in kinds.items() if isinstance(m, classes)]:
            handles += [m.register_forward_pre_hook(begin), m.register_forward_hook(end(kind, '.attention.' in name))]
    found = []
    for r in range(rounds+1):      # the first is for warming up
        spent.update(dict.fromkeys(spent, 0.))
        with torch.inference_mode(): whole = timed(lambda: model.decode(codes))
        parts = {**{k: spent[k] for k in kinds}, 'attention': spent['attention']-spent['its products']}
        if r: found.append({**{k: t/whole for k,t in parts.items()}, 'products_gflops': linear/parts['products']/1e9, 'attention_gflops': attention/parts['attention']/1e9})
    for h in handles: h.remove()
    return {k: round(statistics.median(o[k] for o in found), 3) for k in found[0]}

def profile(rounds):
    torch.manual_seed(0)
    vit = ViTVQGAN(vitvqgan_sizes['small']).eval().requires_grad_(False)
    codes,rows = torch.randint(vit.num_codes, (1, 32, 32), generator=generator(0)),[]
    for name,model in add_packed({'ViT-VQGAN small': vit}).items():
        rows.append(dict(network=name, **where_time_goes(model, codes, *products_of(vit.decoder.stack, codes.numel()), rounds)))
        print(rows[-1])
    write_json('results/tokenizer_profile.json', dict(command=f'python bench/tokenizer.py profile --rounds {rounds}', torch=torch.__version__, size=256, threads=1, rows=rows))

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', nargs='?', choices=['speed', 'profile'], default='speed')
    parser.add_argument('--rounds', type=int, default=5)
    args = parser.parse_args()
    rounds = args.rounds
    torch.set_num_threads(1)
    if args.what == 'profile': profile(rounds); raise SystemExit
    torch.manual_seed(0)
    image = torch.rand(1, 3, 256, 256, generator=generator(0))
    models = add_packed({name: make().eval().requires_grad_(False) for name,make in networks.items()})
    took,tasks = {},{}
    for name,model in models.items():
        codes = model.encode(image)
        for way,f in dict(encode=lambda m=model: m.encode(image), decode=lambda m=model, c=codes: m.decode(c)).items():
            for precision in ('float32','bfloat16')[:1 if 'packed' in name else 2]: tasks[name, way, precision] = f
    for r in range(rounds+1):      # the first is for warming up
        for (name,way,precision),f in tasks.items():
            with torch.inference_mode(), torch.autocast('cpu', torch.bfloat16, enabled=precision == 'bfloat16'): t = timed(f)
            if r: took.setdefault((name,way,precision), []).append(t)
    rows = []
    for (name,way,precision),t in took.items():
        speed = lambda base: [a/b for a,b in zip(took[base], t)]
        same = speed(('plain f16', way, precision))
        rows.append(dict(network=name, way=way, precision=precision, against_plain_float32=round(statistics.median(speed(('plain f16', way, 'float32'))), 2),
                         against_plain=round(statistics.median(same), 2), least=round(min(same), 2), greatest=round(max(same), 2),
                         against_cnnvqgan=round(statistics.median(speed(('cnnvqgan f16', way, precision))), 2),
                         **(dict(against_cnnvqgan_packed=round(statistics.median(speed(('cnnvqgan f16, packed', way, precision))), 2)) if precision == 'float32' else {})))
        print(rows[-1])
    parts = lambda m: {p: sum(o.numel() for o in getattr(m, p).parameters()) for p in ('encoder','decoder')}
    write_json('results/tokenizer_speed.json', dict(command=f'python bench/tokenizer.py --rounds {rounds}', torch=torch.__version__, size=256, threads=1,
                                                    parameters={n: parts(m) for n,m in models.items()}, rows=rows))
