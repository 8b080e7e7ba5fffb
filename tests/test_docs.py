"The notebooks go through nbdev's processing for the site, as far as that is possible without Quarto; what the pages link to is there; pictures have words."
import ast, json, os, re, shutil, subprocess, sys, unicodedata
from pathlib import Path
import nbformat, pytest
import docs_fresh, llms, notebooks
from conftest import ROOT
from house import Project

PROJECT = Project(ROOT)
PAGES = 'how_it_fits', 'coming_from', 'gallery'

@pytest.fixture(scope='module')
def site(tmp_path_factory):
    "Folder of the processed notebooks."
    tmp_path = tmp_path_factory.mktemp('docs')
    site = tmp_path/'site'              # nbdev finds nothing below a folder whose name begins with a dot
    site.mkdir()
    for d in ('nbs', 'vim_nb'): shutil.copytree(ROOT/d, site/d, symlinks=True, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints'))
    for f in ('settings.ini', 'pyproject.toml', '_quarto.yml', 'README.md'): shutil.copy(ROOT/f, site/f)
    sidebar = (ROOT/'nbs'/'sidebar.yml').read_text()
    stub = tmp_path/'bin'/'quarto'      # without one nbdev tries to install Quarto
    stub.parent.mkdir(); stub.write_text('#!/bin/sh\nexit 127\n'); stub.chmod(0o755)
    clean = {k: v for k, v in os.environ.items() if k not in ('IN_TEST', 'PYTEST_CURRENT_TEST', 'MPLBACKEND')}
    env = dict(clean, PATH=os.pathsep.join([str(stub.parent), str(Path(sys.executable).parent), clean['PATH']]), PYTHONPATH=str(site))
    r = subprocess.run(['nbdev_proc_nbs', '--file_re', r'\.(?:ipynb|qmd|html)$', '--n_workers', '0'], cwd=site, env=env, capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, r.stdout + r.stderr
    assert (site/'nbs'/'sidebar.yml').read_text() == sidebar, 'the build rewrote the sidebar'
    (site/'_proc'/'said').write_text(r.stderr)
    return site/'_proc'

def pages_of(site): return {o.relative_to(site).with_suffix('').as_posix(): json.loads(o.read_text()) for o in site.rglob('*.ipynb')}

def test_site_pages(site):
    said = (site/'said').read_text()
    assert 'imports and other code' not in said, said
    pages = pages_of(site)
    assert set(pages) == {n.name for n in PROJECT.notebooks}
    for n in PROJECT.notebooks:
        cells = pages[n.name]['cells']
        head = ''.join(cells[0]['source'])
        title = next(''.join(c.source) for c in n.cells if c.kind == 'markdown').splitlines()[0].lstrip('# ')
        assert cells[0]['cell_type'] == 'raw' and title in head, f'{n.name}: the title did not become front matter: {head[:200]}'
        text = '\n'.join(''.join(c['source']) for c in cells)
        shown = [d for c in n.exported for d in c.definitions if not d.startswith('_') and re.search(rf'^(def|class) {d}\b', c.source, re.M)]
        for name in shown[:3]:   # constants have no box of their own
            assert name in text, f'{n.name}: {name} is not on its page'

# ---- links, anchors, pictures, errors ----

def prose(nb):
    "All markdown of a page: its cells, and what its code cells display as markdown."
    for c in nb['cells']:
        if c['cell_type'] == 'markdown': yield ''.join(c['source'])
        for o in c.get('outputs', []):
            if 'text/markdown' in o.get('data', {}): yield ''.join(o['data']['text/markdown'])

def without_code(text): return re.sub(r'(`+)[^`]*?\1', '', re.sub(r'^(```|~~~).*?^\1', '', text, flags=re.M|re.S))

def links(text): return re.findall(r'(!?)\[[^\]]*\]\(([^)\s]+)[^)]*\)', without_code(text))

def slug(heading):
    "Quarto's anchor of a heading."
    if m := re.search(r'\{#([^}\s]+)[^}]*\}\s*$', heading): return m[1]
    text = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', heading).replace('`', '')
    text = ''.join(c for c in unicodedata.normalize('NFC', text.lower()) if c.isalnum() or c in ' _-.')
    return re.sub(r'^[^a-z]+', '', re.sub(r'\s', '-', text.strip()))

def anchors(nb):
    "What an address may name behind its #: headings, and names that are documented by `show_doc`."
    text = '\n'.join(prose(nb))
    return {slug(h) for h in re.findall(r'^#{1,6} +(.+?) *#*$', re.sub(r'^(```|~~~).*?^\1', '', text, flags=re.M|re.S), re.M)} | {m.lower() for m in re.findall(r'\bid="([^"]+)"', text)}

