"""What does each quantizer make of one minute of CIFAR-10? Trains the tiny ViT-VQGAN with each of them and measures.

    python bench/quantizers.py [--only codebook ema ...] [--seconds 60]

Same seed, batches of 32, 1,024 codes, one thread; the clock counts seconds of the processor spent on training, so that a busy machine changes nothing but
how long one waits. No k-means start; only the row "restarts" moves idle codes. Quantizers differ in how many steps a minute holds: the same is measured at
step EQUAL too. Usage and perplexity are means over windows of 256 test pictures, PSNR is over 2,048 of them. Writes the rows into results/quantizers.json."""
import argparse, time
from dataclasses import replace
from pathlib import Path
import torch
from vim_nb.codebook import codebook_usage, perplexity, restart_codes
from vim_nb.core import eval_mode, generator, read_json, write_json
from vim_nb.data import load_images
from vim_nb.losses import l2, logit_laplace
from vim_nb.metrics import psnr
from vim_nb.quantizers import quantizer_kinds, swap_for_neighbours
from vim_nb.vitvqgan import ViTVQGAN, vitvqgan_sizes

OUT,EQUAL,BATCH,LR,WARMUP,WINDOW,TEST = Path('results/quantizers.json'),300,32,1e-3,50,256,2048
ROWS = {'codebook': ('codebook', 8, {}), 'restarts': ('codebook', 8, {}), 'ema': ('ema', 8, {}), 'entropy': ('entropy', 8, {}), 'ibq': ('ibq', 8, {}),
        'simvq': ('simvq', 8, {}), 'rotation': ('rotation', 8, {}), 'perturbed': ('perturbed', 8, {}), 'fsq': ('fsq', 4, dict(levels=[8,8,4,4])),
        'lfq': ('lfq', 10, {}), 'bsq': ('bsq', 10, {}), 'external': ('external', 8, dict(name='VectorQuantize', use_cosine_sim=True, threshold_ema_dead_code=2))}

def measure(model, images, swapped=False):
    "Usage and perplexity per window, PSNR; with `swapped` also the PSNR when one code in ten is replaced by one of its 8 nearest."
    with eval_mode(model):
        codes = [model.encode(x) for x in images.split(WINDOW)]
        back = lambda grids: torch.cat([psnr(model.decode(c), x) for c,x in zip(grids, images.split(WINDOW))]).mean().item()
        mean = lambda f: sum(f(c, model.num_codes) for c in codes)/len(codes)
        row = dict(usage=mean(codebook_usage), perplexity=mean(perplexity), psnr=back(codes))
        if swapped: row['psnr_swapped'] = back([swap_for_neighbours(c, model.quantizer.directions(), .1, 8) for c in codes])
    return row

def train(name, data, test, seconds):
    "One row of the table."
    kind,dim,options = ROWS[name]
    torch.manual_seed(0)
    config = replace(vitvqgan_sizes['tiny'], code_dim=dim)
    book = quantizer_kinds[kind](config.num_codes, dim, config.encoder.width, config.decoder.width, **options)
    model = ViTVQGAN(config, book)
    opt = torch.optim.AdamW(model.parameters(), lr=LR, betas=(.9,.99), weight_decay=0., fused=True)
    age,step,spent,row,g = torch.zeros(config.num_codes),0,0.,{},generator(0)
    while spent < seconds:
        start = time.process_time()
        for group in opt.param_groups: group['lr'] = LR*min(1, (step+1)/WARMUP)
        x = data[torch.randint(len(data), (BATCH,), generator=g)].float()/255
        r = model(x)
        loss = r.loss + 20*l2(r.images, x) + .01*logit_laplace(r.mean, r.log_scale, x, floor=-2.)
        opt.zero_grad(); loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.)
        opt.step()
        if name == 'restarts':
            age.add_(1)[r.codes.flatten()] = 0
            if spent < .8*seconds and (dead := age >= 50).any():
                with torch.no_grad(): restart_codes(book, dead, book.project(model.encoder(x)), generator(0, step))
                age[dead] = 0
        step += 1
        spent += time.process_time() - start
        if step == EQUAL: row['equal'] = measure(model, test)
    return dict(name=name, kind=kind, dim=dim, options=options, steps=step, **measure(model, test, name in ('codebook', 'perturbed')), **row)

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', nargs='+', default=list(ROWS), choices=list(ROWS))
    parser.add_argument('--seconds', type=float, default=60)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pixels = lambda split, n: (load_images('cifar10', split=split).batch(range(n))['image']*255).round().byte()
    data,test = pixels('train', 50_000),pixels('test', TEST).float()/255
    for name in args.only:
        row = train(name, data, test, args.seconds)
        print(row, flush=True)
        old = read_json(OUT)['rows'] if OUT.exists() else []
        rows = {r['name']: r for r in old} | {name: row}
        write_json(OUT, dict(command=f'python bench/quantizers.py --seconds {args.seconds:g}', torch=torch.__version__, data='cifar10', threads=1, seconds=args.seconds,
                             batch=BATCH, num_codes=1024, equal_steps=EQUAL, window=WINDOW, test_pictures=TEST, rows=[rows[k] for k in ROWS if k in rows]))
