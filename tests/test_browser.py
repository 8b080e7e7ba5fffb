"""The widget notebooks in a real JupyterLab, driven by mouse and keyboard in a real browser: what is done there must change the picture.

One server for all three, in a folder of its own with copies of the notebooks. Debian's chromium is installed when it is missing and
that is allowed (root, apt); where there is no browser to be had, the tests are skipped and say why."""
import hashlib, os, re, secrets, shutil, socket, subprocess, sys, time, urllib.request
from urllib.parse import urlsplit
import pytest
from conftest import ROOT

pytestmark = pytest.mark.xdist_group('browser')      # one worker: one server
WIDGETS = sorted((ROOT/'nbs'/'widgets').glob('*.ipynb'))
SECOND = 1000
WAIT = 60*SECOND                                      # for what takes two seconds on an idle machine

# ---- a browser ----

def browser_path(): return next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'))), None)

def install_browser():
    "None, or why there is no browser."
    if browser_path(): return
    if not shutil.which('apt-get'): return 'no chromium on PATH, and no apt-get to install it'
    if os.geteuid() != 0: return 'no chromium on PATH, and only root may install it: sudo apt-get install chromium fonts-dejavu'
    env = dict(os.environ, DEBIAN_FRONTEND='noninteractive')
    for command in (['update'], ['install', '-y', '--no-install-recommends', 'chromium', 'fonts-dejavu']):
        try: r = subprocess.run(['apt-get', '-qq', *command], env=env, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired: return f'apt-get {command[0]} took more than five minutes'
    return None if browser_path() else f'apt-get could not install chromium: {(r.stderr.strip().splitlines() or ["no reason given"])[-1]}'

@pytest.fixture(scope='module')
def browser():
    playwright = pytest.importorskip('playwright.sync_api', reason='playwright is not installed: pip install playwright')
    if why := install_browser(): pytest.skip(why)
    with playwright.sync_playwright() as p:
        b = p.chromium.launch(executable_path=browser_path(), args=['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'])
        yield b
        b.close()

# ---- JupyterLab ----

def copy_notebook(source, folder):
    "Without outputs and without the export at its end, which belongs to the checkout."
    from execnb.nbio import read_nb, write_nb
    nb = read_nb(source)
    nb.cells = [c for c in nb.cells if 'nbdev_export' not in c.source]
    for c in nb.cells:
        if c.cell_type == 'code': c.outputs = []
    nb.metadata = {'kernelspec': {'display_name': 'python3', 'language': 'python', 'name': 'python3'}}       # or Lab asks which kernel
    write_nb(nb, folder/source.name)

def settings_folder(folder):
    "Lab's own settings: no news pop-up over the page, and every cell drawn even when it is not in view."
    for name, text in (('apputils-extension/notification', '{"fetchNews": "false", "checkForUpdates": false}'), ('notebook-extension/tracker', '{"windowingMode": "none"}')):
        path = folder/'@jupyterlab'/f'{name}.jupyterlab-settings'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder

@pytest.fixture(scope='module')
def lab(tmp_path_factory, browser):
    "Address of a notebook in a running server."
    folder = tmp_path_factory.mktemp('lab')
    (folder/'work').mkdir()
    for nb in WIDGETS: copy_notebook(nb, folder/'work')
    with socket.socket() as s: s.bind(('127.0.0.1', 0)); port = s.getsockname()[1]
    token = secrets.token_hex(16)
    env = {k: v for k, v in os.environ.items() if k not in ('IN_TEST', 'MPLBACKEND', 'PYTEST_CURRENT_TEST')}
    env.update(JUPYTER_CONFIG_DIR=str(folder/'config'), JUPYTERLAB_SETTINGS_DIR=str(settings_folder(folder/'settings')), JUPYTERLAB_WORKSPACES_DIR=str(folder/'workspaces'),
               IPYTHONDIR=str(folder/'ipython'), JUPYTER_PLATFORM_DIRS='1', PYTHONPATH=os.pathsep.join(filter(None, [str(ROOT), env.get('PYTHONPATH')])), OMP_NUM_THREADS='1')
    command = [sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', '--ServerApp.ip=127.0.0.1', f'--ServerApp.port={port}', '--ServerApp.port_retries=0',
               f'--IdentityProvider.token={token}', f'--ServerApp.root_dir={folder/"work"}', '--LabApp.expose_app_in_browser=True', '--LabApp.news_url=']
    with open(folder/'lab.log', 'w') as log: server = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        for _ in range(240):
            try: urllib.request.urlopen(f'http://127.0.0.1:{port}/api/status?token={token}', timeout=2).close(); break
            except OSError:
                assert server.poll() is None, f'JupyterLab ended: {(folder/"lab.log").read_text()[-2000:]}'
                time.sleep(.25)
        else: pytest.fail(f'JupyterLab did not start: {(folder/"lab.log").read_text()[-2000:]}')
        yield lambda name: f'http://127.0.0.1:{port}/lab/tree/{name}?reset&token={token}'
    finally:
        server.terminate()                               # it ends its kernels
        try: server.wait(20)
        except subprocess.TimeoutExpired: server.kill()

CONNECTED = '''() => { const w = window.jupyterapp?.shell.currentWidget, s = w && w.context && w.context.sessionContext;
    return s && s.isReady && s.session?.kernel?.connectionStatus === 'connected' && s.session.kernel.status === 'idle' }'''

@pytest.fixture
def notebook(browser, lab, tmp_path):
    "Opens a notebook and runs all of it. Afterwards: no error on the page, none from the kernel, and nothing was fetched from outside."
    page, errors, outside = browser.new_page(viewport=dict(width=1400, height=1000)), [], []
    page.set_default_timeout(WAIT)
    page.on('pageerror', lambda e: errors.append(str(e)))
    page.on('request', lambda r: outside.append(r.url) if urlsplit(r.url).scheme in ('http', 'https', 'ws', 'wss') and urlsplit(r.url).hostname != '127.0.0.1' else None)
    def open_and_run(name):
        page.goto(lab(name))
        page.locator('.jp-Notebook .jp-Cell').first.wait_for()
        page.wait_for_function(CONNECTED)                # the indicator says idle before there is a connection
        page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")     # not awaited: that would block until the last cell
        return page
    yield open_and_run
    page.screenshot(path=tmp_path/'page.png')
    assert page.locator('.jp-RenderedText[data-mime-type="application/vnd.jupyter.stderr"]').all_text_contents() == [], f'a cell wrote to stderr, see {tmp_path/"page.png"}'
    page.close()
    assert not errors and not outside, (errors, outside)

# ---- what a hand and an eye do ----

DIGEST = '''async i => { const a = await (await fetch(i.src)).arrayBuffer(), h = await crypto.subtle.digest('SHA-1', a); return a.byteLength + ':' + [...new Uint8Array(h)].join('.') }'''

class Picture:
    "The n-th image widget of the page; `changes` waits until it shows something else than when last looked at."
    def __init__(self, page, n=0):
        self.img = page.locator('.jp-OutputArea img.widget-image').nth(n)
        self.img.wait_for()
        self.seen = self.now()
    def now(self): return self.img.evaluate(DIGEST)
    def changes(self, what):
        end = time.monotonic() + WAIT/SECOND
        while (now := self.now()) == self.seen:
            assert time.monotonic() < end, f'{what} did not change the picture'
            time.sleep(.05)
        self.seen = now

    def becomes(self, png, what):
        "Waits until it shows these very bytes."
        want, end = f'{len(png)}:{".".join(map(str, hashlib.sha1(png).digest()))}', time.monotonic() + WAIT/SECOND
        while self.now() != want:
            assert time.monotonic() < end, f'the picture is not the one of {what}'
            time.sleep(.05)

def row(page, label): return page.locator('.jp-OutputArea .widget-inline-hbox', has=page.locator('.widget-label', has_text=re.compile(f'^{label}$')))

def press(page, label, *keys):
    row(page, label).locator('.noUi-handle').focus()
    for k in keys: page.keyboard.press(k)

def drag_slider(page, label, share):
    "Take the handle of a slider to `share` of its length."
    row(page, label).scroll_into_view_if_needed()
    handle, track = row(page, label).locator('.noUi-handle').bounding_box(), row(page, label).locator('.noUi-target').bounding_box()
    y = handle['y'] + handle['height']/2
    page.mouse.move(handle['x'] + handle['width']/2, y); page.mouse.down()
    page.mouse.move(track['x'] + track['width']*share, y, steps=8); page.mouse.up()

def at_patch(page, place, grid):
    "Where the middle of a patch is on the screen."
    canvas = page.locator('.jp-OutputArea canvas.vim-patch-picker')
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    return box['x'] + (place[1]+.5)*box['width']/grid[1], box['y'] + (place[0]+.5)*box['height']/grid[0]

@pytest.fixture(scope='module')
def tokenizer():
    from vim_nb.bundle import load_bundle
    return load_bundle().tokenizer

@pytest.fixture(scope='module')
def codes(tokenizer):
    "Codes of the example pictures: what the page must say."
    from vim_nb.bundle import load_bundle
    from vim_nb.widgets.codebook import encode_all
    return encode_all(tokenizer, load_bundle().examples['image'])

def says(page, text):
    from playwright.sync_api import expect
    expect(page.locator('.jp-OutputArea .jupyter-widgets', has_text=text).first).to_be_visible(timeout=WAIT)

def reads(page, label, number):
    from playwright.sync_api import expect
    expect(row(page, label).locator('.widget-readout')).to_have_text(str(number), timeout=WAIT)

# ---- the three notebooks ----

def test_codebook(notebook, codes, tokenizer):
    page, grid = notebook('20_codebook.ipynb'), codes.shape[1:]
    page.locator('.jp-OutputArea canvas.vim-patch-picker').wait_for()
    usage, patches = Picture(page, 0), Picture(page, 1)
    i, r, c = next((i, r, c) for i, r, c in (codes[:1] != codes[0, grid[0]//2, grid[1]//2]).nonzero().tolist() if r+1 < grid[0] and codes[0, r, c] != codes[0, r+1, c])
    page.mouse.click(*at_patch(page, (r, c), grid))                          # a click
    says(page, f'Code {codes[0, r, c]}: ')
    patches.changes('a click on a patch'); usage.changes('a click on a patch')
    page.keyboard.press('ArrowDown')                                         # the picture has the focus
    says(page, f'Code {codes[0, r+1, c]}: ')
    patches.changes('an arrow key')
    page.mouse.move(*at_patch(page, (r+1, c), grid)); page.mouse.down()      # a drag
    page.mouse.move(*at_patch(page, (r, c), grid), steps=4); page.mouse.up()
    says(page, f'Code {codes[0, r, c]}: ')
    patches.changes('a drag over the picture')
    press(page, 'Picture', 'ArrowRight', 'ArrowRight')                       # a slider by keyboard
    reads(page, 'Picture', 2)
    says(page, f'Code {codes[2, r, c]}: ')
    drag_slider(page, 'Code', .9)                                            # and by mouse
    code = int(row(page, 'Code').locator('.widget-readout').text_content())
    assert code > .8*codes.max()
    says(page, f'Code {code}')
    from vim_nb.widgets.codebook import png_of, usage_figure
    usage.becomes(png_of(usage_figure(codes, tokenizer.num_codes, code)), 'the function behind the slider')

def test_reconstructions(notebook, codes, tmp_path):
    page, grid = notebook('21_reconstructions.ipynb'), codes.shape[1:]
    page.locator('.jp-OutputArea canvas.vim-patch-picker').wait_for()
    table, swap = Picture(page, 0), Picture(page, 1)
    press(page, 'First', 'ArrowRight')
    table.changes('the slider of pictures')
    middle = grid[0]//2, grid[1]//2
    page.mouse.click(*at_patch(page, middle, grid))
    reads(page, 'Code there', int(codes[(1, *middle)]))
    swap.changes('a click on a patch')
    drag_slider(page, 'Code there', .3)
    swap.changes('another code')
    def upload(path):
        with page.expect_file_chooser() as chooser: page.get_by_role('button', name='Your pictures').click()
        chooser.value.set_files(path)
    (tmp_path/'notes.png').write_bytes(b'no picture')
    upload(tmp_path/'notes.png')
    says(page, 'notes.png is not a picture')
    from PIL import Image
    Image.radial_gradient('L').save(tmp_path/'mine.png')
    upload(tmp_path/'mine.png')
    table.changes('a picture of one\'s own')
    reads(page, 'First', 0)

def test_samples(notebook):
    page = notebook('22_samples.ipynb')
    says(page, '10 pictures drawn')
    grid = Picture(page)
    def drawn(what):
        grid.changes(what)
        says(page, '10 pictures drawn')
        grid.seen = grid.now()
    page.locator('.jp-OutputArea .widget-dropdown select').select_option(index=2)
    drawn('another class')
    press(page, 'Seed', 'ArrowRight', 'ArrowRight')
    reads(page, 'Seed', 2)
    drawn('another seed')
    drag_slider(page, 'Temperature', .25)
    drawn('another temperature')
    box = row(page, 'Top k').locator('input')
    box.fill('-1'); box.press('Enter')
    says(page, 'top_k=-1 is not a whole number, 0 or more')
    assert grid.now() == grid.seen, 'a wish that makes no sense changed the picture'
    box.fill('5'); box.press('Enter')
    drawn('another top_k')
    page.get_by_role('button', name='Draw').click()
    says(page, 'drawing'); says(page, '10 pictures drawn')
    assert grid.now() == grid.seen, 'the same wish gave another picture'
