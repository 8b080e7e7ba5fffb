"The running means of an EMACodebook are those of all processes together, so every process has the same table."
import subprocess, sys
from conftest import ROOT

WORKER = '''
import copy, sys
import torch, torch.distributed as dist
from vim_nb.core import generator
from vim_nb.quantizers import EMACodebook

rank, store = int(sys.argv[1]), sys.argv[2]
torch.manual_seed(0)
book, z = EMACodebook(16, 4, 8), torch.randn(4, 30, 8, generator=generator(0))
whole, half = copy.deepcopy(book), copy.deepcopy(book)
mine = z[2*rank:2*rank+2]
for _ in range(3): whole(z), half(mine)                     # one process with all, and what a process alone would make of its half
dist.init_process_group('gloo', init_method='file://' + store, rank=rank, world_size=2)
for _ in range(3): book(mine)
assert torch.allclose(book.weight, whole.weight, atol=1e-6) and torch.allclose(book.counts, whole.counts, atol=1e-6), 'the processes were not added up'
assert not torch.allclose(half.weight, whole.weight, atol=1e-3), 'this test would pass on anything'
tables = [torch.empty_like(book.weight) for _ in range(2)]
dist.all_gather(tables, book.weight)
assert torch.equal(*tables), 'the processes have different tables'
dist.destroy_process_group()
'''

def test_ema_over_two_processes(tmp_path, clean_env):
    (tmp_path/'worker.py').write_text(WORKER)
    runs = [subprocess.Popen([sys.executable, str(tmp_path/'worker.py'), str(rank), str(tmp_path/'store')], cwd=ROOT, env=dict(clean_env, PYTHONPATH=str(ROOT)),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for rank in range(2)]
    for r in runs:
        out, _ = r.communicate(timeout=180)
        assert r.returncode == 0, out
