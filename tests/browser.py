"""Notebooks in a real JupyterLab, driven by mouse and keyboard in a real browser: what the files test_browser*.py and bench/widgets.py share.

A test asks for the fixture `open_notebook`: `page = open_notebook('widgets/20_codebook')` copies the notebook into a folder of the server, opens it, and gives a `Page`;
afterwards there must have been no error on the page, none from the kernel, and no request to anywhere but this machine. One server per process, one browser per
file. Debian's chromium is installed when it is missing and that is allowed (root, apt); where there is no browser to be had, the tests are skipped and say why."""
import atexit, functools, json, os, re, secrets, shutil, signal, socket, subprocess, sys, tempfile, time, urllib.request
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit
import pytest

ROOT = Path(__file__).resolve().parent.parent
WAIT = int(os.environ.get('VIM_NB_WAIT', 60))            # seconds, for what takes two on an idle machine
OUTPUT = '.jp-OutputArea-output'

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

@contextmanager
def chromium():
    "It can reach nothing but this machine."
    from playwright.sync_api import sync_playwright
    flags = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1']
    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=browser_path(), args=flags)
        yield b
        b.close()

# ---- JupyterLab ----

def copy_notebook(source, target):
    "Without outputs and without the export at its end, which belongs to the checkout."
    from execnb.nbio import read_nb, write_nb
    nb = read_nb(source)
    nb.cells = [c for c in nb.cells if 'nbdev_export' not in c.source]
    for c in nb.cells:
        if c.cell_type == 'code': c.outputs = []
    nb.metadata = {'kernelspec': {'display_name': 'python3', 'language': 'python', 'name': 'python3'}}       # or Lab asks which kernel
    target.parent.mkdir(parents=True, exist_ok=True)
    write_nb(nb, target)

def lab_env(folder):
    "Lab's own settings: no news pop-up over the page, and every cell drawn even when it is not in view."
    for name, text in (('apputils-extension/notification', '{"fetchNews": "false", "checkForUpdates": false}'), ('notebook-extension/tracker', '{"windowingMode": "none"}')):
        path = folder/'settings'/'@jupyterlab'/f'{name}.jupyterlab-settings'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    env = {k: v for k, v in os.environ.items() if k not in ('IN_TEST', 'MPLBACKEND', 'PYTEST_CURRENT_TEST')}
    return dict(env, JUPYTER_CONFIG_DIR=str(folder/'config'), JUPYTERLAB_SETTINGS_DIR=str(folder/'settings'), JUPYTERLAB_WORKSPACES_DIR=str(folder/'workspaces'),
                IPYTHONDIR=str(folder/'ipython'), JUPYTER_PLATFORM_DIRS='1', OMP_NUM_THREADS='1')

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

