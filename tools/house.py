"""The rules of the house, as functions that return what is wrong. `python tools/house.py` prints the table and every complaint.

Each rule takes a `Project` and gives a list of sentences, empty when all is well; tests/test_house.py turns each into a test,
and shows each of them failing on a small broken project."""
import ast, io, json, os, re, statistics, subprocess, sys, tokenize
from configparser import ConfigParser
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

MAX_CELL, MEDIAN_CELL, MEDIAN_MODULE, MAX_MODULE, MAX_BYTES = 40, 11, 15, 250, 300_000      # lines, but for the last
SHELF = {'widgets': 1, 'tutorials': 2, 'claims': 3, 'explorer': 3, 'index': 4}   # what stands behind the numbered notebooks, in this order
PRINTS = {'cli', 'console', 'trainings'}                                                  # a console command prints

# ---- notebooks ----

@dataclass
class Cell:
    kind: str                                    # "code" or "markdown"
    source: str                                  # as written, directives included
    outputs: list = field(default_factory=list)

    @cached_property
    def directives(self): return {m[1] for m in re.finditer(r'^#\s*\|\s*(\w+)', self.source, re.M)} if self.kind == 'code' else set()
    @property
    def exported(self): return bool(self.directives & {'export', 'exports', 'exporti'})
    @cached_property
    def code(self): return re.sub(r'^#\s*\|.*$', '', self.source, flags=re.M)
    @cached_property
    def tree(self):
        try: return ast.parse(re.sub(r'^(\s*)[%!].*$', r'\1pass', self.code, flags=re.M))
        except SyntaxError: return ast.parse('')
    @property
    def lines(self): return sum(bool(o.strip()) for o in self.code.splitlines())
    @property
    def definitions(self):
        "Names that this cell defines at its top level."
        res = []
        for n in self.tree.body:
            if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)): res.append(n.name)
            elif isinstance(n, ast.Assign): res += [t.id for t in n.targets if isinstance(t, ast.Name)]
            elif isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name): res.append(n.target.id)
        return [o for o in res if o != '__all__']
    def uses(self, name):
        "Does this cell name `name` anywhere, as a variable, an attribute or an argument?"
        return any(getattr(n, k, None) == name for n in ast.walk(self.tree) for k in ('id', 'attr', 'arg')) or name in _imported(self.tree)

def _imported(tree): return {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}

@dataclass
class Notebook:
    path: Path
    name: str              # "03_codebook", "widgets/20_codebook"

    @cached_property
    def raw(self): return json.loads(self.path.read_text(encoding='utf-8'))
    @cached_property
    def cells(self): return [Cell(c['cell_type'], ''.join(c['source']), c.get('outputs', [])) for c in self.raw['cells']]
    @property
    def code_cells(self): return [c for c in self.cells if c.kind == 'code' and c.code.strip()]
    @property
    def exported(self): return [c for c in self.code_cells if c.exported]
    @cached_property
    def module(self):
        "Dotted name below the package of the module that this notebook exports to, or None."
        for c in self.cells:
            if c.kind == 'code' and (m := re.search(r'^#\s*\|\s*default_exp\s+(\S+)', c.source, re.M)): return m[1]
    @property
    def key(self):
        "Where the notebook stands: numbered ones by number and letter, then widgets, tutorials, claims and the index."
        *folder, stem = self.name.split('/')
        m = re.match(r'(\d+)([a-z]*)_', stem)
        return SHELF.get(folder[0] if folder else stem, 0), int(m[1]) if m else 999, m[2] if m else stem
    @property
    def sizes(self):
        "Lines of every exported cell that is more than imports."
        return [c.lines for c in self.exported if not all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in c.tree.body)]

