"""How fast do tokenizers encode and decode pictures of 256x256 on one thread?

    OMP_NUM_THREADS=1 python bench/tokenizer.py [--rounds 5]

ViT-VQGAN small against the convolutional VQGAN in the shape of taming's f16: ours (`cnnvqgan`) and a plain statement of it (plain_vqgan.py).
Ratios at the same precision (bfloat16 is autocast for all), medians of rounds in which all take turns, by the processor's clock; the first
column of numbers is against the plain one in float32. Writes results/tokenizer_speed.json."""
import argparse, statistics, time
import torch
from plain_vqgan import PlainVQGAN
from vim_nb.cnnvqgan import CNNVQGAN, cnnvqgan_sizes
from vim_nb.core import generator, write_json
from vim_nb.vitvqgan import ViTVQGAN, vitvqgan_sizes

networks = {'plain f16': PlainVQGAN, 'cnnvqgan f16': lambda: CNNVQGAN(cnnvqgan_sizes['taming-f16']),
            'ViT-VQGAN small': lambda: ViTVQGAN(vitvqgan_sizes['small'])}

def timed(f):
    start = time.process_time()
    f()
    return time.process_time()-start

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    image = torch.rand(1, 3, 256, 256, generator=generator(0))
    models = {name: make().eval().requires_grad_(False) for name,make in networks.items()}
    took,tasks = {},{}
    for name,model in models.items():
        codes = model.encode(image)
        for way,f in dict(encode=lambda m=model: m.encode(image), decode=lambda m=model, c=codes: m.decode(c)).items():
            for precision in ('float32','bfloat16'): tasks[name, way, precision] = f
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
                         against_cnnvqgan=round(statistics.median(speed(('cnnvqgan f16', way, precision))), 2)))
        print(rows[-1])
    parts = lambda m: {p: sum(o.numel() for o in getattr(m, p).parameters()) for p in ('encoder','decoder')}
    write_json('results/tokenizer_speed.json', dict(command=f'python bench/tokenizer.py --rounds {rounds}', torch=torch.__version__, size=256, threads=1,
                                                    parameters={n: parts(m) for n,m in models.items()}, rows=rows))
