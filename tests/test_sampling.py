"""Drawing: every filter against Hugging Face's and against real chance, the sampler against a joint distribution that can be counted, and what a stop leaves.

A chi-square test of counts against probabilities fails below p = 1e-4. Chance is fixed by seeds, so a test that passes goes on passing; that each can fail is shown with things broken on purpose."""
import itertools, json, math, signal, sys
from dataclasses import asdict, replace
import pytest, torch
from scipy.stats import chisquare
import vim_nb.draw, vim_nb.request, vim_nb.sample
from vim_nb.bundle import Bundle, load_bundle
from vim_nb.core import generator
from vim_nb.decode import Decoder
from vim_nb.filters import SampleSettings, choose_settings, draw_code, filtered, gumbel, noise, scrambled, settings_at
from vim_nb.draw import draw_codes
from vim_nb.request import ready
from vim_nb.sample import Throttle, generate
from vim_nb.transformer import VIM, VIMConfig
from vim_nb.vitvqgan import ViTConfig, ViTVQGAN, ViTVQGANConfig

SIGNIFICANCE = 1e-4

def p_value(counts, probabilities):
    "Of a chi-square test; what should come fewer than five times is counted together, what is impossible must not come at all."
    counts,expected = counts.double(),probabilities.double()*counts.sum()
    if counts[probabilities == 0].any(): return 0.
    rare = expected < 5
    counts,expected = (torch.cat([x[~rare], x[rare].sum()[None]]) if expected[rare].sum() > 0 else x[~rare] for x in (counts, expected))
    return chisquare(counts.numpy(), expected.numpy()*(counts.sum()/expected.sum()).item()).pvalue

# ---- filters beside Hugging Face's ----

@pytest.fixture(scope='module')
def warpers():
    module = pytest.importorskip('transformers.generation.logits_process')
    kinds = dict(temperature=module.TemperatureLogitsWarper, top_k=module.TopKLogitsWarper, top_p=module.TopPLogitsWarper, min_p=module.MinPLogitsWarper)
    def theirs(logits, **knobs):
        for name,kind in kinds.items():        # the order in which `generate` of transformers applies them
            if name in knobs: logits = kind(knobs[name])(None, logits)
        return logits
    return theirs

ALONE = [dict(temperature=t) for t in (.3, 1.7)] + [dict(top_k=k) for k in (1, 7, 299, 300, 1000)] + [dict(top_p=p) for p in (.05, .5, .9, .999)] + [dict(min_p=p) for p in (.01, .1, .5)]
TOGETHER = [dict(temperature=.7, top_k=50, top_p=.9), dict(temperature=1.5, top_p=.8, min_p=.05), dict(temperature=.9, top_k=120, top_p=.95, min_p=.02), dict(top_k=20, min_p=.3)]

@pytest.mark.parametrize('knobs', ALONE + TOGETHER, ids=str)
def test_filters_are_those_of_transformers(warpers, knobs):
    for spread in (.5, 3.):
        logits = spread*torch.randn(64, 300, generator=generator(11), dtype=torch.float64)
        ours,theirs = filtered(logits, SampleSettings(**knobs)),warpers(logits, **knobs)
        assert ours.isfinite().equal(theirs.isfinite())
        assert torch.allclose(ours.softmax(-1), theirs.softmax(-1), rtol=1e-12, atol=0)

def test_ties_where_we_differ(warpers):
    "Codes that tie with the last one kept by top-p: all of them with us, some of them there. With top-k both keep all."
    logits = torch.randn(64, 300, generator=generator(12), dtype=torch.float64).mul(2).round().div(2)
    assert filtered(logits, SampleSettings(top_k=20)).isfinite().equal(warpers(logits, top_k=20).isfinite())
    ours,theirs = (o.isfinite() for o in (filtered(logits, SampleSettings(top_p=.6)), warpers(logits, top_p=.6)))
    assert (ours | theirs).equal(ours) and not ours.equal(theirs)
    least = logits.masked_fill(~theirs, math.inf).amin(-1, keepdim=True)
    assert ours.equal(logits >= least)

# ---- noise that is hashed from one number for each position ----

def squares(a, b, n=16):
    "p of pairs of uniform numbers, counted in n x n squares."
    return p_value(((a*n).long()*n + (b*n).long()).flatten().bincount(minlength=n*n), torch.full((n*n,), 1/n**2))

