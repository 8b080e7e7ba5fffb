"""Rate and quality at 128x128: three small ViT-VQGANs trained on a folder of photographs, beside JPEG and WebP.

    python tools/photographs.py                   # 46 photographs to train on, 17 held out, into the cache
    python tools/offline_weights.py lpips         # the network that LPIPS measures with
    python bench/rate_quality.py train            # about ten minutes in all on one CPU core; goes on where it was stopped
    python bench/rate_quality.py measure          # results/rate_quality.json and results/rate_quality.jpg

The plan below is all there is to it: a training that was begun under another plan is refused, and every figure in the results is written here.
`--share .02 --runs DIR --out DIR` tries everything out with a fiftieth of the steps. Runs live in runs/photographs (ignored by git).
Quality is measured on all 128-pixel tiles of the held-out photographs at a shorter side of 256.
Bytes are net: what a flat grey picture costs in the same codec with the same settings is taken off JPEG and WebP; codes have no header at all."""
import argparse, io, math
from dataclasses import replace
from pathlib import Path
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm
from vim_nb.bundle import load_bundle, save_bundle
from vim_nb.checkpoint import checkpoints
from vim_nb.core import num_parameters, read_json, write_json
from vim_nb.data import Loader, load_images
from vim_nb.metrics import psnr, ssim
from vim_nb.named import data_home
from vim_nb.perceptual import load_lpips
from vim_nb.pictures import Augment, cover, open_picture
from vim_nb.stage1 import tokenizer_recipes, tokenizer_run
from vim_nb.train import Run
from vim_nb.vitvqgan import ViTConfig, ViTVQGANConfig

RUNS,OUT,SIDE = Path('runs/photographs'), Path('results'), 128
CROPS = Augment(288/256, 4.)     # up to four times closer than the paper's: few photographs, many crops
# Crops of 64 pixels teach four times as fast as crops of 128; the table of positions is interpolated when whole tiles come.
#                       crops patch codes width steps batch: a name in the last column is the tokenizer whose weights it starts from, all but the codebook
POINTS = [('patch 8, K 4096',    64,  8, 4096, 128, 2000, 16, None),
          ('patch 8, K 64',      64,  8,   64, 128,  400, 16, 'patch 8, K 4096'),
          ('patch 16, K 1024',  128, 16, 1024, 192, 1500, 16, None)]
SHOWN = {'chelsea': (0, 1), 'coffee': (0, 0), 'china': (0, 1)}  # held-out photographs that may be shown: CC0, CC0, CC-BY 2.0 danielbuechele


def folder(name): return RUNS/name.replace(',', '').replace(' ', '-')

