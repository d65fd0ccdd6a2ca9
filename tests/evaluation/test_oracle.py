"""The measures of the synthetic task, against exact enumeration and published values."""

import math

import pytest
import torch

from hf_textgan.data.oracle import build_oracle, dataset_samples, load_oracle, make_oracle, sample_oracle
from hf_textgan.evaluation.generators import nll_metrics, sample_nll
from hf_textgan.evaluation.oracle import OracleMetrics
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.sampling.samples import Samples
from hf_textgan.utils.random import fork_rng
from tests.data.files import released_oracle
from tests.helpers import all_sequences


pytestmark = pytest.mark.usefixtures("one_thread")

ENGINE = RolloutEngine(20, 0, 0)
TINY = RolloutEngine(3, 0, 0)


def nll_div(model, engine, samples, temperature=1.0) -> float:
    return nll_metrics(sample_nll(model, engine.at(temperature), samples))["nll_per_token"]


@pytest.fixture(scope="module")
def pair():
    """Two different tiny models, and the exact probabilities of all sequences under both, `(27,)` in nats."""
    oracle, generator = (build_oracle(seed, vocab_size=3, embedding_size=4, hidden_size=4) for seed in (5, 6))
    everything = all_sequences(3, 3, None)
    logps = [TINY.score(model, everything).double().sum(1) for model in (oracle, generator)]
    return oracle, generator, everything, *logps


def test_nll_oracle_is_the_exact_expectation(pair):
    oracle, generator, everything, log_p, log_g = pair
    exact = float(-(log_g.exp() * log_p).sum() / 3)
    with fork_rng("test", 0):
        samples = TINY.sample(generator, 20_000)
    logps = TINY.score(oracle, samples).double().sum(1) / 3
    standard_error = float(logps.std()) / math.sqrt(20_000)
    assert OracleMetrics(oracle)(samples)["nll_oracle"] == pytest.approx(exact, abs=4 * standard_error)
    assert standard_error < 0.01
    # ... and the mean over given sequences is nothing but that.
    some = Samples(everything.sequences[3:9], everything.attention_mask[3:9])
    assert OracleMetrics(oracle)(some)["nll_oracle"] == pytest.approx(float(-log_p[3:9].mean() / 3), abs=1e-6)


def test_decomposition(pair):
    """NLL-oracle - NLL-div = KL(G || oracle) / T, and NLL-test - H(oracle) = KL(oracle || G) / T, both above 0."""
    oracle, generator, everything, log_p, log_g = pair
    p, g = log_p.exp(), log_g.exp()
    nll_oracle, entropy_g = -(g * log_p).sum() / 3, -(g * log_g).sum() / 3
    nll_test, entropy_p = -(p * log_g).sum() / 3, -(p * log_p).sum() / 3
    assert float(nll_oracle - entropy_g) == pytest.approx(float((g * (log_g - log_p)).sum() / 3), abs=1e-9)
    assert nll_oracle > entropy_g and nll_test > entropy_p
    with fork_rng("test", 1):
        samples, real = TINY.sample(generator, 20_000), TINY.sample(oracle, 20_000)
    assert nll_div(generator, TINY, samples) == pytest.approx(float(entropy_g), abs=0.02)
    assert nll_div(generator, TINY, real) == pytest.approx(float(nll_test), abs=0.02)


def test_sharpening_games_nll_oracle(pair):
    """Of the oracle's own distribution raised to alpha: NLL-oracle falls with alpha, NLL-test has its minimum at 1."""
    oracle, _, everything, log_p, _ = pair
    sharpened = {}
    for alpha in (0.5, 1.0, 1.5, 2.5):
        log_g = TINY.at(1 / alpha).per_token_logps(oracle, everything).detach().double().sum(1)
        nll_oracle, nll_test = -(log_g.exp() * log_p).sum() / 3, -(log_p.exp() * log_g).sum() / 3
        sharpened[alpha] = float(nll_oracle), float(nll_test)
        with fork_rng("test", 2):
            samples = TINY.at(1 / alpha).sample(oracle, 10_000)
        assert OracleMetrics(oracle)(samples)["nll_oracle"] == pytest.approx(float(nll_oracle), abs=0.03)
    assert sharpened[0.5][0] > sharpened[1.0][0] > sharpened[1.5][0] > sharpened[2.5][0]
    assert sharpened[0.5][1] > sharpened[1.0][1] < sharpened[1.5][1] < sharpened[2.5][1]


