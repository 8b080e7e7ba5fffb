"""How many picks does the batch size turn? Draws the same pictures in batches of several sizes and counts.

    python bench/batch_picks.py [--pictures 2048]

A picture's first changed code is a pick that rounding of the logits turned; the codes after it differ only because they were told another past.
So the first differences are counted, per token drawn. Writes results/batch_picks.json."""
import argparse
import torch
from vim_nb.core import write_json
from vim_nb.sample import generate

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pictures', type=int, default=2048)
    n = parser.parse_args().pictures
    rows = []
    for name,knobs in (('default settings', {}), ('paper settings', {'settings': 'paper'})):
        draw = lambda size, m: generate(m, batch_size=size, device='cpu', progress=False, **knobs).codes.flatten(1)
        whole = draw(16, n)
        for size,m in ((4, n), (1, n//8)):
            changed = (draw(size, m) != whole[:m]).any(1).sum().item()
            rows.append(dict(settings=name, batch_size=size, against=16, pictures=m, tokens=m*whole.shape[1], changed_pictures=changed,
                             changed_picks_per_token=changed/(m*whole.shape[1])))
            print(rows[-1])
    write_json('results/batch_picks.json', dict(command=f'python bench/batch_picks.py --pictures {n}', torch=torch.__version__, rows=rows))
