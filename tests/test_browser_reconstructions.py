"""Reconstructions, painted codes and swapped halves in a real JupyterLab: what the page shows must be what the library says.

What each test needs (cut it, and the test fails):
- test_wipe: the pointer and keydown listeners of wipe.js, `divide` for what is seen and said
- test_another_picture: the observer of `slider` in PictureChooser, of `version` in ReconstructionViewer, `steps` of TokenizerView
- test_dear_codes: the observer of `dear` in TokenizerView
- test_uploads: the observer of `upload` in PictureChooser, the `except` in `take`
- test_brightest: the observer of `top` in ReconstructionViewer
- test_beside, test_linked_dividers: the observer of `beside`, the jslink in `put_beside`
- test_paint_by_mouse, test_paint_by_keyboard: the observer of `stroke` and `press` in Painter, `draw_steps`
- test_undo_and_reset: the two `on_click`
- test_palette_and_number: the observers of the palettes' `chosen` (`dip`) and of the brush (`offer`)
- test_take: the observers of `tool` and of the picture's `chosen` (`take`)
- test_next_picture_to_paint: the observer of `version` in Painter
- test_halves: the observers of `version` and `way` in HalfSwapper"""
import pytest
from browser import opened

CANVAS, STILL, WIPE, GRID = 'canvas.vim-patch-picker', 'img.vim-still', '.vim-wipe', (8, 8)

# ---- what must be seen ----

@pytest.fixture(scope='module')
def bundle():
    from vim_nb.bundle import load_bundle
    return load_bundle()

def png(image):
    from PIL import Image
    from vim_nb.core import to_pixels
    from vim_nb.widgets.parts import png_of
    return png_of(Image.fromarray(to_pixels(image[None])[0]))

def file_of(image, path): path.write_bytes(png(image)); return path

def opens(browser, lab, cells, tmp):
    with opened(browser, lab, cells, tmp) as page: yield page.run_all()

# ---- the viewer ----

@pytest.fixture(scope='module')
def viewer(browser, lab, tmp_path_factory):
    yield from opens(browser, lab, ['from vim_nb.widgets.reconstructions import ReconstructionViewer\nv = ReconstructionViewer()\none = v.views.children[0]', 'v'], tmp_path_factory.mktemp('viewer'))

def shown(page, n=0): return page.widget(f'{WIPE} img', 2*n).evaluate('async e => [...new Uint8Array(await (await fetch(e.src)).arrayBuffer())]')      # the reconstruction lies below

def sees_reconstruction(page, bundle, image, n=0):
    from vim_nb.widgets.reconstructions import reconstruct
    want = list(png(reconstruct(bundle, image)[1]))
    page.until(lambda: shown(page, n) == want, 'the reconstruction of a certain picture')

def number(page, name): return page.widget(f'input[type=number][aria-label^="{name}"]')
def type_number(page, name, value):
    field = number(page, name)
    field.click(); field.fill(str(value)); field.press('Tab')

def test_wipe(viewer):
    frame = viewer.widget(WIPE)
    where = lambda: (frame.get_attribute('aria-valuenow'), frame.locator('img').nth(1).evaluate('e => e.style.clipPath'), frame.locator('.vim-wipe-divider').evaluate('e => e.style.left'))
    assert where() == ('50', 'inset(0px 50% 0px 0px)', '50%')
    frame.focus()
    viewer.keys('ArrowRight', 'PageUp')
    assert where() == ('62', 'inset(0px 38% 0px 0px)', '62%')
    assert frame.get_attribute('aria-valuetext') == '62 percent original, the rest reconstruction'
    viewer.keys('Home'); assert where()[0] == '0'
    viewer.keys('End', 'ArrowLeft'); assert where()[0] == '98'
    box = frame.bounding_box()
    viewer.page.mouse.click(box['x'] + box['width']*.75, box['y'] + 20)          # a press is enough
    assert where()[0] == '75'
    viewer.page.mouse.move(box['x'] + box['width']*.9, box['y'] + 20); viewer.page.mouse.down()
    viewer.page.mouse.move(box['x'] + box['width']*.25, box['y'] + 40, steps=5); viewer.page.mouse.up()
    assert where()[0] == '25'
    viewer.prints('round(one.wipe.share, 2)', .25)

