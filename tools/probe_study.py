"""What does a prior know of the classes, block by block? The linear probe of the paper on two small models, each by one command.

    python tools/probe_study.py fashion_mnist   # of the default bundle: no training, some minutes
    python tools/probe_study.py cifar10         # trains a tokenizer and an unconditional prior first; goes on where it was stopped

CIFAR-10 follows the paper's recipe for representations: a tokenizer without a perceptual network, then a prior without classes and
without dropout. Its runs live in runs/probe_cifar10/ (ignored by git) and are made by the console commands. The studies go to
results/probe_NAME.json, each with the minutes that its steps took, of the clock and of the processor (the clock runs on while others work).
"""
import argparse, os, platform, resource, shlex, shutil, subprocess, sys, time
from pathlib import Path
import torch
import vim_nb
from vim_nb.bundle import find_bundle, load_bundle
from vim_nb.core import content_hash, num_parameters, read_json, write_json
from vim_nb.data import load_images
from vim_nb.study import some_of, study

TOP = Path(__file__).resolve().parent.parent
PROTOCOL = {
    'features': 'mean over all slots (the start token and h*w-1 codes; the last code is not read) of the output of one block, before the last norm; the prior is not told the label',
    'block': 'counted from 1, as the paper counts; "peak" is the block with the best accuracy on the held-out fifth of the training pictures',
    'probe': 'features standardised with the training part; softmax layer by L-BFGS, mean cross-entropy + strength/2 * squared weights; the strength of least cross-entropy on the held-out fifth, then fitted to all',
    'error': 'standard error of an accuracy over test pictures, binomial; "inside": the peak is better than the last block by more than two (paired) standard errors',
    'labels': 'accuracy with a part of the labels, of the block at the peak; mean and standard deviation over stratified subsets',
    'untrained': 'the same architecture before its first step', 'latents': "mean over tokens of the tokenizer's encoder", 'histogram': 'share of each code in a picture',
    'code vectors': 'what each code means to the decoder, in the dimensions of the lookup, laid side by side for all places', 'pixels': 'in [0,1]; one channel where the pictures are grey'}

def commands(folder, args):
    "The trainings of a study, by name."
    save = max(1, args.prior_steps//10)
    return {
        'tokenizer': f'vim_train_tokenizer cifar10 {folder}/tokenizer --plain --steps {args.tokenizer_steps} --resume',
        'codes': f'vim_tokenize {folder}/tokenizer/bundle cifar10 {folder}/train.safetensors',
        'test codes': f'vim_tokenize {folder}/tokenizer/bundle cifar10 {folder}/test.safetensors --split test',
        'prior': f'vim_train_prior {folder}/train.safetensors {folder}/tokenizer/bundle {folder}/prior --unconditional --dropout 0 --validation {folder}/test.safetensors '
                 f'--steps {args.prior_steps} --save_every {save} --resume'}

def spent(who):
    "Processor seconds of this process or of the finished ones that it started."
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime

def trained(folder, args):
    "The bundle of the trainings; the command of each, its minutes and those of the processor. What is done is not done again."
    folder.mkdir(parents=True, exist_ok=True)
    done,env = folder/'done.json',os.environ | {'OMP_NUM_THREADS': '1', 'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'}
    asked = commands(folder, args)
    for name,command in asked.items():
        known = read_json(done, 'steps that are done') if done.exists() else {}
        if name in known:
            if known[name]['command'] != command: raise SystemExit(f'{folder} holds another study ({known[name]["command"]}): give its numbers of steps, or another --folder')
            continue
        print(f'$ {command}', flush=True)
        start,busy = time.time(),spent(resource.RUSAGE_CHILDREN)
        if subprocess.run([shutil.which(command.split()[0], path=env['PATH']), *command.split()[1:]], env=env).returncode: raise SystemExit(f'{name} stopped: give the same command again to go on')
        write_json(done, known | {name: {'command': command, 'minutes': (time.time()-start)/60, 'processor_minutes': (spent(resource.RUSAGE_CHILDREN)-busy)/60}})
    return folder/'prior'/'bundle', read_json(done, 'steps that are done')

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('name', choices=['fashion_mnist', 'cifar10'], help='which study')
    parser.add_argument('--bundle', help='probe this one instead: a folder or a hub id (default: the default bundle, or the one trained in --folder)')
    parser.add_argument('--train', type=int, default=10_000, help='training pictures for the probes, 0 for all (default: 10000)')
    parser.add_argument('--test', type=int, default=0, help='test pictures, 0 for all (default: 0)')
    parser.add_argument('--tokenizer-steps', type=int, default=12_000, help='of the CIFAR-10 tokenizer (default: 12000)')
    parser.add_argument('--prior-steps', type=int, default=3_000, help='of the CIFAR-10 prior (default: 3000)')
    parser.add_argument('--folder', type=Path, default=Path('runs/probe_cifar10'), help='of the trainings (default: runs/probe_cifar10)')
    parser.add_argument('--seed', type=int, default=0, help='of subsets, held-out parts and the untrained network (default: 0)')
    parser.add_argument('--out', type=Path, help='JSON to write (default: results/probe_NAME.json)')
    args,steps = parser.parse_args(),{}
    where = args.bundle or 'default'
    if args.name == 'cifar10' and not args.bundle: where,steps = trained(args.folder, args)
    bundle = load_bundle(where)
    parts = [some_of(load_images(args.name, split=split, size=bundle.tokenizer.config.size), n) for split,n in (('train', args.train), ('test', args.test))]
    busy = spent(resource.RUSAGE_SELF)
    found = study(bundle, *parts, seed=args.seed)
    found['minutes']['processor'] = (spent(resource.RUSAGE_SELF)-busy)/60
    near = lambda a: os.path.relpath(a) if os.path.isabs(a) else str(a)
    made = {'command': shlex.join(['python', 'tools/probe_study.py', *map(near, sys.argv[1:])]), 'bundle': near(where), 'threads': torch.get_num_threads(),
            'prior_sha256': content_hash(find_bundle(where)/'prior.safetensors'), 'trainings': steps,
            'versions': {'vim_nb': vim_nb.__version__, 'torch': torch.__version__, 'python': platform.python_version()}}
    about = {'data': args.name, 'prior_parameters': num_parameters(bundle.prior), 'prior_classes': bundle.prior.config.classes,
             'trained': {k: v for k,v in bundle.card.items() if k in ('tokenizer', 'prior')}}
    out = args.out or Path('results')/f'probe_{args.name}.json'
    write_json(out, {'made_by': made, 'protocol': PROTOCOL, **about, **found})
    print(f'{out}: {found["curves"]["prior"]["verdict"]}')

if __name__ == '__main__':
    os.chdir(TOP)
    main()
