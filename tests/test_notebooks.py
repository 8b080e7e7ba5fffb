"Every notebook runs, one case each. VIM_NB_FLAGS=\"slow cuda\" runs the cells that are skipped otherwise."
import os
import pytest
from conftest import ROOT
from house import Project

project = Project(ROOT)
SKIP = project.settings['tst_flags'].split()
FORCE = os.environ.get('VIM_NB_FLAGS', '').split()
# the long ones first, so that no worker is left alone with one at the end
order = sorted(project.notebooks, key=lambda n: (n.module is not None and not n.name.startswith(('07', '08', '11')), n.key))

@pytest.mark.parametrize('notebook', order, ids=lambda n: n.name)
def test_notebook(notebook, monkeypatch):
    from nbdev.test import test_nb as run_notebook
    monkeypatch.setenv('IN_TEST', '1')                  # nbdev sets it and leaves it: here it is taken back
    monkeypatch.delenv('MPLBACKEND', raising=False)
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    ok, _ = run_notebook(notebook.path.absolute(), skip_flags=SKIP, force_flags=FORCE)
    assert ok, f'{notebook.name} failed: its traceback is in the captured stderr'

def test_there_are_notebooks(): assert len(order) > 10
