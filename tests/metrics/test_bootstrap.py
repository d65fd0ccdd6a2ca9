"""Bootstrap intervals."""

import math

import numpy as np
import pytest

from hf_textgan.metrics import ngrams
from hf_textgan.metrics.bootstrap import Bootstrap, mean_measure, ratio_measure
from tests.metrics.texts import NGRAM_METRICS, WITH_REFERENCES, compute, mean, nltk_scores, random_texts


@pytest.mark.parametrize("name", NGRAM_METRICS)
def test_intervals(modules, name):
    predictions = random_texts(5, 150, "abcdefghij", shortest=5)
    given = random_texts(6, 150, "abcdefghij", shortest=5) if name in WITH_REFERENCES else None
    plain = compute(modules, name, predictions, given)
    result = compute(modules, name, predictions, given, num_bootstrap=60, seed=3)
    assert {key: result[key] for key in plain} == plain
    assert (result["num_bootstrap"], result["confidence"], result["seed"]) == (60, 0.95, 3)
    names = [key.removesuffix("_interval") for key in result if key.endswith("_interval")]
    assert len(names) == sum(isinstance(value, float) for value in plain.values()) >= 4
    for key in names:
        low, high = result[f"{key}_interval"]
        assert 0 <= low <= plain[key] <= high, key
        assert low < high or plain[key] in (0, 1), key
    assert compute(modules, name, predictions, given, num_bootstrap=60, seed=3) == result
    other = compute(modules, name, predictions, given, num_bootstrap=60, seed=4)
    assert other[f"{names[0]}_interval"] != result[f"{names[0]}_interval"] or name == "novelty"
    wide, narrow = (
        compute(modules, name, predictions, given, num_bootstrap=60, confidence=share) for share in (0.9, 0.5)
    )
    assert np.diff(wide[f"{names[-1]}_interval"]) > np.diff(narrow[f"{names[-1]}_interval"])


def test_interval_of_a_mean_is_that_of_the_normal_distribution(modules):
    predictions, references = random_texts(7, 400, "abcdefgh"), random_texts(8, 50)
    scores = nltk_scores(predictions, [references] * 400, (0.5, 0.5))
    half = 1.96 * np.std(scores) / math.sqrt(400)
    low, high = compute(modules, "textgan_bleu", predictions, references, num_bootstrap=2000)["bleu_2_interval"]
    assert (high - low) / 2 == pytest.approx(half, rel=0.06)
    assert (high + low) / 2 == pytest.approx(mean(scores), abs=0.1 * half)


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_repetitions(seed):
    """A measure with weights is that of a set in which the sentences are repeated."""
    rng = np.random.default_rng(seed)
    generated, real = ([text.split() for text in random_texts(seed + i, 20)] for i in (0, 10))
    weights = rng.integers(0, 3, 20)
    repeated = [one for one, times in zip(generated, weights, strict=True) for _ in range(times)]
    assert ngrams.distinct_n_measure(generated)(weights) == ngrams.distinct_n(repeated)
    assert ngrams.ngram_jsd_measure(generated, real)(weights) == pytest.approx(ngrams.ngram_jsd(repeated, real))
    assert ngrams.ms_jaccard_measure(generated, real)(weights) == pytest.approx(ngrams.ms_jaccard(repeated, real))
    weighted, plain = ngrams.novelty_measure(generated, real)(weights), ngrams.novelty(repeated, real)
    del weighted["duplicates"], plain["duplicates"]  # which sentences are duplicates stays
    assert weighted == pytest.approx(plain)


def test_values_of_a_drawn_set_without_long_sentences_are_left_out():
    # 3 words are in one sentence of four; a drawn set misses it in (3/4)^4 = 32 % of the draws.
    measure = ngrams.distinct_n_measure([["a"], ["a", "b"], ["b"], ["a", "b", "c"]], 4)
    result = Bootstrap(50, 0.9, 0).report(measure, 4)
    low, high = result["distinct_3_interval"]  # a drawn set with this sentence k times has 1 / k
    assert 0 < low < high == 1
    assert np.isnan(result["distinct_4_interval"]).all() and math.isnan(result["distinct_4"])


