"""Does a browser test notice when the callback that it is about is gone? Each one is cut in a copy of the package, and the test must fail there; uncut, and alone, it must pass.

    python -m pytest -m long tests/test_browser_cuts.py"""
import os, re, shutil, subprocess, sys
import pytest
from conftest import ROOT

pytestmark = pytest.mark.long
CUTS = {                       # test -> (file, line that holds this, ...): the part of the line that calls back is cut
    'codebook': [
        ('test_click', 'explorer.js', "listen('change:selection', selected)"), ('test_click', 'explorer.js', "canvas.addEventListener('pointerdown'"),
        ('test_keys', 'explorer.js', "canvas.addEventListener('keydown'"), ('test_keys', 'explorer.js', "root.addEventListener('keydown', key)"),
        ('test_asking', 'explorer.js', "ask.addEventListener('keydown'"), ('test_an_exemplar', 'explorer.js', "listen('change:picture change:place', moved)"),
        ('test_atlas_map', 'explorer.js', "canvas.addEventListener('pointerup'"), ('test_hover', 'explorer.js', "canvas.addEventListener('pointermove'"),
        ('test_saved_picture', 'explorer.js', "save.addEventListener('click'"), ('test_dark_and_named', 'explorer.js', 'lamp.observe(document.body')],
    'reconstructions': [
        ('test_another_picture', 'chooser.py', 'self.slider.observe('), ('test_uploads', 'chooser.py', 'self.upload.observe('),
        ('test_another_picture', 'reconstructions.py', 'self.chooser.observe('), ('test_dear_codes', 'reconstructions.py', 'self.dear.observe('),
        ('test_brightest', 'reconstructions.py', 'self.top.observe('), ('test_beside', 'reconstructions.py', 'self.beside.observe('),
        ('test_beside or test_linked_dividers', 'reconstructions.py', 'self.link = ipywidgets.jslink('), ('test_wipe', 'wipe.js', "frame.addEventListener('keydown'"),
        ('test_wipe', 'wipe.js', "frame.addEventListener('pointerdown'"), ('test_next_picture_to_paint', 'paint.py', 'self.chooser.observe('),
        ('test_paint_by_mouse', 'paint.py', "self.picker.observe(lambda _: self.stroke()"), ('test_paint_by_keyboard', 'paint.py', "self.picker.observe(lambda _: self.stroke()"),
        ('test_take', 'paint.py', 'self.picker.observe(lambda _: self.take()'), ('test_take', 'paint.py', 'self.tool.observe('),
        ('test_palette_and_number', 'paint.py', 'self.brush.observe('), ('test_palette_and_number', 'paint.py', 'palette.observe('),
        ('test_undo_and_reset', 'paint.py', 'self.undo.on_click('), ('test_undo_and_reset', 'paint.py', 'self.reset.on_click('),
        ('test_halves', 'halves.py', 'o.observe('), ('test_halves', 'halves.py', 'self.way.observe(')],
    'samples': [
        ('test_chip_by_keyboard', 'knobs.py', 'box.observe('), ('test_dial_by_keyboard', 'knobs.py', 'knob.observe('), ('test_lock_and_shuffle', 'knobs.py', 'self.lock.observe('),
        ('test_lock_and_shuffle', 'knobs.py', 'self.shuffle.on_click('), ('test_chip_by_keyboard', 'sampler.py', 'self.knobs.observe('), ('test_dial_by_keyboard', 'dial.js', "input.addEventListener('change'"),
        ('test_again_keeps', 'sampler.py', 'self.button.on_click('), ('test_stop_midway', 'sampler.py', 'self.stop.on_click('), ('test_real_picture', 'sampler.py', 'widget.observe('),
        ('test_pin', 'sampler.py', 'widget.observe('), ('test_heat_map', 'sampler.py', 'self.source.observe('), ('test_heat_map', 'sampler.py', 'self.heat.observe('),
        ('test_again_keeps', 'sampler.py', 'self.picker.observe('), ('test_vary_a_knob', 'sampler.py', 'self.knob.observe('), ('test_pin', 'sampler.py', 'self.grid.observe(')]}
CASES = [(kind, *cut) for kind, cuts in CUTS.items() for cut in cuts]

def cut(text, call):
    "`text` with this one call gone; what it would have been given is still worked out."
    assert text.count(call) == 1, f'{call} stands there {text.count(call)} times'
    if m := re.search(r"addEventListener\('\w+'", call): return text.replace(call, call.replace(m[0], "addEventListener('never'"))
    if call.startswith('listen('): return text.replace(call, '0')
    if call.startswith('lamp'): return text.replace(call, "(() => {})(document.body")
    name = re.match(r'(?:self\.link = )?[\w.]+\(', call)[0]
    return text.replace(call, call.replace(name, '(lambda *a: None)('))

@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    "What the browser tests need of the checkout."
    folder = tmp_path_factory.mktemp('cut')/'vim_nb'
    folder.mkdir()
    for d in ('vim_nb', 'nbs', 'tests', 'tools', 'results'): shutil.copytree(ROOT/d, folder/d, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints'))
    for f in ('pyproject.toml', 'settings.ini'): shutil.copy(ROOT/f, folder/f)
    return folder

def outcome(folder, kind, test):
    "Exit code and summary of one browser test there; 12 seconds are long enough to wait for what does not come."
    env = dict(os.environ, PYTHONPATH=str(folder), VIM_NB_WAIT='12')
    r = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-x', '-p', 'no:cacheprovider', f'tests/test_browser_{kind}.py', '-k', test], cwd=folder, env=env, capture_output=True, text=True)
    return r.returncode, r.stdout[-3000:]

alone = {}
@pytest.mark.parametrize('kind,test,file,call', CASES, ids=[f'{test}-{file}-{i}' for i, (_, test, file, _) in enumerate(CASES)])
def test_a_cut_is_noticed(copy, kind, test, file, call):
    if test not in alone: alone[test] = outcome(copy, kind, test)
    assert alone[test][0] == 0, f'fails without a cut: {alone[test][1]}'
    path = copy/'vim_nb'/'widgets'/file
    whole = path.read_text()
    path.write_text(cut(whole, call))
    try: code, text = outcome(copy, kind, test)
    finally: path.write_text(whole)
    assert code == 1 and ' failed' in text, f'{call} was cut, and nothing was noticed: {text}'
