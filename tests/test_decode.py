"""What the decoder promises beyond its notebook, by properties: nothing here is a constant of one processor.

Other processors are imitated from this one: libraries are told to use older instructions in processes of their own, and operators are taken away, broken or made
to depend on the number of rows. Each time something else must be chosen, and the same pictures be drawn."""
import json, os, subprocess, sys, warnings
from copy import deepcopy
from dataclasses import replace
import pytest, torch
from torch.nn import functional as F
from vim_nb import backends, products
from vim_nb.bundle import load_bundle
from vim_nb.core import generator
from vim_nb.decode import Decoder, look, sights
from vim_nb.products import Choice, Product, Trial, Trials, choose_backends, even_counts, race, try_backends
from vim_nb.sample import generate
from vim_nb.transformer import VIM, vim_sizes

@pytest.fixture(scope='module')
def bundle(): return load_bundle()

@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)

@pytest.fixture
def anew(monkeypatch):
    "All trials are made anew, and forgotten afterwards."
    monkeypatch.setattr(products, 'trials', Trials())
    return products.trials

def logits_of(decoder, codes, labels, given=0):
    "Of every position from `given` on."
    cache = decoder.cache(len(codes))
    res = [decoder(codes[:,:given] if given else None, labels, cache)]
    return torch.stack(res + [decoder(codes[:,t:t+1], None, cache) for t in range(given, codes.shape[1]-1)], 1)

def off(a, b): return ((a-b).norm()/b.norm()).item()

def turned(a, b): return int((a != b).flatten(1).any(1).sum())   # pictures; all codes after a turned pick may differ

# ---- the self-test tells the truth ----

@pytest.mark.parametrize('half', [False, True])
@pytest.mark.parametrize('out,width', [(480, 160), (160, 640), (40, 2048)])
def test_products_that_are_said_to_keep_bits_keep_them(anew, threads, out, width, half):
    "For small numbers of rows and some beyond, on one thread, some on two; and whatever is chosen is close to the product in double precision."
    weight = torch.randn(out, width, generator=generator(0))
    p,x = Product(weight.half().float() if half else weight),torch.randn(300, width, generator=generator(1))
    truth,bits = x.double() @ p.weight.double().T,{}
    for n in (1, 2):
        threads(n)
        for rows in ([*range(1, 10), 14, 15, 16, 31, 32, 33, 64, 77, 300] if n == 1 else [1, 2, 7, 32]):
            trial = try_backends(p, rows)
            for choice in (trial.same, trial.fast):
                if choice is None: continue
                p.use(choice, rows)
                y = p(x[:rows])
                assert y.shape == (rows, out) and off(y, truth[:rows]) < 1e-5
                if choice is trial.same: bits[n, rows] = y
            assert trial.fast.seconds <= trial.plain
    longest = max(bits.values(), key=len)
    assert all(torch.equal(y, longest[:len(y)]) for y in bits.values())

def test_the_self_test_sees_each_kind_of_fault(anew, monkeypatch):
    "Absent, raising, wrong and fickle operators are avoided, for fast ones too; the fickle one may be used where rows of zeros mend it."
    weight = torch.randn(64, 32, generator=generator(2)).half().float()
    fickle = lambda w, b: lambda x: F.linear(x, w, b)*(1 + 1e-6*(len(x) < 4))
    def absent(w, b): raise AttributeError('no such operator')
    def raising(w, b): return lambda x: torch.ops.aten.no_such_operator(x)
    def wrong(w, b): return lambda x: F.linear(x, w, b)*1.001
    monkeypatch.setattr(products, 'makers_of', lambda kind, packing: dict(plain=backends.plain_linear, absent=absent, raising=raising, wrong=wrong, fickle=fickle))
    p = Product(weight)
    assert set(products.candidates_of(p, torch.randn(16, 32))) == {'plain', 'fickle'}
    for rows in (1, 3, 5): assert try_backends(p, rows).fast.name in ('plain', 'fickle')
    blocks = lambda x: products.in_blocks(lambda o: F.linear(o, weight), x)
    x = torch.randn(24, 32, generator=generator(3))
    assert even_counts(lambda o: blocks(o)*(1 + 1e-6*(len(o) < 4)), x, blocks(x), 1) == [4]

