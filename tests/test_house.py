"The rules of the house (tools/house.py) hold here, and each of them can fail."
import json, re, shutil, subprocess, sys
from pathlib import Path
import pytest
import house, readme
from conftest import ROOT

PROJECT = house.Project(ROOT)

@pytest.mark.parametrize('rule', house.RULES, ids=lambda r: r.__name__)
def test_rule(rule):
    bad = rule(PROJECT)
    assert not bad, f'{len(bad)} against "{rule.__doc__ or rule.__name__}"\n' + '\n'.join(bad)

# ---- what only running can tell ----

def sources(tmp_path, *names):
    "A copy of what nbdev needs, without the library."
    for f in ('settings.ini', 'pyproject.toml'): shutil.copy(ROOT/f, tmp_path/f)
    shutil.copytree(ROOT/'nbs', tmp_path/'nbs', symlinks=True, ignore=shutil.ignore_patterns('.ipynb_checkpoints', 'runs'))
    return tmp_path

def nbdev(command, folder, env):
    r = subprocess.run([str(Path(sys.executable).parent/command)], cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stdout + r.stderr

def library(root): return {p.relative_to(root).as_posix(): p.read_text(encoding='utf-8') for p in (root/'vim_nb').rglob('*.py')}

def out_of_step(tmp_path, env):
    "Files of the library that a fresh export would write otherwise."
    nbdev('nbdev_export', sources(tmp_path), env)
    fresh, have = library(tmp_path), library(ROOT)
    assert len(fresh) > 10, f'the export wrote {sorted(fresh)}: was IN_TEST set?'
    return sorted(k for k in fresh.keys() | have.keys() if fresh.get(k) != have.get(k))

def test_export_is_in_step(tmp_path, clean_env): assert not out_of_step(tmp_path, clean_env), 'run make export'

def test_export_check_sees_a_stale_module(tmp_path, clean_env):
    "Run with IN_TEST the export does nothing and says nothing: the check must not pass on that."
    with pytest.raises(AssertionError, match='was IN_TEST set'): out_of_step(tmp_path, dict(clean_env, IN_TEST='1'))

def test_notebooks_are_clean(tmp_path, clean_env):
    folder = sources(tmp_path)
    nbdev('nbdev_clean', folder, clean_env)
    dirty = [n.name for n in PROJECT.notebooks if n.path.read_bytes() != (folder/'nbs'/f'{n.name}.ipynb').read_bytes()]
    assert not dirty, f'run make clean-notebooks: {dirty}'

def test_readme_is_in_step(): assert not (bad := readme.differences()), '\n'.join(bad)

def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r'\]\((?![a-z]+:|#)([^)#]+)', (ROOT/'README.md').read_text(encoding='utf-8'))
    assert len(links) > 5
    assert not (dead := [o for o in links if not (ROOT/o).exists()]), f'README.md links to {dead}'

HEAVY = ['datasets', 'accelerate', 'matplotlib', 'torch._dynamo', 'pandas', 'pyarrow', 'sklearn', 'scipy', 'IPython', 'ipywidgets', 'nbdev', 'huggingface_hub']