def test_the_oracle_itself_has_one_value():
    oracle = build_oracle(0, vocab_size=300)
    real = dataset_samples(sample_oracle(oracle, 4000, 20))
    with fork_rng("test", 3):
        samples = ENGINE.sample(oracle, 4000)
    entropy = nll_div(oracle, ENGINE, samples)
    assert OracleMetrics(oracle)(samples)["nll_oracle"] == pytest.approx(entropy, abs=1e-6)
    assert nll_div(oracle, ENGINE, real) == pytest.approx(entropy, abs=0.05)


def test_uniform_generator_and_uniform_tokens():
    oracle = build_oracle(0)
    uniform = build_oracle(1)
    with torch.no_grad():
        uniform.lm_head.weight.zero_(), uniform.lm_head.bias.zero_()
    real = dataset_samples(sample_oracle(oracle, 256, 20))
    assert nll_div(uniform, ENGINE, real) == pytest.approx(math.log(5000), abs=1e-5)
    tokens = torch.randint(5000, (2000, 20), generator=torch.Generator().manual_seed(0))
    assert 10.9 < OracleMetrics(oracle)(Samples(tokens, torch.ones_like(tokens)))["nll_oracle"] < 11.5


def test_batches_change_nothing():
    oracle = build_oracle(0, vocab_size=300)
    samples = dataset_samples(sample_oracle(oracle, 64, 20))
    together = ENGINE.score(oracle, samples)
    one = torch.cat([ENGINE.per_token_logps(oracle, Samples(row[None], torch.ones_like(row)[None])).detach()
                     for row in samples.sequences])  # fmt: skip
    torch.testing.assert_close(together, one, atol=1e-5, rtol=0)


def entropy_along(oracle, samples: Samples) -> torch.Tensor:
    """The mean entropy of the softmax along each sequence, `(num_samples,)`."""
    inputs = torch.nn.functional.pad(samples.sequences, (1, 0))[:, :-1]
    rows = []
    with torch.no_grad():
        for part in inputs.split(64):
            logps = oracle(input_ids=part).logits.log_softmax(-1)
            rows.append(-(logps.exp() * logps).sum(-1).mean(1))
    return torch.cat(rows)


@pytest.mark.parametrize("num_samples", [1000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_released_parameters(num_samples):
    """Published for the oracle itself: 5.750 (LeakGAN, arXiv 1709.08624, table 1); uniform tokens: 11.4."""
    oracle = load_oracle(released_oracle())
    samples = dataset_samples(sample_oracle(oracle, num_samples, 20, seed=1))
    nll = -ENGINE.score(oracle, samples).double().mean(1)
    entropy = entropy_along(oracle, samples).double()
    assert OracleMetrics(oracle)(samples)["nll_oracle"] == pytest.approx(float(nll.mean()), abs=1e-6)
    error = float((nll - entropy).std()) / math.sqrt(num_samples)
    assert float(nll.mean() - entropy.mean()) == pytest.approx(0, abs=3 * error)
    # 5.753 over 160,000 samples; the standard error of 20,000 is .004, of the entropy along them .0015.
    scale = math.sqrt(20_000 / num_samples)
    assert float(nll.mean()) == pytest.approx(5.753, abs=0.01 * scale)
    assert float(entropy.mean()) == pytest.approx(5.753, abs=0.006 * scale)
    tokens = torch.randint(5000, (num_samples, 20), generator=torch.Generator().manual_seed(0))
    uniform = OracleMetrics(oracle)(Samples(tokens, torch.ones_like(tokens)))["nll_oracle"]
    assert uniform == pytest.approx(11.43, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("hidden_size", "low", "high"), [(32, 5.7, 6.2), (64, 4.0, 4.35)])
def test_fresh_oracles_of_both_sizes(hidden_size, low, high):
    """The published value for 40 tokens, 4.071, belongs to an oracle of width 64."""
    oracle = make_oracle(seed=1, hidden_size=hidden_size)
    samples = dataset_samples(sample_oracle(oracle, 2000, 40, seed=1))
    assert low < OracleMetrics(oracle)(samples)["nll_oracle"] < high
