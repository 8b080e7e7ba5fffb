"""The wheel, built from the source archive and installed in another environment: complete, and enough to draw without a network.
The requirements come from this environment over a .pth file, so that nothing is downloaded; vim_nb itself comes from the wheel."""
import fcntl, json, os, shutil, subprocess, sys, sysconfig, tarfile, zipfile
from contextlib import contextmanager
from pathlib import Path
import pytest
from conftest import ROOT
from house import Project

PROJECT = Project(ROOT)
SHUT = '''import socket
def shut(*args, **kwargs): raise OSError('no network in this test')
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = socket.getaddrinfo = socket.gethostbyname = shut
'''

def run(*args, timeout=300, **kwargs):
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=timeout, **kwargs)
    assert r.returncode == 0, f'{args}\n{r.stdout}\n{r.stderr}'
    return r.stdout

@pytest.fixture(scope='session')
def once(tmp_path_factory):
    "A folder that the workers of this run share, held by one of them at a time: what is made there is made once."
    base = tmp_path_factory.getbasetemp()
    root = base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base
    folder = root/'wheel'
    folder.mkdir(exist_ok=True)
    @contextmanager
    def hold(name):
        with open(folder/f'{name}.lock', 'w') as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            yield folder/name
    return hold

@pytest.fixture(scope='session')
def built(once):
    "The wheel and the source archive that it was made from, out of a copy of what is or could be committed."
    with once('dist') as dist:
        if not list(dist.glob('*.whl')):
            source = dist.parent/'source'
            for o in PROJECT.files:
                if not o.startswith(('nbs/', 'tests/', 'results/')):
                    (source/o).parent.mkdir(parents=True, exist_ok=True); shutil.copy(ROOT/o, source/o)
            run(sys.executable, '-m', 'build', '--no-isolation', '--outdir', dist, source, env={k: v for k, v in os.environ.items() if k != 'PYTHONPATH'})
        return next(dist.glob('*.whl')), next(dist.glob('*.tar.gz'))

@pytest.fixture(scope='session')
def other(built, once):
    "Python of another environment with the wheel in it."
    with once('env') as home:
        python, ready = home/'bin'/'python', home/'ready'
        if not ready.exists():
            run(sys.executable, '-m', 'venv', '--without-pip', home)
            run(sys.executable, '-m', 'pip', '--python', python, 'install', '-q', '--no-deps', '--no-index', '--disable-pip-version-check', built[0])
            site = Path(run(python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))').strip())
            (site/'requirements_of_the_other.pth').write_text(sysconfig.get_path('purelib') + '\n')       # after the wheel: pip must not see the editable one
            (site/'shut_network.py').write_text(SHUT)
            (site/'shut_network.pth').write_text('import shut_network\n')
            ready.touch()
    return python

@pytest.fixture
def elsewhere(tmp_path):
    "Environment variables with a home of their own: no cache helps."
    return {'PATH': os.environ['PATH'], 'HOME': str(tmp_path), 'OMP_NUM_THREADS': '1', 'HF_HUB_OFFLINE': '1', 'LANG': 'C.UTF-8'}

def test_the_wheel_is_complete(built):
    with zipfile.ZipFile(built[0]) as z: names, meta = set(z.namelist()), next(z.read(o).decode() for o in z.namelist() if o.endswith('METADATA'))
    wanted = {o for o in PROJECT.files if o.startswith('vim_nb/')}
    assert 'vim_nb/py.typed' in wanted and any(o.startswith('vim_nb/splits/') for o in wanted) and any(o.endswith('.safetensors') for o in wanted)
    assert not (lost := sorted(wanted - names)), f'the wheel lacks {lost}'
    assert not (extra := sorted(o for o in names - wanted if '.dist-info/' not in o)), f'the wheel carries {extra}'
    for f in ('LICENSE', 'NOTICE'): assert any(o.endswith(f'licenses/{f}') for o in names), f
    assert 'License: Apache-2.0' in meta or 'License-Expression: Apache-2.0' in meta
    assert not [o for o in meta.splitlines() if o.startswith('Requires-Dist: torch==')], 'floors in the wheel, never pins'
    assert 'Requires-Python: >=3.10' in meta and 'Provides-Extra: dev' in meta and '](nbs/' not in meta

def test_the_source_archive_builds(built):
    with tarfile.open(built[1]) as t: names = {o.partition('/')[2] for o in t.getnames()}
    assert {'settings.ini', 'setup.py', 'pyproject.toml', 'LICENSE', 'NOTICE', 'README.md', 'vim_nb/py.typed'} <= names

def test_the_wheel_is_light(built): assert built[0].stat().st_size < 12_000_000

def test_it_draws_without_a_network(other, elsewhere, tmp_path):
    r = json.loads(run(other, ROOT/'tests'/'outside.py', cwd=tmp_path, env=elsewhere).splitlines()[-1])
    assert Path(r['package']).is_relative_to(other.parent.parent), f'vim_nb came from {r["package"]}, not from the wheel'
    assert r['version'] == PROJECT.settings['version']
    assert {f'vim_nb.{m}' for m in PROJECT.by_module} <= set(r['modules'])
    print(f'import {r["import_seconds"]} s, 16 pictures {r["sampling_seconds"]} s')

@pytest.mark.parametrize('command', [o.split('=')[0] for o in PROJECT.settings['console_scripts'].split()])
def test_console_commands_explain_themselves(command, other, elsewhere, tmp_path):
    text = run(other.parent/command, '--help', cwd=tmp_path, env=elsewhere)
    assert 'usage:' in text and len(text) > 200
    options = [o for o in text.split('options:')[-1].splitlines() if o.strip().startswith('-')]
    assert len(options) > 2, text
