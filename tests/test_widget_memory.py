"""A hundred changes of an explorer leave as many widgets, callbacks, tasks and tensors as there were, and no more memory."""
import asyncio, gc, importlib, tracemalloc
import pytest
import ipywidgets, torch
from ipywidgets.widgets.widget import _instances
from vim_nb.bundle import load_bundle
from vim_nb.widgets.parts import PatchPicker, Still

CHANGES, GROWTH = 100, 200_000          # bytes; a picture of 300 x 300 that is kept each time would be many times that

def parts(bundle):
    "What the explorers are made of, without one."
    picker, still = PatchPicker(grid=(8, 8), mode='paint'), Still()
    picker.observe(lambda _: setattr(still, 'png', bytes(1000)), 'stroke')
    return ipywidgets.VBox([picker, still])

def explorer(module, name, **kw): return lambda bundle: getattr(importlib.import_module(f'vim_nb.widgets.{module}'), name)(bundle, **kw)

EXPLORERS = dict(parts=parts, codebook=explorer('explorer', 'CodebookExplorer'), reconstructions=explorer('reconstructions', 'ReconstructionViewer'), painter=explorer('paint', 'Painter'),
                 halves=explorer('halves', 'HalfSwapper'), samples=explorer('sampler', 'SampleExplorer', n=2))

def within(widget):
    "A widget and all that stands in it."
    yield widget
    for child in getattr(widget, 'children', ()): yield from within(child)

def turn(widget, i):
    "Change a control, whichever it is, as a hand would; False when it is none."
    if isinstance(widget, PatchPicker):
        rows, columns = widget.grid
        at = [i % rows, i // rows % columns]
        widget.set_state(dict(press=widget.press+1, stroke=[at], chosen=at) if widget.mode == 'paint' else dict(chosen=at))
    elif isinstance(widget, ipywidgets.Button): widget.click()
    elif isinstance(widget, (ipywidgets.Checkbox, ipywidgets.ToggleButton)): widget.value = not widget.value
    elif isinstance(widget, (ipywidgets.Dropdown, ipywidgets.ToggleButtons, ipywidgets.SelectionSlider)): widget.index = i % len(widget.options)
    elif isinstance(widget, (ipywidgets.IntSlider, ipywidgets.BoundedIntText)): widget.value = widget.min + i % (widget.max-widget.min+1)
    elif type(widget).__name__ == 'Dial': widget.value = widget.low + widget.step*(i % (1+int((widget.high-widget.low)/widget.step)))
    elif type(widget).__name__ == 'Wipe': widget.share = i % 10/10
    elif type(widget).__name__ == 'CodebookExplorer': widget.set_state(dict(selection=[i], picture=i, place=[i % 8, i // 8 % 8]))
    else: return False
    return True

async def settled():
    while len(asyncio.all_tasks()) > 1: await asyncio.sleep(.01)

async def change(controls, n):
    for i in range(n):
        turn(controls[i % len(controls)], i)
        await asyncio.sleep(0)
        if i % 10 == 9: await settled()                  # in between, newer requests take the place of older ones
    await settled()

def counts():
    gc.collect()
    callbacks = sum(len(fs) for w in _instances.values() for kinds in w._trait_notifiers.values() for fs in kinds.values())
    clicks = sum(len(w._click_handlers.callbacks) for w in _instances.values() if isinstance(w, ipywidgets.Button))
    return dict(widgets=len(_instances), callbacks=callbacks, clicks=clicks, tensors=sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects()))

async def grown(make):
    "What came on top in the second hundred of changes; the first fills the caches."
    widget = make(load_bundle())
    await settled()
    controls = [w for w in within(widget) if turn(w, 0)]
    assert controls, f'{type(widget).__name__} has nothing to turn'
    await change(controls, CHANGES)
    before = counts()
    tracemalloc.start()
    try:
        await change(controls, CHANGES)
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0]
    finally: tracemalloc.stop()
    after = counts()
    return {k: after[k]-before[k] for k in before}, kept

@pytest.mark.parametrize('name', EXPLORERS)
def test_a_hundred_changes_leave_nothing(name):
    more, kept = asyncio.run(grown(EXPLORERS[name]))
    assert not any(more.values()), more
    assert kept < GROWTH, f'{kept:,} bytes more'

def leaky(kind):
    "An explorer that forgets something with every change."
    def make(bundle):
        dial, kept = ipywidgets.IntSlider(0, 0, 99), []
        leak = dict(widgets=lambda _: kept.append(ipywidgets.Label()), callbacks=lambda _: dial.observe(lambda _: None, 'max'), tensors=lambda _: kept.append(torch.zeros(1)), bytes=lambda _: kept.append(bytes(10_000)))
        dial.observe(leak[kind], 'value')
        return ipywidgets.VBox([dial])
    return make

@pytest.mark.parametrize('kind', ['widgets', 'callbacks', 'tensors', 'bytes'])
def test_a_leak_is_seen(kind):
    more, kept = asyncio.run(grown(leaky(kind)))
    assert (kept > GROWTH) if kind == 'bytes' else more[kind] >= CHANGES