def test_a_noisy_neighbour_does_not_decide(anew):
    "Every candidate is disturbed once, for long: the least of the turns counts."
    class Clock:
        now = 0.
        def __call__(self): return self.now
    clock,calls = Clock(),{}
    def taking(name, seconds, disturbed):
        def f(x):
            calls[name] = calls.get(name, 0)+1
            clock.now += 100 if calls[name] == disturbed else seconds
        return f
    took = race({'plain': taking('plain', 3, 1), 'a': taking('a', 2, 2), 'b': taking('b', 4, 3)}, torch.zeros(1, 1), budget=1000, clock=clock)
    assert took == {'plain': 3, 'a': 2, 'b': 4}

def test_never_slower_than_plain_torch(anew):
    "As far as the trials say: for all matrices of a model together, whichever side the decision falls on."
    made = [Product(torch.randn(8*n, 8, generator=generator(n))) for n in range(1, 5)]
    for k in range(40):
        r = lambda: torch.rand((), generator=generator(4, k, len(anew.found))).item()+.1
        for p in made:
            plain,fast,same = r(),r(),r()
            fast = min(plain, fast, same)
            anew.found[p.key, 5, torch.get_num_threads()] = Trial(plain, Choice('transposed', 5, fast), Choice('plain', 8, same) if k%3 else None)
        kept = choose_backends(made, 5)
        trials = [anew.found[p.key, 5, torch.get_num_threads()] for p in made]
        spent = sum((t.same if kept else t.fast).seconds for t in trials)
        assert spent <= 1.02*sum(t.plain for t in trials) and not (kept and not k%3)
        anew.found.clear()

# ---- attention, and whole models ----

@pytest.mark.parametrize('d', [32, 64])
def test_attention_is_that_of_torch(threads, d):
    q,k,v = torch.randn(3, 40, 256, d, generator=generator(2))
    for first,end in ((253, 256), (0, 3), (64, 65), (130, 131)):
        one = look(q[:,first:end], k, v.flatten(0, 1), sights(40, 256, first, end))
        assert (one - F.scaled_dot_product_attention(q, k, v, is_causal=True)[:,first:end]).abs().max() < 1e-5

@pytest.mark.parametrize('name', ['default', 'tiny', 'tiny-modern'])
def test_logits_on_one_thread_and_two_alone_and_together(bundle, threads, name):
    "Equal bits where the decoder says so, close everywhere. The default prior was saved in half precision; weights of the others have more digits than that."
    if name == 'default': prior = bundle.prior
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            prior = VIM(replace(vim_sizes[name], grid=(4,8)))
    decoder,codes = Decoder(prior),torch.randint(1024, (5,8), generator=generator(3))
    threads(1); one = logits_of(decoder, codes, torch.arange(5))
    threads(2)
    others = [(logits_of(decoder, codes, torch.arange(5)), one), (logits_of(decoder, codes[2:3], torch.tensor([2]), 5), one[2:3,5:])]
    for a,b in others: assert torch.equal(a, b) if decoder.row_invariant else off(a, b) < 1e-5
    with torch.no_grad():
        whole = prior.eval()(F.pad(codes, (0, prior.config.tokens-8)).view(5, *prior.config.grid), torch.arange(5))[:,:8]
    assert off(one, whole) < 1e-5