def imported(statement, env):
    code = f'{statement}; import sys; print(*[m for m in {HEAVY!r} if m in sys.modules])'
    r = subprocess.run([sys.executable, '-c', code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stderr
    return r.stdout.split()

def test_sampling_imports_little(clean_env): assert imported('import vim_nb.sample', clean_env) == []

def test_imports_are_seen(clean_env): assert 'matplotlib' in imported('import torch, matplotlib', clean_env)

def test_ci_runs_the_command_of_the_readme():
    assert re.search(r'^exec make test$', (ROOT/'.ci'/'run').read_text(), re.M) and 'make test' in (ROOT/'README.md').read_text()

# ---- each rule on a small project that breaks it ----

KERNEL = {'kernelspec': {'name': 'python3', 'display_name': 'python3', 'language': 'python'}}
TITLE = '# Toy\n\n> A toy'
EXPORT = '#| hide\nimport nbdev; nbdev.nbdev_export()'
ADD = '#| export\ndef add(\n    a:int, # one number\n    b:int, # another\n)->int:    # their sum\n    "Sum of two numbers."\n    return a+b'

def nb(*cells, module='toy', outputs=(), metadata=None):
    "A notebook as text: strings that begin with a heading are markdown, the others code; `outputs` belong to the last cell but one."
    cells = [f'#| default_exp {module}', TITLE, *cells, EXPORT]
    cell = lambda s, o: {'cell_type': 'markdown', 'metadata': {}, 'source': s} if re.match('#+ ', s) else {
        'cell_type': 'code', 'metadata': {}, 'source': s, 'execution_count': None, 'outputs': list(o)}
    return json.dumps({'cells': [cell(s, outputs if i == len(cells)-2 else ()) for i, s in enumerate(cells)], 'metadata': KERNEL if metadata is None else metadata, 'nbformat': 4, 'nbformat_minor': 5})

def toy(root, files):
    "A small project in which all is well, but for `files`."
    good = {'nbs/00_toy.ipynb': nb(ADD, 'assert add(1, 2) == 3'), 'vim_nb/toy.py': 'import torch\n\ndef add(a, b): return torch.add(a, b)\n', 'vim_nb/__init__.py': '__version__ = "0.1.0"\n',
            'settings.ini': '[DEFAULT]\nversion = 0.1.0\nrequirements = torch>=2.4 pillow>=10\n', 'CITATION.cff': 'version: 0.1.0\n', 'CHANGELOG.md': '## [0.1.0] - today\n',
            'nbs/sidebar.yml': '- 00_toy.ipynb\n', 'nbs/nbdev.yml': '', 'nbs/styles.css': '', '_quarto.yml': 'project:\n\nmetadata-files: [nbdev.yml, sidebar.yml]\n'}
    for k, v in {**good, **files}.items():
        if v is None: continue
        (root/k).parent.mkdir(parents=True, exist_ok=True); (root/k).write_text(v, encoding='utf-8')
    if '_quarto.yml' in {**good, **files} and not (root/'nbs'/'_quarto.yml').exists(): (root/'nbs'/'_quarto.yml').symlink_to('../_quarto.yml')
    return house.Project(root)

def test_a_good_house_passes(tmp_path):
    p = toy(tmp_path, {})
    assert {r.__name__: r(p) for r in house.RULES} == {r.__name__: [] for r in house.RULES}
    assert '00_toy' in house.table(p)

USE = 'assert add(1, 2) == 3'
out = lambda text, **k: {'output_type': 'stream', 'name': 'stdout', 'text': text, **k}
BROKEN = [
    ('modules_have_notebooks', {'vim_nb/stale.py': ''}, 'stale.py has no notebook'),
    ('modules_have_notebooks', {'nbs/00_toy.ipynb': nb(ADD, USE, module='other')}, 'exports to other, which is not there'),
    ('imports_one_way', {'nbs/01_b.ipynb': nb(module='b'), 'nbs/00_toy.ipynb': nb('from vim_nb.b import x')}, 'stands behind it'),
    ('imports_one_way', {'nbs/00a_b.ipynb': nb(module='b'), 'nbs/00_toy.ipynb': nb('def f():\n    import vim_nb.b')}, '00a_b stands behind it'),
    ('imports_one_way', {'nbs/widgets/01_b.ipynb': nb(module='b'), 'nbs/18_cli.ipynb': nb('from vim_nb import b', module='cli')}, 'widgets/01_b stands behind'),
    ('imports_one_way', {'nbs/00_toy.ipynb': nb('from vim_nb.gone import x')}, 'which no notebook exports'),
    ('cells_are_small', {'nbs/00_toy.ipynb': nb('#| export\ndef f():\n' + '    x = 1\n'*40, 'f()')}, '41 lines in the cell of f'),
    ('cells_are_small', {'nbs/00_toy.ipynb': nb('#| export\ndef f():\n' + '    x = 1\n'*11, 'f()')}, 'whole house: the median exported cell has 12'),
    ('cells_are_small', {'nbs/00_toy.ipynb': nb(*['#| export\ndef f():\n' + '    x = 1\n'*15, 'f()']*5)}, '00_toy: the median exported cell has 16'),
    ('cells_are_small', {'nbs/00_toy.ipynb': nb(*['#| export\ndef f():\n' + '    x = 1\n'*9, 'f()']*26)}, '260 exported lines'),
    ('definitions_are_used', {'nbs/00_toy.ipynb': nb(ADD)}, 'add: no cell follows'),
    ('definitions_are_used', {'nbs/00_toy.ipynb': nb(ADD, 'assert True', USE)}, 'add: the next code cell does not use it'),
    ('definitions_are_used', {'nbs/00_toy.ipynb': nb(ADD, *['#| export\ndef f(): pass']*2, 'f(); add')}, 'add: the next code cell is exported too'),
    ('definitions_are_used', {'nbs/00_toy.ipynb': nb(ADD, '#| export\ndef f(): pass', 'f()')}, 'add: the next code cell does not use it'),
    ('pages_are_whole', {'nbs/00_toy.ipynb': nb(ADD, USE).replace('> A toy', '> A toy\\n\\nand more')}, 'title and a one-line blockquote'),
    ('pages_are_whole', {'nbs/00_toy.ipynb': nb(ADD, USE).replace('nbdev_export', 'export')}, 'last cell must be nbdev.nbdev_export'),
    ('pages_are_whole', {'nbs/00_toy.ipynb': nb(ADD, '#| eval: false\n'+USE)}, 'hides a test'),
    ('pages_are_whole', {'nbs/00_toy.ipynb': nb(ADD, 'import os\n'+USE+'\nos.getcwd()')}, 'imports need a cell of their own'),
    ('arguments_are_documented', {'nbs/00_toy.ipynb': nb(ADD.replace('# another', ''), USE)}, 'add: b is not documented'),
    ('arguments_are_documented', {'nbs/00_toy.ipynb': nb('#| export\ndef f(): return 1', 'f()')}, 'f has no docstring'),
    ('arguments_are_documented', {'nbs/00_toy.ipynb': nb('#| export\nclass A:\n    "An A."\n    def __init__(self, x): pass', 'A(1)')}, 'A: x is not documented'),
    ('arguments_are_documented', {'nbs/00_toy.ipynb': nb('#| export\n@dataclass\nclass A:\n    "An A."\n    x:int = 1', 'A(1)')}, 'A.x is not documented'),
    ('library_is_quiet', {'nbs/00_toy.ipynb': nb(ADD, 'from os import *')}, r'from os import \*'),
    ('library_is_quiet', {'nbs/00_toy.ipynb': nb(ADD, 'from vim_nb import eval')}, 'hides the builtin'),
    ('library_is_quiet', {'nbs/00_toy.ipynb': nb('#| export\ndef f(): print(1)', 'f()')}, 'print in exported code'),
    ('library_is_quiet', {'nbs/00_toy.ipynb': nb('#| export\nimport torch\ntorch.manual_seed(0)')}, 'runs at import: torch.manual_seed'),
    ('library_is_quiet', {'nbs/00_toy.ipynb': nb('#| export\nfrom nbdev.showdoc import show_doc')}, 'a development tool'),
    ('imports_are_required', {'vim_nb/toy.py': 'import scipy\n'}, 'imports scipy, which settings.ini does not require'),
    ('nothing_is_unpickled', {'nbs/00_toy.ipynb': nb('import torch', 'torch.load("a")')}, 'uses torch.load'),
    ('nothing_is_unpickled', {'nbs/00_toy.ipynb': nb('import torch', 'torch.load("a", weights_only=False)')}, 'uses torch.load'),
    ('nothing_is_unpickled', {'nbs/00_toy.ipynb': nb('import torch', 'torch.save(1, "a")')}, 'uses torch.save'),
    ('nothing_is_unpickled', {'tools/a.py': 'from pickle import loads\n'}, 'tools/a.py uses pickle'),
    ('nothing_is_unpickled', {'tools/a.py': 'import pickle\npickle.loads(b"")\n'}, 'tools/a.py uses pickle'),
    ('nothing_is_unpickled', {'tools/a.py': 'import pickle as p\np.loads(b"")\n'}, 'tools/a.py uses pickle'),
    ('nothing_is_unpickled', {'tools/a.py': 'import pickle\nclass A(pickle.Unpickler): pass\n'}, 'tools/a.py uses pickle'),
    ('nothing_is_unpickled', {'tools/a.py': 'import numpy as np\nnp.load("a", allow_pickle=True)\n'}, 'allow_pickle'),
    ('library_passes_pyflakes', {'vim_nb/toy.py': 'def f(): return gone\n'}, "undefined name 'gone'"),
    ('library_passes_pyflakes', {'vim_nb/toy.py': 'import os\n'}, "'os' imported but unused"),
    ('no_machine_names', {'README.md': 'see /ro' + 'ot/x'}, 'README.md:1: /ro'),
    ('no_machine_names', {'Makefile': 'pip -i py' + 'pi.org'}, 'Makefile:1'),
    ('notebooks_are_light', {'nbs/00_toy.ipynb': nb(ADD, '# '*160_000)}, '320 KB'),
    ('notebooks_are_light', {'nbs/00_toy.ipynb': nb(ADD, USE, outputs=[{'output_type': 'error', 'ename': 'E', 'evalue': '', 'traceback': []}])}, 'holds an error'),
    ('notebooks_are_light', {'nbs/00_toy.ipynb': nb(ADD, USE, outputs=[out('Traceback (most recent call last)')])}, 'holds an error'),
    ('notebooks_are_light', {'nbs/00_toy.ipynb': nb(ADD, USE, outputs=[out('w', name='stderr')])}, 'wrote to stderr'),
    ('notebooks_are_light', {'nbs/00_toy.ipynb': nb(ADD, USE, outputs=[out('3/3 [00:01, 2.1it/s]')])}, 'progress bar'),
    ('notebooks_are_light', {'nbs/00_toy.ipynb': nb(ADD, USE, metadata={**KERNEL, 'widgets': {}})}, 'stores widgets metadata'),
    ('notebooks_are_light', {'nbs/00_toy.ipynb': nb(ADD, USE, metadata={})}, 'names no kernel'),
    ('site_is_wired', {'nbs/_quarto.yml': 'a copy'}, 'must be a link'),
    ('site_is_wired', {'_quarto.yml': 'project:\n'}, 'must end in its metadata-files line'),
    ('site_is_wired', {'nbs/sidebar.yml': '- 01_gone.ipynb\n'}, 'does not list 00_toy.ipynb'),
    ('site_is_wired', {'nbs/sidebar.yml': '- 00_toy.ipynb\n- 01_gone.ipynb\n'}, 'lists 01_gone.ipynb, which is not there'),
    ('links_lead_somewhere', {'nbs/00_toy.ipynb': nb(ADD, USE, '## See\n\n[that](01_gone.ipynb) and [this](00_toy.ipynb)')}, '00_toy: links to 01_gone.ipynb, which is not there'),
    ('versions_agree', {'CITATION.cff': 'version: 0.0.9\n'}, 'CITATION.cff says 0.0.9, settings.ini 0.1.0'),
    ('scripts_are_copied', {'nbs/widgets/a.js': 'new', 'vim_nb/widgets/a.js': 'old'}, 'run make export'),
]

@pytest.mark.parametrize('rule,files,message', BROKEN, ids=[f'{r}-{i}' for i, (r, _, _) in enumerate(BROKEN)])
def test_rule_can_fail(rule, files, message, tmp_path):
    bad = getattr(house, rule)(toy(tmp_path, files))
    assert re.search(message, '\n'.join(bad)), bad or f'{rule} found nothing'

def test_every_rule_has_a_failure(): assert {r.__name__ for r in house.RULES} == {r for r, _, _ in BROKEN}
