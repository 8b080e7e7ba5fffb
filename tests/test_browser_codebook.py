"""The code explorer (widgets.explorer) in a real JupyterLab, and the page without a kernel.

What each test needs in explorer.js (cut it, and the test fails):
- test_click: `pick` in the pointerdown listener, `selected` on change:selection
- test_keys: the keydown listener of the panes, and `key` of the root; test_asking: `asked`
- test_an_exemplar_leads_to_its_picture: `put` of picture and place in `pick`, `moved` on change:picture
- test_atlas_map_and_neighbours: pointerdown (tiles), pointerup (the brush)
- test_hover: `tip` in the pointermove listener
- test_two_views, test_python_chooses: listen('change:selection', ...)
- test_dark: `dress` of the MutationObserver
- test_saved_picture_is_opaque: the click listener of `save`, the ground in `snapshot`
- test_what_is_wrong_is_said: `problem` in `start`, the except in CodebookExplorer
- test_page_*: standalone.js"""
import base64, io, json
import pytest, torch
import explorer_page as tool
from browser import opened

pytestmark = pytest.mark.xdist_group('browser')

CELLS = ['''
import torch
from vim_nb.bundle import load_bundle
from vim_nb.widgets.explorer import CodebookExplorer
bundle = load_bundle()
images, labels = bundle.examples['image'][:60], bundle.examples['label'][:60]
explorer = CodebookExplorer(bundle, images, labels)
narrow = CodebookExplorer(bundle, images[:5,:,:,:16])
''', 'explorer', 'explorer', 'narrow', 'CodebookExplorer(bundle, images*2-1)', 'CodebookExplorer(bundle, images[:,:,:30])', 'CodebookExplorer(bundle, images/0)']
MAIN, TWIN, NARROW = 0, 1, 2                             # the explorers on the page
GRID = 8, 8

class World: "What the library says of the same pictures."

@pytest.fixture(scope='module')
def world():
    from vim_nb.bundle import load_bundle
    from vim_nb.tokenizers import encode_all
    w = World()
    w.bundle = load_bundle()
    w.images, w.labels = w.bundle.examples['image'][:60], w.bundle.examples['label'][:60]
    w.codes = encode_all(w.bundle.tokenizer, w.images)
    return w

@pytest.fixture(scope='module')
def page(browser, lab, tmp_path_factory):
    with opened(browser, lab, CELLS, tmp_path_factory.mktemp('shots')) as page:
        page.run_all()
        for n in (MAIN, TWIN, NARROW): page.widget('.vx[data-ready]', n)
        yield page

# ---- what an eye sees ----

ORANGE = [232, 113, 10]
LIT = '''(e, [rows, columns]) => {                      // patches of the picture pane with a coloured left edge
    const ctx = e.getContext('2d'), step = e.width / columns, res = [];
    for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) { const [x, y, z] = ctx.getImageData(c*step + 1, r*step + step/2, 1, 1).data; if (Math.max(x, y, z) - Math.min(x, y, z) > 90) res.push([r, c]); }
    return res;
}'''

def lit(page, n=MAIN, grid=GRID): return page.widget('canvas.vx-picture', n).evaluate(LIT, list(grid))

def shown(page, pane, n=MAIN): return (page.widget(f'canvas.vx-{pane}', n).get_attribute('data-shown') or '').split()

def said(page, n=MAIN): return page.widget('.vx-say', n).inner_text()

def sees(page, world, chosen, n=MAIN):
    "The panes show what the library says of the `chosen` codes."
    from vim_nb.widgets.codebook import describe_codes, places_of
    page.until(lambda: said(page, n) == describe_codes(world.codes, chosen), f'the sentence about {chosen}, there is {said(page, n)!r}')
    flat = torch.isin(world.codes.flatten(), torch.tensor(chosen)).nonzero().flatten().tolist()
    assert sorted(map(int, shown(page, 'sheet', n))) == flat, 'other patches light up in all pictures'
    picture = int(page.evaluate('print(explorer.picture)'))
    want = torch.isin(world.codes[picture], torch.tensor(chosen)).nonzero().tolist()
    assert lit(page, n) == want, f'in picture {picture} {lit(page, n)} light up instead of {want}'
    if len(chosen) == 1:
        some = shown(page, 'exemplars', n)
        assert some and some == [','.join(map(str, o)) for o in places_of(world.codes, chosen[0], len(some)).tolist()], 'other patches are shown as those that chose it'

