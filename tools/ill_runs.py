"""Small trainings, well and ill, whose thinned logs the page of health and its tests read: results/logs/*.jsonl.

    OMP_NUM_THREADS=1 python tools/ill_runs.py                        # all of them, about ten seconds each on a free core
    OMP_NUM_THREADS=1 python tools/ill_runs.py collapse nan           # these only
    OMP_NUM_THREADS=1 python tools/ill_runs.py --log shipped=runs/tokenizer   # a log that is there already, thinned

All see the same digits (16x16 pixels) through the same small ViT-VQGAN; one setting of each is spoilt.
results/logs/index.json says which."""
import argparse, json
from dataclasses import replace
from pathlib import Path
import torch
from vim_nb.checkpoint import write_log
from vim_nb.core import write_json
from vim_nb.data import load_images
from vim_nb.discriminators import CriticConfig
from vim_nb.recipe import Recipe
from vim_nb.runlog import rows_of, thin
from vim_nb.stage1 import CriticRecipe, TokenizerRecipe, tokenizer_run, without_helps
from vim_nb.vitvqgan import ViTConfig, ViTVQGANConfig

out = Path(__file__).resolve().parent.parent/'results'/'logs'
block = ViTConfig(width=48, blocks=1, heads=2, hidden=96, head_dim=24, head_hidden=96)
config = ViTVQGANConfig(encoder=block, decoder=block, size=(16,16), patch=4, num_codes=128, code_dim=8)
well = TokenizerRecipe(Recipe(steps=300, batch_size=16, lr=3e-3, end_lr=3e-4, warmup=15, clip=1., ema=0.), dict(vq=1., l2=20., logit_laplace=.01),
                       floor=-2., autoencoder_steps=30, remember=2048, restart_after=30, restart_until=200, watch=5)

def rates(lr, recipe=well, **run): return replace(recipe, run=replace(recipe.run, lr=lr, end_lr=lr, **run))
def against(adversarial=.1, **critic):
    critic = CriticRecipe(CriticConfig('stylegan', 16), **{'start': 30, 'touch': 60, **critic})
    return replace(well, weights={**well.weights, 'adversarial': adversarial}, critic=critic)

class Damaged:
    "One batch in twenty is noise, as if part of a download had been lost."
    def __init__(self, data): self.data,self.fingerprint = data,'damaged'
    def __len__(self): return len(self.data)
    def batch(self, indices, generator=None):
        found = self.data.batch(indices, generator)
        if torch.rand((), generator=generator) < 1/20: found['image'] = torch.rand(found['image'].shape, generator=generator)
        return found

# name -> what is wrong with it, network, recipe
runs = {
    'healthy': ('nothing', config, well),
    'critic': ('nothing; with a critic', config, against()),
    'collapse': ('512 codes of 256 dimensions, started at random and never moved',
                 replace(config, num_codes=512, code_dim=256), without_helps(well)),
    'no_rate': ('learning rate 1e-12', config, rates(1e-12)),
    'too_fast': ('learning rate .1, no warm-up, no clipping', config, rates(.1, warmup=0, clip=0.)),
    'runaway': ('a learning rate that climbs to .3 over all of the run, no clipping', config, rates(.3, warmup=300, clip=0.)),
    'nan': ('a learning rate that climbs to 300 over all of the run, no clipping', config, rates(300., warmup=300, clip=0.)),
    'spikes': ('one batch in twenty is noise', config, well),
    'drowned': ('weight 1e-4 for logit-Laplace', config, replace(well, weights=dict(vq=1., l2=20., logit_laplace=1e-4))),
    'critic_explodes': ("no gradient penalty, the critic's learning rate 300 times the tokenizer's, and neither falls",
                        config, rates(3e-3, against(r1=0., rate=300.))),
    'critic_wins': ("a tokenizer's learning rate of 3e-5, a hundred times that for the critic, no gradient penalty",
                    config, rates(3e-5, against(r1=0., rate=100.))),
    'critic_loses': ("the critic's learning rate is 1e-6 times the tokenizer's", config, against(rate=1e-6)),
}

def short(m): return {k: v if isinstance(v, (int, str)) else float(f'{v:.4g}') for k,v in m.items()}

def keep(name, log, about, rows):
    "Write the thinned log, and what it is."
    write_log(out/f'{name}.jsonl', [short(m) for m in thin(log, rows)])
    index = json.loads((out/'index.json').read_text()) if (out/'index.json').exists() else {}
    index[name] = dict(about, steps=log[-1]['step'], rows=rows)
    write_json(out/'index.json', dict(sorted(index.items())))

def train(name, rows):
    wrong,net,recipe = runs[name]
    data = load_images('digits', size=16)
    run = tokenizer_run(Damaged(data) if name == 'spikes' else data, net, recipe)
    try:
        for m in run: pass
    except FloatingPointError: pass
    keep(name, run.log, dict(wrong=wrong, command=f'python tools/ill_runs.py {name}', torch=torch.__version__), len(run.log) if name == 'spikes' else rows)   # a spike may fall between two rows
    return run.log

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('names', nargs='*', help=f'of {", ".join(runs)}; none: all')
    p.add_argument('--log', action='append', default=[], metavar='NAME=PATH', help='thin this log instead of training')
    p.add_argument('--rows', type=int, default=150, help='rows that are kept, about')
    p.add_argument('--whole', type=Path, help='a folder for whole logs as well')
    a = p.parse_args()
    out.mkdir(parents=True, exist_ok=True)
    for name,path in (o.split('=', 1) for o in a.log):
        keep(name, rows_of(path), dict(wrong='nothing', command=f'python tools/ill_runs.py --log {name}={path}'), a.rows)
    for name in a.names or ([] if a.log else runs):
        log = train(name, a.rows)
        if a.whole: a.whole.mkdir(parents=True, exist_ok=True); write_log(a.whole/f'{name}.jsonl', log)

if __name__ == '__main__': main()
