"""Is the lead of the ViT over the CNN a matter of quality or of speed? Trains both tiny tokenizers on CIFAR-10 for one minute each and measures.

    python bench/vit_cnn.py [--seconds 60]

The same pictures in the same order, batches of 32, the same losses and rates, about as many parameters, fp32, one thread; one seed, and nothing tuned for either. The clock counts
seconds of the processor spent on training. The first SHARE of them passes without codes, then k-means puts 1,024 codes among the latents. As the faster network makes more steps
in a minute, both are measured at step EQUAL as well (where the slower one is farther along its schedule of rates). PSNR, mean squared error, logit-Laplace and usage are over 2,048 test pictures. Writes results/vit_cnn.json."""
import argparse, math, time
import torch
from vim_nb.cnnvqgan import CNNVQGAN, cnnvqgan_sizes
from vim_nb.codebook import Quantized, codebook_usage, kmeans
from vim_nb.core import eval_mode, generator, num_parameters, write_json
from vim_nb.data import load_images
from vim_nb.losses import l2, logit_laplace
from vim_nb.metrics import psnr
from vim_nb.vitvqgan import ViTVQGAN, vitvqgan_sizes

EQUAL,BATCH,LR,WARMUP,SHARE,TEST = 200,32,2e-3,50,.15,2048
MODELS = {'ViT': (ViTVQGAN, vitvqgan_sizes['tiny']), 'CNN': (CNNVQGAN, cnnvqgan_sizes['tiny'])}

def uncoded(book, x):
    "Latents as the codebook projects them, not looked up."
    z = book.project(x)
    return Quantized(book.up(z), z.new_zeros(z.shape[:2], dtype=torch.int64), z.new_zeros(()))

def measure(model, images):
    with eval_mode(model):
        results = [model(x) for x in images.split(256)]
        back,mean,log_scale,codes = (torch.cat([getattr(r, k) for r in results]) for k in ('images', 'mean', 'log_scale', 'codes'))
        return dict(psnr=psnr(back, images).mean().item(), l2=l2(back, images).item(), logit_laplace=logit_laplace(mean, log_scale, images, floor=-2.).item(),
                    usage=codebook_usage(codes, model.num_codes))

def speed(f, x, seconds=2.):
    "Pictures a second of the processor's time."
    f(x); n,start = 0,time.process_time()
    while (spent := time.process_time()-start) < seconds: f(x); n += len(x)
    return n/spent

def train(name, data, test, seconds):
    "One row of the table. The rate falls with the clock, not with the steps: each network spends its minute in full."
    torch.manual_seed(0)
    model = MODELS[name][0](MODELS[name][1])
    book,optimizer = model.quantizer,torch.optim.AdamW(model.parameters(), lr=LR, betas=(.9,.99), weight_decay=0., fused=True)
    step,spent,coded,equal,g = 0,0.,False,None,generator(0)
    while spent < seconds:
        start = time.process_time()
        for group in optimizer.param_groups: group['lr'] = LR*min(1, (step+1)/WARMUP)*(.05 + .95*(1+math.cos(math.pi*min(1, spent/seconds)))/2)
        if not coded and spent > SHARE*seconds:
            with torch.no_grad():
                latents = [book.project(model.encoder(data[i*BATCH:(i+1)*BATCH].float()/255)).flatten(0, 1) for i in range(8)]
                book.weight.copy_(kmeans(torch.cat(latents), book.num_codes, generator(1)))
            coded = True
        x = data[torch.randint(len(data), (BATCH,), generator=g)].float()/255
        r = model(x, None if coded else lambda z: uncoded(book, z))
        loss = r.loss + 20*l2(r.images, x) + .01*logit_laplace(r.mean, r.log_scale, x, floor=-2.)
        optimizer.zero_grad(); loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.)
        optimizer.step()
        step,spent = step+1,spent + time.process_time() - start
        if step == EQUAL and coded: equal = dict(seconds=spent, **measure(model, test))
    with eval_mode(model):
        x = test[:BATCH]
        codes = model.encode(x)
        rates = dict(encode=speed(model.encode, x), decode=speed(model.decode, codes))
    return dict(model=name, parameters=num_parameters(model), steps=step, seconds=spent, training_images_per_second=step*BATCH/spent,
                **{f'{k}_images_per_second': v for k,v in rates.items()}, **measure(model, test), at_equal_steps=equal)

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=60)
    seconds = parser.parse_args().seconds
    torch.set_num_threads(1)
    pixels = lambda split, n: (load_images('cifar10', split=split).batch(range(n))['image']*255).round().byte()
    data,test = pixels('train', 50_000),pixels('test', TEST).float()/255
    rows = []
    for name in MODELS:
        rows.append(train(name, data, test, seconds))
        print(rows[-1], flush=True)
    write_json('results/vit_cnn.json', dict(command=f'python bench/vit_cnn.py --seconds {seconds:g}', torch=torch.__version__, seeds=1, equal_steps=EQUAL, rows=rows))
