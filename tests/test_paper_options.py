"What the paper and its heirs do otherwise: reachable, trainable, resumed to the last bit, and kept by a bundle."
from dataclasses import replace
import pytest
import torch
from vim_nb import cli
from vim_nb.bundle import load_bundle, save_bundle
from vim_nb.core import content_hash, generator
from vim_nb.data import ImageDataset
from vim_nb.decode import Decoder
from vim_nb.machine import fresh
from vim_nb.recipe import Recipe
from vim_nb.sample import generate
from vim_nb.stage1 import TokenizerRecipe, tokenizer_run, with_discriminator
from vim_nb.stage2 import PriorTask
from vim_nb.train import Run
from vim_nb.transformer import VIM, VIMConfig
from vim_nb.vitvqgan import ViTConfig, ViTVQGANConfig

net = ViTConfig(24, 1, 2, 48, 12)
config = ViTVQGANConfig(net, net, (32, 32), 8, 16, 4)
prior = VIMConfig(16, (4, 4), 2, 24, 2, 2, 12, 48)
six = Recipe(steps=6, batch_size=4, lr=1e-3, save_every=3)


def images(n=16):
    level = torch.where(torch.arange(n) % 2 == 0, .8, .2)[:, None, None, None]
    return ImageDataset.from_tensors((level + .1*torch.randn(n, 3, 32, 32, generator=generator(0))).clamp(0, 1), torch.arange(n) % 2, ['light', 'dark'])


class Codes:
    "As a token cache, in memory."
    classes,num_codes,grid,size,fingerprint = ['light', 'dark'],16,(4, 4),(32, 32),'codes'
    def __len__(self): return 16
    def spec(self): return None
    def batch(self, indices, generator=None):
        i = torch.as_tensor(indices)
        return {'codes': (i[:, None, None] + torch.arange(16).view(4, 4)) % 16, 'label': i % 2}


def whole_and_resumed(begin, data, folder):
    "State of a run of six steps, and of one that stopped after four and went on from its checkpoint of step three."
    whole = begin(None)
    for m in whole: pass
    for m in begin(folder):
        if m['step'] == 4: break
    resumed = Run.resume(folder, data=data)
    assert resumed.step == 3
    for m in resumed: pass
    assert content_hash(resumed.task.state_dict()) == content_hash(whole.task.state_dict())
    return resumed


@pytest.mark.parametrize('changes,kind,optimizer', [(dict(patch=16), None, 'adamw'), (dict(logit_laplace_eps=.1), None, 'adamw'), ({}, 'patch', 'adamw'),
                                                    ({}, 'stylegan', 'adafactor'), (dict(tanh='blocks', position='sincos', decoder=replace(net, width=6*64)), None, 'adamw')])
def test_a_tokenizer(changes, kind, optimizer, tmp_path):
    c,recipe = replace(config, **changes),TokenizerRecipe(replace(six, optimizer=optimizer))
    if kind is not None:
        recipe = with_discriminator(recipe, kind)
        recipe = replace(recipe, critic=replace(recipe.critic, net=replace(recipe.critic.net, width=8)))
    data = images()
    run = whole_and_resumed(lambda folder: tokenizer_run(data, c, recipe, folder), data, tmp_path/'run')
    still = {n for n,p in tokenizer_run(data, c, recipe).model.named_parameters() if torch.equal(p, run.model.get_parameter(n))}
    assert not {n for n in still if 'weight' in n and 'quantizer.weight' not in n}   # everything that has a gradient has moved
    save_bundle(tmp_path/'bundle', run.model, classes=data.classes, dtype=torch.float32)
    t,x = load_bundle(tmp_path/'bundle').tokenizer,data.batch([0, 1])['image']
    assert t.config == c and t.encode(x).equal(run.model.eval().encode(x)) and t.decode(t.encode(x)).equal(run.model.decode(t.encode(x)))
    assert t.encode(x).shape == (2, *c.grid)


@pytest.mark.parametrize('changes,optimizer', [(dict(position='full'), 'adamw'), ({}, 'adafactor')])
def test_a_prior(changes, optimizer, tmp_path):
    "With a full position table, cached and packed decoding is teacher forcing, and what is drawn does not depend on the batch."
    c,data = replace(prior, **changes),Codes()
    begin = lambda folder: Run(PriorTask(fresh(0, VIM, c)), data, replace(six, optimizer=optimizer), folder)
    run = whole_and_resumed(begin, data, tmp_path/'run')
    tokenizer = tokenizer_run(images(), config, TokenizerRecipe(six)).model.eval()
    save_bundle(tmp_path/'bundle', tokenizer, run.model, data.classes, dtype=torch.float32)
    b = load_bundle(tmp_path/'bundle')
    assert b.prior.config == c
    codes,labels = data.batch(range(3)).values()
    with torch.no_grad(): truth = b.prior(codes, labels)
    assert torch.equal(truth, run.model.eval()(codes, labels))
    decoder = Decoder(b.prior)
    cache = decoder.cache(3)
    steps = [decoder(None, labels, cache)] + [decoder(codes.flatten(1)[:, t:t+1], labels, cache) for t in range(15)]
    assert (torch.stack(steps, 1) - truth).abs().max() < 1e-5
    assert generate(5, model=b, progress=False, batch_size=2).codes.equal(generate(5, model=b, progress=False, batch_size=5).codes)


class Enough(Exception): pass


@pytest.mark.parametrize('options,grid,output,size', [({}, (32, 32), 'logit-laplace', 'small'), (dict(image_size='64'), (8, 8), 'logit-laplace', 'small'),
                                                     (dict(size='tiny', patch=16), (16, 16), 'logit-laplace', 'tiny'), (dict(recipe='parti'), (32, 32), 'rgb', 'small'),
                                                     (dict(recipe='tiny'), (8, 8), 'logit-laplace', 'tiny')])
def test_a_recipe_carries_its_size(options, grid, output, size, tmp_path, monkeypatch):
    "`--recipe paper` is the paper's tokenizer at 256×256 unless the command line says otherwise; checkpoints know what was used."
    seen = {}
    def begin(task, data, recipe, *args): seen.update(task=task, data=data); raise Enough
    monkeypatch.setattr('vim_nb.trainings.open_run', begin)
    monkeypatch.setattr('vim_nb.stage1.load_lpips', lambda: type('Nothing', (), {'hash': None})())
    monkeypatch.setattr('vim_nb.adversary.make_critic', lambda config: torch.nn.Linear(1, 1))
    with pytest.raises(Enough): cli.vim_train_tokenizer('digits', str(tmp_path/'run'), **{'recipe': 'paper', **options})
    task = seen['task']
    assert task.model.config.grid == grid and task.model.config.output == output and seen['data'][0]['image'].shape[1:] == task.model.config.size
    assert task.recipe.size == size and tuple(task.recipe.image_size) == task.model.config.size
    assert sum(len(s.trunk.blocks) for s in (task.model.encoder.stack, task.model.decoder.stack)) == {'small': 16, 'tiny': 3}[size]
