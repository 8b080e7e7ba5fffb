"""What does throwing samples away buy? Acceptance against quality of a bundle, chosen by its own classifier, judged by another network.

    python tools/rejection_curve.py --train   # train the small classifier that chooses, into runs/classifier (some four minutes of one CPU core)
    python tools/rejection_curve.py           # the curve, into results/rejection_curve.json (about five minutes of one core; candidates are kept in runs/rejection)
    python tools/rejection_curve.py --candidates 1000 --seeds 0 1 --out rough.json     # a rough one

Every acceptance is judged by the same number of kept pictures, since a Frechet distance depends on it: of M candidates M times the smallest acceptance. At a
larger acceptance they need fewer candidates, so the M fall into several disjoint blocks. Candidates are drawn once for each seed and used for all
acceptances. The judge is that of measure_bundle.py. Standard errors are over blocks, of all seeds together. The choice is the largest acceptance whose
distance is no more than one standard error above the smallest. When that is 1, rejection does not pay; whoever asks for it all the same gets the best
acceptance below 1.
"""
import argparse, math, platform, shlex, sys
from dataclasses import asdict
from pathlib import Path
import torch
sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure_bundle import compare, decode_all, floor_of, say, train_judge
import vim_nb
from vim_nb.bundle import find_bundle, load_bundle
from vim_nb.classifier import load_classifier, predict
from vim_nb.core import content_hash, read_json, write_json
from vim_nb.weights import load_tensors, save_tensors
from vim_nb.data import load_images
from vim_nb.eval import ball_radius
from vim_nb.features import features_of
from vim_nb.filters import choose_settings
from vim_nb.rejection import candidates, classifier_of, keep_best, wished
from vim_nb.sample import generate, labels_for

WIDTH = 16                     # of the classifier that chooses; the judge has 32
RATES = (1, .75, .5, .25, .1)
NUMBERS = ('fd', 'floors', 'agreement', 'precision', 'recall')

def drawn(bundle, prior_hash, name, seed, args):
    "Codes of the candidates of one seed, `(m, h, w)`; drawn when they are not kept from an earlier run."
    settings = choose_settings(name, bundle.card)
    key = content_hash(f'{prior_hash} {sorted(asdict(settings).items())} {seed} {args.candidates}'.encode())[:16]
    path = args.cache/f'{name}-{seed}-{key}.safetensors'
    if not path.exists():
        say(f'{args.candidates} candidates, {name} settings, seed {seed} ...')
        s = generate(args.candidates, model=bundle, settings=settings, seed=seed, batch_size=250, device='cpu', progress=False)
        save_tensors(path, {'codes': s.codes.int()})
    return load_tensors(path, 'candidates')['codes'].long()

def blocks(bundle, codes, judge, chooser, kept):
    "For each acceptance the kept candidates of every block: lists of (features, right), where right says whether the judge agrees."
    labels,images = labels_for(len(codes), None, bundle),decode_all(bundle.tokenizer, codes)
    features,right,chance = features_of(judge.features, images),predict(judge, images) == labels,wished(chooser, images, labels)
    out = {}
    for rate in RATES:
        m = candidates(kept, rate, None)
        starts = range(0, len(codes)-m+1, m)
        chosen = [a + keep_best(chance[a:a+m], labels[a:a+m], kept) for a in starts]
        out[rate] = [(features[i], right[i].double().mean().item()) for i in chosen]
    return out

def row_of(rate, found, real, radius, floor):
    "Mean and standard error of every number over the blocks `found`."
    each = [{**compare(seen, real, radius, floor), 'agreement': agreement} for seen,agreement in found]
    row = {'accept': rate, 'blocks': len(each)}
    for k in NUMBERS:
        x = torch.tensor([e[k] for e in each], dtype=torch.float64)
        row[k] = {'mean': x.mean().item(), 'se': x.std().item()/math.sqrt(len(x)) if len(x) > 1 else None}
    return row

def choice(rows):
    "The largest acceptance within one standard error of the smallest distance."
    best = min(rows, key=lambda r: r['fd']['mean'])
    limit = best['fd']['mean'] + (best['fd']['se'] or 0)
    return max((r for r in rows if r['fd']['mean'] <= limit), key=lambda r: r['accept'])

