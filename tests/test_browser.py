"""The harness of the browser tests, and the parts that the explorers share (widgets.parts), in a real JupyterLab.

What each test of the parts needs (cut it, and the test fails):
- test_click_and_arrows: the pointerdown and keydown listeners of patch_picker.js, `say` for the live line, and `words` for the title
- test_two_views: `hear` in picture.js, by which every view follows the model
- test_paint, test_presses_while_the_kernel_is_busy: press/paint/lift in patch_picker.js, `_hear` in PatchPicker
- test_heat_marks_and_line: heat, frame and dashes in patch_picker.js
- test_still_keeps_its_place: sizeOf in picture.js and size in still.js"""
import pytest
from browser import opened


GRID = 4, 6
PARTS = ['''
import ipywidgets, torch
from PIL import Image
from vim_nb.widgets.parts import PatchPicker, Still, png_of
def picker(**kw):
    p = PatchPicker(grid=(4,6), side=240, titles=[f'patch {i}' for i in range(24)], **kw)
    p.show(torch.full((3,4,6), .5))
    return p
def bar(w, h): return png_of(Image.new('RGB', (w,h), 'teal'))
a, b, s = picker(name='First'), picker(name='Second', mode='paint'), Still('a bar')
s.png = bar(200, 40)
''', 'a', 'a', 'b', "ipywidgets.VBox([s, ipywidgets.Label('below')])"]
A, TWIN, B = 0, 1, 2                                     # the canvases on the page, in the order of the cells

@pytest.fixture(scope='module')
def parts(browser, lab, tmp_path_factory):
    with opened(browser, lab, PARTS, tmp_path_factory.mktemp('shots')) as page: yield page.run_all()

def line(page, n): return page.widget('.vim-patch-line', 2*n).inner_text()      # each picker has a title and a legend

def color(page, place, n):
    "Of a canvas beside the middle of a patch, red, green and blue."
    return page.widget('canvas.vim-patch-picker', n).evaluate('''(e, [x, y]) => [...e.getContext('2d').getImageData(x*e.width, y*e.height, 1, 1).data].slice(0, 3)''',
                                                            [(place[1]+.4)/GRID[1], (place[0]+.4)/GRID[0]])

def test_click_and_arrows(parts):
    parts.click_patch((1,2), GRID, n=A)
    parts.prints('a.chosen', (1,2))
    parts.keys('ArrowDown', 'ArrowRight')
    parts.prints('a.chosen', (2,3))
    assert parts.widget('.vim-aside', A).inner_text() == 'Chosen row 3, column 4. patch 15'
    assert 'Row 3, column 4 is chosen' in parts.widget('canvas.vim-patch-picker', A).get_attribute('aria-label')
    assert parts.widget('canvas.vim-patch-picker', A).evaluate('e => getComputedStyle(e).outlineStyle') == 'solid', 'the focus is not seen'
    parts.page.mouse.move(*parts.patch((0,5), GRID, n=A))
    assert line(parts, A) == 'patch 5'                   # what is under the pointer; nothing is chosen by that
    parts.prints('a.chosen', (2,3))
    parts.drag_patches((0,0), (0,4), GRID, n=A)
    parts.prints('a.chosen', (0,4))
    parts.page.mouse.move(0, 0)
    assert line(parts, A) == 'patch 4'

def test_two_views(parts):
    before = parts.pixels('canvas', B)
    with parts.changes('canvas', TWIN): parts.click_patch((3,1), GRID, n=A)
    parts.page.mouse.move(0, 0)
    parts.until(lambda: parts.pixels('canvas', TWIN) == parts.pixels('canvas', A), 'both views to show the same')
    with parts.changes('canvas', A): parts.click_patch((0,0), GRID, n=TWIN)
    parts.prints('a.chosen', (0,0))
    assert parts.pixels('canvas', B) == before, 'the other widget changed with them'
    parts.prints('b.chosen', (0,0))

def test_paint(parts):
    parts.evaluate('b.press, b.heard, b.stroke = 0, 0, []')
    parts.drag_patches((1,0), (1,5), GRID, steps=2, n=B)                         # two events only: what lies between is filled in
    parts.prints('(b.press, b.stroke)', (1, [[1,c] for c in range(6)]))
    parts.prints('b.chosen', (1,0))
    parts.keys('ArrowDown', 'Space')
    parts.prints('(b.press, b.stroke, b.heard)', (2, [[2,0]], 2))
    parts.prints('a.press', 0)

def test_presses_while_the_kernel_is_busy(parts):
    parts.evaluate('''strokes = []
def slow(change):
    import time
    strokes.append(change['new']); time.sleep(.5)
b.observe(slow, 'stroke')''')
    for c in range(4): parts.click_patch((3,c), GRID, n=B)
    parts.prints('sorted({tuple(at) for s in strokes for at in s})', [(3,c) for c in range(4)])
    parts.evaluate("b.unobserve(slow, 'stroke')")

def test_heat_marks_and_line(parts):
    grey = color(parts, (2,4), A)
    with parts.changes('canvas', A): parts.evaluate("a.heat, a.heat_name = [i/23 for i in range(24)], 'surprise'")
    dark, bright = color(parts, (0,1), A), color(parts, (3,5), A)
    assert sum(dark) < sum(grey) < sum(bright), (dark, grey, bright)
    legend = parts.widget('.vim-patch-line', 1).inner_text()
    assert 'low' in legend and 'high: surprise' in legend, legend
    with parts.changes('canvas', A): parts.evaluate('a.marks = [[2,4], [0,3]]')
    with parts.changes('canvas', A): parts.evaluate('a.line = 2')
    parts.screenshot('heat')
    with parts.changes('canvas', A): parts.evaluate('a.heat, a.marks, a.line = [], [], -1')
    assert color(parts, (2,4), A) == grey

def test_still_keeps_its_place(parts):
    still = parts.widget('img.vim-still')
    assert still.get_attribute('alt') == 'a bar'
    still.evaluate('e => { window.heights = []; new ResizeObserver(() => window.heights.push(e.getBoundingClientRect().height)).observe(e) }')
    for i in range(5): parts.evaluate(f's.png = bar({200+i}, 40)')
    parts.evaluate('s.png = bar(200, 80)')
    parts.until(lambda: parts.pixels('img.vim-still')[23] == 80, 'the last picture')
    heights = parts.page.evaluate('() => window.heights')
    assert set(heights) == {40, 80}, f'the box was {heights} pixels high'

def test_all_of_it_is_named(parts): assert parts.axe() == []

# ---- the harness itself must be able to fail ----

def test_what_the_harness_finds(open_notebook):
    page = open_notebook(["import ipywidgets; ipywidgets.HTML('<img src=\"data:,\"><button></button>')"]).run_all()
    assert {f.split(' ')[0] for f in page.axe()} == {'image-alt', 'button-name'}
    page.page.evaluate("() => fetch('http://example.org/x').catch(() => 0)")
    assert page.outside == ['http://example.org/x']
    with pytest.raises(AssertionError, match='ZeroDivisionError|division by zero'): page.evaluate('1/0')
    page.page.evaluate("() => { setTimeout(() => { throw new Error('planted') }) }")
    page.until(lambda: page.errors, 'the planted error')
    with pytest.raises(AssertionError, match='planted.*example.org'): page.check()
    page.errors.clear(); page.outside.clear()
