"VIM against statements of it that share no line with it, and what a notebook has no room for: both blocks, cached and not, recomputed, in bfloat16."
import copy, math
from dataclasses import replace
import numpy as np
import pytest, torch
from torch.nn import functional as F
from vim_nb.bundle import load_bundle
from vim_nb.weights import config_from_dict, config_to_dict
from vim_nb.layers import rope_2d, rotate
from vim_nb.transformer import KVCache, VIM, VIMConfig

pytestmark = pytest.mark.filterwarnings('error:Mismatch dtype')            # torch's, when a norm gets another dtype than its weights and becomes slow

PAPER = VIMConfig(50, (4,6), classes=7, width=64, blocks=3, heads=4, head_dim=16, hidden=128)
MODERN = replace(PAPER, block='modern')
KINDS = {'paper': PAPER, 'paper, QK-norm': replace(PAPER, qk_norm=True), 'modern': MODERN, 'modern, QK-norm': replace(MODERN, qk_norm=True),
         'modern, zero start': replace(MODERN, zero_start=True), 'modern, both': replace(MODERN, qk_norm=True, zero_start=True)}
every_kind = pytest.mark.parametrize('config', KINDS.values(), ids=KINDS)

def loud(config, seed=0):
    "A VIM whose weights are five times as large as new ones, so that attention has opinions, and whose norms are not all ones."
    torch.manual_seed(seed)
    vim = VIM(config).eval()
    with torch.no_grad():
        for p in vim.parameters(): p.copy_(5*p if p.ndim > 1 else p + .3*torch.randn_like(p))
    return vim

def some(config, n, seed=0):
    "Codes of n pictures and a label for each, the null row among them."
    g = torch.Generator().manual_seed(seed)
    return torch.randint(config.num_codes, (n, *config.grid), generator=g), torch.randint(config.classes+1, (n,), generator=g)

# ---- LlamaGen's forward, written down from a description of it, in numpy and double precision, one head and one row at a time ----