def middle(page, css, n=MAIN, at=(.5, .5)):
    canvas = page.widget(css, n)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    return box['x'] + at[0]*box['width'], box['y'] + at[1]*box['height']

def start(page, place=(2,2), n=MAIN):
    page.evaluate('explorer.picture = 0')
    page.click_patch(place, GRID, css='canvas.vx-picture', n=n)

# ---- in JupyterLab ----

def test_click(page, world):
    for place in ((2,2), (4,5), (0,0)):
        start(page, place)
        code = int(world.codes[0][place])
        page.prints('(explorer.selection, explorer.place)', ((code,), place))
        sees(page, world, [code])
    page.screenshot('click')

def test_shift_adds(page, world):
    start(page)
    page.page.keyboard.down('Shift'); page.click_patch((4,5), GRID, css='canvas.vx-picture'); page.page.keyboard.up('Shift')
    two = [int(world.codes[0,2,2]), int(world.codes[0,4,5])]
    page.prints('explorer.selection', tuple(two))
    sees(page, world, two)

def test_keys(page, world):
    start(page)
    page.keys('ArrowDown', 'ArrowRight', 'ArrowRight')
    page.prints('explorer.place', (3,4))
    sees(page, world, [int(world.codes[0,3,4])])
    page.keys('Shift+ArrowDown')
    page.prints('len(explorer.selection)', 2)
    page.keys('Escape')
    page.prints('explorer.selection', ())
    page.until(lambda: 'No code is chosen' in said(page) and not lit(page)[1:], 'nothing to be chosen')
    assert shown(page, 'sheet') == []

def test_asking(page, world):
    start(page)
    page.keys('/')
    k = int(world.codes[7,4,4])
    page.page.keyboard.type(str(k)); page.keys('Enter')
    sees(page, world, [k])
    page.page.keyboard.press('Control+a'); page.page.keyboard.type('5000'); page.keys('Enter')
    page.until(lambda: said(page) == 'There is no code 5000: ask for 0 to 1,023.', 'a sentence about 5000')
    page.prints('explorer.selection', (k,))

def test_an_exemplar_leads_to_its_picture(page, world):
    from vim_nb.widgets.codebook import places_of
    k = int(world.codes.flatten().bincount().argsort(descending=True)[5])
    page.evaluate(f'explorer.selection = ({k},)')
    sees(page, world, [k])
    page.widget('canvas.vx-exemplars').click(position=dict(x=2+72+33, y=35))     # the second: tiles of 66 pixels, 6 between
    picture, *place = places_of(world.codes, k, 2)[1].tolist()
    page.prints('(explorer.picture, explorer.place)', (picture, tuple(place)))
    sees(page, world, [k])

def test_atlas_map_and_neighbours(page, world):
    from vim_nb.widgets.relations import code_vectors, nearest_codes, vector_map
    commonest = int(world.codes.flatten().bincount().argmax())
    page.widget('canvas.vx-atlas').click(position=dict(x=6, y=6))
    sees(page, world, [commonest])
    start(page)
    k, vectors = int(world.codes[0,2,2]), code_vectors(world.bundle.tokenizer)
    sees(page, world, [k])
    page.widget('canvas.vx-near').click(position=dict(x=10, y=10))
    page.prints('explorer.selection', (int(nearest_codes(vectors)[k,0]),))
    (x, y), (u, v) = middle(page, 'canvas.vx-map', at=(.1, .1)), middle(page, 'canvas.vx-map', at=(.4, .5))
    page.page.mouse.move(x, y); page.page.mouse.down(); page.page.mouse.move(u, v, steps=3); page.page.mouse.up()
    box = page.widget('canvas.vx-map').bounding_box()
    W, H = box['width'], box['height']
    at = (vector_map(vectors)*65535).long()/65535
    cx, cy = 3 + at[:,0]*(W-15) + 4.5, 3 + at[:,1]*(H-15) + 4.5
    inside = ((cx >= x-box['x']) & (cx <= u-box['x']) & (cy >= y-box['y']) & (cy <= v-box['y'])).nonzero().flatten().tolist()
    assert len(inside) > 20
    page.until(lambda: len(set(json.loads(page.evaluate('import json; print(json.dumps(explorer.selection))'))) ^ set(inside)) <= 2, 'the codes inside the brush')     # one at its very edge is forgiven

