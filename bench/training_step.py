"""What a training step costs: ours (a `Run` over `TokenizerTask`) against a plain loop over the same network, ViT-VQGAN small at 64x64.

    OMP_NUM_THREADS=1 python bench/training_step.py [--rounds 5] [--batch 8] [--compile]

The plain loop is float32, `torch.optim.AdamW` as it comes, and the same three losses; it is measured in bfloat16 autocast too. Ours: fused AdamW
and everything else that a run does in a step. Ratios are medians of rounds in which all take turns, one step each, by the processor's clock.
--compile adds our step with compiled Transformer blocks (`Run(..., compile=True)`; a minute of compiling). Writes results/training_step.json."""
import argparse, statistics, time
from dataclasses import replace
import torch
from vim_nb.core import generator, write_json
from vim_nb.losses import l2, logit_laplace
from vim_nb.stage1 import tokenizer_recipes, tokenizer_run
from vim_nb.vitvqgan import ViTVQGAN, vitvqgan_sizes

config = replace(vitvqgan_sizes['small'], size=(64,64))
weights = dict(vq=1., l2=1., logit_laplace=.1)

class Pictures:
    "Random ones, in memory."
    def __init__(self, n): self.images = torch.rand(n, 3, 64, 64, generator=generator(0))
    def __len__(self): return len(self.images)
    def batch(self, indices, generator): return dict(image=self.images[torch.as_tensor(indices)])

def ours(precision, batch, compiled=False):
    recipe = replace(tokenizer_recipes['paper'], weights=weights, critic=None)
    steps = iter(tokenizer_run(Pictures(8*batch), config, replace(recipe, run=replace(recipe.run, batch_size=batch, precision=precision)), compile=compiled))
    return lambda: next(steps)

def plain(precision, batch):
    model = ViTVQGAN(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(.9,.99), weight_decay=1e-4)
    images = Pictures(batch).images
    def step():
        with torch.autocast('cpu', torch.bfloat16, enabled=precision == 'bf16'):
            r = model(images)
            loss = r.loss + l2(r.images.float(), images) + .1*logit_laplace(r.mean.float(), r.log_scale.float(), images)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()
    return step

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--compile', action='store_true')
    args = parser.parse_args()
    torch.set_num_threads(1)
    ways = {f'{name} {precision}': make(precision, args.batch) for name,make in (('plain', plain), ('ours', ours)) for precision in ('fp32','bf16')}
    if args.compile: ways['ours bf16, compiled'] = ours('bf16', args.batch, True)
    took = {name: [] for name in ways}
    for r in range(args.rounds+2):      # two are for warming up
        for name,step in ways.items():
            start = time.process_time()
            step()
            if r > 1: took[name].append(time.process_time()-start)
    rows = []
    for name,t in took.items():
        speed = lambda base: [a/b for a,b in zip(took[base], t)]
        fp32,same = speed('plain fp32'),speed('plain bf16' if 'bf16' in name else 'plain fp32')
        rows.append(dict(step=name, against_plain_fp32=round(statistics.median(fp32), 2), least=round(min(fp32), 2), greatest=round(max(fp32), 2),
                         against_plain_at_same_precision=round(statistics.median(same), 2)))
        print(rows[-1], flush=True)
    write_json('results/training_step.json', dict(command=f'python bench/training_step.py --rounds {args.rounds} --batch {args.batch}' + ' --compile'*args.compile,
                                                  torch=torch.__version__, size=64, batch=args.batch, threads=1, rows=rows))