def test_ratio_by_hand():
    # Sentences 1/2 and 5/3: the value is 6/5. With half a chance both are drawn, otherwise one of them twice.
    measure = ratio_measure("ratio", np.array([1.0, 5.0]), np.array([2, 3]))
    assert measure(np.array([1, 1])) == {"ratio": 6 / 5} and measure(np.array([2, 0])) == {"ratio": 1 / 2}
    result = Bootstrap(4000, 0.999, 0).report(measure, 2, unbounded=["ratio"])
    mean_of_draws = (1 / 2 + 2 * 6 / 5 + 5 / 3) / 4
    expected = [6 / 5 - mean_of_draws + 1 / 2, 6 / 5 - mean_of_draws + 5 / 3]
    assert result["ratio"] == 6 / 5 and result["ratio_interval"] == pytest.approx(expected, abs=0.02)
    # Only values that may be greater than 1 keep a greater end.
    assert Bootstrap(100, 0.999, 0).report(measure, 2)["ratio_interval"][1] == 1


def test_ratios_and_means_do_not_depend_on_the_order():
    random = np.random.default_rng(0)
    sums, counts, order = random.gamma(2, size=200), random.integers(1, 9, 200), random.permutation(200)
    bootstrap = Bootstrap(50, 0.9, 1)
    expected = bootstrap.report(ratio_measure("ratio", sums, counts), 200)
    assert bootstrap.report(ratio_measure("ratio", sums[order], counts[order]), 200) == expected
    ones = np.ones(200, np.int64)
    assert mean_measure({"mean": sums})(ones) == mean_measure({"mean": sums[order]})(ones)
    assert ratio_measure("mean", sums, ones)(ones) == mean_measure({"mean": sums})(ones)


def test_an_interval_of_a_set_measure_contains_its_value():
    """Drawn sets repeat words, so all of their values are below that of the set: plain quantiles miss it."""
    words = np.random.default_rng(0).zipf(1.3, 300)
    measure = ngrams.distinct_n_measure([[word] for word in words.tolist()], 1)
    value = Bootstrap(0, 0.95, 0).report(measure, 300)
    random = np.random.default_rng(0)
    drawn = [measure(np.bincount(random.integers(300, size=300), minlength=300))["distinct_1"] for _ in range(200)]
    assert max(drawn) < value["distinct_1"]
    low, high = Bootstrap(200, 0.95, 0).report(measure, 300)["distinct_1_interval"]
    assert (low + high) / 2 == pytest.approx(value["distinct_1"], abs=0.01)
    assert high - low == pytest.approx(np.diff(np.quantile(drawn, [0.025, 0.975])).item(), abs=1e-12)


def test_intervals_of_ratios_cover_their_value():
    """95 % intervals of 100 sentences contain the true ratio of 1 in about 95 % of the sets."""
    random = np.random.default_rng(0)
    hits = 0
    for seed in range(300):
        counts = random.geometric(0.2, 100)
        measure = ratio_measure("ratio", random.gamma(2, 0.5, 100) * counts, counts)
        low, high = Bootstrap(100, 0.95, seed).report(measure, 100, unbounded=["ratio"])["ratio_interval"]
        hits += low <= 1 <= high
    assert 0.89 < hits / 300 < 0.98


def test_numbers_of_numpy():
    result = Bootstrap(np.int64(5), np.float64(0.9), np.int64(1)).report(mean_measure({"mean": [0.0, 1.0]}), 2)
    assert result == Bootstrap(5, 0.9, 1).report(mean_measure({"mean": [0.0, 1.0]}), 2)
    assert {type(result[name]) for name in ("num_bootstrap", "seed")} == {int} and type(result["confidence"]) is float