@pytest.fixture(scope='module')
def hashed():
    "Uniform numbers `(pictures, positions, codes)` from the noise: their own distribution function, undone."
    return (-gumbel(noise(13, range(16), 64), torch.arange(256)).double()).exp().neg().exp()

@pytest.mark.parametrize('bins', [10, 256, 4096])
def test_noise_is_uniform(hashed, bins):
    assert p_value((hashed*bins).long().flatten().bincount(minlength=bins), torch.full((bins,), 1/bins)) > SIGNIFICANCE

@pytest.mark.parametrize('lag', [(0,0,1), (0,0,2), (0,0,16), (0,1,0), (0,8,0), (0,1,1), (1,0,0), (1,0,1)], ids=str)
def test_neighbours_are_independent(hashed, lag):
    "Codes, positions and pictures that lie side by side, and some that lie apart."
    a,b = hashed[tuple(slice(None, n-k) for n,k in zip(hashed.shape, lag))],hashed[tuple(slice(k, None) for k in lag)]
    assert squares(a, b) > SIGNIFICANCE
    r = torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0,1].item()
    assert abs(r)*a.numel()**.5 < 4

def test_numbers_that_differ_in_one_bit(hashed):
    "Turning any of the 53 bits of the position's number turns each of the bits that are used half of the time; and a code's wins at one position say nothing about the next."
    bits = lambda z: (z[...,None] >> torch.arange(24, 63)) & 1
    u,codes = noise(14, [0], 40)[0],torch.arange(100)
    before = bits(scrambled(u, codes))
    for k in range(53):
        other = ((u*2**53).long() ^ (1 << k)).double()*2.**-53
        turned = (before != bits(scrambled(other, codes))).double().mean((0,1))
        assert ((turned-.5).abs() < 5*.5/4000**.5).all(), k
    won = hashed[...,:8].argmax(-1)
    assert p_value((won[:,:-1]*8+won[:,1:]).flatten().bincount(minlength=64), torch.full((64,), 1/64)) > SIGNIFICANCE

def test_poor_noise_is_seen(hashed):
    "One number shifted around by a table, a random shift for each code, would be cheaper: it is not independent from code to code."
    u,shift = noise(13, range(16), 64)[...,None],torch.rand(256, generator=generator(15), dtype=torch.float64)
    poor = (u+shift)%1
    assert squares(poor[...,1:], poor[...,:-1]) < SIGNIFICANCE < squares(hashed[...,1:], hashed[...,:-1])

# ---- filters against real chance ----

def stated(p, temperature=1, top_k=0, top_p=1, min_p=0):
    "What a filter is, in words of its own: a list of probabilities becomes another."
    scale = lambda q: [x/sum(q) for x in q]
    q = scale([x**(1/temperature) for x in p])
    order = sorted(range(len(q)), key=lambda i: -q[i])
    if top_k: q = scale([x if i in order[:top_k] else 0 for i,x in enumerate(q)])
    if top_p < 1:
        few = next(m for m in range(1, len(q)+1) if sum(q[i] for i in order[:m]) >= top_p)
        q = scale([x if i in order[:few] else 0 for i,x in enumerate(q)])
    return scale([x if x >= min_p*max(q) else 0 for x in q])

P = [.21, .02, .13, .08, .17, .05, .11, .04, .10, .03, .06]
DRAWS = [dict(), dict(temperature=.5), dict(temperature=2.), dict(top_k=4), dict(top_p=.7), dict(min_p=.4), dict(temperature=1.4, top_k=8, top_p=.8, min_p=.3)]

@pytest.mark.parametrize('knobs', DRAWS, ids=str)
def test_a_hundred_thousand_draws(knobs):
    "All draws in one row of the noise table, as the sampler uses it, and the few of top-k picked from among themselves."
    u = noise(21, [0], 100_000)[0]
    codes = draw_code(torch.tensor(P, dtype=torch.float64).log().expand(len(u), -1), SampleSettings(**knobs), u)
    assert p_value(codes.bincount(minlength=len(P)), torch.tensor(stated(P, **knobs))) > SIGNIFICANCE

