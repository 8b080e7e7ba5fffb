"""The site shows the outputs that are stored in the notebooks: this runs the notebooks that have some again, in place, and says which changed.

`python tools/docs_fresh.py` takes all of them, `python tools/docs_fresh.py nbs/13_sample.ipynb ...` those that are named. Cells that the
tests skip (`tst_flags` in settings.ini) keep the outputs they have: they need a GPU or hours, and are run on their own. A notebook with a
cell that fails is left as it was."""
import os, re, subprocess, sys
from pathlib import Path
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from house import Project

ROOT = Path(__file__).resolve().parent.parent

class Refresher(NotebookClient):
    "Runs a notebook, but for the cells with one of `flags`."
    flags = ()
    async def async_execute_cell(self, cell, *args, **kwargs):
        if cell.cell_type == 'code' and set(re.findall(r'^#\s*\|\s*(\w+)', cell.source, re.M)) & set(self.flags): return cell
        return await super().async_execute_cell(cell, *args, **kwargs)

def shown(nb): return [c.get('outputs', []) for c in nb.cells]

def refresh(path, flags=(), timeout=1800):
    "Run the notebook at `path` in its folder and write it; True if an output changed."
    nb = nbformat.read(path, as_version=4)
    before = [[dict(o, execution_count=None) for o in outputs] for outputs in shown(nb)]
    client = Refresher(nb, timeout=timeout, kernel_name='python3', resources={'metadata': {'path': str(path.parent)}})
    client.flags = flags
    client.execute()
    nbformat.write(nb, path)
    return [[dict(o, execution_count=None) for o in outputs] for outputs in shown(nb)] != before

def main():
    p = Project(ROOT)
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    named = [Path(o).resolve() for o in sys.argv[1:]]
    failed = []
    for n in p.notebooks:
        if named and n.path not in named or not any(c.outputs for c in n.code_cells): continue
        try: changed = refresh(n.path, p.settings['tst_flags'].split())
        except CellExecutionError as e: failed.append(n.name); print(f'{n.name}: fails, left as it was\n{e}'); continue
        subprocess.run([sys.executable, str(ROOT/'tools'/'tidy.py'), str(n.path)], check=True, stdout=subprocess.DEVNULL)
        print(f'{n.name}: {"changed" if changed else "the same"}', flush=True)
    return len(failed)

if __name__ == '__main__': sys.exit(bool(main()))
