"""The code explorer of the default bundle as one file that lives by itself: nbs/code_explorer.html, which the site shows on its page explorer.

    python tools/explorer_page.py [--bundle PATH] [--log LOG] [--out FILE]

--bundle takes any other bundle that holds example pictures, --log the log of its tokenizer's training. tests/test_browser_codebook.py says when the committed page is not what this makes."""
import argparse
from pathlib import Path
import torch
from vim_nb.bundle import load_bundle
from vim_nb.core import atomic_write
from vim_nb.widgets.codebook import alone
from vim_nb.widgets.explorer import explorer_page, explorer_state, sheet_of
from vim_nb.widgets.parts import pictures_of

PAGE = Path(__file__).resolve().parent.parent/'nbs'/'code_explorer.html'

def page_of(source='default', log=None):
    "The page of a bundle, as text."
    bundle = load_bundle(source)
    t,images = bundle.tokenizer,pictures_of(bundle)
    state = explorer_state(t, images, bundle.examples['label'], bundle.classes, log)
    state['alone'] = sheet_of(alone(t, torch.arange(t.num_codes)), state['data']['tiles'])
    h,w = state['data']['grid']
    return explorer_page(state, 'What is a code?', f'{state["data"]["count"]} pictures of {h}×{w} patches, each patch one of {t.num_codes:,} codes. Click a patch, a tile or a dot: what is chosen lights up everywhere.')

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--bundle', default='default')
    parser.add_argument('--log', default=None)
    parser.add_argument('--out', type=Path, default=PAGE)
    args = parser.parse_args()
    with atomic_write(args.out) as new: new.write_text(page_of(args.bundle, args.log), encoding='utf-8')

if __name__ == '__main__': main()