def test_another_picture(viewer, bundle):
    from vim_nb.widgets.reconstructions import reconstruct
    for i in (8, 300):
        with viewer.changes(CANVAS): type_number(viewer, 'Picture', i)
        sees_reconstruction(viewer, bundle, bundle.examples['image'][i])
        _, _, codes, bits = reconstruct(bundle, bundle.examples['image'][i], int(bundle.examples['label'][i]))
        viewer.says(f'{bits.sum():,.0f}, or {bits.sum()/1024:.3f} a pixel')
        viewer.click_patch((3, 4), GRID)
        viewer.until(lambda: viewer.widget('.vim-patch-line').inner_text() == f'code {codes[3, 4]}, {bits[3, 4]:.1f} bits for the prior', 'the code of the patch')
    viewer.widget('input[type=range]').focus()                                   # the slider, by keyboard
    for i in (299, 298):
        viewer.keys('ArrowLeft')
        sees_reconstruction(viewer, bundle, bundle.examples['image'][i])

def test_dear_codes(viewer):
    box = viewer.page.get_by_label('light up what the prior finds dear')
    with viewer.changes(CANVAS): box.check()
    assert 'bits for the prior' in viewer.widget('.vim-patch-line', 1).inner_text()
    with viewer.changes(CANVAS): box.uncheck()

def test_brightest(viewer):
    with viewer.changes(STILL): type_number(viewer, 'Brightest', .05)
    type_number(viewer, 'Brightest', 0)
    viewer.says('top=0.0 is not above 0')
    type_number(viewer, 'Brightest', .25)
    viewer.until(lambda: not viewer.page.get_by_role('alert').count(), 'the sentence to go away')

def upload(page, *paths, n=0):
    with page.page.expect_file_chooser() as chooser: page.page.locator('.jp-OutputArea-output').get_by_role('button', name='Your pictures').nth(n).click()
    chooser.value.set_files(paths)

def test_uploads(viewer, bundle, tmp_path):
    from PIL import Image
    good = tmp_path/'good.png'
    Image.radial_gradient('L').resize((96, 64)).save(good)
    (half := tmp_path/'half.png').write_bytes(good.read_bytes()[:-400])
    (notes := tmp_path/'notes.png').write_bytes(b'no picture')
    before = shown(viewer)
    upload(viewer, half)
    viewer.says('half.png is damaged')
    upload(viewer, notes)
    viewer.says('notes.png is not a picture that Pillow can read')
    assert shown(viewer) == before, 'a broken file changed the picture'
    upload(viewer, good)
    viewer.says('good.png: its one channel stands for all three; its 96×64 pixels were scaled and cut to 32×32.')
    sees_reconstruction(viewer, bundle, Image.open(good))
    Image.new('RGBA', (32, 32), (255, 0, 0, 128)).save(clear := tmp_path/'clear.png')
    upload(viewer, clear)
    viewer.says('clear.png: its transparency was laid on white.')

def test_beside(viewer):
    field = viewer.page.get_by_label('Beside')
    field.fill('/no/such/folder'); field.press('Tab')
    viewer.says('no bundle at /no/such/folder')
    assert viewer.page.locator(f'.jp-OutputArea-output {WIPE}').count() == 1
    field.fill('default'); field.press('Tab')
    viewer.widget(WIPE, 1)

def test_linked_dividers(viewer):
    viewer.widget(WIPE, 1).focus()
    viewer.keys('Home')
    viewer.until(lambda: viewer.widget(WIPE, 0).get_attribute('aria-valuenow') == '0', 'the other divider to follow')

def test_viewer_is_named(viewer):
    viewer.page.set_viewport_size(dict(width=1200, height=1300))
    viewer.screenshot('viewer')
    assert viewer.axe() == []