def test_it_can_fail():
    "A hundred thousand draws see a temperature that is off by one twentieth, and one code too many."
    u,logits = noise(21, [0], 100_000)[0],torch.tensor(P, dtype=torch.float64).log()
    counts = lambda **knobs: draw_code(logits.expand(len(u), -1), SampleSettings(**knobs), u).bincount(minlength=len(P))
    assert p_value(counts(temperature=.95), torch.tensor(P)) < SIGNIFICANCE
    assert p_value(counts(top_k=5), torch.tensor(stated(P, top_k=4))) == 0

# ---- the whole sampler against a joint distribution that can be counted ----

@pytest.fixture(scope='module')
def small():
    "Two classes, three codes, two by two positions: 81 pictures."
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        vit = ViTConfig(16, 1, 1, 16)
        tokenizer = ViTVQGAN(ViTVQGANConfig(vit, vit, (8,8), patch=4, num_codes=3, code_dim=2)).eval()
        prior = VIM(VIMConfig(3, (2,2), classes=2, width=16, blocks=1, heads=2, head_dim=8, hidden=16)).eval()
        for p in prior.parameters(): p.data.mul_(6)
    return Bundle(tokenizer, prior, ('one','two'), card={})

def joint(bundle, label, settings):
    "Probability of each of the 81 pictures: the chain rule, from the training-time forward pass of whole pictures."
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    with torch.no_grad(): c,n = (bundle.prior(every.view(-1, 2, 2), torch.full((81,), k)).double() for k in (label, 2))
    share = torch.ones(81, dtype=torch.float64)
    for t in range(4):
        x = t/3
        scale = {'constant': settings.guidance, 'linear': 1+(settings.guidance-1)*x}[settings.guidance_schedule]
        if not settings.guidance_interval[0] <= t/4 < settings.guidance_interval[1]: scale = 1
        first,last = settings.temperature if isinstance(settings.temperature, tuple) else (settings.temperature,)*2
        for i in range(81):
            odds = [(1-scale)*b + scale*a for a,b in zip(c[i,t].tolist(), n[i,t].tolist())]
            p = stated([math.exp(o-max(odds)) for o in odds], first+(last-first)*x, settings.top_k, settings.top_p, settings.min_p)
            share[i] *= p[every[i,t]]
    return share

def worst(bundle, settings, n=24_000):
    "The smaller p of both classes, drawn in one call."
    s = generate(n, model=bundle, settings=settings, batch_size=4000, seed=3, progress=False)
    number = (s.codes.flatten(1)*torch.tensor([27,9,3,1])).sum(1)
    return min(p_value(number[s.labels == k].bincount(minlength=81), joint(bundle, k, settings)) for k in (0,1))

WAYS = [SampleSettings(), SampleSettings(guidance=2.), SampleSettings((1.3,.7), guidance=3., guidance_schedule='linear'),
        SampleSettings(guidance=2.5, guidance_interval=(.25,.75)), SampleSettings(.9, top_k=2, guidance=1.5, min_p=.1)]

@pytest.mark.parametrize('settings', WAYS, ids=repr)
def test_the_joint_distribution(small, settings):
    share = joint(small, 0, settings)
    assert abs(share.sum().item()-1) < 1e-12
    assert worst(small, settings) > SIGNIFICANCE

@pytest.mark.parametrize('fault', ['class', 'guidance', 'position', 'null row'])
def test_the_joint_distribution_can_fail(small, fault, monkeypatch):
    "Each of four faults that a sampler may have is seen."
    if fault == 'guidance': monkeypatch.setattr(vim_nb.draw, 'guided', lambda c, n, scale: c + scale*(c-n))
    class Faulty(Decoder):
        def __call__(self, codes, labels, cache):
            if fault == 'class' and cache.length == 0: labels = (labels+1) % 2
            if fault == 'null row' and cache.length == 0: labels = labels.clamp_max(1)
            if fault == 'position' and cache.length == 2: codes = codes.roll(1, 0)
            return super().__call__(codes, labels, cache)
    monkeypatch.setattr(vim_nb.request, 'Decoder', Faulty)
    assert worst(small, SampleSettings(guidance=2.)) < SIGNIFICANCE

# ---- settings from elsewhere ----

@pytest.mark.parametrize('scale,power', [(16., 2.75), (15.5, 2.5), (6.9, 1.5), (8., 1.2)])
def test_power_cosine_is_what_rar_computes(scale, power):
    "The published pairs of RAR-B, L, XL and XXL, in the single precision of their code."
    step = torch.arange(256)
    theirs = (scale-1)*(1-torch.cos((step/256)**torch.tensor(power)*math.pi))/2 + 1
    s = SampleSettings(guidance=scale, guidance_schedule='power-cosine', guidance_power=power)
    ours = torch.tensor([settings_at(s, t, 256).guidance for t in range(256)])
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)