def dead_links(pages, site, host):
    "Sentences about links that lead nowhere."
    address = lambda k, nb: (Path(k).parent/re.search(r'^output-file: (\S+)', ''.join(nb['cells'][0]['source']), re.M)[1]).as_posix()
    res, home = [], {address(k, nb): k for k, nb in pages.items()}
    for name, nb in pages.items():
        for picture, link in (o for text in prose(nb) for o in links(text)):
            if picture and not link.startswith(('data:', 'attachment:')) and not (site/name).parent.joinpath(link).exists(): res.append(f'{name}: the picture {link} is not there'); continue
            target, _, anchor = link.removeprefix(host).partition('#')
            if link.startswith(host):
                page = home.get(target)
                if page is None: res.append(f'{name}: {link} is no page'); continue
            elif re.match(r'[a-z]+:', link): continue
            elif not target: page = name
            else:
                f = Path(os.path.normpath((site/name).parent/target))
                page = f.relative_to(site).with_suffix('').as_posix() if f.is_relative_to(site) and f.suffix in ('.ipynb', '.html') else None
                if page not in pages and not (ROOT/'nbs'/Path(name).parent/target).exists(): res.append(f'{name}: {link} is not there'); continue
            there = anchors(pages[page]) if anchor and page in pages else {anchor}
            if link.startswith(host): there |= {anchor} if anchor.rpartition('.')[0] in there else set()   # nbdev links to methods that have no box, or one under its bare name
            if anchor not in there: res.append(f'{name}: {link} names no heading of {page}')
    return res

def test_links_and_anchors_resolve(site):
    pages = pages_of(site)
    s = PROJECT.settings
    host = f"{s['doc_host']}{s['doc_baseurl']}/"
    every = [o for nb in pages.values() for text in prose(nb) for o in links(text)]
    assert len(every) > 100 and any(l.startswith(host) and '#' in l for _, l in every), 'links were not found: is the pattern right?'
    bad = dead_links(pages, site, host)
    assert not bad, '\n'.join(bad)

def toy(*cells): return {'cells': [{'cell_type': 'raw', 'source': 'output-file: toy.html'}, *({'cell_type': 'markdown', 'source': c} for c in cells)]}

@pytest.mark.parametrize('text, complaint', [('[a](gone.ipynb)', 'is not there'), ('[a](#nowhere)', 'names no heading'), ('![a](gone.png)', 'picture gone.png'),
                                             ('[a](https://host/gone.html)', 'is no page'), ('[a](https://host/toy.html#no)', 'names no heading'),
                                             ('[a](#two-words) `[a](gone.ipynb)` [b](https://host/toy.html#two-words) [c](https://elsewhere.org/x#y)', None)])
def test_dead_links_are_seen(tmp_path, text, complaint):
    bad = dead_links({'toy': toy('## Two words', text)}, tmp_path, 'https://host/')
    assert not bad if complaint is None else len(bad) == 1 and complaint in bad[0], bad

def test_no_page_shows_an_error(site):
    for name, nb in pages_of(site).items():
        for c in nb['cells']:
            for o in c.get('outputs', []): assert o['output_type'] != 'error' and 'Traceback' not in json.dumps(o), f'{name}: {"".join(c["source"])[:80]}'