def llamagen(w, layers, heads, side, codes, label):
    "Logits `(tokens, K)` of one picture; `w`: arrays by LlamaGen's names; `codes`: `(side*side,)`."
    rms = lambda x, gain: gain * x / np.sqrt((x*x).mean() + 1e-5)
    silu = lambda x: x / (1+np.exp(-x))
    x = np.stack([w['cls_embedding.embedding_table.weight'][label], *w['tok_embeddings.weight'][codes[:-1]]])
    (n, d), size = x.shape, x.shape[1]//heads
    def turned(v, slot):
        if slot == 0: return np.zeros(size)                                   # the class token: cosine and sine are both 0
        place, out = divmod(slot-1, side), np.empty(size)
        for pair in range(size//2):
            axis, i = divmod(pair, size//4)                                   # rows turn the first half of the pairs, columns the second
            a = place[axis] / 10000**(i/(size//4))
            c, s, (p, q) = math.cos(a), math.sin(a), v[2*pair:2*pair+2]
            out[2*pair:2*pair+2] = c*p - s*q, s*p + c*q
        return out
    for layer in range(layers):
        get = lambda name: w[f'layers.{layer}.{name}.weight']
        said, heard = [get('attention.wqkv') @ rms(o, get('attention_norm')) for o in x], np.zeros((n, d))
        for head in range(heads):
            at = slice(head*size, (head+1)*size)
            q, k, v = ([o[part*d:(part+1)*d][at] for o in said] for part in range(3))
            q, k = ([turned(o, slot) for slot,o in enumerate(side_)] for side_ in (q, k))
            for i in range(n):
                scores = np.array([q[i] @ k[j] for j in range(i+1)]) / math.sqrt(size)
                share = np.exp(scores - scores.max()); share /= share.sum()
                heard[i,at] = sum(s*o for s,o in zip(share, v))
        x = x + heard @ get('attention.wo').T
        inner = [rms(o, get('ffn_norm')) for o in x]
        x = x + np.stack([get('feed_forward.w2') @ (silu(get('feed_forward.w1')@o) * (get('feed_forward.w3')@o)) for o in inner])
    return np.stack([w['output.weight'] @ rms(o, w['norm.weight']) for o in x])

def llamagen_weights(config, seed=0):
    "Random weights by LlamaGen's names."
    g, (d, h) = torch.Generator().manual_seed(seed), (config.width, config.hidden)
    shapes = {'tok_embeddings.weight': (config.num_codes, d), 'cls_embedding.embedding_table.weight': (config.classes+1, d), 'norm.weight': (d,), 'output.weight': (config.num_codes, d)}
    for i in range(config.blocks):
        shapes |= {f'layers.{i}.{name}.weight': shape for name,shape in
                   {'attention.wqkv': (3*d, d), 'attention.wo': (d, d), 'feed_forward.w1': (h, d), 'feed_forward.w3': (h, d), 'feed_forward.w2': (d, h),
                    'attention_norm': (d,), 'ffn_norm': (d,)}.items()}
    return {k: torch.randn(s, generator=g).double() * (.15 if len(s) == 2 else .3) + (len(s) == 1) for k,s in shapes.items()}

def as_ours(w, blocks):
    "The same weights by our names."
    ours = {'codes': w['tok_embeddings.weight'], 'start': w['cls_embedding.embedding_table.weight'], 'trunk.norm': w['norm.weight'], 'out': w['output.weight']}
    for i in range(blocks):
        get = lambda name: w[f'layers.{i}.{name}.weight']
        ours |= {f'trunk.blocks.{i}.{k}': v for k,v in
                 {'norm1': get('attention_norm'), 'norm2': get('ffn_norm'), 'attention.qkv': get('attention.wqkv'), 'attention.out': get('attention.wo'),
                  'mlp.up': torch.cat([get('feed_forward.w1'), get('feed_forward.w3')]), 'mlp.down': get('feed_forward.w2')}.items()}
    return {f'{k}.weight': v for k,v in ours.items()}

@pytest.mark.parametrize('side,heads', [(4, 4), (5, 2)])
def test_modern_block_is_llamagens(side, heads):
    config = replace(MODERN, grid=(side,side), width=48, heads=heads, head_dim=48//heads, blocks=2, zero_start=True)
    w = llamagen_weights(config)
    vim = VIM(config).double().eval()
    vim.load_state_dict(as_ours(w, config.blocks))
    codes, labels = some(config, 3)
    theirs = torch.tensor(np.stack([llamagen({k: v.numpy() for k,v in w.items()}, config.blocks, heads, side, c.flatten().numpy(), l) for c,l in zip(codes, labels.tolist())]))
    ours = vim(codes, labels).detach()
    assert theirs.std() > .3
    assert (ours-theirs).abs().max() < 1e-5*theirs.abs().max()          # our angles are float32
    plain = VIM(replace(config, zero_start=False)).double().eval()       # with a class token that is not turned it is another function
    plain.load_state_dict(vim.state_dict())
    assert (plain(codes, labels).detach()-theirs).abs().max() > 1e-2*theirs.abs().max()

# ---- rotary places ----

def test_dot_products_know_only_the_offset():
    g, rope = torch.Generator().manual_seed(0), rope_2d(6, 9, 16).double()
    q, k = torch.randn(2, 20, 16, generator=g).double()
    turned = lambda x, y, c: rotate(x[None,None], rope[9*y+c].expand(20, 8, 2))[0,0]
    for dy, dx in ((0,0), (1,0), (0,1), (3,-2), (-2,5)):
        y, x = max(0, -dy), max(0, -dx)
        scores = torch.stack([(turned(q, y+i, x+j) * turned(k, y+i+dy, x+j+dx)).sum(-1) for i in range(6-abs(dy)) for j in range(9-abs(dx))])
        assert (scores-scores[:1]).abs().max() < 1e-5
        if (dy, dx) == (0, 0): assert (scores[0] - (q*k).sum(-1)).abs().max() < 1e-5
    down, right = ((turned(q, 0, 0)*turned(k, *to)).sum(-1) for to in ((1,0), (0,1)))
    assert (down-right).abs().max() > .1

def test_zero_start_scores_nothing():
    "The class's key is zero in every block, so nobody's score for it depends on it; its value is heard all the same."
    vim = loud(replace(MODERN, zero_start=True))
    codes, labels = some(vim.config, 4)
    vim.step(codes.flatten(1)[:,:-1], labels, cache := KVCache(vim.config, 4))
    for layer in cache.layers:
        assert not layer.keys[:,:,0].any() and layer.keys[:,:,1:].any(-1).all() and layer.values[:,:,0].any(-1).all()
    assert (vim(codes, labels) != vim(codes, (labels+1)%8)).any(-1).all()

# ---- one function, in one go and in pieces ----

def in_pieces(vim, codes, labels, sizes):
    "Logits by `step`; the first of `sizes` codes are read in the very first call."
    cache, flat = KVCache(vim.config, len(codes)), codes.flatten(1)[:,:-1]
    pieces = flat.split(sizes, 1)
    return torch.cat([vim.step(p, labels, cache) for p in pieces], 1)

@every_kind
@pytest.mark.parametrize('batch', [1, 5])
def test_cached_is_teacher_forced(config, batch):
    vim = loud(config)
    codes, labels = some(config, batch)
    with torch.no_grad():
        for names in (labels, None):
            whole = vim(codes, names)
            for prefix in (1, 6, 11, 22):
                parts = in_pieces(vim, codes, names, [prefix] + [1]*(23-prefix))
                assert ((parts-whole).norm(dim=-1) <= 1e-5*whole.norm(dim=-1)).all()      # every position of every picture
                assert ((parts-whole).abs().amax() <= 1e-5*whole.abs().amax())
            parts = in_pieces(vim, codes, names, [3, 7, 1, 12])
            assert ((parts-whole).norm(dim=-1) <= 1e-5*whole.norm(dim=-1)).all()

@every_kind
def test_unconditional(config):
    vim = loud(replace(config, classes=0))
    codes, _ = some(config, 2)
    with torch.no_grad(): whole, parts = vim(codes), in_pieces(vim, codes, None, [1]*23)
    assert (parts-whole).abs().amax() <= 1e-5*whole.abs().amax()

@every_kind
def test_past_ignores_future(config):
    vim = loud(config)
    codes, labels = some(config, 2)
    with torch.no_grad():
        before = vim(codes, labels)
        for t in range(24):
            other = codes.clone(); other.view(2, -1)[:,t] = (other.view(2, -1)[:,t]+1) % 50
            moved = (vim(other, labels) != before).any(-1)
            assert not moved[:,:t+1].any() and moved[:,t+1:].all()

# ---- training ----

@every_kind
def test_overfits(config):
    torch.manual_seed(0)
    vim, (codes, labels) = VIM(config), some(config, 4)
    optimiser = torch.optim.AdamW(vim.parameters(), lr=3e-3, betas=(.9,.96))
    for _ in range(100):
        loss = F.cross_entropy(vim(codes, labels).flatten(0, 1), codes.flatten())
        optimiser.zero_grad(); loss.backward(); optimiser.step()
    assert loss < .1

def trained_once(vim, codes, labels, recompute, dtype=None):
    "Loss, gradients, and bytes that the forward pass kept inside the blocks for the way back."
    torch.manual_seed(1); vim.zero_grad()
    vim.trunk.checkpointing, kept = recompute, {}
    parameters = {p.data_ptr() for p in vim.parameters()}
    def keep(t):
        if t.untyped_storage().data_ptr() not in parameters: kept[t.untyped_storage().data_ptr()] = t.untyped_storage()
        return t
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t), torch.autocast('cpu', dtype, enabled=dtype is not None):
        h = vim.hidden(codes, labels)
    held = sum(o.nbytes() for o in kept.values())
    with torch.autocast('cpu', dtype, enabled=dtype is not None): logits = vim.out(h)
    loss = F.cross_entropy(logits.flatten(0, 1).float(), codes.flatten())
    loss.backward()
    return loss.detach(), {n: p.grad.clone() for n,p in vim.named_parameters()}, held

@pytest.mark.parametrize('dtype', [None, torch.bfloat16], ids=['float32', 'bfloat16'])
@pytest.mark.parametrize('dropout', [0., .2])
@pytest.mark.parametrize('block', ['paper', 'modern'])
def test_recomputed_is_kept(block, dropout, dtype):
    torch.manual_seed(0)
    vim = VIM(replace(KINDS['modern, both' if block == 'modern' else 'paper'], blocks=6, dropout=dropout))
    codes, labels = some(vim.config, 8)
    kept, again = (trained_once(vim, codes, labels, recompute, dtype) for recompute in (False, True))
    assert torch.equal(kept[0], again[0])
    for name in kept[1]: assert torch.equal(kept[1][name], again[1][name]), name
    assert all(g.any() for g in kept[1].values())
    assert again[2] < .4*kept[2], (again[2], kept[2])                    # and the memory is what it was for

@every_kind
def test_bfloat16(config):
    "Close to float32 under autocast, and as a model of bfloat16."
    vim, (codes, labels) = loud(config), some(config, 3)
    with torch.no_grad():
        whole = vim(codes, labels)
        with torch.autocast('cpu', torch.bfloat16): assert (vim(codes, labels).float()-whole).norm() < .05*whole.norm()
        half = copy.deepcopy(vim).bfloat16()
        logits = half(codes, labels)
        assert logits.dtype == torch.bfloat16 and (logits.float()-whole).norm() < .05*whole.norm()

# ---- what is in a file ----

def test_names_of_weights():
    "Bundles and checkpoints hold these names: a new one needs a new version of the file."
    block = 'norm1.weight norm1.bias attention.qkv.weight attention.out.weight attention.out.bias norm2.weight norm2.bias mlp.0.weight mlp.0.bias mlp.3.weight mlp.3.bias'
    modern = 'norm1.weight norm2.weight attention.qkv.weight attention.out.weight mlp.up.weight mlp.down.weight'
    def names(start, block, end): return {*start.split(), *(f'trunk.blocks.{i}.{o}' for i in range(3) for o in block.split()), *end.split()}
    assert set(VIM(PAPER).state_dict()) == names('start.weight codes.weight rows.weight columns.weight', block, 'trunk.norm.weight trunk.norm.bias out.weight out.bias')
    assert set(VIM(MODERN).state_dict()) == names('start.weight codes.weight', modern, 'trunk.norm.weight out.weight')
    assert set(VIM(replace(MODERN, qk_norm=True)).state_dict()) == names('start.weight codes.weight', modern + ' attention.q_norm.weight attention.k_norm.weight', 'trunk.norm.weight out.weight')

def test_a_config_without_blocks_is_the_papers():
    "A file from before there were two blocks says nothing about them."
    new = ('block', 'qk_norm', 'zero_start')
    old = {k: v for k,v in config_to_dict(PAPER).items() if k not in new}
    assert config_from_dict(VIMConfig, old) == PAPER
    prior = load_bundle().prior
    assert [getattr(prior.config, k) for k in new] == ['paper', False, False] and prior.rope is None