@dataclass
class Project:
    root: Path

    @cached_property
    def settings(self):
        ini = ConfigParser(delimiters=['=']); ini.read(self.root/'settings.ini', encoding='utf-8')
        return ini['DEFAULT']
    @cached_property
    def notebooks(self):
        nbs = self.root/'nbs'
        paths = [p for p in nbs.rglob('*.ipynb') if not any(o[0] in '._' for o in p.relative_to(nbs).parts)]
        return sorted([Notebook(p, p.relative_to(nbs).with_suffix('').as_posix()) for p in paths], key=lambda n: n.key)
    @cached_property
    def by_module(self): return {n.module: n for n in self.notebooks if n.module}
    @property
    def package(self): return self.root/'vim_nb'
    @property
    def modules(self): return sorted(p for p in self.package.rglob('*.py') if p.name not in ('__init__.py', '_modidx.py'))
    @cached_property
    def files(self):
        "Every file that is, or could be, committed; outside a git checkout every one that does not look built."
        r = subprocess.run(['git', '-C', str(self.root), 'ls-files', '-co', '--exclude-standard', '-z'], capture_output=True, text=True)
        if r.returncode == 0 and (self.root/'.git').exists(): names = filter(None, r.stdout.split('\0'))
        else: names = (p.relative_to(self.root).as_posix() for p in self.root.rglob('*') if not BUILT.search(p.relative_to(self.root).as_posix()))
        return sorted(o for o in names if (self.root/o).is_file() and not (self.root/o).is_symlink())
    @cached_property
    def texts(self):
        "Path and content of every file that is text."
        res = {}
        for o in self.files:
            try: res[o] = (self.root/o).read_bytes().decode()
            except UnicodeDecodeError: pass
        return res

BUILT = re.compile(r'(^|/)(\.venv|\.git|__pycache__|\.pytest_cache|\.ipynb_checkpoints|build|dist|_proc|_docs|runs|[^/]*\.egg-info)(/|$)|^demo\.png$')

# ---- rules about structure ----

def modules_have_notebooks(p):
    "Every module has its notebook, and the other way round."
    have = {'.'.join(m.relative_to(p.package).with_suffix('').parts) for m in p.modules}
    names = [n.module for n in p.notebooks if n.module]
    return ([f'vim_nb/{m.replace(".", "/")}.py has no notebook: remove it' for m in sorted(have-set(names))] +
            [f'{p.by_module[m].name} exports to {m}, which is not there: run make export' for m in sorted(set(names)-have)] +
            [f'{m} is exported by more than one notebook' for m in sorted({m for m in names if names.count(m) > 1})])

def imports_one_way(p):
    "A notebook imports only from notebooks that stand before it."
    res = []
    for n in p.notebooks:
        for c in n.code_cells:
            for m in _from_package(c.tree):
                if m == n.module: continue
                src = p.by_module.get(m)
                if src is None: res.append(f'{n.name} imports vim_nb.{m}, which no notebook exports')
                elif src.key >= n.key: res.append(f'{n.name} imports vim_nb.{m}, whose notebook {src.name} stands behind it')
    return sorted(set(res))

def _from_package(tree):
    "Modules of the package that a tree imports: `from vim_nb.a import b`, `import vim_nb.a`, `from vim_nb import a`."
    res = set()
    for n in ast.walk(tree):
        if isinstance(n, ast.Import): res |= {a.name.partition('.')[2] for a in n.names if a.name.startswith('vim_nb.')}
        if isinstance(n, ast.ImportFrom) and n.module == 'vim_nb': res |= {a.name for a in n.names if not a.name.startswith('__')}
        if isinstance(n, ast.ImportFrom) and (n.module or '').startswith('vim_nb.'): res.add(n.module.partition('.')[2])
    return res

def cells_are_small(p):
    """No exported cell is too long, neither is the median cell, of the house and of every module that has some (but for the commands, which are
    lists of their options), and no module."""
    res = []
    for n in p.notebooks:
        res += [f'{n.name}: {c.lines} lines in the cell of {", ".join(c.definitions) or c.code.strip()[:40]}: split it (at most {MAX_CELL})'
                for c in n.exported if c.lines > MAX_CELL]
        if len(n.sizes) > 4 and n.name != '18_cli' and (m := statistics.median(n.sizes)) > MEDIAN_MODULE: res.append(f'{n.name}: the median exported cell has {m:g} lines (at most {MEDIAN_MODULE})')
        if (t := sum(c.lines for c in n.exported)) > MAX_MODULE: res.append(f'{n.name}: {t} exported lines (at most {MAX_MODULE}): split the module')
    every = [s for n in p.notebooks for s in n.sizes]
    if every and (m := statistics.median(every)) > MEDIAN_CELL: res.append(f'the whole house: the median exported cell has {m:g} lines (at most {MEDIAN_CELL})')
    return res