def test_hover(page, world):
    canvas = page.widget('canvas.vx-picture')
    page.evaluate('explorer.picture = 0')
    page.page.mouse.move(*page.patch((3,4), GRID, css='canvas.vx-picture'))
    k = int(world.codes[0,3,4]); m = int((world.codes == k).sum())
    tip = page.widget('.vx-tip')
    page.until(lambda: tip.inner_text().startswith(f'code {k} · {m}× · ') and 'row 3, column 4' in tip.inner_text(), f'the tip, there is {tip.inner_text()!r}')
    assert canvas.evaluate('e => getComputedStyle(e.closest(".vx").querySelector(".vx-tip")).visibility') == 'visible'

def test_two_views(page, world):
    start(page, (4,5))
    k = [int(world.codes[0,4,5])]
    sees(page, world, k); sees(page, world, k, TWIN)
    before = page.pixels('canvas.vx-atlas', NARROW)
    page.widget('select[aria-label="Order of the codes"]', TWIN).select_option('number')
    start(page, (2,2), TWIN)
    sees(page, world, [int(world.codes[0,2,2])]); sees(page, world, [int(world.codes[0,2,2])], TWIN)
    assert page.widget('select[aria-label="Order of the codes"]', MAIN).input_value() == 'use', 'the order of the other view changed too'
    assert page.pixels('canvas.vx-atlas', NARROW) == before, 'another widget changed with them'

def test_python_chooses(page, world):
    page.evaluate('explorer.selection = (3, 17)')
    from vim_nb.widgets.codebook import describe_codes
    page.until(lambda: said(page) == describe_codes(world.codes, [3,17]), 'the sentence about 3 and 17')

def test_nothing_jumps(page, world):
    height = lambda: page.widget('.vx').evaluate('e => [e.offsetHeight, ...[...e.querySelectorAll("section")].map(s => s.offsetTop)]')
    start(page)
    heights = [height()]
    for do in (lambda: page.evaluate('explorer.selection = ()'), lambda: start(page, (0,0)), lambda: page.evaluate('explorer.picture = 3'), lambda: page.evaluate('explorer.selection = (1, 2, 3)')):
        do(); page.page.wait_for_timeout(200); heights.append(height())
    assert all(h == heights[0] for h in heights), heights

def test_other_grid(page, world):
    from vim_nb.tokenizers import encode_all
    codes = encode_all(world.bundle.tokenizer, world.images[:5,:,:,:16])
    page.click_patch((6,1), (8,4), css='canvas.vx-picture', n=NARROW)
    page.prints('(narrow.selection, narrow.place)', ((int(codes[0,6,1]),), (6,1)))
    page.until(lambda: lit(page, NARROW, (8,4)) == (codes[0] == codes[0,6,1]).nonzero().tolist(), 'the patches of a narrow picture')

def test_what_is_wrong_is_said(page):
    texts = page.page.locator('.vx-problem').all_inner_texts()
    assert len(texts) == 3
    for text, part in zip(texts, ('they look like [-1,1], give (images+1)/2', 'an image side of 30 is not a multiple of patch=4', 'NaN or infinite')): assert part in text, text

def test_saved_picture_is_opaque(page, tmp_path):
    from PIL import Image
    with page.page.expect_download() as download: page.widget('.vx').get_by_role('button', name='Save PNG').click()
    download.value.save_as(tmp_path/'a.png')
    picture = Image.open(tmp_path/'a.png').convert('RGBA')
    assert picture.width > 600 and picture.getchannel('A').getextrema() == (255,255)
    assert len(picture.convert('RGB').quantize(64).getcolors()) > 20, 'there is nothing on it'

def test_dark_and_named(page):
    assert page.axe('.vx') == []
    change = lambda theme: page.page.evaluate(f"() => window.jupyterapp.commands.execute('apputils:change-theme', {{ theme: '{theme}' }})")
    ground = lambda: page.widget('.vx').evaluate('e => getComputedStyle(e).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((s, v) => s + Number(v), 0)')
    try:
        with page.changes('canvas.vx-usage'): change('JupyterLab Dark')
        page.until(lambda: ground() < 200, 'a dark ground')
        page.page.wait_for_timeout(500)
        assert page.axe('.vx') == []
        page.screenshot('dark')
    finally: change('JupyterLab Light')
    page.until(lambda: ground() > 600, 'a light ground')

