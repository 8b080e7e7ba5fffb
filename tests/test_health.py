"The rules of vim_nb.health on recorded trainings, well and ill (results/logs, made by tools/ill_runs.py)."
import json
import numpy as np
import pytest
from conftest import ROOT
from vim_nb.health import health_figure, health_rules, report, verdict
from vim_nb.runlog import rows_of, thin

LOGS = ROOT/'results'/'logs'
# what each ill run must be found to have; more may be found, but nothing that is not listed behind the bar
ILL = {
    'collapse': 'codebook collapsing',
    'no_rate': 'no learning rate, no progress',
    'too_fast': 'no progress | fell back',
    'runaway': 'fell back, no progress',
    'nan': 'not a number',
    'spikes': 'loss spikes',
    'drowned': 'one term drowns the others',
    'critic_explodes': 'critic explodes, gradient explodes | one term drowns the others, critic one-sided',
    'critic_wins': 'critic one-sided',
    'critic_loses': 'critic one-sided',
}
WELL = ['healthy', 'critic', 'shipped_tokenizer', 'shipped_prior']

def names(text): return {o.strip() for o in text.split(',') if o.strip()}

@pytest.mark.parametrize('name', ILL)
def test_an_ill_run_is_recognised(name):
    must, _, may = ILL[name].partition('|')
    found = {f.name for f in verdict(LOGS/f'{name}.jsonl')}
    assert names(must) <= found <= names(must) | names(may), str(verdict(LOGS/f'{name}.jsonl'))

@pytest.mark.parametrize('name', WELL)
def test_a_healthy_run_gives_no_alarm_at_any_time(name):
    log = rows_of(LOGS/f'{name}.jsonl')
    for n in range(1, len(log)+1): assert not (v := verdict(log[:n])), f'after {n} rows: {v}'

def test_what_was_not_measured_is_said():
    "The shipped tokenizer's log is from before epochs, gradients and critics were logged."
    v = verdict(LOGS/'shipped_tokenizer.jsonl')
    assert v.head() == ('healthy: 64,000 steps, 7 of 11 rules looked at; '
                        'not measured: epoch_perplexity, grad_<term>, critic, adversarial, critic_accuracy')
    assert len(verdict(LOGS/'critic.jsonl').looked) == len(health_rules)

def test_every_rule_has_an_ill_run():
    recorded = set().union(*(names(o.replace('|', ',')) for o in ILL.values()))
    assert set(health_rules) - recorded == {'codes uneven'}    # has its own rows below

def test_uneven_codes():
    rows = [dict(step=i, epoch_used=.5, epoch_dead=512, epoch_perplexity=p) for i, p in enumerate((200., 3.), 1)]
    assert [f.name for f in verdict(rows)] == ['codes uneven'] and not verdict(rows[:1])

@pytest.mark.parametrize('name', [o for o in (*ILL, *WELL) if o != 'spikes'])   # spikes fall between the rows of a thin log
def test_a_thinner_log_says_the_same(name):
    log = rows_of(LOGS/f'{name}.jsonl')
    must = names(ILL.get(name, '').partition('|')[0])
    assert must <= {f.name for f in verdict(thin(log, 140))}   # a verdict wants a hundred rows of the game

def test_a_zero_learning_rate():
    "A recipe refuses it; a log from elsewhere may have it."
    rows = [dict(m, lr=0.) for m in rows_of(LOGS/'no_rate.jsonl')]
    assert 'has never been above 0' in str(verdict(rows))

def test_logs_are_small_and_known():
    index = json.loads((LOGS/'index.json').read_text())
    assert set(index) == {p.stem for p in LOGS.glob('*.jsonl')} == {*ILL, *WELL}
    assert all(i['command'].startswith('python tools/ill_runs.py') for i in index.values())
    for p in LOGS.glob('*.jsonl'): assert p.stat().st_size < 60_000, p.name

def test_half_a_million_rows():
    "Long logs go through, and what is rare in them is not lost."
    rng = np.random.default_rng(0)
    noise, rows = rng.standard_normal(500_000).tolist(), []
    for i, z in enumerate(noise, 1):
        m = dict(step=i, loss=1/i + .01 + .001*z, psnr=20 - 10/i + z, usage=1., grad_norm=.1 + .001*z, lr=1e-4)
        if i % 50 == 0: m.update(grad_l2=1., grad_perceptual=.5)
        if i % 5000 == 0: m.update(epoch_used=.9, epoch_perplexity=500., epoch_dead=100)
        rows.append(m)
    assert not verdict(rows)
    small = thin(rows, 500)
    assert len(small) == 500 and small[-1] == rows[-1] and sum('epoch_used' in m for m in small) == 100
    assert len(health_figure(rows).axes) == 8 and '90.0% used' in report(rows)