def test_cards():
    "Cards of older versions load, new ones survive JSON, and what is unknown is named."
    assert choose_settings('card', {'sampling': {'temperature': .9, 'top_k': 100, 'top_p': 1.0, 'guidance': 1.5, 'guidance_schedule': 'cosine'}}).guidance_schedule == 'cosine'
    s = SampleSettings((1.2, .9), 50, .95, 3., 'power-cosine', .05, 2., (0, .8))
    assert choose_settings('card', {'sampling': json.loads(json.dumps(asdict(s)))}) == s
    with pytest.raises(ValueError, match='the card recommends guidance_magic, which this vim_nb does not know'): choose_settings(None, {'sampling': {'guidance_magic': 1}})

# ---- streams and stops, on the model that ships ----

@pytest.fixture(scope='module')
def default(): return load_bundle()

@pytest.fixture(scope='module')
def exact(default):
    from copy import deepcopy
    return replace(default, prior=deepcopy(default.prior).double(), tokenizer=deepcopy(default.tokenizer).double())

def close(a, b): return torch.allclose(a, b, atol=1e-4)   # pictures of the same codes: last bits may depend on the number of threads

@pytest.mark.parametrize('batch_size', [1, 3, 5, None])
def test_the_last_snapshot_is_the_unwatched_result(default, batch_size):
    whole = generate(5, model=default, batch_size=batch_size, progress=False)
    shots = list(generate(5, model=default, batch_size=batch_size, progress=False, stream='rows'))
    assert next(reversed(list(generate(5, model=default, batch_size=batch_size, progress=False, stream=True)))).codes.equal(whole.codes)
    assert len(shots) == 8*math.ceil(5/(batch_size or 64))
    assert shots[-1].codes.equal(whole.codes) and close(shots[-1].images, whole.images)
    for s,then in zip(shots, shots[1:]):        # what is drawn stays, and a snapshot does not change behind the watcher's back
        drawn = s.codes >= 0
        assert then.codes[drawn].equal(s.codes[drawn]) and (then.codes >= 0).sum() > drawn.sum()

@pytest.mark.parametrize('knobs', [{}, dict(guidance=3., top_k=50), dict(guidance=1., temperature=(1.2,.8))], ids=str)
def test_a_stop_after_three_rows_loses_nothing(default, knobs):
    whole = generate(4, model=default, progress=False, **knobs)
    for row,s in enumerate(generate(4, model=default, progress=False, stream='rows', **knobs), 1):
        if row == 3: break
    assert s.codes[:,:3].equal(whole.codes[:,:3]) and (s.codes[:,3:] == -1).all()
    assert (s.images[:,:,12:] == .5).all() and not (s.images[:,:,:12] == .5).all()
    on = generate(4, model=default, progress=False, given=s.codes, **knobs)
    assert on.codes.equal(whole.codes) and close(on.images, whole.images)

def test_snapshots_take_a_quarter_of_the_time(default, monkeypatch):
    "A clock that only steps and pictures move, with pictures that take as long as ten rows: drawing takes three quarters, and the last snapshot is complete."
    now,spent = [0.],dict(steps=0., pictures=0.)
    def passing(what, seconds, f):
        def slower(*args, **knobs):
            now[0] += seconds
            spent[what] += seconds
            return f(*args, **knobs)
        return slower
    monkeypatch.setattr(vim_nb.sample, 'Throttle', lambda share=.25: Throttle(share, lambda: now[0]))
    monkeypatch.setattr(vim_nb.sample, 'pictures', passing('pictures', 80., vim_nb.sample.pictures))
    monkeypatch.setattr(vim_nb.draw, 'next_logits', passing('steps', 1., vim_nb.draw.next_logits))
    shots = []
    for s in generate(12, model=default, batch_size=3, progress=False, stream=True):
        shots.append(s)
        now[0] += 1000                                    # whoever watches takes his time, which is not ours
    assert shots[-1].finished and [int((s.codes >= 0).flatten(1).all(1).sum()) for s in shots if not (s.codes >= 0).flatten(1).any(1).all()][-1] < 12
    extra = spent['pictures'] - 4*80                      # the pictures of each finished batch are needed anyway
    assert 0 < extra <= (spent['steps'] + spent['pictures'])/4 + 80

