"The notebooks go through nbdev's processing for the site, as far as that is possible without Quarto."
import json, os, re, shutil, subprocess, sys
from pathlib import Path
from conftest import ROOT
from house import Project

def test_site_pages(tmp_path, clean_env):
    site = tmp_path/'site'              # nbdev finds nothing below a folder whose name begins with a dot
    site.mkdir()
    for d in ('nbs', 'vim_nb'): shutil.copytree(ROOT/d, site/d, symlinks=True, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints'))
    for f in ('settings.ini', 'pyproject.toml', '_quarto.yml', 'README.md'): shutil.copy(ROOT/f, site/f)
    sidebar = (ROOT/'nbs'/'sidebar.yml').read_text()
    stub = tmp_path/'bin'/'quarto'      # without one nbdev tries to install Quarto
    stub.parent.mkdir(); stub.write_text('#!/bin/sh\nexit 127\n'); stub.chmod(0o755)
    env = dict(clean_env, PATH=os.pathsep.join([str(stub.parent), str(Path(sys.executable).parent), clean_env['PATH']]), PYTHONPATH=str(site))
    r = subprocess.run(['nbdev_proc_nbs', '--file_re', r'\.(?:ipynb|qmd|html)$', '--n_workers', '0'], cwd=site, env=env, capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, r.stdout + r.stderr
    assert 'imports and other code' not in r.stderr, r.stderr
    assert (site/'nbs'/'sidebar.yml').read_text() == sidebar, 'the build rewrote the sidebar'
    p = Project(ROOT)
    pages = {o.relative_to(site/'_proc').with_suffix('').as_posix(): o for o in (site/'_proc').rglob('*.ipynb')}
    assert set(pages) == {n.name for n in p.notebooks}
    for n in p.notebooks:
        cells = json.loads(pages[n.name].read_text())['cells']
        head = ''.join(cells[0]['source'])
        title = next(''.join(c.source) for c in n.cells if c.kind == 'markdown').splitlines()[0].lstrip('# ')
        assert cells[0]['cell_type'] == 'raw' and title in head, f'{n.name}: the title did not become front matter: {head[:200]}'
        text = '\n'.join(''.join(c['source']) for c in cells)
        shown = [d for c in n.exported for d in c.definitions if not d.startswith('_') and re.search(rf'^(def|class) {d}\b', c.source, re.M)]
        for name in shown[:3]:   # constants have no box of their own
            assert name in text, f'{n.name}: {name} is not on its page'

def test_the_generated_yaml_is_committed():
    "nbdev writes nbdev.yml from settings.ini: what is committed says the same."
    s, text = Project(ROOT).settings, (ROOT/'nbs'/'nbdev.yml').read_text()
    for part in (f"output-dir: {s['doc_path']}", f'title: "{s["title"]}"', f'description: "{s["description"]}"', f'repo-url: "{s["git_url"]}"',
                 f'site-url: "{s["doc_host"]}{s["doc_baseurl"]}"'): assert part in text, part
