"""The sampler in a real JupyterLab: chips, knobs, a grid that grows and stops, the map of one picture, and rows drawn again.

What each test needs (cut it, and the test fails):
- test_draws_at_once: `self.work.draw()` at the end of SampleExplorer.__init__
- test_chip_by_keyboard: box.observe in Chips, knob.observe in Knobs, knobs.observe in SampleExplorer
- test_dial_by_keyboard_and_number: `send` for both inputs in dial.js; what is wrong is said by `steps` in Work
- test_lock_and_shuffle: lock.observe and shuffle.on_click in Knobs, `press` in SampleExplorer
- test_stop_midway: stop.on_click in Work
- test_heat_map: grid.observe in SampleExplorer, source.observe, heat.observe and picker.observe in Inside, `after` in Work
- test_pin: pin among the observed widgets of Source
- test_again_keeps_the_rows_above: picker.observe in Inside, button.on_click in Work
- test_vary_a_knob: knob.observe in Again, `show` in Again
- test_real_picture: kind and number among the observed widgets of Source
- test_save: download_link in recipe"""
import pytest
from browser import OUTPUT, opened

pytestmark = pytest.mark.xdist_group('browser')      # one worker: one server

GRID, CODES = (2,5), (8,8)                               # of the pictures, and of the codes of one
CELLS = [r'''
import re, torch
from functools import partial
from vim_nb.complete import complete
from vim_nb.sample import generate
from vim_nb.widgets.parts import png_of
from vim_nb.widgets.samples import heat_of, surprisal, titles_of
from vim_nb.widgets.sampler import SampleExplorer
def value_of(text):
    *lines,last = text.splitlines()
    names = {}
    for line in lines:
        exec(line, names)
        names |= {f: partial(names[f], progress=False) for f in ('generate','complete') if f in names}
    return eval(last, names)
def codes_of(text): return value_of(re.sub(r'show_images\((.*)\.images, .*', r'\1.codes', text))
def grid(**knobs): return png_of(generate(10, progress=False, **knobs).grid(columns=5))
''', 'sampler = SampleExplorer()\nsampler']

@pytest.fixture(scope='module')
def page(browser, lab, tmp_path_factory):
    with opened(browser, lab, CELLS, tmp_path_factory.mktemp('shots')) as p:
        p.run_all().prints('"drawn" in sampler.work.said.value and sampler.inside.source.subject is not None', True)
        yield p

def control(page, name): return page.page.locator(OUTPUT).get_by_label(name, exact=True)
def press(page, text, n=0): page.page.locator(f'{OUTPUT} button', has_text=text).nth(n).click()
def drawn(page, knobs): page.prints(f'sampler.grid.picture == grid({knobs})', True)
def again(page): page.prints('"drawn" in sampler.again.work.said.value and sampler.again.strip.png == png_of(value_of(sampler.again.work.text))', True)
def subject(page, what): return page.evaluate(f'print(sampler.inside.source.subject.{what})')

def test_draws_at_once(page):
    drawn(page, '')
    page.says('drawn')
    assert len(page.pixels('canvas.vim-patch-picker')) > 5000, 'the grid is empty'
    page.prints('sampler.grid.picture == png_of(value_of(sampler.work.text))', True)
    page.prints('torch.equal(sampler.inside.source.subject.codes, generate(10, progress=False).codes[0])', True)

def test_chip_by_keyboard(page):
    control(page, 'Coat').focus()
    with page.changes('canvas.vim-patch-picker'): page.keys('Space')
    drawn(page, 'classes=["Coat"]')
    page.keys('Tab', 'Tab', 'Tab', 'Tab', 'Space')       # the fourth chip from there
    page.prints('sampler.knobs.wish.classes', ('Coat', 'Bag'))
    drawn(page, 'classes=["Coat", "Bag"]')
    for name in ('Coat', 'Bag'): control(page, name).uncheck()
    drawn(page, '')

def test_dial_by_keyboard_and_number(page):
    control(page, 'Temperature').focus()
    page.keys('ArrowLeft', 'ArrowLeft')
    page.prints('sampler.knobs.wish.temperature', .9)
    drawn(page, 'temperature=.9')
    number = control(page, 'Temperature, as a number')
    number.fill('1'); number.press('Enter')
    drawn(page, '')
    top_k, before = control(page, 'Top-k, as a number'), page.pixels('canvas.vim-patch-picker')
    top_k.fill('-1'); top_k.press('Enter')
    page.says('top_k=-1 is not a whole number, 0 or more')
    assert page.pixels('canvas.vim-patch-picker') == before, 'a wish that makes no sense changed the picture'
    top_k.fill('5'); top_k.press('Enter')
    drawn(page, 'top_k=5')
    top_k.fill('0'); top_k.press('Enter')
    drawn(page, '')

def test_lock_and_shuffle(page):
    press(page, 'Draw')
    drawn(page, 'seed=1')
    control(page, 'Lock the seed').check()
    page.prints('sampler.knobs.shuffle.disabled', True)
    page.evaluate('sampler.work.bar.value = 0')
    press(page, 'Draw')
    page.prints('sampler.work.bar.value, sampler.knobs.wish.seed', '1.0 1')
    control(page, 'Lock the seed').uncheck()
    page.evaluate('import random; random.randrange = lambda n: 77')
    press(page, 'Shuffle')
    drawn(page, 'seed=77')
    seed = control(page, 'Seed, as a number')
    seed.fill('0'); seed.press('Enter')
    drawn(page, '')