def definitions_are_used(p):
    "Every exported definition is followed by a code cell that uses it; a class whose methods are patched in by the cells behind it is shown after the last of them."
    res = []
    for n in p.notebooks:
        cells = n.code_cells
        for i, c in enumerate(cells):
            if not c.exported or not (names := c.definitions) or i and _patches_methods(c) and cells[i-1].exported and cells[i-1].definitions: continue
            while i+1 < len(cells) and cells[i+1].exported and _patches_methods(cells[i+1]): i, names = i+1, [*names, *cells[i+1].definitions]
            here, nxt, *more = f'{n.name}: {", ".join(names)}', *cells[i+1:i+3], None, None
            if nxt is not None and nxt.exported and not (i and cells[i-1].exported and cells[i-1].definitions) and more[0] is not None and not more[0].exported:
                used = any(o.uses(x) for o in (nxt, more[0]) for x in names)      # a pair (write and read, a tuple and who gives it), then one cell that shows both
            elif nxt is None or 'nbdev_export(' in nxt.code: res.append(f'{here}: no cell follows'); continue
            elif nxt.exported: res.append(f'{here}: the next code cell is exported too: show it at work first'); continue
            else: used = _is_patch(c) or any(nxt.uses(x) for x in names)
            if not used: res.append(f'{here}: the next code cell does not use it')
    return res

def _patches_methods(c):
    "A cell of nothing but `@patch` functions."
    return all(isinstance(n, ast.FunctionDef) and any(getattr(d, 'id', getattr(getattr(d, 'func', None), 'id', None)) == 'patch' for d in n.decorator_list) for n in c.tree.body)

def _is_patch(c):
    "A cell that patches only dunder methods: they are used without being named."
    fs = [n for n in c.tree.body if isinstance(n, ast.FunctionDef)]
    return bool(fs) and all(f.name.startswith('__') for f in fs)

def pages_are_whole(p):
    "First cell names the module; the title's cell holds title and blockquote only; no test is switched off; module notebooks end in an export."
    res = []
    for n in p.notebooks:
        md = next((c for c in n.cells if c.kind == 'markdown'), None)
        if md is None or not re.fullmatch(r'# [^\n]+\n\s*\n?> [^\n]+\s*', md.source):
            res.append(f'{n.name}: the first markdown cell must be a title and a one-line blockquote, nothing else (the docs drop the rest)')
        if n.module and not re.match(r'#\s*\|\s*default_exp', n.cells[0].source): res.append(f'{n.name}: the first cell must be the default_exp')
        if n.module and not re.search(r'\bnbdev_export\(\)', n.cells[-1].source): res.append(f'{n.name}: the last cell must be nbdev.nbdev_export()')
        res += [f'{n.name}: `#| eval: false` hides a test: use #| slow or #| cuda' for c in n.code_cells if re.search(r'^#\s*\|\s*eval:\s*false', c.source, re.M)]
        if n.module: res += [f'{n.name}: imports need a cell of their own (the docs run such cells): {c.code.strip().splitlines()[0]!r}' for c in n.code_cells
                             if not c.exported and 'nbdev_export(' not in c.code and _has(c.tree, ast.Import, ast.ImportFrom) and _has(c.tree, ast.Expr, ast.Assign)]
    return res

def _has(tree, *types): return any(isinstance(n, types) for n in ast.walk(tree))

# ---- rules about the library's text ----

def arguments_are_documented(p):
    """Public functions, constructors and dataclass fields say what every argument is, by a comment on its line or by name in the
    docstring; whatever is public and not tiny has a docstring."""
    res = []
    for n in p.notebooks:
        for c in n.exported:
            notes = _comments(c.code)
            for d in c.tree.body:
                if isinstance(d, ast.FunctionDef) and _method(d) and d.end_lineno - d.body[0].lineno < 3: continue
                if isinstance(d, ast.FunctionDef) and not d.name.startswith('_'): res += _function(d, notes, f'{n.name}: {d.name}')
                if isinstance(d, ast.ClassDef) and not d.name.startswith('_'): res += _class(d, notes, f'{n.name}: {d.name}')
    return res

def _comments(code):
    "Line number to comment."
    return {t.start[0]: t.string for t in tokenize.generate_tokens(io.StringIO(code).readline) if t.type == tokenize.COMMENT}

def _function(f, notes, where, text=''):
    doc = (ast.get_docstring(f) or '') + text
    a = f.args
    args = a.posonlyargs + a.args + a.kwonlyargs + [o for o in (a.vararg, a.kwarg) if o]
    if args and args[0].arg in ('self', 'cls'): args = args[1:]
    if args and _method(f): args = args[1:]
    said = lambda o: o.lineno in notes or o.lineno-1 in notes and not any(b.lineno == o.lineno-1 for b in args) or re.search(rf'`[^`]*\b{o.arg}\b', doc)
    res = [f'{where}: {o.arg} is not documented' for o in args if not said(o)]
    return res + ([] if doc else [f'{where} has no docstring'])