def test_threads_are_restored_however_a_stream_ends(default):
    "Around each step, not around the stream: between two snapshots, after a stream that is closed early or fails, torch has as many threads as before."
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before+1)
        one,two = (generate(2, model=default, progress=False, stream=True, seed=k) for k in (0, 1))
        for a,b in zip(one, two):                         # two streams in turn
            assert torch.get_num_threads() == before+1
            break
        one.close()
        assert torch.get_num_threads() == before+1
        ill = replace(default, prior=type(default.prior)(default.prior.config).eval())
        with torch.no_grad(): ill.prior.rows.weight[3] = math.nan
        with pytest.raises(ValueError, match='at row 3'): generate(2, model=ill, progress=False)
        assert torch.get_num_threads() == before+1
    finally: torch.set_num_threads(before)

def test_a_user_who_allows_one_thread_gets_one(default, monkeypatch):
    seen,before = set(),torch.get_num_threads()
    real = vim_nb.draw.next_logits
    monkeypatch.setattr(vim_nb.draw, 'next_logits', lambda *args: seen.add(torch.get_num_threads()) or real(*args))
    try:
        torch.set_num_threads(1)
        generate(2, model=default, progress=False)
    finally: torch.set_num_threads(before)
    assert seen == {1}

# ---- what is packed once ----

@pytest.fixture
def counted(monkeypatch):
    "How often a prior was packed and a bundle loaded."
    times = dict(packed=0, loaded=0)
    class Counting(Decoder):
        def __init__(self, *args, **knobs):
            times['packed'] += 1
            super().__init__(*args, **knobs)
    load = vim_nb.request.load_bundle
    monkeypatch.setattr(vim_nb.request, 'Decoder', Counting)
    monkeypatch.setattr(vim_nb.request, 'load_bundle', lambda source: times.__setitem__('loaded', times['loaded']+1) or load(source))
    monkeypatch.setattr(vim_nb.request, 'shelf', type(vim_nb.request.shelf)())
    return times

def test_a_second_call_neither_loads_nor_packs(small, counted, tmp_path):
    from vim_nb.bundle import save_bundle
    paths = [save_bundle(tmp_path/name, small.tokenizer, small.prior, small.classes) for name in 'abc']
    for _ in range(3):
        generate(2, model=small, progress=False)
        generate(2, model=paths[0], progress=False)
        generate(2, model=str(paths[0]), settings='paper', batch_size=1, progress=False)
    assert counted == dict(packed=2, loaded=1)
    for path in paths: generate(2, model=path, progress=False)
    assert len(vim_nb.request.shelf) == 2                  # a couple is kept, not all
    save_bundle(paths[2], small.tokenizer, small.prior, ('x','y'))
    assert generate(2, model=paths[2], progress=False).classes == ('x','y')

@pytest.mark.parametrize('change', ['in place', 'by data', 'replaced', 'loaded'])
def test_changed_weights_are_packed_again(small, counted, change):
    from copy import deepcopy
    bundle = replace(small, prior=deepcopy(small.prior))
    draw = lambda: generate(4, model=bundle, temperature=0, guidance=1., progress=False).codes
    first = draw()
    prior,other = bundle.prior,deepcopy(small.prior)
    with torch.no_grad():
        for p in other.parameters(): p.neg_()
        if change == 'in place': prior.out.weight.neg_()
        if change == 'by data': prior.out.weight.data.copy_(-prior.out.weight.data)
        if change == 'replaced': prior.out.weight = torch.nn.Parameter(-prior.out.weight)
        if change == 'loaded': prior.load_state_dict(other.state_dict())
    assert not draw().equal(first) and counted['packed'] == 2
    assert draw().equal(generate(4, model=replace(bundle, prior=deepcopy(prior)), temperature=0, guidance=1., progress=False).codes)

def test_what_is_kept_goes_with_its_network(small):
    import gc
    from copy import deepcopy
    bundle = replace(small, prior=deepcopy(small.prior))
    generate(2, model=bundle, progress=False)
    before = len(vim_nb.request.made_of)
    del bundle
    gc.collect()
    assert len(vim_nb.request.made_of) == before-1

