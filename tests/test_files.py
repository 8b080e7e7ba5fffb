"Files from strangers and from killed processes: what is read is checked, what is left behind is swept."
import os, signal, subprocess, sys
from pathlib import Path
import pytest
from vim_nb.core import atomic_folder, atomic_write, write_json

ROOT = Path(__file__).resolve().parent.parent

def killed(code, *args):
    "Run `code` until it says that it is ready, then kill it."
    env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    p = subprocess.Popen([sys.executable, '-c', code, *map(str, args)], stdout=subprocess.PIPE, text=True, env=env)
    assert p.stdout.readline().strip() == 'ready'
    p.send_signal(signal.SIGKILL)
    p.communicate()
    assert p.returncode == -signal.SIGKILL

WRITER = '''
import sys, threading
from pathlib import Path
from vim_nb.core import atomic_folder, atomic_write
path = Path(sys.argv[1])
with (atomic_folder if path.suffix == '' else atomic_write)(path) as new:
    (new/'a' if new.is_dir() else new).write_text('half')
    print('ready', flush=True)
    threading.Event().wait()
'''

@pytest.mark.parametrize('name', ['card.json', 'grid.png', 'bundle'])
def test_a_killed_writer_leaves_nothing_for_ever(tmp_path, name):
    "What it left is swept by the next writer of the same target, and only by that one."
    path, write = tmp_path/name, atomic_folder if name == 'bundle' else atomic_write
    killed(WRITER, path)
    left, = tmp_path.iterdir()
    assert left.name.startswith(f'.{path.stem}-') and not path.exists()
    write_json(tmp_path/'else.json', {})
    assert left.exists(), 'another target is none of its business'
    for _ in range(2):
        with write(path) as new: (new/'a' if new.is_dir() else new).write_text('whole')
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, 'else.json'])

TOKENIZE = '''
import sys, threading
import torch
from vim_nb.bundle import load_bundle
from vim_nb.data import load_images
from vim_nb.token_file import TokenWriter
from vim_nb.tokens import tokenize
add = TokenWriter.add
def add_and_wait(self, codes):
    add(self, codes)
    if self.done == int(sys.argv[2]):
        print('ready', flush=True)
        threading.Event().wait()
TokenWriter.add = add_and_wait
torch.set_num_threads(1)
tokenize(load_bundle().tokenizer, load_images('digits', size=32).subset(range(96)), sys.argv[1], batch_size=16, progress=False)
'''

def test_a_killed_tokenization_goes_on(tmp_path, monkeypatch):
    "Killed twice, it encodes what is left and ends in the very file of an unbroken run, with nothing beside it."
    from vim_nb.bundle import load_bundle
    from vim_nb.data import load_images
    from vim_nb.tokens import ImageCodes, tokenize
    for stop in (32, 80): killed(TOKENIZE, tmp_path/'codes.st', stop)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['.codes.st.journal', '.codes.st.part']
    tokenizer, ds, seen = load_bundle().tokenizer, load_images('digits', size=32).subset(range(96)), []
    batch = ImageCodes.batch
    monkeypatch.setattr(ImageCodes, 'batch', lambda self, indices, generator=None: seen.append(indices.tolist()) or batch(self, indices, generator))
    tokenize(tokenizer, ds, tmp_path/'codes.st', batch_size=16, progress=False)
    assert seen == [list(range(80, 96))], 'the rest was there already'
    tokenize(tokenizer, ds, tmp_path/'unbroken', batch_size=16, progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['codes.st', 'unbroken']
    assert (tmp_path/'codes.st').read_bytes() == (tmp_path/'unbroken').read_bytes()

def test_a_token_cache_of_any_name_is_one(tmp_path):
    "What vim_tokenize wrote, vim_train_prior reads: the file is asked, not its suffix."
    from vim_nb.bundle import load_bundle
    from vim_nb.console import codes_from
    from vim_nb.data import load_images
    from vim_nb.tokens import TokenCache, tokenize
    tokenizer = load_bundle().tokenizer
    for name in ('codes.st', 'codes', 'codes.parquet'):
        tokenize(tokenizer, load_images('digits', size=32).subset(range(8)), tmp_path/name, progress=False)
        assert isinstance(codes_from(str(tmp_path/name), tokenizer, 'default'), TokenCache)
    (tmp_path/'codes').write_bytes((tmp_path/'codes').read_bytes()[:-1])
    with pytest.raises(ValueError, match='codes is damaged'): codes_from(str(tmp_path/'codes'), tokenizer, 'default')
