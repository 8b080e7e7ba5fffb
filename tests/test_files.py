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
