"What all tests share: one thread, no hub, no trace left in the environment or in torch."
import atexit, os, shutil, signal, sys, tempfile, threading
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ['HF_HUB_OFFLINE'] = '1'
os.environ['HF_HOME'] = tempfile.mkdtemp(prefix='vim_nb-hf-')
atexit.register(shutil.rmtree, os.environ['HF_HOME'], ignore_errors=True)
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'tools'))

import pytest

pytest_plugins = ['browser']

@pytest.fixture
def clean_env():
    "Environment for a subprocess: without IN_TEST (with it nbdev_export does nothing) and without what points at this checkout."
    return {k: v for k, v in os.environ.items() if k not in ('IN_TEST', 'PYTHONPATH', 'PYTEST_CURRENT_TEST', 'MPLBACKEND')}

@pytest.fixture(autouse=True)
def interrupts():
    "Ctrl-C raises KeyboardInterrupt, also where the shell has started us in the background and SIGINT is ignored."
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not signal.SIG_IGN: yield; return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.SIG_IGN)

@pytest.fixture(autouse=True)
def torch_as_it_was():
    "Notebooks run in one process: threads, default dtype, gradients and random state are put back."
    torch = sys.modules.get('torch')
    if torch is None: yield; return
    state = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(), torch.random.get_rng_state()
    yield
    torch.set_num_threads(state[0]); torch.set_default_dtype(state[1]); torch.set_grad_enabled(state[2]); torch.random.set_rng_state(state[3])

def pytest_terminal_summary(terminalreporter):
    "The figures of the house, in every run that tested them."
    if any('test_house' in r.nodeid for r in terminalreporter.stats.get('passed', []) + terminalreporter.stats.get('failed', [])):
        import house
        terminalreporter.write_sep('-', 'exported cells and lines per module')
        terminalreporter.write_line(house.table(house.Project(ROOT)))