def _method(f): return any(_name(d) == 'patch' for d in f.decorator_list)

def _name(d):
    d = d.func if isinstance(d, ast.Call) else d
    return getattr(d, 'id', None) or getattr(d, 'attr', None)

def _class(k, notes, where):
    doc = ast.get_docstring(k) or ''
    res = [] if doc else [f'{where} has no docstring']
    if any(_name(d) == 'dataclass' for d in k.decorator_list):
        res += [f'{where}.{o.target.id} is not documented' for o in k.body if isinstance(o, ast.AnnAssign) and not o.target.id.startswith('_')
                and not any(l in notes for l in range(o.lineno, o.end_lineno+1)) and not re.search(rf'`[^`]*\b{o.target.id}\b', doc)]
    for f in (o for o in k.body if isinstance(o, ast.FunctionDef)):
        if f.name == '__init__': res += _function(f, notes, where, doc + ' ')
        elif not f.name.startswith('_') and f.end_lineno - f.body[0].lineno >= 3: res += _function(f, notes, f'{where}.{f.name}', ' ')
    return res

def library_is_quiet(p):
    "No print, no import *, no builtin hidden, nothing run at import, nothing that the docs or the notebooks alone have."
    res = []
    for n in p.notebooks:
        for c in n.code_cells:
            for o in ast.walk(c.tree):
                if isinstance(o, ast.ImportFrom) and any(a.name == '*' for a in o.names): res.append(f'{n.name}: from {o.module} import *')
                if isinstance(o, ast.ImportFrom) and o.module == 'vim_nb' and any(a.name == 'eval' and not a.asname for a in o.names):
                    res.append(f'{n.name}: from vim_nb import eval hides the builtin: import the functions')
                if not c.exported: continue
                if isinstance(o, ast.Call) and _name(o) == 'print' and n.module not in PRINTS: res.append(f'{n.name}: print in exported code ({", ".join(c.definitions)})')
                if isinstance(o, (ast.Import, ast.ImportFrom)):
                    roots = {a.name.split('.')[0] for a in o.names} if isinstance(o, ast.Import) else {(o.module or '').split('.')[0]}
                    res += [f'{n.name}: exported code imports {r}, a development tool' for r in roots & {'nbdev', 'execnb', 'pytest', 'torchvision'}]
            if c.exported: res += [f'{n.name}: runs at import: {ast.unparse(o)[:60]}' for o in c.tree.body
                                   if isinstance(o, ast.Expr) and not isinstance(o.value, ast.Constant)]
    return res

def imports_are_required(p):
    "What a module imports at its top is in the standard library or among the requirements."
    named = {re.split(r'[<>=!~\[;]', o)[0].lower() for o in p.settings['requirements'].split()}
    known = {{'pillow': 'PIL'}.get(o, o) for o in named} | set(sys.stdlib_module_names) | {'vim_nb'}
    res = []
    for m in p.modules:
        for o in ast.parse(m.read_text(encoding='utf-8')).body:
            roots = [a.name for a in o.names] if isinstance(o, ast.Import) else [o.module] if isinstance(o, ast.ImportFrom) and not o.level else []
            res += [f'{m.relative_to(p.root)} imports {r}, which settings.ini does not require' for r in roots if r.split('.')[0] not in known]
    return res

def nothing_is_unpickled(p):
    """No pickle in notebooks, tools or tests, but for two ways of reading weights that others publish: an unpickler of our own that decides by
    name (`find_class`), and torch.load with weights_only=True. A test may write what these must be able to read."""
    trees = [(n.name, c.tree) for n in p.notebooks for c in n.code_cells] + [(k, ast.parse(v)) for k, v in p.texts.items() if k.endswith('.py')]
    res = []
    for where, tree in trees:
        fine = set(map(id, _guarded(tree)))
        for o in ast.walk(tree):
            if isinstance(o, ast.Import): names = [a.name.split('.')[0] for a in o.names if a.name != 'pickle' or a.asname]
            elif isinstance(o, ast.ImportFrom): names = [(o.module or '').split('.')[0]] + [f'{o.module}.{a.name}' for a in o.names]
            elif isinstance(o, ast.Attribute) and isinstance(o.value, ast.Name) and id(o) not in fine:
                names = [o.value.id if o.value.id == 'pickle' and o.attr != 'UnpicklingError' else f'{o.value.id}.{o.attr}']
            elif isinstance(o, ast.keyword) and o.arg == 'allow_pickle': names = ['allow_pickle']
            else: continue
            res += [f'{where} uses {x}: safetensors and JSON only' for x in names if not (x == 'torch.save' and where.startswith('tests/'))
                    if x in ('pickle', 'cPickle', 'dill', 'joblib', 'shelve', 'cloudpickle', 'torch.load', 'torch.save', 'allow_pickle')]
    return sorted(set(res))