def test_pictures_have_the_same_codes_however_they_are_drawn(bundle):
    "10 pictures of 64 codes in each of five ways: at the promised rate of a pick in 100,000, two turned ones come once in 2,000 times."
    draw = lambda n=10, **knobs: generate(n, model=bundle, seed=3, progress=False, **knobs).codes
    whole = draw()
    begun = whole.clone()
    begun[:,3:] = -1
    others = [draw(batch_size=size) for size in (1, 3, 7)] + [draw(given=begun), draw(guidance=1., batch_size=3)]
    plain = draw(guidance=1.)
    assert sum(turned(o, whole) for o in others[:4]) + turned(others[4], plain) <= 1
    assert turned(draw(1), whole[:1]) == 0

def test_plain_torch_says_the_same(bundle):
    codes,labels = torch.randint(1024, (4,16), generator=generator(4)),torch.arange(4)
    for kind in backends.weight_kinds:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            decoder,chosen = Decoder(bundle.prior, kind, packing=False),logits_of(Decoder(bundle.prior, kind), codes, labels)
        assert off(logits_of(decoder, codes, labels), chosen) < (1e-5 if kind in ('fp32','fp16') else .03)
        assert {name for p in decoder.products for name,*_ in p.uses.values()} == {'plain'}

def test_lossy_weights_are_lossy_and_not_wrong(bundle):
    codes,labels = torch.randint(1024, (8,16), generator=generator(5)),torch.arange(8)
    truth = logits_of(Decoder(bundle.prior), codes, labels)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        lost = {kind: off(logits_of(Decoder(bundle.prior, kind), codes, labels), truth) for kind in ('fp16','bf16','int8')}
    assert lost['fp16'] < 1e-5 and 1e-4 < lost['bf16'] < .02 and 1e-4 < lost['int8'] < .04   # this prior was saved in half precision: nothing to lose

def test_weights_with_more_digits_than_half_precision_keep_them(bundle):
    codes,labels = torch.randint(1024, (4,10), generator=generator(6)),torch.arange(4)
    full = deepcopy(bundle.prior)
    for p in full.parameters(): p.data.mul_(1+2e-4)      # no longer numbers of eleven digits
    with torch.no_grad(): whole = full.eval()(F.pad(codes, (0, 54)).view(4, 8, 8), labels)[:,:10]
    decoder = Decoder(full)
    assert off(logits_of(decoder, codes, labels), whole) < 2e-6 < 1e-5 < off(logits_of(Decoder(full, 'fp16'), codes, labels), whole)
    assert all('FBGEMM fp16' not in p.makers for p in decoder.products if p.weight.numel() > 10_000)

@pytest.mark.parametrize('kind', ['bf16', 'int8'])
def test_a_slow_reference_path_is_announced(bundle, anew, monkeypatch, kind):
    "Where no operator computes a lossy kind directly, or it is slower, that is said; where one does, nothing is."
    def absent(weight, bias): raise AttributeError('no such operator')
    names = [name for name,_ in backends.weight_kinds[kind].native]
    def with_native(make): monkeypatch.setitem(backends.weight_kinds, kind, replace(backends.weight_kinds[kind], native=tuple((name, make) for name in names)))
    with_native(absent)
    with pytest.warns(UserWarning, match=f"weights='{kind}'.*slower than weights=\"fp32\""): Decoder(bundle.prior, kind).prepare(2)
    monkeypatch.setattr(products, 'trials', Trials())
    with_native(lambda w, b: lambda x, f=backends.plain_linear(w, b): f(x))
    monkeypatch.setattr(products, 'race', lambda all_of_them, rows, keep='plain', **how: {k: float((k if isinstance(k, str) else k[0]) not in names)+1 for k in all_of_them})
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        Decoder(bundle.prior, kind).prepare(2)

def test_nothing_is_said_about_deprecated_operators(tmp_path):
    code = 'import warnings; warnings.simplefilter("error"); from vim_nb.sample import generate; generate(2, progress=False)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0 and 'deprecated' not in done.stderr, done.stderr

