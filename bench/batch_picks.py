"""How many picks turn when the same pictures are drawn in another way? Draws them in batches of 16 on one thread, and again

- in batches of 4 and of 1, and on two threads;
- without a cache: before each code the whole past is read again (`uncached`);
- with the first half of the codes given (`half given`), as a stopped call goes on;
- for comparison, with the network's own modules in place of the packed decoder, and no cache (`VIM itself`): other libraries, other rounding.

    python bench/batch_picks.py [--pictures 2048] [--settings card paper]

A picture's first changed code is a pick that rounding of the logits turned; the codes after it differ only because they were told another past.
So the first differences are counted, per token drawn. Writes results/batch_picks.json, where settings that are left out stay as they are."""
import argparse
from pathlib import Path
import torch
from vim_nb.bundle import load_bundle
from vim_nb.core import read_json, write_json
from vim_nb.decode import Decoder
from vim_nb.draw import draw_codes
from vim_nb.filters import choose_settings, noise
from vim_nb.request import labels_for

class Forgetful:
    "Called like a `Decoder`, but reads everything again each time."
    def __init__(self, read, like): self.read,self.config,self.device,self.dtype,self.like = read,like.config,like.device,like.dtype,like
    def cache(self, rows):
        self.codes = torch.empty(rows, 0, dtype=torch.long)
        return self.like.cache(rows)    # for its size: nothing is written there
    def __call__(self, codes, labels, cache):
        if codes is not None: self.codes = torch.cat([self.codes, codes], 1)
        return self.read(self.codes, labels, self.like.cache(cache.batch))

def drawn(decoder, labels, uniform, settings, size, threads=1, given=None):
    "Codes `(n, tokens)` of all pictures."
    torch.set_num_threads(threads)
    parts = [slice(i, i+size) for i in range(0, len(uniform), size)]
    codes = torch.cat([[*draw_codes(decoder, labels[p], uniform[p], settings, None if given is None else given[p])][-1] for p in parts])
    torch.set_num_threads(1)
    return codes.flatten(1)

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pictures', type=int, default=2048)
    parser.add_argument('--settings', nargs='+', default=['card','paper'], help='"card", those of the bundle, or "paper"')
    args = parser.parse_args()
    n,out = args.pictures,Path('results/batch_picks.json')
    bundle = load_bundle()
    prior,few = bundle.prior.eval(),n//8
    decoder,labels,uniform = Decoder(prior),labels_for(n, None, bundle),noise(0, range(n), prior.config.tokens)
    uncached = Forgetful(decoder, decoder)
    itself = Forgetful(lambda codes, labels, cache: prior.step(codes, labels, cache)[:,-1], decoder)
    names = {'card': 'default settings', 'paper': 'paper settings'}
    rows = [row for row in (read_json(out)['rows'] if out.exists() else ()) if row['settings'] not in [names[wanted] for wanted in args.settings]]
    for wanted in args.settings:
        name = names[wanted]
        settings = choose_settings(wanted, bundle.card)
        whole = drawn(decoder, labels, uniform, settings, 16)
        half = whole[:few].view(few, *prior.config.grid).clone()
        half[:,prior.config.grid[0]//2:] = -1
        ways = {'batches of 4': (n, decoder, 4), 'batches of 1': (few, decoder, 1), 'two threads': (n, decoder, 16, 2), 'uncached': (few, uncached, 16),
                'half given': (few, decoder, 16, 1, half), 'VIM itself': (few, itself, 16)}
        for way,(m,how,*rest) in ways.items():
            changed = (drawn(how, labels[:m], uniform[:m], settings, *rest) != whole[:m]).any(1).sum().item()
            tokens = m*whole.shape[1]//(2 if way == 'half given' else 1)
            rows.append(dict(settings=name, way=way, against='batches of 16, one thread', pictures=m, tokens=tokens, changed_pictures=changed, changed_picks_per_token=changed/tokens))
            print(rows[-1], flush=True)
    write_json(out, dict(command=f'python bench/batch_picks.py --pictures {n}', torch=torch.__version__, decoder=repr(decoder), rows=rows))