def _guarded(tree):
    "The bases of classes that decide what may be unpickled, and torch.load where it is told to read weights only."
    for o in ast.walk(tree):
        if isinstance(o, ast.ClassDef) and any(isinstance(f, ast.FunctionDef) and f.name == 'find_class' for f in o.body): yield from o.bases
        if isinstance(o, ast.Call) and any(k.arg == 'weights_only' and getattr(k.value, 'value', None) is True for k in o.keywords): yield o.func

def library_passes_pyflakes(p):
    "pyflakes is silent on the exported library and the tools."
    from pyflakes.api import check
    from pyflakes.reporter import Reporter
    out = io.StringIO()
    for f in [*p.modules, *sorted((p.root/'tools').glob('*.py')), *sorted((p.root/'tests').glob('*.py')), *sorted((p.root/'bench').glob('*.py'))]:
        check(f.read_text(encoding='utf-8'), str(f.relative_to(p.root)), Reporter(out, out))
    return out.getvalue().splitlines()

# ---- rules about what is stored ----

# written so that this file does not trip over itself
MACHINE = re.compile('|'.join([r'/[w]ork/', r'(?<![\w.])/[r]oot/', r'/[h]ome/[a-z]', r'/[f]arm/', r'/opt/[w]heels', r'\.[l]ibrary\b', r'(?<![\w./])[s]hared/(?!memory)',
    r'[p]ypi\.org', r'[p]ythonhosted', r'npmjs\.[o]rg', r'[d]ownload\.pytorch', r'[d]eb\.debian', r'/tmp/[i]pykernel', r'/[U]sers/[a-z]']))

def no_machine_names(p):
    "No path of a machine and no address of a package registry in any file."
    res = []
    for k, v in p.texts.items():
        if k == 'LICENSE' or k.endswith('.txt') and k.startswith('vim_nb/splits'): continue
        for i, line in enumerate(v.splitlines(), 1):
            if len(line) > 20_000: continue     # an embedded picture
            if m := MACHINE.search(line): res.append(f'{k}:{i}: {m[0]}')
    return res

def notebooks_are_light(p):
    "No notebook over 300 KB, no stored error, warning, progress bar or widget state; metadata is the kernel's name and nothing else."
    res = []
    for n in p.notebooks:
        if (b := n.path.stat().st_size) > MAX_BYTES: res.append(f'{n.name}: {b//1000} KB (at most {MAX_BYTES//1000})')
        meta = n.raw.get('metadata', {})
        if meta.get('kernelspec', {}).get('name') != 'python3': res.append(f'{n.name}: names no kernel (JupyterLab asks, Quarto stops): run make clean-notebooks')
        res += [f'{n.name}: stores {k} metadata: run make clean-notebooks' for k in meta if k != 'kernelspec']
        for c in n.code_cells:
            for o in c.outputs:
                text = json.dumps(o)
                what = ('an error' if o['output_type'] == 'error' or 'Traceback (most recent call last)' in text else
                        'what a cell wrote to stderr' if o.get('name') == 'stderr' else
                        'a widget without its state' if 'jupyter.widget-view' in text else
                        'a progress bar' if re.search(r'\d+(it/s|s/it)', text) else None)
                if what: res.append(f'{n.name}: an output holds {what}: {c.code.strip().splitlines()[0][:60]!r}')
    return res