def test_a_batch_that_cannot_fit_is_refused_before_anything_is_drawn(bundle):
    with pytest.raises(ValueError, match=r'a batch of 1000000000 needs .* GiB for its cache and .* GiB are free: at most \d+ fit'):
        generate(10**9, model=replace(bundle, classes=bundle.classes), batch_size=10**9, stream=True)

# ---- other processors, imitated ----

@pytest.fixture(scope='module')
def drawn_here(bundle): return generate(6, model=bundle, seed=5, progress=False).codes

DRAW = '''import json, sys, torch
from vim_nb.bundle import load_bundle
from vim_nb.decode import Decoder
from vim_nb.sample import generate
b = load_bundle()
codes = [generate(6, model=b, seed=5, progress=False, batch_size=n).codes.tolist() for n in (6, 1)]
d,x = Decoder(b.prior),torch.zeros(5, 1, dtype=torch.long)
def logits(rows):
    cache = d.cache(len(rows))
    return [d(None, rows, cache), d(x[:len(rows)], None, cache)]
whole,parts = logits(torch.arange(5)),[logits(torch.arange(i, i+1)) for i in range(5)]
equal = all(torch.equal(w[i:i+1], p) for i,part in enumerate(parts) for w,p in zip(whole, part))
print(json.dumps([codes, d.row_invariant, equal, repr(d)]))'''

@pytest.mark.parametrize('switches', [dict(ONEDNN_MAX_CPU_ISA='SSE41'), dict(ONEDNN_MAX_CPU_ISA='AVX'), dict(ONEDNN_MAX_CPU_ISA='AVX2'), dict(ATEN_CPU_CAPABILITY='default'),
                                      dict(ATEN_CPU_CAPABILITY='avx2'), dict(MKL_CBWR='COMPATIBLE')], ids=lambda s: '-'.join(*s.items()))
def test_older_instructions_draw_the_same_pictures(drawn_here, switches):
    "And what is said about bits is true there: a decoder that calls itself row-invariant is."
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', DRAW], env={**os.environ, **switches}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    codes,invariant,equal,shown = json.loads(done.stdout.splitlines()[-1])
    assert sum(turned(torch.tensor(c), drawn_here) for c in codes) <= 1
    assert equal or not invariant, shown

STUBS = {'no private operators': lambda make: None,
         'they raise': lambda make: lambda w, b: lambda x: (_ for _ in ()).throw(RuntimeError('unsupported')),
         'they are wrong': lambda make: lambda w, b: lambda x: make(w, b)(x)+1,
         'they depend on the number of rows': lambda make: lambda w, b: lambda x: make(w, b)(x)*(1 + 1e-6*len(x))}

@pytest.mark.parametrize('stub', STUBS)
def test_operators_that_fail_are_not_chosen(bundle, anew, monkeypatch, drawn_here, stub):
    real = backends.makers_of
    def stubbed(kind, packing=True):
        made = real(kind, packing)
        for name in set(made) - {'plain'}:
            if (change := STUBS[stub](made[name])) is None: del made[name]
            else: made[name] = change
        return made
    monkeypatch.setattr(products, 'makers_of', stubbed)
    fresh = replace(bundle, prior=deepcopy(bundle.prior))
    assert sum(turned(generate(6, model=fresh, seed=5, progress=False, batch_size=n).codes, drawn_here) for n in (6, 1)) <= 1
    decoder = Decoder(fresh.prior)
    decoder.prepare(8)
    used = {name for p in decoder.products for name,*_ in p.uses.values()}
    if stub != 'they depend on the number of rows': assert used == {'plain'}
    elif decoder.row_invariant: assert used == {'plain'}

def test_a_step_whose_attention_depends_on_the_batch_promises_nothing(bundle, anew, monkeypatch):
    monkeypatch.setattr('vim_nb.decode.look', lambda q, k, v, seen: look(q, k, v, seen)*(1 + 1e-6*len(q)))
    decoder = Decoder(bundle.prior)
    decoder.prepare(4)
    assert not decoder.row_invariant
