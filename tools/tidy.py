"""Strip the notebooks of what only makes diffs: what nbdev_clean strips, widget state, the bars and widgets among the outputs, the
second copy of a picture, and metadata other than the kernel's name (without it JupyterLab asks and Quarto stops). Outputs that teach stay."""
import subprocess, sys
from pathlib import Path
from execnb.nbio import read_nb, write_nb
from house import Project

KERNEL = {'display_name': 'python3', 'language': 'python', 'name': 'python3'}

def tidy(path):
    "True if something changed."
    before, nb = path.read_text(encoding='utf-8'), read_nb(path)
    nb.metadata = {'kernelspec': KERNEL}
    for c in nb.cells:
        if c.cell_type != 'code': continue
        c.outputs = [o for o in c.outputs if not any('widget-view' in k for k in o.get('data', {}))]
        for o in c.outputs:
            if 'image/png' in o.get('data', {}): o['data'].pop('image/jpeg', None)      # pictures come as both
    write_nb(nb, path)
    return path.read_text(encoding='utf-8') != before

def main():
    "All notebooks, or those that are named: `python tools/tidy.py nbs/03_codebook.ipynb`."
    root = Path(__file__).resolve().parent.parent
    paths = [Path(o).resolve() for o in sys.argv[1:]] or [n.path for n in Project(root).notebooks]
    for p in paths:
        subprocess.run([str(Path(sys.executable).parent/'nbdev_clean'), '--fname', str(p)], cwd=root, check=True)
        if tidy(p): print('tidied', p.relative_to(root))

if __name__ == '__main__': main()
