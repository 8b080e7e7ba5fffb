"""nbs/llms.txt: the public face in one plain page, made from the docments, for people and for their assistants. What most people
call is there with every argument, the rest by name. `python tools/llms.py` writes it, with `--check` it says whether it is in step."""
import ast, re, sys
from pathlib import Path
from house import Project, _comments

ROOT = Path(__file__).resolve().parent.parent
PAGE = 'nbs/llms.txt'
FACE = {'data': ['load_images'], 'codebook': ['Codebook', 'codebook_usage', 'perplexity'], 'vitvqgan': ['ViTVQGANConfig', 'ViTVQGAN', 'Tokenizer'],
        'train': ['Run'], 'recipe': ['Recipe'], 'transformer': ['VIMConfig', 'VIM'], 'filters': ['SampleSettings'], 'sample': ['Samples', 'generate'], 'complete': ['complete'],
        'bundle': ['Bundle', 'load_bundle', 'save_bundle'], 'eval': ['frechet_distance', 'inception_score', 'precision_recall'], 'metrics': ['psnr', 'ssim'],
        'fidelity': ['evaluate_reconstructions'], 'sampled': ['evaluate_samples'], 'report': ['evaluate'], 'probe': ['features', 'linear_probe'],
        'stage1': ['TokenizerRecipe', 'tokenizer_run'], 'stage2': ['prior_run'], 'tokens': ['tokenize'],
        'cli': None}     # None: all of it
HEAD = '''Images become codes (a ViT-VQGAN tokenizer), a causal Transformer (VIM) learns to write codes, `generate` draws new images.
Images are float32 `(b, 3, H, W)` in [0,1]; codes are int64 `(b, h, w)`, in raster order; bad input gets a ValueError that names the remedy.
A trained bundle ships with the package: nothing is downloaded.

```python
from vim_nb.sample import generate
from vim_nb.complete import complete
from vim_nb.bundle import load_bundle
generate(16, classes=["Sneaker", "Bag"], guidance=2.).save("grid.png")
b = load_bundle()
codes = b.tokenizer.encode(b.examples["image"])
images = b.tokenizer.decode(codes)
complete(b.examples["image"][:2], keep=.5, n=4)
```

The source of every module is a notebook that explains and tests it; its page on the site has the same name.'''

def signature(f, name=None):
    "A function's or constructor's arguments on one line."
    a = ast.parse(ast.unparse(f)).body[0].args        # a copy without comments
    if a.args and a.args[0].arg in ('self', 'cls'): a.args = a.args[1:]
    return f'{name or f.name}({ast.unparse(a)})'

def details(args, notes):
    "A line for each argument that has a docment."
    return [f'    - `{o.arg}`: {notes[o.lineno].lstrip("# ")}' for o in args if o.lineno in notes and o.arg not in ('self', 'cls')]

def returned(f, notes):
    "What the function gives, from the comment behind its arrow."
    line = (f.returns.end_lineno if f.returns else 0)
    return [f'    - gives `{ast.unparse(f.returns)}`: {notes[line].lstrip("# ")}'] if line in notes and f.returns and line >= max([o.lineno+1 for o in f.args.args+f.args.kwonlyargs] or [0]) else []

def said(node): return (ast.get_docstring(node) or '').split('\n')[0]

def entry(node, notes):
    "Lines for a function or class, with all its arguments or fields."
    if isinstance(node, ast.FunctionDef):
        args = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
        return [f'- `{signature(node)}`: {said(node)}', *details(args, notes), *returned(node, notes)]
    init = next((o for o in node.body if isinstance(o, ast.FunctionDef) and o.name == '__init__'), None)
    if init: return [f'- `{signature(init, node.name)}`: {said(node)}', *details(init.args.args, notes)]
    fields = [o for o in node.body if isinstance(o, ast.AnnAssign) and not o.target.id.startswith('_')]
    return [f'- `{node.name}`: {said(node)}'] + [f'    - `{ast.unparse(o)}`: {notes[o.lineno].lstrip("# ")}' for o in fields if o.lineno in notes]

def section(name, notebook, path):
    "One module: its sentence, its part of the face, and the names of the rest."
    text = path.read_text(encoding='utf-8')
    tree,notes,face = ast.parse(text),_comments(text),FACE.get(name, [])
    patched = lambda n: any(getattr(d, 'id', getattr(getattr(d, 'func', None), 'id', '')) == 'patch' for d in n.decorator_list)
    public = {n.name: n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith('_') and not patched(n)}
    front = list(public) if face is None else face
    if gone := [o for o in front if o not in public]: raise SystemExit(f'vim_nb.{name} has no {", ".join(gone)}: mend FACE in tools/llms.py')
    rest = [o for o in public if o not in front]
    return [f'## vim_nb.{name}', '', f'{ast.get_docstring(tree)} (nbs/{notebook}.ipynb)', '', *[line for o in front for line in entry(public[o], notes)],
            *([f'- {"also" if front else "has"} {", ".join(rest)}'] if rest else []), '']

def page(root=ROOT):
    "The text of the page."
    p = Project(root)
    lines = [f'# {p.settings["title"]} {p.settings["version"]}', '', f'> {p.settings["description"]}', '', HEAD, '']
    for name,n in p.by_module.items():
        if not name.startswith('widgets.'): lines += section(name, n.name, p.package/f'{name}.py')
    return re.sub(r'[ \t]+$', '', '\n'.join(lines), flags=re.M).rstrip() + '\n'

def differences(root=ROOT):
    "What is not in step, as a list of sentences."
    f = root/PAGE
    return [] if f.exists() and f.read_text(encoding='utf-8') == page(root) else [f'{PAGE} is not what the modules say: run python tools/llms.py']

if __name__ == '__main__':
    if '--check' not in sys.argv: (ROOT/PAGE).write_text(page(), encoding='utf-8')
    bad = differences()
    for o in bad: print(o)
    sys.exit(bool(bad))
