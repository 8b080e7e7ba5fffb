"""What a training step of a prior costs: seconds and peak memory of VIM tiny and base, with the textbook loss and with the chunked one.

    OMP_NUM_THREADS=1 python bench/prior_step.py [CASE ...]

A case is size-precision-loss, such as base-bf16-chunked; by default all of them, one after the other, each in a process of its own. Random codes, a
`Run` without averaged weights. Seconds are the processor's, of one thread: the median of the steps after the first, or for base of its only one (a minute
and more). Memory is the largest resident set of the process, and what of it is left for the batch when libraries, float32 weights, gradients and the two
memories of AdamW are taken off; these are filled beforehand, so that one step is enough. Cases are written to results/prior_step.json as they come; those
that were there and are not asked for stay."""
import json, statistics, subprocess, sys, time
from dataclasses import replace
from pathlib import Path
import torch
from torch.nn import functional as F
from vim_nb.core import generator, num_parameters, read_json, write_json
from vim_nb.stage2 import PriorTask, prior_recipes
from vim_nb.train import Run
from vim_nb.transformer import VIM, vim_sizes

results = Path('results/prior_step.json')
sizes = dict(tiny=(128, 6), base=(1, 1))       # pictures in a step, steps
losses = 'textbook', 'chunked', 'textbook, checkpointing', 'chunked, checkpointing'
cases = {'-'.join(c).replace(', ', '+'): c for c in ((s, p, l) for s in sizes for p in ('fp32','bf16') for l in losses)}

class Textbook(PriorTask):
    "All logits at once."
    def forward(self, batch, step, generator):
        codes = batch['codes']
        return dict(nats=F.cross_entropy(self.model(codes, batch['label']).flatten(0, 1).float(), codes.flatten()))

class Codes:
    "Random ones."
    def __init__(self, config, n):
        g = generator(0)
        self.codes,self.labels = torch.randint(config.num_codes, (n, *config.grid), generator=g),torch.randint(config.classes, (n,), generator=g)
    def __len__(self): return len(self.codes)
    def batch(self, indices, generator): return dict(codes=self.codes[indices], label=self.labels[indices])

def peak(): return int(next(o for o in Path('/proc/self/status').read_text().splitlines() if o.startswith('VmHWM')).split()[1])/2**20

def measure(size, precision, loss):
    "One row of the table."
    torch.set_num_threads(1)
    config,(batch,steps) = vim_sizes[size],sizes[size]
    model = VIM(config)
    task = (Textbook if loss.startswith('textbook') else PriorTask)(model, checkpointing='checkpointing' in loss)
    recipe = replace(prior_recipes['paper'].run, batch_size=batch, precision=precision)
    run,took,start = Run(task, Codes(config, 2*batch), recipe),[],peak()
    for p in model.parameters():
        run.optimizer.state[p] = dict(step=torch.zeros(()), **{k: torch.empty_like(p).fill_(0.) for k in ('exp_avg','exp_avg_sq')})
    loop = iter(run)
    for _ in range(steps):
        begun = time.process_time()
        next(loop)
        took.append(time.process_time()-begun)
    states = 4*4*num_parameters(model)/2**30
    return dict(size=size, grid='×'.join(map(str, config.grid)), num_codes=config.num_codes, batch=batch, precision=precision, loss=loss,
                seconds=round(statistics.median(took[1:] or took), 3), peak_gb=round(peak(), 3), batch_gb=round(peak()-start-states*3/4, 3))

def main(asked):
    if unknown := [c for c in asked if c not in cases]: raise SystemExit(f'unknown case {unknown[0]}: there are {", ".join(cases)}')
    for name in asked or cases:
        out = subprocess.run([sys.executable, __file__, '--one', name], capture_output=True, text=True, check=True).stdout
        row = json.loads(out.splitlines()[-1])
        print(row, flush=True)
        known = read_json(results, 'table')['rows'] if results.exists() else []
        table = {'-'.join((r['size'], r['precision'], r['loss'])).replace(', ', '+'): r for r in [*known, row]}
        write_json(results, dict(command='python bench/prior_step.py', torch=torch.__version__, threads=1, clock='processor time',
                                 rows=[table[c] for c in cases if c in table]))

if __name__ == '__main__':
    if sys.argv[1:2] == ['--one']: print(json.dumps(measure(*cases[sys.argv[2]])))
    else: main(sys.argv[1:])
