"""How long from a hand's movement to the new picture, in a real browser with a real JupyterLab around it?

    OMP_NUM_THREADS=1 python bench/widgets.py [--rounds 20] [--only NAME]

The clock is the page's own. It starts at the event's time stamp, which is when the browser got the click or the key, and stops in the frame that shows the new picture; the kernel, its messages, the drawing
and the decoding lie between. The first round is for warming up and does not count. Playwright's own time does not count either. The cores have to be free.
Writes results/widgets.json."""
import argparse, statistics, sys, tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'tests'))
from browser import chromium, install_browser, opened, the_lab
from vim_nb.core import write_json

@dataclass
class Interaction:
    name: str             # key of the result
    cells: list           # of the notebook
    limit: float          # ms, asked for
    act: Callable         # (page, round): one movement that gives another picture
    shown: str            # css of what changes
    n: int = 0            # which of those
    prepare: Callable = lambda page: None   # (page): once, after the notebook has run
    settle: Callable = lambda page: None    # (page): wait until all is done, before the next round

WATCH = '''e => {                                // from the next press or key to the frame in which e shows another picture
    const look = () => e.dataset.shown ?? (e instanceof HTMLCanvasElement ? e.toDataURL() : e.complete ? e.src : before);
    let from = null, before = null;
    const start = event => { from ??= event.timeStamp; };
    before = look();
    for (const name of ['pointerdown', 'keydown']) window.addEventListener(name, start, { capture: true, once: true });
    window.took = new Promise(done => {
        const frame = () => { if (from !== null && look() !== before) done(performance.now() - from); else requestAnimationFrame(frame); };
        requestAnimationFrame(frame);
    });
}'''

def rounds(page, what, n):
    "Milliseconds of n rounds after one for warming up."
    took = []
    what.prepare(page)
    for i in range(n+1):
        page.widget(what.shown, what.n).evaluate(WATCH)
        what.act(page, i)
        took.append(page.page.evaluate('() => window.took'))
        what.settle(page)
    return took[1:]

# ---- one movement of each explorer ----

PICKER = 'canvas.vim-patch-picker'

def look_up(page, i): page.click_patch(page.places[i], (8,8), css='canvas.vx-picture')
def places(page):
    "Patches of the first picture of which each has another code than the one before."
    page.widget('.vx[data-ready]')
    page.evaluate('from vim_nb.tokenizers import encode_all; bundle = load_bundle(); codes = encode_all(bundle.tokenizer, bundle.examples["image"][:1])[0].flatten().tolist()')
    page.places = eval(page.evaluate('print([divmod(i, 8) for i in range(1, 64) if codes[i] != codes[i-1] and codes[i] not in codes[:i]])'))

def paint(page, i): page.click_patch((i//8, i%8), (8,8))
def painted(page): page.prints('painter.pile and painter.draw.task.done()', True)

def draw(page, i): page.button('Draw').click()
def drawn(page): page.prints('(sampler.work.draw.task.done(), sampler.samples.finished)', (True, True))

INTERACTIONS = [
    Interaction('look up a code', ['from vim_nb.bundle import load_bundle\nfrom vim_nb.widgets.explorer import CodebookExplorer\nexplorer = CodebookExplorer()', 'explorer'], 100, look_up, 'canvas.vx-exemplars', prepare=places),
    Interaction('paint a patch', ['from vim_nb.widgets.paint import Painter; painter = Painter()', 'painter'], 150, paint, PICKER, prepare=lambda page: page.evaluate('painter.brush.value = 17'), settle=painted),
    Interaction('first row of a grid', ['from vim_nb.widgets.sampler import SampleExplorer; sampler = SampleExplorer()', 'sampler'], 500, draw, PICKER, prepare=drawn, settle=drawn)]

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--only', default='')
    args = parser.parse_args()
    if why := install_browser(): sys.exit(why)
    results = {}
    with chromium() as browser, tempfile.TemporaryDirectory() as shots:
        for what in INTERACTIONS:
            if args.only not in what.name: continue
            with opened(browser, the_lab(), what.cells, shots) as page:
                took = rounds(page.run_all(), what, args.rounds)
            results[what.name] = dict(median=round(statistics.median(took), 1), least=round(min(took), 1), most=round(max(took), 1), rounds=len(took), asked=what.limit)
            print(what.name, results[what.name])
    if not args.only: write_json(ROOT/'results'/'widgets.json', results)

if __name__ == '__main__': main()