class Lab:
    "A server on copies of notebooks in a folder of its own, or the one that `make lab` starts in a clone."
    def __init__(self, clone=None, limit=2*WAIT):
        self.folder, self.port, self.token = Path(tempfile.mkdtemp(prefix='vim_nb-lab-')), free_port(), secrets.token_hex(16)
        self.work, env = self.folder/'work', lab_env(self.folder)
        self.work.mkdir()
        options = ['--no-browser', '--allow-root', '--ServerApp.ip=127.0.0.1', f'--ServerApp.port={self.port}', '--ServerApp.port_retries=0', f'--IdentityProvider.token={self.token}',
                   '--LabApp.expose_app_in_browser=True', '--LabApp.news_url=']
        if clone: command = ['make', 'lab', f'ARGS={" ".join(options)}']
        else:
            env['PYTHONPATH'] = os.pathsep.join(filter(None, [str(ROOT), env.get('PYTHONPATH')]))
            command = [sys.executable, '-m', 'jupyterlab', *options, f'--ServerApp.root_dir={self.work}']
        with open(self.folder/'lab.log', 'w') as log:
            self.process = subprocess.Popen(command, env=env, cwd=clone or self.folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try: self.wait_until_up(limit)
        except BaseException: self.stop(); raise

    def log(self): return (self.folder/'lab.log').read_text()[-2000:]

    def wait_until_up(self, limit):
        end = time.monotonic() + limit
        while time.monotonic() < end:
            try: return urllib.request.urlopen(f'http://127.0.0.1:{self.port}/api/status?token={self.token}', timeout=2).close()
            except OSError:
                if self.process.poll() is not None: raise RuntimeError(f'JupyterLab ended: {self.log()}')
                time.sleep(.25)
        raise TimeoutError(f'JupyterLab did not start: {self.log()}')

    def url(self, name): return f'http://127.0.0.1:{self.port}/lab/tree/{name}?reset&token={self.token}'

    def add(self, name):
        "A copy of the checkout's notebook `name` (\"widgets/20_codebook\"); its path on the server."
        copy_notebook(ROOT/'nbs'/f'{name}.ipynb', self.work/f'{name}.ipynb')
        return f'{name}.ipynb'

    def make(self, cells):
        "A notebook of these code cells; its path on the server."
        name = f'made_{len(list(self.work.glob("made_*")))}.ipynb'
        nb = dict(nbformat=4, nbformat_minor=5, metadata={}, cells=[dict(cell_type='code', id=f'c{i}', metadata={}, outputs=[], execution_count=None, source=c) for i, c in enumerate(cells)])
        (self.work/name).write_text(json.dumps(nb))
        copy_notebook(self.work/name, self.work/name)
        return name

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)   # the server ends its kernels
            try: self.process.wait(20)
            except subprocess.TimeoutExpired: os.killpg(self.process.pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

@functools.cache
def the_lab():
    "One server for all tests of a process."
    lab = Lab()
    atexit.register(lab.stop)
    return lab

# ---- a notebook in the browser ----

SESSION = "window.jupyterapp?.shell.currentWidget?.context?.sessionContext"
CONNECTED = f"() => {{ const s = {SESSION}; return s?.isReady && s.session?.kernel?.connectionStatus === 'connected' && s.session.kernel.status === 'idle' }}"
EXECUTE = f'''async code => {{
    const parts = [], future = {SESSION}.session.kernel.requestExecute({{ code, store_history: false }});
    future.onIOPub = m => parts.push([m.header.msg_type, m.content.text ?? m.content.evalue ?? '']);
    const reply = await future.done;
    return [reply.content.status, parts.filter(([kind]) => kind === 'stream' || kind === 'error').map(([, text]) => text).join('')];
}}'''
PIXELS = '''async e => {                               // what it shows: a picture's file, a canvas' pixels
    const url = e instanceof HTMLCanvasElement ? e.toDataURL() : e.src;
    if (!url) return [];
    return [...new Uint8Array(await (await fetch(url)).arrayBuffer())];
}'''
AXE = '''async css => (await axe.run({ include: [[css]] }, { resultTypes: ['violations'] })).violations
    .filter(v => ['serious', 'critical'].includes(v.impact)).flatMap(v => v.nodes.map(n => `${v.id} (${v.impact}): ${v.help}: ${n.html.slice(0, 200)}`))'''

class Page:
    "A notebook, open and connected to its kernel. `page` is playwright's own, for what is not here."
    def __init__(self, browser, url, shots):
        self.page, self.shots, self.errors, self.outside = browser.new_page(viewport=dict(width=1400, height=1000)), Path(os.environ.get('VIM_NB_SHOTS', shots)), [], []
        self.page.set_default_timeout(WAIT*1000)
        self.page.on('pageerror', lambda e: self.errors.append(str(e)))
        self.page.on('request', self._requested)
        self.page.on('websocket', self._requested)
        self.page.goto(url)
        self.page.locator('.jp-Notebook .jp-Cell').first.wait_for()
        self.page.wait_for_function(CONNECTED)           # the indicator says idle before there is a connection

    def _requested(self, request):
        at = urlsplit(request.url)
        if at.scheme in ('http', 'https', 'ws', 'wss') and at.hostname != '127.0.0.1': self.outside.append(request.url)

    def run_all(self):
        "Every cell, and wait until the last has ended."
        self.page.evaluate("() => { window.ranAll = false; window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.ranAll = true }) }")     # not awaited: that would hold up all else
        self.page.wait_for_function('() => window.ranAll', timeout=3*WAIT*1000)
        assert not (bad := self.stderr()), bad
        return self

    def stderr(self): return self.page.locator('.jp-RenderedText[data-mime-type="application/vnd.jupyter.stderr"]').all_text_contents()

    def evaluate(self, python):
        "Run `python` in the notebook's kernel; what it printed. AssertionError with its words when it failed."
        status, text = self.page.evaluate(EXECUTE, python)
        assert status == 'ok', text
        return text.rstrip('\n')

    def widget(self, css, n=0):
        "The n-th element in the outputs that `css` describes, once it is there."
        found = self.page.locator(f'{OUTPUT} {css}').nth(n)
        found.wait_for()
        return found

    def screenshot(self, name, css=None):
        "A PNG of the page, or of the first element of the outputs that `css` describes; its path. The folder is VIM_NB_SHOTS or the test's own."
        path = self.shots/f'{name}.png'
        (self.widget(css) if css else self.page).screenshot(path=path)
        return path

    def axe(self, css=OUTPUT):
        "Serious and critical findings of axe-core inside all elements that `css` describes, as sentences."
        if not self.page.evaluate('() => !!window.axe'): self.page.evaluate((files('axe_playwright_python')/'axe.min.js').read_text(encoding='utf-8'))
        return self.page.evaluate(AXE, css)

    def check(self):
        "What must hold for every page."
        bad = self.stderr()
        assert not (bad or self.errors or self.outside), f'written to stderr: {bad}; errors on the page: {self.errors}; requests to elsewhere: {self.outside}'

    # ---- what an eye sees ----

    def until(self, true, what):
        "Wait until `true()`; `what` says what was waited for."
        end = time.monotonic() + WAIT
        while not true():
            assert time.monotonic() < end, f'waited for {what}'
            self.page.wait_for_timeout(30)                # not sleep: the page's events come in meanwhile

    def pixels(self, css, n=0):
        "What the n-th picture or canvas shows, as the bytes of a PNG."
        return bytes(self.widget(css, n).evaluate(PIXELS))

    @contextmanager
    def changes(self, css, n=0):
        "What is done inside must change the n-th picture or canvas."
        before = self.pixels(css, n)
        yield
        self.until(lambda: self.pixels(css, n) != before, f'{css} {n} to change')

    @contextmanager
    def new_picture(self, css='canvas.vim-patch-picker', n=0):
        "What is done inside must bring a PatchPicker another picture; its frames alone do not count."
        shown = lambda: int(self.widget(css, n).get_attribute('data-shown') or 0)
        before = shown()
        yield
        self.until(lambda: shown() > before, f'{css} {n} to get another picture')

    def shows(self, css, png, n=0):
        "Wait until the n-th picture is this very file."
        self.until(lambda: self.pixels(css, n) == png, f'{css} {n} to show a certain picture')

    def says(self, text):
        "Wait until a widget says `text`."
        from playwright.sync_api import expect
        expect(self.page.locator(f'{OUTPUT} .jupyter-widgets', has_text=text).first).to_be_visible(timeout=WAIT*1000)

    def prints(self, python, text):
        "Wait until `print(python)` in the kernel gives `text`."
        self.until(lambda: self.evaluate(f'print({python})') == str(text), f'{python} to be {text}')

    # ---- what a hand does ----

    def keys(self, *keys):
        for k in keys: self.page.keyboard.press(k)

    def patch(self, place, grid, css='canvas.vim-patch-picker', n=0):
        "Where the middle of a patch is on the screen."
        canvas = self.widget(css, n)
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        return box['x'] + (place[1]+.5)*box['width']/grid[1], box['y'] + (place[0]+.5)*box['height']/grid[0]

    def click_patch(self, place, grid, **where): self.page.mouse.click(*self.patch(place, grid, **where))

    def drag_patches(self, start, end, grid, steps=8, **where):
        self.page.mouse.move(*self.patch(start, grid, **where)); self.page.mouse.down()
        self.page.mouse.move(*self.patch(end, grid, **where), steps=steps); self.page.mouse.up()

    def row(self, label):
        "The control with this description."
        return self.page.locator(f'{OUTPUT} .widget-inline-hbox', has=self.page.locator('.widget-label', has_text=re.compile(f'^{re.escape(label)}$')))

    def reads(self, label, number):
        "Wait until the slider's number is this one."
        from playwright.sync_api import expect
        expect(self.row(label).locator('.widget-readout')).to_have_text(str(number), timeout=WAIT*1000)

    def press_slider(self, label, *keys):
        self.row(label).locator('.noUi-handle').focus()
        self.keys(*keys)

    def drag_slider(self, label, share):
        "Take the handle of a slider to `share` of its length."
        row = self.row(label)
        row.scroll_into_view_if_needed()
        handle, track = row.locator('.noUi-handle').bounding_box(), row.locator('.noUi-target').bounding_box()
        y = handle['y'] + handle['height']/2
        self.page.mouse.move(handle['x'] + handle['width']/2, y); self.page.mouse.down()
        self.page.mouse.move(track['x'] + track['width']*share, y, steps=8); self.page.mouse.up()

    def button(self, name):
        "The button that says `name`, behind an icon perhaps."
        return self.page.locator(OUTPUT).get_by_role('button', name=re.compile(rf'(^|\W){re.escape(name)}$'))

@contextmanager
def opened_at(browser, url, shots):
    "A `Page`; at the end, what must hold for all of them."
    page = Page(browser, url, shots)
    try:
        yield page
        page.check()
    finally: page.page.close()

def opened(browser, lab, notebook, shots):
    "A `Page` of a notebook of the checkout (\"widgets/20_codebook\"), or of one made of a list of code cells, for a `with`."
    return opened_at(browser, lab.url(lab.add(notebook) if isinstance(notebook, str) else lab.make(notebook)), shots)

# ---- fixtures ----

@pytest.fixture(scope='module')
def browser():
    pytest.importorskip('playwright.sync_api', reason='playwright is not installed: pip install playwright')
    if why := install_browser(): pytest.skip(why)
    with chromium() as b: yield b

@pytest.fixture(scope='module')
def lab(browser): return the_lab()

@pytest.fixture
def open_notebook(browser, lab, tmp_path):
    "A function from a notebook's name (\"widgets/20_codebook\"), or from a list of code cells, to its `Page`."
    with ExitStack() as pages:
        yield lambda name: pages.enter_context(opened(browser, lab, name, tmp_path))
