"""Train the default bundle again: ViT-VQGAN and VIM on Fashion-MNIST at 32x32, on one CPU core, by the console commands.

    python tools/make_bundle.py             # everything; goes on where it was stopped
    python tools/make_bundle.py --assemble  # only the last two steps: put the trained networks together, measure, write the card

Runs live in runs/ (ignored by git), the bundle in vim_nb/bundles/fashion_mnist, its measurements in results/default_report.json
(`vim_eval`: the figures of the card) and results/fashion_mnist_bundle.json (in the eyes of a judge of its own).
"""
import argparse, os, shutil, subprocess, sys, time
from pathlib import Path
import torch
from vim_nb.bundle import load_bundle, save_bundle
from vim_nb.classifier import load_classifier
from vim_nb.core import content_hash, num_parameters, read_json, write_json
from vim_nb.data import load_images
from vim_nb.measure import card_figures, load_table

TOP = Path(__file__).resolve().parent.parent
RUNS,BUNDLE,RESULTS = Path('runs'), TOP/'vim_nb'/'bundles'/'fashion_mnist', Path('results')/'fashion_mnist_bundle.json'
REPORT,CURVE = Path('results')/'default_report.json', Path('results')/'rejection_curve.json'
SAMPLING = {'guidance': 1.25}   # `generate` uses it: the smallest distance of 1, 1.15, 1.25 and 1.35 in a sweep of measure_bundle.py over 4,000 samples each; 1.5 is farther than all of these but 1
COMMANDS = [
    ('tokenizer', 'vim_train_tokenizer fashion_mnist runs/tokenizer --plain --resume'),
    ('decoder', 'vim_train_tokenizer fashion_mnist runs/decoder --recipe tiny-decoder --start runs/tokenizer/bundle --plain --resume'),
    ('codes', 'vim_tokenize runs/decoder/bundle fashion_mnist runs/train.safetensors'),
    ('test codes', 'vim_tokenize runs/decoder/bundle fashion_mnist runs/test.safetensors --split test'),
    ('prior', 'vim_train_prior runs/train.safetensors runs/decoder/bundle runs/prior --validation runs/test.safetensors --resume'),
    ('further', 'vim_train_prior runs/train.safetensors runs/decoder/bundle runs/further --start runs/prior/bundle --noise .06 --steps 9000 --learning_rate 6e-4 --seed 1 --validation runs/test.safetensors --resume'),
    ('classifier', 'python tools/rejection_curve.py --train')]

def train():
    "The console commands, one after the other; what they took is kept in runs/seconds.json."
    clock = RUNS/'seconds.json'
    env = os.environ | {'OMP_NUM_THREADS': '1', 'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'}
    for name,command in COMMANDS:
        if clock.exists() and name in read_json(clock, 'times'): continue     # done before
        print(f'$ {command}', flush=True)
        start = time.time()
        subprocess.run(command.split(), check=True, env=env)
        write_json(clock, (read_json(clock, 'times') if clock.exists() else {}) | {name: time.time()-start})

def examples():
    "Fifty test pictures of each class, the classes in turn."
    test = load_images('fashion_mnist', split='test')
    chosen = torch.stack([(test.labels == c).nonzero().flatten()[:50] for c in range(10)], 1).flatten()
    return test.batch(chosen)

def card(bundle, measured):
    "What a reader should know; `measured` is None before the measurement."
    hours = {k: round(v/3600, 2) for k,v in read_json(RUNS/'seconds.json', 'times').items() if k in ('tokenizer', 'decoder', 'prior', 'further')}
    about = {
        'title': 'Fashion-MNIST 32x32, ViT-VQGAN and VIM, the default bundle of vim_nb',
        'license': 'apache-2.0',
        'data': 'Fashion-MNIST (Xiao et al. 2017, MIT licence): 59,990 training and 9,999 test pictures, padded from 28x28 to 32x32; our own split, a list of hashes in vim_nb/splits',
        'tokenizer': f'ViT-VQGAN tiny, {num_parameters(bundle.tokenizer):,} parameters, patch 4, K=1024 in 8 dimensions; its decoder sharpened behind frozen codes by a StyleGAN critic; no perceptual loss',
        'prior': f'VIM tiny, {num_parameters(bundle.prior):,} parameters, 8x8 codes, class-conditional, 10% of labels hidden; a last phase with 6% of the codes it reads swapped for others',
        'recipe': [c for _,c in COMMANDS], 'seed': 0, 'hours_on_one_cpu_core': hours, 'sampling': SAMPLING,
        'intended_use': 'teaching, tests and first experiments; the pictures are small, grey and of ten kinds of clothing'}
    if measured is None: return about
    t,s = measured['tokenizer'],measured['samples']
    return about | {
        'evaluated_by': 'vim_eval --model default; every figure with its whole protocol in results/default_report.json',
        'quality': card_figures(load_table(REPORT)),
        'second_opinion': {
            'test_psnr_28_pooled_db': round(t['psnr_28_pooled'], 2), 'test_psnr_28_per_image_db': round(t['psnr_28_per_image'], 2),
            'reconstructions_in_floors': round(measured['reconstructed_test']['floors'], 1),
            'samples_at_T1_against_reconstructions_in_floors': round(s['paper']['floors_to_reconstructed_train'], 2),
            'default_samples_in_floors': round(s['default']['floors'], 1), 'class_agreement_of_default_samples': round(s['default']['agreement'], 4),
            'class_agreement_at_T1': round(s['paper']['agreement'], 4), 'judge_test_accuracy': round(measured['judge']['test_accuracy'], 4),
            'how': 'python tools/measure_bundle.py: pictures without their padding, and a judge that is no part of the bundle; a floor is the Frechet distance of 5,000 real training pictures from the test part, on the features of the judge, and depends on it'}}

def evaluate():
    "The report of the bundle as it is: one folder for each prior, so that samples of another one are not in the way."
    folder = RUNS/f'eval-{content_hash(BUNDLE/"prior.safetensors")[:8]}'
    subprocess.run([sys.executable, '-c', f'from vim_nb.report import evaluate; evaluate(folder={str(folder)!r})'], check=True)
    shutil.copy(folder/'report.json', REPORT)

def assemble():
    "Put the networks together, measure them, write the card."
    made = load_bundle(RUNS/'further'/'bundle')
    made.tokenizer = load_bundle(RUNS/'decoder'/'bundle').tokenizer
    parts = dict(tokenizer=made.tokenizer, prior=made.prior, classes=made.classes, examples=examples(), classifier=load_classifier(RUNS/'classifier'))
    save_bundle(BUNDLE, **parts, card=card(made, None))
    evaluate()
    for tool in ('measure_bundle','rejection_curve'): subprocess.run([sys.executable, f'tools/{tool}.py'], check=True)
    rejection = read_json(CURVE, 'rejection curve')['card']
    save_bundle(BUNDLE, **parts, card=card(made, read_json(RESULTS, 'measurements')) | {'rejection': rejection})
    size = sum(p.stat().st_size for p in BUNDLE.iterdir())
    print(f'{BUNDLE.relative_to(TOP)}: {size/2**20:.1f} MB')

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--assemble', action='store_true', help='do not train')
    args = parser.parse_args()
    os.chdir(TOP)
    if not args.assemble: train()
    assemble()