def config(size, patch, codes, width):
    vit = lambda blocks, out: ViTConfig(width, blocks, width//32, 4*width, 32, out)
    return ViTVQGANConfig(vit(2, width), vit(3, 2*width), (size,size), patch, codes, code_dim=8)

def recipe(steps, batch, width, start):
    "The recipe `tiny`, shortened: a tenth of it without codes, or next to nothing when the weights are there already."
    tiny = tokenizer_recipes['tiny']
    run = replace(tiny.run, steps=steps, batch_size=batch, lr=(1e-3 if start else 2e-3)*(128/width), warmup=steps//20, ema=.99, precision='bf16', save_every=100)
    return replace(tiny, run=run, autoencoder_steps=30 if start else steps//10, noise=.05 if start else .1, restart_after=100, restart_until=steps*3//5)

def begin(run, start):
    "Copy all weights but the codebook's from another tokenizer."
    weights = {k: v for k,v in load_bundle(folder(start)/'bundle').tokenizer.state_dict().items() if not k.startswith('quantizer.weight')}
    run.model.load_state_dict(run.model.state_dict() | weights)
    for n,p in run.model.named_parameters(): run.average[n].copy_(p.detach())

def train(wanted, share):
    for name,size,patch,codes,width,steps,batch,start in POINTS:
        if wanted and wanted != name: continue
        steps = round(steps*share)
        crops = replace(CROPS, smallest=CROPS.smallest*SIDE/size, largest=CROPS.largest*SIDE/size)   # as much is to be seen in a pixel, whatever the size
        data = load_images(data_home()/'photographs', split='train', size=size, augment=crops)
        where,plan = folder(name)/'run',recipe(steps, batch, width, start)
        if checkpoints(where):
            run = Run.resume(where)
            if (run.task.recipe, run.model.config) != (plan, config(size, patch, codes, width)): raise SystemExit(f'{where} was begun under another plan: delete {folder(name)} or give other --runs')
        else:
            run = tokenizer_run(data, config(size, patch, codes, width), plan, where)
            if start: begin(run, start)
        bar = tqdm(total=steps, initial=run.step, desc=name, mininterval=10)
        for m in run: bar.update(); bar.set_postfix(psnr=f'{m["psnr"]:.2f}', usage=f'{m["usage"]:.2f}', refresh=False)
        save_bundle(folder(name)/'bundle', run.ema_model(), card={'steps': run.step})


def tiles(split):
    "All tiles of 128 pixels of the photographs at a shorter side of 256, with the photograph's name and the tile's row and column."
    pictures,where = [],[]
    for path in sorted((data_home()/'photographs'/split).glob('*.png')):
        img = cover(open_picture(path), 2*SIDE).convert('RGB')
        rows,columns = img.height//SIDE, img.width//SIDE
        x,y = (img.width-columns*SIDE)//2, (img.height-rows*SIDE)//2
        a = np.asarray(img)[y:y+rows*SIDE,x:x+columns*SIDE].reshape(rows, SIDE, columns, SIDE, 3).swapaxes(1, 2)
        for r,c in np.ndindex(rows, columns): pictures.append(a[r,c]); where.append((path.stem, (r,c)))
    return np.stack(pictures), where

floats = lambda pixels: torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float()/255
pixels = lambda images: images.mul(255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()

def quality(ours, real, lpips):
    "Means over pictures of what both see as 8-bit pixels; LPIPS, which takes its time, over every third of them."
    a,b = floats(ours),floats(real)
    with torch.no_grad(): distance = torch.cat([lpips(x, y) for x,y in zip(a[::3].split(8), b[::3].split(8))])
    return dict(psnr=psnr(a, b).mean().item(), ssim=ssim(a, b).mean().item(), lpips=distance.mean().item())

def encoded(picture, format, **settings):
    "The bytes of a picture in a codec."
    Image.fromarray(picture).save(f := io.BytesIO(), format, **settings)
    return f.getvalue()

codecs = {   # JPEG with its standard tables, which are header and so cost nothing here; tables of its own are smaller files, but larger net of the flat picture
    'JPEG': ('jpeg', {}, (1,4,6,8,10,15,20,30,50)), 'JPEG, own tables': ('jpeg', dict(optimize=True), (1,10,50)),
    'WebP': ('webp', dict(method=6), (0,1,3,8,20,40,60))}

def coded(real, codec, q):
    "Pictures through a codec at quality `q`: what comes out, net bytes of each, bytes of the flat one."
    format,settings,_ = codecs[codec]
    flat = len(encoded(np.full_like(real[0], 128), format, quality=q, **settings))
    files = [encoded(p, format, quality=q, **settings) for p in real]
    return np.stack([np.asarray(Image.open(io.BytesIO(f)).convert('RGB')) for f in files]), np.array([len(f) for f in files])-flat, flat

def codes_of(tokenizer, images):
    with torch.no_grad(): return torch.cat([tokenizer.encode(x) for x in images.split(16)])

def entropy_rate(tokenizer, codes):
    "Bits a token when held-out codes are coded with the frequencies of training codes (plus one each), and what those say of themselves."
    data = load_images(data_home()/'photographs', split='train', size=SIDE, augment=CROPS)
    loader = Loader(data, 16, seed=1)
    seen = torch.cat([codes_of(tokenizer, loader.batch(i)['image']).flatten() for i in range(64)])
    p = (seen.bincount(minlength=tokenizer.num_codes)+1).double()
    p = p/p.sum()
    return dict(train_entropy=torch.special.entr(p).sum().item()/math.log(2), cross_entropy=-p[codes.flatten()].log2().mean().item(), train_tokens=len(seen))

def measure_codecs(real, lpips):
    "JPEG and WebP at all their qualities; measured once and kept beside the runs."
    path,rows = RUNS/'codecs.json',[]
    key = [Image.__version__, lpips.hash, {k: [s, list(q)] for k,(_,s,q) in codecs.items()}, len(real)]
    if path.is_file() and (kept := read_json(path, 'codecs'))['key'] == key: return kept['rows']
    for codec,(_,_,qualities) in codecs.items():
        for q in qualities:
            out,net,flat = coded(real, codec, q)
            rows.append(dict(codec=codec, quality=q, bytes=net.mean().item(), flat_bytes=flat, **quality(out, real, lpips)))
            print(rows[-1], flush=True)
    write_json(path, dict(key=key, rows=rows))
    return rows

def measure():
    lpips,(real,where) = load_lpips(),tiles('test')
    rows,ours,pictures = measure_codecs(real, lpips),[],{}
    for name,size,patch,codes,width,steps,batch,start in POINTS:
        if not (folder(name)/'bundle').is_dir(): raise SystemExit(f'{name} is not trained yet: python bench/rate_quality.py train')
        made = load_bundle(folder(name)/'bundle')
        t,steps = made.tokenizer,made.card['steps']
        c = codes_of(t, floats(real))
        with torch.no_grad(): out = pixels(torch.cat([t.decode(x) for x in c.split(16)]))
        n,e = c[0].numel(),entropy_rate(t, c)
        usage = c.unique().numel()/codes
        ours.append(dict(name=name, patch=patch, num_codes=codes, parameters=num_parameters(t), steps=steps, start=start, crops=size, batch_size=batch, tokens=n,
                         bytes=n*math.log2(codes)/8, bytes_entropy_coded=n*e['cross_entropy']/8, bits_per_token=math.log2(codes), **e, codes_used_on_test=usage, **quality(out, real, lpips)))
        pictures[name] = out
        print(ours[-1], flush=True)
    OUT.mkdir(exist_ok=True)
    write_json(OUT/'rate_quality.json', dict(
        command='python bench/rate_quality.py train; python bench/rate_quality.py measure', pictures=len(real), photographs=len({w[0] for w in where}), side=SIDE,
        protocol='means over all 128x128 tiles of the held-out photographs at a shorter side of 256; PSNR and SSIM of 8-bit RGB, LPIPS-VGG16 over every third tile; bytes of a picture net of a flat grey one in the same codec and settings',
        lpips=lpips.hash, torch=torch.__version__, pillow=Image.__version__, ours=ours, codecs=rows))
    show(real, where, pictures, ours)

def nearest(picture, codec, wanted):
    "The picture through `codec` at the quality whose net bytes come closest to `wanted`, and those bytes."
    tried = [coded(picture[None], codec, q) for q in range(0 if codec == 'WebP' else 1, 80)]
    out,net,_ = min(tried, key=lambda o: abs(o[1][0]-wanted))
    return out[0], int(net[0])

def show(real, where, pictures, ours):
    "Held-out tiles side by side at about equal bytes."
    pad,top,font = 4,14,ImageFont.load_default(size=11)
    points = sorted((o for o in ours if o['patch'] == 8), key=lambda o: o['bytes'])
    wide = SIDE+pad
    sheet = Image.new('RGB', (wide*(1+3*len(points)), (SIDE+top+pad)*len(SHOWN)), 'white')
    draw = ImageDraw.Draw(sheet)
    for r,at in enumerate(SHOWN.items()):
        i = where.index(at)
        row = [(real[i], 'original')]
        for o in points:
            row.append((pictures[o['name']][i], f'K {o["num_codes"]}: {o["bytes"]:.0f} B'))
            row += [(p, f'{codec}: {b} B') for codec in ('WebP','JPEG') for p,b in [nearest(real[i], codec, o['bytes'])]]
        for c,(p,text) in enumerate(row):
            draw.text((c*wide, r*(SIDE+top+pad)), text, 'black', font)
            sheet.paste(Image.fromarray(p), (c*wide, r*(SIDE+top+pad)+top))
    sheet.save(OUT/'rate_quality.jpg', quality=85, subsampling=0)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=['train', 'codecs', 'measure'])
    parser.add_argument('--only', help='name of one operating point to train')
    parser.add_argument('--share', type=float, default=1., help='of the steps: .05 tries everything out')
    parser.add_argument('--runs', type=Path, default=RUNS, help='where the runs live')
    parser.add_argument('--out', type=Path, default=OUT, help='where the results go')
    args = parser.parse_args()
    RUNS,OUT = args.runs,args.out
    usual = RUNS == parser.get_default('runs')
    if usual and args.share != 1 or not usual and OUT == parser.get_default('out'): parser.error('to try something out give both, --runs and --out')
    torch.set_num_threads(1)
    if args.what == 'train': train(args.only, args.share)
    elif args.what == 'codecs': measure_codecs(tiles('test')[0], load_lpips())
    else: measure()
