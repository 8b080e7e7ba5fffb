"""How many pictures a second does a critic judge, by its width, and what does the gradient penalty cost?

    OMP_NUM_THREADS=1 python bench/critic.py [--rounds 3] [--threads 1]

A judgement is forward and backward, to the weights and to the pictures, of a batch of 4;
R1 is the penalty on real pictures and its backward.
All critics of one picture size take turns, in every round; speeds are medians, ratios are to the StyleGAN2 critic of width 512 in the same round.
The processor's clock with one thread, the wall's with more. Writes results/critic.json."""
import argparse, statistics, time
from contextlib import nullcontext
import torch
from vim_nb.core import generator, num_parameters, write_json
from vim_nb.discriminators import CriticConfig, make_critic
from vim_nb.losses import r1

def judge(critic, images, precision):
    with torch.autocast('cpu', torch.bfloat16) if precision == 'bf16' else nullcontext(): logits = critic(images)
    logits.float().sum().backward()

def penalise(critic, images, precision): r1(critic, images).backward()

def measure(size, rounds, clock):
    "One row for each critic."
    images = torch.rand(4, 3, size, size, generator=generator(0)).requires_grad_()
    shapes = [('stylegan', 512), ('stylegan', 128), ('stylegan', 64), ('patch', 64)]
    critics = {(kind, width): make_critic(CriticConfig(kind, width, (size,size))) for kind,width in shapes}
    tasks = {(*shape, precision): (judge, critics[shape], precision) for shape in shapes for precision in ('fp32','bf16')}
    tasks |= {('stylegan', width, 'R1'): (penalise, critics['stylegan', width], 'fp32') for width in (512, 128, 64)}
    took = {name: [] for name in tasks}
    for r in range(rounds+1):       # the first is for warming up
        for name,(work,*args) in tasks.items():
            start = clock(); work(args[0], images, args[1])
            if r: took[name].append(clock()-start)
    first = took['stylegan', 512, 'fp32']
    return [dict(size=size, batch=len(images), kind=kind, width=width, what=what, parameters=num_parameters(critics[kind, width]),
                 images_per_second=round(len(images)/statistics.median(t), 1), ratio=round(statistics.median(a/b for a,b in zip(first, t)), 2))
            for (kind,width,what),t in took.items()]

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--threads', type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clock = time.process_time if args.threads == 1 else time.perf_counter
    rows = []
    for size in (32, 64):
        rows += measure(size, args.rounds, clock)
        for r in rows[-11:]: print(*r.values(), sep='\t')
    command = f'OMP_NUM_THREADS={args.threads} python bench/critic.py --rounds {args.rounds} --threads {args.threads}'
    write_json('results/critic.json', dict(command=command, torch=torch.__version__, rows=rows))