def test_what_a_tensor_may_be(open_notebook):
    page = open_notebook(['''import torch
from vim_nb.widgets.reconstructions import ReconstructionViewer
good = torch.rand(3, 32, 32)
v = ReconstructionViewer(images=[good, good*float('nan'), good[:1], torch.cat([good, good[:1]]), good[:,:30], good*255], names=['good', 'hole', 'grey', 'clear', 'short', 'bytes'])''', 'v']).run_all()
    page.widget('.vim-wipe img')
    for i, text in enumerate(['images hold NaN or infinite pixels', 'grey ones repeated three times', 'without the alpha channel', 'an image side of 30 is not a multiple of patch=4', 'divide by 255'], 1):
        type_number(page, 'Picture', i)
        page.says(text)
    type_number(page, 'Picture', 0)
    page.until(lambda: not page.page.get_by_role('alert').count(), 'the sentence to go away')

# ---- the painter ----

@pytest.fixture(scope='module')
def painter(browser, lab, tmp_path_factory):
    yield from opens(browser, lab, ['from vim_nb.widgets.paint import Painter\np, other = Painter(at=2), Painter(at=3)', 'p', 'other'], tmp_path_factory.mktemp('painter'))

PICTURE, HERE, NEAR = 0, 1, 2                            # the canvases of the first painter

@pytest.fixture(scope='module')
def codes(bundle):
    from vim_nb.tokenizers import encode_all
    return encode_all(bundle.tokenizer, bundle.examples['image'][:10])

def has(page, codes): page.prints('p.codes.tolist()', codes.tolist())

def decoded(page, bundle, codes):
    "The picture on the page is what the library decodes."
    from vim_nb.tokenizers import decode_all
    want = png(decode_all(bundle.tokenizer, codes[None])[0])
    page.prints('__import__("hashlib").sha256(p.picker.picture).hexdigest()', __import__('hashlib').sha256(want).hexdigest())

@pytest.fixture
def fresh(painter, codes):
    "The painter as it was at first, with code 500 on the brush."
    painter.evaluate('p.back(all_of_it=True); p.pile = []; p.brush.value = 500; p.tool.value = "paint"; p.chooser.slider.value = 2')
    has(painter, codes[2])
    painter.prints('p.picker.marks', [])
    return painter

def test_paint_by_mouse(fresh, bundle, codes):
    from vim_nb.widgets.paint import paint, paint_figure, spill, spill_line
    from vim_nb.widgets.parts import png_of
    from vim_nb.tokenizers import decode_all
    fresh.page.mouse.move(0, 0)
    quiet = fresh.pixels(CANVAS, 3)                      # the other painter
    with fresh.changes(STILL), fresh.changes(CANVAS): fresh.drag_patches((2, 2), (2, 5), GRID, n=PICTURE)
    want = paint(codes[2], [(2, c) for c in range(2, 6)], 500)
    has(fresh, want); decoded(fresh, bundle, want)
    before, after = decode_all(bundle.tokenizer, __import__('torch').stack([codes[2], want]))
    fresh.says(spill_line(spill(before, after, want != codes[2]), want != codes[2]))
    fresh.shows(STILL, png_of(paint_figure(before, after)))
    assert fresh.pixels(CANVAS, 3) == quiet, 'the other painter changed too'

def test_paint_by_keyboard(fresh, bundle, codes):
    from vim_nb.widgets.paint import paint
    fresh.evaluate('p.picker.chosen = (4, 4)')
    fresh.widget(CANVAS, PICTURE).focus()
    fresh.keys('ArrowUp', 'ArrowLeft')
    fresh.prints('p.picker.chosen', (3, 3))
    with fresh.changes(STILL): fresh.keys('Space')
    want = paint(codes[2], [(3, 3)], 500)
    has(fresh, want); decoded(fresh, bundle, want)