def test_read_at_once_or_replayed(exact):
    "The two ways to read what is given are the same function: in double precision they pick the same codes."
    bundle,settings,_ = ready(exact, None, {}, None, None, None)
    labels,u = torch.arange(6),noise(0, range(6), 64)
    draw = lambda **knobs: [codes.clone() for codes in draw_codes(bundle.prior, labels, u, settings, **knobs)][-1]
    whole = draw()
    for rows in (1, 3, 7):
        given = whole.clone()
        given[:,rows:] = -1
        assert draw(given=given).equal(whole) and draw(given=given, replay=True).equal(whole)

def test_few_picks_turn(default):
    "In single precision, what is given is read at once: another order of adding up than one by one. 100 pictures, 4,000 codes drawn; at 1e-5 a code, two changed pictures come once in 1,200 times. A guard against worse: that the race turns fewer picks than other ways to draw is counted in `12b_filters` and bench/batch_picks.py."
    bundle,settings,_ = ready(default, None, {}, None, None, None)
    labels,u = torch.arange(100)%10,noise(0, range(100), 64)
    whole = [codes.clone() for codes in draw_codes(bundle.prior, labels, u, settings)][-1]
    given = whole.clone()
    given[:,3:] = -1
    changed = ([codes.clone() for codes in draw_codes(bundle.prior, labels, u, settings, given)][-1] != whole).flatten(1).any(1)
    assert changed.sum() <= 1

@pytest.fixture
def stopping(monkeypatch):
    "A decoder that is interrupted at the given call; later ones go on."
    def at(call):
        left = iter(range(call+1))
        class Stopping(Decoder):
            def __call__(self, codes, labels, cache):
                if next(left, None) == call: signal.raise_signal(signal.SIGINT)
                return super().__call__(codes, labels, cache)
        monkeypatch.setattr(vim_nb.request, 'Decoder', Stopping)
    return at

def test_an_interrupt_at_a_prompt_keeps_what_is_drawn(default, stopping, monkeypatch):
    whole = generate(6, model=default, batch_size=4, progress=False)
    monkeypatch.setattr(sys, 'ps1', '>>> ', raising=False)
    stopping(64+30)                                       # in the fourth row of the second batch
    with pytest.warns(UserWarning, match='stopped after 304 of 384 codes'): s = generate(6, model=default, batch_size=4, progress=False)
    assert not s.finished and repr(s).endswith('304 of 384 codes drawn)')
    assert close(s.images[:4], whole.images[:4]) and s.codes[4:,:3].equal(whole.codes[4:,:3]) and (s.images[4:,:,12:] == .5).all()
    assert generate(6, model=default, batch_size=4, progress=False, given=s.codes).codes.equal(whole.codes)

def test_an_interrupt_among_candidates(default, stopping, monkeypatch):
    "Nothing is rejected before all is drawn: the candidates come back, and the call can go on."
    ask = dict(n=4, model=default, reject=True, accept=.5, progress=False)
    kept = generate(**ask)
    assert len(kept) == 4 and kept.codes.equal(generate(8, [0,1,2,3], model=default, progress=False).codes[kept.candidates])
    monkeypatch.setattr(sys, 'ps1', '>>> ', raising=False)
    stopping(40)
    with pytest.warns(UserWarning, match='stopped after 320 of 512 codes'): s = generate(**ask)
    assert len(s) == 8 and s.candidates is None
    on = generate(**ask, given=s.codes)
    assert on.codes.equal(kept.codes) and on.candidates.equal(kept.candidates)

def test_an_interrupt_of_a_script_ends_it(default, stopping, monkeypatch):
    monkeypatch.delattr(sys, 'ps1', raising=False)
    stopping(30)
    with pytest.raises(KeyboardInterrupt): generate(6, model=default, progress=False)

# ---- broken models ----

@pytest.mark.parametrize('table,at,where', [('rows', 3, 'picture 0 at row 3, column 0'), ('start', 2, 'picture 2 at row 0, column 0'), ('columns', 7, 'picture 0 at row 0, column 7')])
def test_a_logit_that_is_not_finite_is_named(default, table, at, where):
    from copy import deepcopy
    prior = deepcopy(default.prior)
    with torch.no_grad(): getattr(prior, table).weight[at] = math.inf
    with pytest.raises(ValueError, match=where): generate(6, model=replace(default, prior=prior), batch_size=2, progress=False)
