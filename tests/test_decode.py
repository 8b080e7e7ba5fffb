"What the decoder promises beyond its notebook: the same bits on one and two threads and for thousands of rows, and the same pictures however they are drawn."
import pytest, torch
from copy import deepcopy
from dataclasses import replace
from torch.nn import functional as F
from vim_nb import decode
from vim_nb.bundle import load_bundle
from vim_nb.core import generator
from vim_nb.decode import Decoder, fast_int8, halved, look, packs, reordered, sights
from vim_nb.sample import generate
from vim_nb.transformer import VIM, vim_sizes

packed = pytest.mark.skipif(not packs('fp32'), reason='no operators that pack')

@pytest.fixture(scope='module')
def bundle(): return load_bundle()

@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)

def logits_of(decoder, codes, labels, given=0):
    "Of every position from `given` on."
    cache = decoder.cache(len(codes))
    res = [decoder(codes[:,:given] if given else None, labels, cache)]
    return torch.stack(res + [decoder(codes[:,t:t+1], None, cache) for t in range(given, codes.shape[1]-1)], 1)

@pytest.mark.parametrize('kind,make', [('fp32', reordered), ('fp16', halved), ('int8', fast_int8)])
@pytest.mark.parametrize('out,width', [(480, 160), (160, 640), (1024, 160), (512, 2048)])
def test_a_row_has_the_same_bits_in_any_company(threads, kind, make, out, width):
    if not packs(kind): pytest.skip('no operators that pack')
    weight,x = torch.randn(out, width, generator=generator(0)),torch.randn(3000, width, generator=generator(1))
    product = make(weight, None)
    threads(1); whole = product(x)
    for n in (1, 2):
        threads(n)
        for rows in (1, 2, 3, 4, 5, 11, 64, 1000): assert torch.equal(product(x[:rows]), whole[:rows])
        for i in (1, 77, 2999): assert torch.equal(product(x[i:i+1]), whole[i:i+1])

@pytest.mark.parametrize('d', [32, 64])
def test_attention_has_the_same_bits_on_any_threads_and_for_any_batch(threads, d):
    q,k,v = torch.randn(3, 40, 256, d, generator=generator(2))
    for first,end in ((253, 256), (0, 3), (64, 65), (130, 131)):
        asked,seen = q[:,first:end],lambda heads: sights(heads, 256, first, end)
        threads(1); one = look(asked, k, v.flatten(0, 1), seen(40))
        for n in (1, 2):
            threads(n)
            for heads in (2, 5, 16, 40): assert torch.equal(look(asked[:heads], k[:heads], v[:heads].flatten(0, 1), seen(heads)), one[:heads])
        assert (one - F.scaled_dot_product_attention(q, k, v, is_causal=True)[:,first:end]).abs().max() < 1e-5

@packed
@pytest.mark.parametrize('name', ['default', 'tiny', 'tiny-modern'])
def test_logits_have_the_same_bits_on_one_thread_and_two(bundle, threads, name):
    "The default prior was saved in half precision; weights of the others have more digits than that."
    if name == 'default': prior = bundle.prior
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            prior = VIM(replace(vim_sizes[name], grid=(4,8)))
    decoder,codes = Decoder(prior),torch.randint(1024, (5,12), generator=generator(3))
    threads(1); one = logits_of(decoder, codes, torch.arange(5))
    threads(2)
    assert torch.equal(logits_of(decoder, codes, torch.arange(5)), one)
    assert torch.equal(logits_of(decoder, codes[2:3], torch.tensor([2]), 7), one[2:3,7:])   # alone, and half of it given
    with torch.no_grad():
        whole = prior.eval()(F.pad(codes, (0, prior.config.tokens-12)).view(5, *prior.config.grid), torch.arange(5))[:,:12]
    assert ((one-whole).norm()/whole.norm()) < 1e-5

@packed
def test_pictures_have_the_same_codes_however_they_are_drawn(bundle):
    draw = lambda n=6, **knobs: generate(n, model=bundle, seed=3, progress=False, **knobs).codes
    whole = draw()
    for size in (1, 4): assert torch.equal(draw(batch_size=size), whole)
    assert torch.equal(draw(1), whole[:1])
    begun = whole.clone()
    begun[:,3:] = -1
    assert torch.equal(draw(given=begun), whole)

def test_without_the_operators_it_says_the_same(bundle, monkeypatch):
    codes,labels = torch.randint(1024, (4,16), generator=generator(4)),torch.arange(4)
    fast = {kind: logits_of(Decoder(bundle.prior, kind), codes, labels) for kind in decode.products}
    monkeypatch.setattr(decode, 'packs', lambda kind: False)
    for kind,logits in fast.items():
        decoder = Decoder(bundle.prior, kind)
        assert repr(decoder) == f'Decoder(6 blocks, {kind}, plain)'
        off = (logits_of(decoder, codes, labels)-logits).norm()/logits.norm()
        assert off < (1e-5 if kind == 'fp32' else .02)

def test_lossy_weights_are_lossy_and_not_wrong(bundle):
    codes,labels = torch.randint(1024, (8,16), generator=generator(5)),torch.arange(8)
    truth = logits_of(Decoder(bundle.prior), codes, labels)
    off = {kind: ((logits_of(Decoder(bundle.prior, kind), codes, labels)-truth).norm()/truth.norm()).item() for kind in ('fp16','bf16','int8')}
    assert off['fp16'] < 1e-6 and 1e-4 < off['bf16'] < .02 and 1e-4 < off['int8'] < .04   # this prior was saved in half precision: nothing to lose

def test_a_batch_that_cannot_fit_is_refused_before_anything_is_drawn(bundle):
    with pytest.raises(ValueError, match=r'a batch of 1000000000 needs .* GiB for its cache and .* GiB are free: at most \d+ fit'):
        generate(10**9, model=replace(bundle, classes=bundle.classes), batch_size=10**9, stream=True)

def test_weights_that_were_saved_in_half_precision_lose_nothing(bundle):
    "The products that read half the bytes are those of the full matrices: the decoder chooses them by itself, and only where they are."
    codes,labels = torch.randint(1024, (4,10), generator=generator(6)),torch.arange(4)
    full = deepcopy(bundle.prior)
    for p in full.parameters(): p.data.mul_(1+2e-4)      # no longer numbers of eleven digits
    off = lambda a, b: ((a-b).norm()/b.norm()).item()
    with torch.no_grad(): whole = full.eval()(F.pad(codes, (0, 54)).view(4, 8, 8), labels)[:,:10]
    assert off(logits_of(Decoder(full), codes, labels), whole) < 2e-6 < 1e-5 < off(logits_of(Decoder(full, 'fp16'), codes, labels), whole)

def test_no_plain_product_has_fewer_than_four_rows(bundle, monkeypatch):
    seen,linear = [],F.linear
    monkeypatch.setattr(F, 'linear', lambda x, *how: seen.append(len(x)) or linear(x, *how))
    decoder,codes = Decoder(bundle.prior, 'fp32', packing=False),torch.zeros(1, 3, dtype=torch.long)
    logits_of(decoder, codes, torch.tensor([1]))
    assert set(seen) == {4}
    seen.clear()
    logits_of(decoder, codes.expand(5, -1), torch.arange(5), 2)
    assert set(seen) == {5, 15}