def site_is_wired(p):
    "The Quarto file is linked, its last line names the two generated ones, and the sidebar lists every notebook once."
    res, link = [], p.root/'nbs'/'_quarto.yml'
    if not link.is_symlink() or os.readlink(link) != '../_quarto.yml' or not link.exists(): res.append('nbs/_quarto.yml must be a link to ../_quarto.yml')
    elif link.read_text().rstrip().splitlines()[-1] != 'metadata-files: [nbdev.yml, sidebar.yml]': res.append('_quarto.yml must end in its metadata-files line')
    for f in ('nbdev.yml', 'sidebar.yml', 'styles.css'):
        if not (p.root/'nbs'/f).exists(): return res + [f'nbs/{f} is missing']
    listed = re.findall(r'[\w./-]+\.ipynb', (p.root/'nbs'/'sidebar.yml').read_text())
    names = [f'{n.name}.ipynb' for n in p.notebooks]
    return (res + [f'nbs/sidebar.yml does not list {o}' for o in names if o not in listed] + [f'nbs/sidebar.yml lists {o}, which is not there' for o in listed if o not in names] +
            [f'nbs/sidebar.yml lists {o} twice' for o in sorted({o for o in listed if listed.count(o) > 1})])

def links_lead_somewhere(p):
    "A relative link in a notebook leads to a file, as seen from the notebook."
    res = []
    for n in p.notebooks:
        for c in n.cells:
            for link in re.findall(r'\]\((?![a-z]+:|#)([^)#\s]+)', c.source) if c.kind == 'markdown' else []:
                if not (n.path.parent/link).exists(): res.append(f'{n.name}: links to {link}, which is not there')
    return res

def versions_agree(p):
    "settings.ini, the package, the citation and the newest heading of the changelog name one version."
    want = p.settings['version']
    found = {'vim_nb/__init__.py': r'__version__ = "([^"]+)"', 'CITATION.cff': r'^version: "?([^"\s]+)', 'CHANGELOG.md': r'^## \[(\d[^\]]*)\]'}
    res = []
    for f, pattern in found.items():
        m = re.search(pattern, p.texts.get(f, ''), re.M)
        if not m or m[1] != want: res.append(f'{f} says {m[1] if m else "nothing"}, settings.ini {want}')
    return res

def scripts_are_copied(p):
    "A widget's JavaScript lives beside its notebook; the package carries the same text."
    res = []
    for f in [*p.root.glob('nbs/widgets/*.js'), *p.root.glob('nbs/widgets/*.css')]:
        twin = p.package/'widgets'/f.name
        if not twin.exists() or twin.read_bytes() != f.read_bytes(): res.append(f'vim_nb/widgets/{f.name} is not nbs/widgets/{f.name}: run make export')
    return res + [f'vim_nb/widgets/{f.name} has no source beside a notebook' for f in p.package.glob('widgets/*.js') if not (p.root/'nbs'/'widgets'/f.name).exists()]

RULES = [modules_have_notebooks, imports_one_way, cells_are_small, definitions_are_used, pages_are_whole, arguments_are_documented, library_is_quiet,
    imports_are_required, nothing_is_unpickled, library_passes_pyflakes, no_machine_names, notebooks_are_light, site_is_wired, links_lead_somewhere, versions_agree, scripts_are_copied]

# ---- the table ----

def table(p):
    "Exported cells and lines per module: what the house promises to keep small."
    rows = [(n.name, len(n.sizes), f'{statistics.median(n.sizes):g}' if n.sizes else '-', max(n.sizes, default=0), sum(c.lines for c in n.exported), f'{n.path.stat().st_size/1000:.0f}')
            for n in p.notebooks if n.module]
    every = [s for n in p.notebooks for s in n.sizes]
    if every: rows.append(('all', len(every), f'{statistics.median(every):g}', max(every), sum(r[4] for r in rows), ''))
    head = ('notebook', 'exported cells', 'median lines', 'largest', 'lines in module', 'KB')
    wide = [max(len(str(r[i])) for r in [head, *rows]) for i in range(len(head))]
    line = lambda r: '  '.join(str(v).ljust(w) if i == 0 else str(v).rjust(w) for i, (v, w) in enumerate(zip(r, wide)))
    return '\n'.join([line(head), '  '.join('-'*w for w in wide), *map(line, rows)])

def main():
    p = Project(Path(__file__).resolve().parent.parent)
    print(table(p))
    bad = {r.__name__: r(p) for r in RULES}
    for name, complaints in bad.items():
        print(f"\n{name}: {'ok' if not complaints else len(complaints)}")
        for c in complaints: print('  ', c)
    return sum(map(len, bad.values()))

if __name__ == '__main__': sys.exit(bool(main()))