def curve(bundle, prior_hash, judge, train, test, args):
    "One list of rows for each of the settings."
    real,seen_train = features_of(judge.features, test),features_of(judge.features, train)
    kept,radius,chooser = round(args.candidates*min(RATES)),ball_radius(real, 3),classifier_of(True, bundle)
    floor,out = floor_of(kept, train, seen_train, real),{}
    for name in args.settings:
        found = {rate: [] for rate in RATES}
        for seed in args.seeds:
            for rate,more in blocks(bundle, drawn(bundle, prior_hash, name, seed, args), judge, chooser, kept).items(): found[rate] += more
        rows = [row_of(rate, found[rate], real, radius, floor) for rate in RATES]
        out[name] = {'settings': asdict(choose_settings(name, bundle.card)), 'rows': rows, 'chosen': choice(rows)['accept']}
        print(f'\n{name} settings; {kept} pictures a block; chosen {out[name]["chosen"]}\n{"accept":>6s} {"blocks":>6s}' + ''.join(f'{k:>18s}' for k in NUMBERS))
        for r in rows: print(f'{r["accept"]:6g} {r["blocks"]:6d}' + ''.join(f'{r[k]["mean"]:10.4f} ±{math.nan if r[k]["se"] is None else r[k]["se"]:6.4f}' for k in NUMBERS), flush=True)
    return {'one_floor': floor, 'kept_per_block': kept, 'curves': out}

def for_card(curves):
    "What the bundle's card says about rejection: `generate(reject=True)` takes `accept` from it."
    if 'card' not in curves: return None
    rows = curves['card']['rows']
    plain,taken = next(r for r in rows if r['accept'] == 1),choice([r for r in rows if r['accept'] < 1])
    numbers = {f'{k}{end}': round(r[k]['mean'], 3) for k in ('floors', 'agreement', 'recall') for end,r in (('', taken), ('_without', plain))}
    return {'accept': taken['accept'], 'by_default': curves['card']['chosen'] < 1, **numbers,
            'how': 'python tools/rejection_curve.py; chosen by the classifier of the bundle, judged by another; accept: below 1 the largest within one standard error of the '
                   'smallest distance; by_default: whether that is no farther than without rejection'}

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--train', action='store_true', help='train the classifier that chooses, and do nothing else')
    parser.add_argument('--bundle', default='default', help='the default, a folder or a hub id')
    parser.add_argument('--judge', type=Path, default=Path('runs/judge'), help='folder of the judge, trained when missing (default: runs/judge)')
    parser.add_argument('--candidates', type=int, default=3000, help='for each seed; a tenth is kept in a block (default: 3000)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='(default: 0 1 2)')
    parser.add_argument('--settings', nargs='+', default=['card', 'paper'], help='of the sampling: card, paper or both (default)')
    parser.add_argument('--cache', type=Path, default=Path('runs/rejection'), help='folder for the codes of the candidates')
    parser.add_argument('--out', type=Path, default=Path('results/rejection_curve.json'), help='JSON to write')
    args = parser.parse_args()
    if args.candidates % 100: parser.error('--candidates: a multiple of 100, so that each block has as many of each class')
    train,test = load_images('fashion_mnist'),load_images('fashion_mnist', split='test')
    if args.train: return train_judge(Path('runs/classifier'), train, test, 'rejection', WIDTH)
    if not (args.judge/'config.json').exists(): train_judge(args.judge, train, test)
    bundle,folder,judge = load_bundle(args.bundle),find_bundle(args.bundle),load_classifier(args.judge)
    hashes = {f'{part}_sha256': content_hash(folder/f'{part}.safetensors') for part in ('tokenizer', 'prior', 'classifier')}
    found = curve(bundle, hashes['prior_sha256'], judge, train, test, args)
    made = {'command': shlex.join(['python', 'tools/rejection_curve.py', *sys.argv[1:]]), 'candidates': args.candidates, 'seeds': args.seeds, **hashes,
            'judge_sha256': content_hash(args.judge/'classifier.safetensors'), 'judge_test_accuracy': read_json(args.judge/'config.json')['card']['test_accuracy'],
            'versions': {'vim_nb': vim_nb.__version__, 'torch': torch.__version__, 'python': platform.python_version()}}
    write_json(args.out, {'made_by': made, 'protocol': ' '.join(__doc__.split('\n\n')[-1].split()), 'card': for_card(found['curves']), **found})
    say(f'written to {args.out}')

if __name__ == '__main__': main()