def test_the_notebook(open_notebook):
    page = open_notebook('widgets/20b_explorer').run_all()
    page.widget('.vx[data-ready]')
    page.click_patch((2,2), GRID, css='canvas.vx-picture')
    page.prints('explorer.selection == (int(codes[0,2,2]),)', True)
    page.prints('sorted(map(int, (codes.flatten() == codes[0,2,2]).nonzero())) == ' + str(sorted(map(int, shown(page, 'sheet')))), True)

# ---- without a kernel ----

STATE = 'id="state">'

def state_of(text): return json.loads(text.split(STATE)[1].split('</script>')[0])

def test_page_is_what_the_tool_makes():
    "The script to the letter, the codes but for rounding, the pictures pixel by pixel."
    from PIL import Image
    have, want = tool.PAGE.read_text(encoding='utf-8'), tool.page_of()
    plain = lambda text: text.split(STATE)[0] + text.split(STATE)[1].split('</script>', 1)[1]
    assert plain(have) == plain(want), 'the page is older than its script: run python tools/explorer_page.py'
    a, b = state_of(have), state_of(want)
    raw = lambda x: torch.frombuffer(bytearray(base64.b64decode(x)), dtype=torch.int16)
    pixels = lambda x: torch.frombuffer(bytearray(Image.open(io.BytesIO(base64.b64decode(x))).tobytes()), dtype=torch.uint8).float()
    assert {k: v for k, v in a['data'].items() if not isinstance(v, (str, dict))} == {k: v for k, v in b['data'].items() if not isinstance(v, (str, dict))}
    assert (raw(a['data']['codes']) != raw(b['data']['codes'])).float().mean() < 1e-3, 'the page shows other codes: run python tools/explorer_page.py'
    assert torch.equal(raw(a['data']['labels']), raw(b['data']['labels'])) and torch.equal(pixels(a['data']['pictures']), pixels(b['data']['pictures']))
    for k in ('means', 'alone'):
        x, y = ((a if k == 'alone' else a['data'])[k], (b if k == 'alone' else b['data'])[k])
        assert (pixels(x) - pixels(y)).abs().mean() < 1, f'{k}: run python tools/explorer_page.py'

def test_page_is_light_and_asks_for_nothing():
    text = tool.PAGE.read_text(encoding='utf-8')
    assert len(text.encode()) < 900_000
    for part in ('http:', 'https:', 'src="//', '@import', 'import('): assert part not in text.replace('data:', ''), part

@pytest.fixture
def alive(browser):
    "The page from the disk, without a network."
    context = browser.new_context(viewport=dict(width=1200, height=900), offline=True)
    page, asked = context.new_page(), []
    errors = []
    page.on('request', lambda r: asked.append(r.url)); page.on('pageerror', lambda e: errors.append(str(e)))
    page.goto(tool.PAGE.as_uri() + '#17')
    page.locator('.vx[data-ready]').wait_for(timeout=60_000)
    yield page
    assert not errors, errors
    assert not (out := [o for o in asked if not o.startswith(('file:', 'blob:', 'data:'))]), out
    context.close()

def test_page_is_alive(alive):
    from importlib.resources import files
    from browser import AXE
    from vim_nb.widgets.codebook import describe_codes
    state = state_of(tool.PAGE.read_text(encoding='utf-8'))
    codes = torch.frombuffer(bytearray(base64.b64decode(state['data']['codes'])), dtype=torch.int16).long().view(-1, *state['data']['grid'])
    say, sheet = alive.locator('.vx-say'), alive.locator('canvas.vx-sheet')
    assert say.inner_text() == describe_codes(codes, [17])                       # from the address
    picture = alive.locator('canvas.vx-picture')
    box = picture.bounding_box()
    shown = lambda: sorted(map(int, sheet.get_attribute('data-shown').split()))
    alive.mouse.click(box['x'] + 2.5*box['width']/8, box['y'] + 2.5*box['height']/8)
    k = int(codes[int((codes == 17).nonzero()[0,0]),2,2])                        # of the first picture that holds 17
    assert say.inner_text() == describe_codes(codes, [k])
    assert shown() == (codes.flatten() == k).nonzero().flatten().tolist()
    assert alive.url.endswith(f'#{k}')
    alive.evaluate((files('axe_playwright_python')/'axe.min.js').read_text(encoding='utf-8'))
    assert alive.evaluate(AXE, 'body') == []
    alive.set_viewport_size(dict(width=420, height=800))
    alive.wait_for_timeout(300)
    assert alive.evaluate('document.documentElement.scrollWidth') <= 420, 'a narrow screen has to be scrolled sideways'
