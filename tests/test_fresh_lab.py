"""What a new user does: clone, `make lab`, open the painting notebook, run all of it, paint. Run with `-s` it says what each step took.

    python -m pytest -m long -s tests/test_fresh_lab.py

A copy of this checkout's changes lies over the clone, so that it can be tried before they are committed."""
import shutil, subprocess, time
import pytest
from browser import ROOT, Lab, opened_at


def git(*command): return subprocess.run(['git', *command], cwd=ROOT, check=True, capture_output=True, text=True).stdout

def clone(folder):
    git('clone', '-q', str(ROOT), str(folder))
    for name in git('ls-files', '-z', '--modified', '--others', '--exclude-standard').split('\0'):
        if name and (ROOT/name).is_file():
            (folder/name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT/name, folder/name, follow_symlinks=False)
        elif name and not (ROOT/name).is_symlink(): (folder/name).unlink(missing_ok=True)
    return folder

def paint(browser, lab, path, shots, done):
    "Open the notebook, run it, paint."
    with opened_at(browser, lab.url(path), shots) as page:
        done(f'{path} is open and has its kernel')
        page.run_all()
        done('Run All Cells')
        grid = tuple(map(int, page.evaluate('print(*painter.picker.grid)').split()))
        page.evaluate('before = painter.codes.clone(); painter.brush.value = int(painter.codes[0,0])')
        with page.new_picture(): page.drag_patches((2,2), (5,5), grid)
        page.until(lambda: page.evaluate('print((painter.codes != before).any().item())') == 'True', 'codes to change')
        done('a line painted, the picture decoded again')
        page.screenshot('painted')

@pytest.mark.long
def test_from_the_clone_to_a_painted_picture(browser, tmp_path, capsys):
    began, steps = time.monotonic(), []
    def done(what): steps.append((time.monotonic()-began, what))
    folder = clone(tmp_path/'vim_nb')
    done('git clone')
    lab = Lab(clone=folder, limit=1800)
    try:
        done('make lab: everything installed, the server answers')
        paint(browser, lab, 'widgets/21a_paint.ipynb', tmp_path, done)
    finally: lab.stop()
    with capsys.disabled(): print('', *(f'{seconds:7.1f} s  {what}' for seconds, what in steps), sep='\n')
