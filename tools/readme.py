"""README.md from nbs/index.ipynb: the front page is a notebook that runs. Pictures among its outputs go to index_files/.
`python tools/readme.py` writes, `python tools/readme.py --check` says whether the two are in step."""
import re, sys
from pathlib import Path
import nbformat
from nbconvert import MarkdownExporter

root = Path(__file__).resolve().parent.parent
FOLDER = 'index_files'

def page(notebook):
    "The text of README.md, and its pictures by file name."
    nb = nbformat.read(notebook, as_version=4)
    nb.cells = [c for c in nb.cells if not re.search(r'^#\s*\|\s*hide\b', c.source, re.M)]
    if nb.cells and nb.cells[0].cell_type == 'raw' or nb.cells[0].source.startswith('---'): nb.cells = nb.cells[1:]    # the YAML header
    nb.metadata.setdefault('language_info', {'name': 'python'})
    words = []   # of the pictures, in their order
    for c in nb.cells:
        said = re.search(r'^#\s*\|\s*fig-alt:\s*"(.+)"\s*$', c.source, re.M)
        words += [said[1] if said else 'what the cell above draws' for o in c.get('outputs', []) if 'image/png' in o.get('data', {})]
        if c.cell_type == 'markdown': c.source = re.sub(r'(\]\()(?![a-z]+:|#)', r'\1nbs/', c.source)     # links are relative to nbs/
        c.source = re.sub(r'^#\s*\|.*\n?', '', c.source, flags=re.M)
        for data in (o.get('data', {}) for o in c.get('outputs', [])):
            if 'image/png' in data: data.pop('text/plain', None), data.pop('image/jpeg', None)
    exporter = MarkdownExporter()
    text, resources = exporter.from_notebook_node(nb, {'output_files_dir': FOLDER})
    pictures = {}
    for i, (name, data) in enumerate(sorted(resources.get('outputs', {}).items(), key=lambda o: text.find(o[0]))):
        new = f'{FOLDER}/picture_{i+1}{Path(name).suffix}'
        text, pictures[new] = text.replace(f'![png]({name})', f'![{words[i]}]({new})'), data
    text = re.sub(r'[ \t]+$', '', text, flags=re.M)
    return re.sub(r'\n{3,}', '\n\n', text).strip() + '\n', pictures

def differences(root=root):
    "What is not in step, as a list of sentences."
    text, pictures = page(root/'nbs'/'index.ipynb')
    have = {f'{FOLDER}/{f.name}' for f in (root/FOLDER).glob('*')}
    res = [] if (root/'README.md').read_text(encoding='utf-8') == text else ['README.md is not what nbs/index.ipynb gives: run make readme']
    res += [f'{k} is missing or old: run make readme' for k, v in pictures.items() if k not in have or (root/k).read_bytes() != v]
    return res + [f'{k} is not on the page any more: run make readme' for k in sorted(have - set(pictures))]

def write(root=root):
    text, pictures = page(root/'nbs'/'index.ipynb')
    (root/'README.md').write_text(text, encoding='utf-8')
    for f in (root/FOLDER).glob('*'): f.unlink()
    for k, v in pictures.items(): (root/FOLDER).mkdir(exist_ok=True); (root/k).write_bytes(v)

if __name__ == '__main__':
    if '--check' not in sys.argv: write()
    bad = differences()
    for o in bad: print(o)
    sys.exit(bool(bad))