def test_stop_midway(page):
    page.evaluate('import time, vim_nb.widgets.sampler as m; draw_at_leisure, m.png_of = m.png_of, lambda picture: (time.sleep(.2), draw_at_leisure(picture))[1]')
    control(page, 'Lock the seed').check()
    press(page, 'Draw')
    page.prints('not sampler.work.stop.disabled and 0 < sampler.work.bar.value < .9', True)
    press(page, 'Stop')
    page.says('stopped at')
    page.evaluate('m.png_of = draw_at_leisure')
    page.prints('0 < (sampler.samples.codes >= 0).float().mean().item() < 1', True)
    page.prints('sampler.grid.picture == png_of(value_of(sampler.work.text))', True)     # the call of just that part
    press(page, 'Draw')
    drawn(page, '')

def test_heat_map(page):
    with page.changes('canvas.vim-patch-picker', 1): page.click_patch((1,2), GRID)
    page.prints('torch.equal(sampler.inside.source.subject.codes, generate(10, progress=False).codes[7])', True)
    page.evaluate('s = generate(10, progress=False); odds = surprisal(sampler.bundle, s.codes[7], int(s.labels[7]))')
    page.prints('sampler.inside.picker.heat == heat_of(odds[0], 1024)', True)
    page.click_patch((2,6), CODES, n=1)
    page.prints('sampler.inside.picker.line', 2)
    title = page.evaluate('print(titles_of(s.codes[7], *odds)[2*8+6])')
    page.until(lambda: page.widget('.vim-patch-line', 2).inner_text() == title, f'{title!r} below the map')
    with page.changes('canvas.vim-patch-picker', 1): control(page, 'Map: how likely each code is').uncheck()
    with page.changes('canvas.vim-patch-picker', 1): control(page, 'Map: how likely each code is').check()

def test_pin(page):
    page.click_patch((1,2), GRID)
    page.prints('sampler.inside.source.subject.place', 7)
    control(page, 'Pin it: new drawings leave it here').check()
    page.click_patch((0,1), GRID)
    page.prints('sampler.grid.chosen', (0,1))
    assert subject(page, 'place') == '7'
    control(page, 'Pin it: new drawings leave it here').uncheck()
    page.prints('sampler.inside.source.subject.place', 1)

def test_again_keeps_the_rows_above(page):
    page.click_patch((3,0), CODES, n=1)
    page.prints('sampler.inside.picker.line', 3)
    press(page, 'Draw again')
    again(page)
    page.prints('len(sampler.again.redraw().captions)', 4)
    page.prints('(lambda new, old: (all(torch.equal(c[:3], old[:3]) for c in new), len({str(c.tolist()) for c in new})))(codes_of(sampler.again.work.text), sampler.inside.source.subject.codes)', (True, 4))
    with page.changes('img.vim-still'): press(page, 'Draw again')        # other chance
    again(page)

def test_vary_a_knob(page):
    page.click_patch((3,0), CODES, n=1)
    control(page, 'Vary').select_option('temperature')
    page.until(lambda: control(page, 'How many').is_disabled(), 'the number of completions to be out of reach')
    press(page, 'Draw again')
    page.prints("'temperature=v' in sampler.again.work.text", True)
    again(page)
    page.until(lambda: 'temperature varies: 0.25' in page.widget('img.vim-still').get_attribute('alt'), 'the words for the strip')

def test_real_picture(page):
    control(page, 'Look into').select_option('a test picture')
    number = control(page, 'Test picture, as a number')
    with page.changes('canvas.vim-patch-picker', 1): number.fill('12'); number.press('Enter')
    page.prints('torch.equal(sampler.inside.source.subject.image, sampler.bundle.examples["image"][12])', True)
    page.click_patch((3,0), CODES, n=1)
    page.prints('sampler.inside.picker.line', 3)
    control(page, 'Vary').select_option('chance')
    press(page, 'Draw again')
    page.prints("'complete(picture, rows=3, n=4' in sampler.again.work.text", True)
    again(page)

def test_save(page):
    with page.page.expect_download() as saved: page.page.locator(f'{OUTPUT} a[download="samples.png"]').click()
    assert saved.value.path().read_bytes() == bytes.fromhex(page.evaluate('print(sampler.grid.picture.hex())'))

def test_nothing_jumps(page):
    "The view is as high while it draws as before and after."
    page.page.evaluate("() => { window.heights = new Set(); new ResizeObserver(e => window.heights.add(Math.round(e[0].contentRect.height))).observe(document.querySelector('.vim-sampler')) }")
    with page.changes('canvas.vim-patch-picker'): control(page, 'Sneaker').check()
    drawn(page, 'classes=["Sneaker"]')
    control(page, 'Sneaker').uncheck()
    drawn(page, '')
    heights = page.page.evaluate('() => [...window.heights]')
    assert len(heights) == 1, heights

def test_all_of_it_is_named(page): assert page.axe('.vim-sampler') == []
