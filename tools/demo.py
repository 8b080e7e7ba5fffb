"Ten classes, four pictures of each, drawn by the default bundle into a captioned grid."
import time
start = time.perf_counter()
import argparse
from pathlib import Path

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', default='demo.png', help='picture to write (default: demo.png)')
    parser.add_argument('--rows', type=int, default=4, help='pictures per class (default: 4)')
    parser.add_argument('--seed', type=int, default=0, help='another seed, other pictures (default: 0)')
    args = parser.parse_args()
    from vim_nb.bundle import load_bundle
    from vim_nb.core import show_images
    from vim_nb.sample import generate
    bundle = load_bundle()
    loaded = time.perf_counter()
    s = generate(args.rows*len(bundle.classes), model=bundle, seed=args.seed)
    drawn = time.perf_counter()
    columns = len(bundle.classes)
    captions = [bundle.classes[i] for i in s.labels.tolist()]
    show_images(s.images, captions, columns=columns).save(args.out)
    print(f'{len(s.images)} pictures of {columns} classes are in {Path(args.out).resolve()}')
    print(f'{drawn-loaded:.1f} s to draw them, {time.perf_counter()-start:.1f} s with everything (import and loading {loaded-start:.1f} s)')

if __name__ == '__main__': main()
