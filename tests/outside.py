"""Run by test_wheel.py, in another environment and another folder, with no network: does the installed wheel have the public face?
Prints one line of JSON."""
import importlib, json, pkgutil, socket, sys, time
from pathlib import Path

try: socket.create_connection(('127.0.0.1', 9), timeout=2)
except OSError as e: assert 'no network in this test' in str(e), f'the network is not shut: {e}'

start = time.perf_counter()
from vim_nb.sample import generate
imported = time.perf_counter()
s = generate(16, progress=False)
drawn = time.perf_counter()
assert s.images.shape == (16, 3, 32, 32) and 0 <= s.images.min() and s.images.max() <= 1 and s.images.std() > .05
assert s.codes.ndim == 3 and len(s.codes) == 16 and s.labels.tolist() == [i % 10 for i in range(16)]
s.save('grid.png')
assert Path('grid.png').read_bytes()[:4] == b'\x89PNG'

import vim_nb
modules = [m.name for m in pkgutil.walk_packages(vim_nb.__path__, 'vim_nb.')]
for m in modules: importlib.import_module(m)
for tool in ('nbdev', 'execnb', 'pytest', 'torchvision'): assert tool not in sys.modules, f'the library imports {tool}'

FACE = dict(data='load_images', codebook='Codebook codebook_usage perplexity', vitvqgan='ViTVQGAN ViTVQGANConfig vitvqgan_sizes', train='Run',
            transformer='VIM VIMConfig vim_sizes', sample='generate SampleSettings', bundle='Bundle load_bundle save_bundle', eval='frechet_distance', metrics='psnr ssim')
for m, names in FACE.items():
    for name in names.split(): getattr(importlib.import_module(f'vim_nb.{m}'), name)

from vim_nb.bundle import load_bundle, save_bundle
b = load_bundle()
assert len(b.classes) == 10 and b.tokenizer.decode(s.codes).sub(s.images).abs().max() < 1e-4
save_bundle('again', b.tokenizer, b.prior, b.classes, b.examples, b.card)
assert generate(16, model='again', progress=False).codes.equal(s.codes), 'a saved bundle draws something else'
t = generate(16, classes=[b.classes[0]], seed=1, progress=False)
assert t.labels.tolist() == [0]*16 and not t.codes.equal(s.codes)

package = Path(vim_nb.__file__).parent
print(json.dumps(dict(package=str(package), version=vim_nb.__version__, modules=modules, import_seconds=round(imported-start, 2), sampling_seconds=round(drawn-imported, 2),
                      files=sorted(p.relative_to(package).as_posix() for p in package.rglob('*') if p.is_file() and '__pycache__' not in p.parts))))