def test_undo_and_reset(fresh, bundle, codes):
    from vim_nb.widgets.paint import paint
    undo, reset = (fresh.button(o).first for o in ('Undo', 'Reset'))
    assert undo.is_disabled() and reset.is_disabled()
    fresh.click_patch((5, 1), GRID, n=PICTURE)
    has(fresh, one := paint(codes[2], [(5, 1)], 500))
    fresh.click_patch((6, 6), GRID, n=PICTURE)
    has(fresh, two := paint(one, [(6, 6)], 500))
    undo.click(); has(fresh, one); decoded(fresh, bundle, one)
    fresh.click_patch((6, 6), GRID, n=PICTURE); has(fresh, two)
    reset.click(); has(fresh, codes[2]); decoded(fresh, bundle, codes[2])
    undo.click(); has(fresh, two)

def test_palette_and_number(fresh, bundle, codes):
    from vim_nb.widgets.paint import common_codes, paint
    from vim_nb.widgets.relations import code_vectors, nearest_codes
    common, nearest = common_codes(codes[2]), nearest_codes(code_vectors(bundle.tokenizer), 7).tolist()
    with fresh.changes(CANVAS, NEAR): fresh.click_patch((1, 2), (3, 8), n=HERE)
    fresh.prints('p.brush.value', common[10])
    fresh.prints('p.near.codes', [common[10], *nearest[common[10]]])
    fresh.click_patch((0, 3), (1, 8), n=NEAR)
    fresh.prints('p.brush.value', near := nearest[common[10]][2])
    fresh.click_patch((0, 0), GRID, n=PICTURE)
    has(fresh, paint(codes[2], [(0, 0)], near))
    field = fresh.page.get_by_label('Code', exact=True).first
    with fresh.changes(CANVAS, NEAR): field.fill('77'); field.press('Tab')
    fresh.prints('(p.brush.value, p.near.codes[0])', (77, 77))

def test_take(fresh, codes):
    fresh.evaluate('p.picker.chosen = (0, 0)')
    fresh.button('Take').first.click()
    fresh.prints('p.brush.value', int(codes[2, 0, 0]))
    fresh.click_patch((3, 3), GRID, n=PICTURE)
    fresh.prints('p.brush.value', int(codes[2, 3, 3]))
    has(fresh, codes[2])                                 # nothing was painted
    fresh.button('Paint').first.click()
    fresh.click_patch((0, 7), GRID, n=PICTURE)
    fresh.prints('int(p.codes[0, 7])', int(codes[2, 3, 3]))

def test_next_picture_to_paint(fresh, bundle, codes):
    type_number(fresh, 'Picture', 4)
    has(fresh, codes[4]); decoded(fresh, bundle, codes[4])

def test_painter_is_named(fresh):
    fresh.page.set_viewport_size(dict(width=1200, height=1300))
    fresh.screenshot('painter')
    assert fresh.axe() == []

# ---- halves ----

def test_halves(open_notebook, bundle, codes):
    from vim_nb.widgets.halves import crossed, halves_figure
    from vim_nb.widgets.parts import png_of
    page = open_notebook(['from vim_nb.widgets.halves import HalfSwapper\nh = HalfSwapper(at=(2, 4))', 'h']).run_all()
    def figure(i, j, way): return png_of(halves_figure(crossed(bundle.tokenizer, codes[i], codes[j], way), [bundle.classes[bundle.examples['label'][k]] for k in (i, j)], way, 4))
    page.shows(STILL, figure(2, 4, 'left and right'))
    page.button('top and bottom').click()
    page.shows(STILL, figure(2, 4, 'top and bottom'))
    type_number(page, 'First', 6)
    page.shows(STILL, figure(6, 4, 'top and bottom'))
    type_number(page, 'Second', 7)
    page.shows(STILL, figure(6, 7, 'top and bottom'))
    assert page.axe() == []

# ---- the notebooks themselves ----

@pytest.mark.parametrize('name, css', [('19c_chooser', 'input[type=range]'), ('21_reconstructions', WIPE), ('21a_paint', CANVAS), ('21b_halves', STILL)])
def test_notebook(open_notebook, name, css): open_notebook(f'widgets/{name}').run_all().widget(css)