def broken_cells(pages):
    "Code cells that are no Python on the page, though they are in the notebook: nbdev takes lines away that begin with %."
    res = []
    for name, nb in pages.items():
        for c in nb['cells']:
            if c['cell_type'] != 'code': continue
            try: compile(re.sub(r'^(\s*)!.*$', r'\1pass', ''.join(c['source']), flags=re.M), name, 'exec', flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            except SyntaxError as e: res.append(f'{name}: {e}: {"".join(c["source"])[:80]!r}')
    return res

def test_cells_are_python_on_the_page(site):
    assert not (bad := broken_cells(pages_of(site))), '\n'.join(bad)
    cell = lambda s: {'toy': {'cells': [{'cell_type': 'code', 'source': s}]}}
    assert broken_cells(cell('if True:\n')) and not broken_cells(cell('if True:\n    !pip install a'))

# ---- pictures have words ----

def without_words(n):
    "Code cells of a notebook that show a picture and have no fig-alt, and markdown pictures without a text; hidden cells are not shown."
    res = []
    for c in n.cells:
        if c.kind == 'markdown': res += [f'{n.name}: a picture without words: {m}' for m in re.findall(r'!\[\s*\]\([^)]*\)', without_code(c.source))]
        elif c.directives & {'hide'} or not any(k.startswith('image/') for o in c.outputs for k in o.get('data', {})): continue
        elif not re.search(r'^#\s*\|\s*fig-alt:\s*"[^"].+"\s*$', c.source, re.M): res.append(f'{n.name}: no #| fig-alt: "..." in the cell {c.code.strip().splitlines()[0][:60]!r}')
    return res

def test_pictures_have_words():
    bad = [o for n in PROJECT.notebooks for o in without_words(n)]
    assert not bad, f'{len(bad)} pictures that not everybody can see:\n' + '\n'.join(bad)

def test_missing_words_are_seen(tmp_path):
    picture = {'output_type': 'display_data', 'metadata': {}, 'data': {'image/png': 'x'}}
    def first(source):
        (tmp_path/'nbs').mkdir(exist_ok=True)
        nb = {'cells': [{'cell_type': 'code', 'source': source, 'outputs': [picture]}, {'cell_type': 'markdown', 'source': '![](a.png)'}]}
        (tmp_path/'nbs'/'00_a.ipynb').write_text(json.dumps(nb))
        return without_words(Project(tmp_path).notebooks[0])
    assert len(first('show()')) == 2 and len(first('#| fig-alt: ""\nshow()')) == 2
    assert len(first('#| fig-alt: "A disc."\nshow()')) == 1

# ---- every notebook shows something, and is light ----

def test_notebooks_show_something(): assert not (bad := notebooks.complaints(PROJECT)), '\n'.join(bad)

def test_heavy_and_empty_notebooks_are_seen(tmp_path):
    (tmp_path/'settings.ini').write_text('[DEFAULT]\ntst_flags = slow\n')
    (tmp_path/'nbs').mkdir()
    def said(*sources, outputs=(), text='# A'):
        cells = [{'cell_type': 'markdown', 'source': text}] + [{'cell_type': 'code', 'source': s, 'outputs': list(outputs)} for s in sources]
        (tmp_path/'nbs'/'00_a.ipynb').write_text(json.dumps({'cells': cells}))
        return notebooks.complaints(Project(tmp_path))
    assert said() == said('import os') == said('#| export\nx = 1') == said('#| hide\nshow()') == said('#| slow\nshow()') == ['00_a: neither a picture nor an example that is run']
    assert said(text='[![badge](a.svg)](b)') == said()
    assert not said('show()') and not said(text='![a disc](a.png)')
    assert not said('#| slow\nshow()', outputs=[{'data': {'image/png': 'x'}}])
    assert said('show()', text='a'*400_000) == ['00_a: 400 KB (at most 300)']

def test_tutorials_say_what_they_cost():
    "In the title or the lines below it."
    for n in (n for n in PROJECT.notebooks if n.name.startswith('tutorials/')):
        begin = ' '.join([c.source for c in n.cells if c.kind == 'markdown'][:2])
        assert re.search(r'\b(second|minute|hour)s?\b', begin), f'{n.name} does not say how long it takes'

# ---- the pages about the whole ----

def test_every_module_is_on_the_drawing():
    "Of the page how_it_fits, as it is stored."
    nb = next(n for n in PROJECT.notebooks if n.name == 'how_it_fits')
    stored = lambda kind: ''.join(''.join(o['data'][kind]) for c in nb.code_cells for o in c.outputs if kind in o.get('data', {}))
    drawn, table = stored('image/svg+xml'), stored('text/markdown')
    for n in PROJECT.notebooks:
        if not n.module: continue
        number = re.match(r'[0-9a-z]+', n.name.split('/')[-1])[0]
        assert f'>{number} {n.module.removeprefix("widgets.")}<' in drawn, f'{n.name} is not on the drawing of how_it_fits: run tools/docs_fresh.py nbs/how_it_fits.ipynb'
        assert f'({n.name}.ipynb)' in table, f'{n.name} is not in the table of how_it_fits: run tools/docs_fresh.py nbs/how_it_fits.ipynb'
    assert len(re.findall(r'<text [^>]*>\d', drawn)) == len(PROJECT.by_module), 'the drawing of how_it_fits shows a module that is gone'

@pytest.mark.parametrize('name', PAGES)
def test_pages_without_a_module_are_illustrated(name):
    n = next(n for n in PROJECT.notebooks if n.name == name)
    assert not n.module and any(k.startswith('image/') for c in n.code_cells for o in c.outputs for k in o.get('data', {}))

def test_llms_is_in_step(): assert not (bad := llms.differences()), '\n'.join(bad)

def test_llms_sees_a_changed_docment(tmp_path):
    for d in ('nbs', 'vim_nb'): shutil.copytree(ROOT/d, tmp_path/d, symlinks=True, ignore=shutil.ignore_patterns('bundles', 'splits', '__pycache__'))
    shutil.copy(ROOT/'settings.ini', tmp_path)
    (tmp_path/llms.PAGE).write_text(llms.page(tmp_path))
    assert not llms.differences(tmp_path)
    f = tmp_path/'vim_nb'/'sample.py'
    assert (text := f.read_text()) != (other := text.replace('# pictures\n', '# photographs\n'))
    f.write_text(other)
    assert llms.differences(tmp_path)

def test_fresh_docs(tmp_path):
    "What ran is renewed, a cell that the tests skip keeps its output, and a notebook that fails stays as it was."
    stale = lambda: [nbformat.v4.new_output('stream', text='stale\n')]
    cell = lambda source: nbformat.v4.new_code_cell(source, outputs=stale())
    nb = nbformat.v4.new_notebook(cells=[cell('print(1+1)'), cell('#| slow\nprint(1+1)'), nbformat.v4.new_code_cell('x = 1')])
    nbformat.write(nb, f := tmp_path/'00_a.ipynb')
    assert docs_fresh.refresh(f, ('slow',))
    assert [[o['text'] for o in c.outputs] for c in nbformat.read(f, 4).cells] == [['2\n'], ['stale\n'], []]
    assert not docs_fresh.refresh(f, ('slow',))
    nb.cells.append(nbformat.v4.new_code_cell('1/0')); nbformat.write(nb, f); before = f.read_bytes()
    with pytest.raises(docs_fresh.CellExecutionError): docs_fresh.refresh(f, ('slow',))
    assert f.read_bytes() == before

def test_the_generated_yaml_is_committed():
    "nbdev writes nbdev.yml from settings.ini: what is committed says the same."
    s, text = PROJECT.settings, (ROOT/'nbs'/'nbdev.yml').read_text()
    for part in (f"output-dir: {s['doc_path']}", f'title: "{s["title"]}"', f'description: "{s["description"]}"', f'repo-url: "{s["git_url"]}"',
                 f'site-url: "{s["doc_host"]}{s["doc_baseurl"]}"'): assert part in text, part
