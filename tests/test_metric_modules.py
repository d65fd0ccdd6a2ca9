"""The n-gram metrics as modules of evaluate: against NLTK, against numbers by hand, and as a Space would hold them."""

import doctest
import inspect
import json
import math
import os
import random
import re
import runpy
import shutil
import string
import sys
import types
from collections import Counter
from fractions import Fraction
from pathlib import Path

import evaluate
import numpy as np
import pandas as pd
import pytest
import yaml
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from hf_textgan.data.caption_grammar import CaptionGrammar
from hf_textgan.metrics import available, load, ngrams
from hf_textgan.metrics.ngram_options import BLEU_VARIANTS, JSD_VARIANTS, SELF_BLEU_VARIANTS, Bootstrap


NAMES = ["distinct_n", "ms_jaccard", "ngram_jsd", "novelty", "self_bleu", "textgan_bleu"]
WITH_REFERENCES = ["ms_jaccard", "ngram_jsd", "novelty", "textgan_bleu"]
FOLDER = Path(ngrams.__file__).parent
ROOT = Path(__file__).parents[1]
REFERENCES = ["the cat sat on the mat", "a cat is on the mat today", "there is a cat here"]


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    return {name: load(name, cache_dir=str(tmp_path_factory.mktemp("metrics"))) for name in NAMES}


def compute(modules, name, predictions, references=None, **options):
    return modules[name].compute(predictions=predictions, references=references, **options)


def random_texts(seed, count, vocabulary="abcde", longest=9, shortest=1):
    rng = random.Random(seed)
    return [" ".join(rng.choices(vocabulary, k=rng.randint(shortest, longest))) for _ in range(count)]


def nltk_scores(hypotheses, references, weights):
    """Per hypothesis; `references` are those of each hypothesis."""
    method = SmoothingFunction().method1
    return [
        sentence_bleu([one.split() for one in theirs], ours.split(), weights=weights, smoothing_function=method)
        for ours, theirs in zip(hypotheses, references, strict=True)
    ]


def mean(values):
    return math.fsum(values) / len(values)


# ---- BLEU and Self-BLEU ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hypothesis", "expected"),
    [
        ("the cat the cat on a mat", (0.37796, 0.14190, 0.09193)),
        ("a cat sat here", (0.63589, 0.25064, 0.18713)),
        ("the mat", (0.22313, 0.10357, 0.07056)),
        ("dog", (0, 0, 0)),
    ],
)
def test_known_sentences(modules, hypothesis, expected):
    result = compute(modules, "textgan_bleu", [hypothesis], REFERENCES)
    assert [result[f"bleu_{n}"] for n in (2, 3, 4)] == pytest.approx(expected, abs=1e-5)
    assert (result["variant"], result["num_predictions"], result["num_references"]) == ("standard", 1, 3)


def test_known_self_bleu(modules):
    result = compute(modules, "self_bleu", REFERENCES)
    assert [result[f"self_bleu_{n}"] for n in (2, 3, 4)] == pytest.approx((0.49605, 0.32880, 0.17841), abs=1e-5)
    doubled = compute(modules, "self_bleu", REFERENCES + REFERENCES[:1])
    assert [doubled[f"self_bleu_{n}"] for n in (2, 3, 4)] == pytest.approx((0.74294, 0.64523, 0.57953), abs=1e-5)
    assert (doubled["variant"], doubled["num_predictions"], doubled["num_references"]) == ("standard", 4, 3)


@pytest.mark.parametrize("variant", ["standard", "textbox"])
@pytest.mark.parametrize("seed", range(3))
def test_bleu_equals_nltk(modules, variant, seed):
    references = random_texts(seed, 12)
    hypotheses = [*random_texts(seed + 100, 25, "abcdexyz", 12), "a", "a a a a", "x y z", references[0], references[1]]
    ours = compute(modules, "textgan_bleu", hypotheses, references, variant=variant)
    among = compute(modules, "self_bleu", hypotheses, variant=variant)
    others = [hypotheses[:i] + hypotheses[i + 1 :] for i in range(len(hypotheses))]
    for n in range(2, 6):
        weights = (1 / n,) * n if variant == "standard" else (0,) * (n - 1) + (1,)
        expected = mean(nltk_scores(hypotheses, [references] * len(hypotheses), weights))
        assert ours[f"bleu_{n}"] == pytest.approx(expected, abs=1e-9)
        expected = mean(nltk_scores(hypotheses, others, weights))
        assert among[f"self_bleu_{n}"] == pytest.approx(expected, abs=1e-9)


# Precisions of 1- to 5-grams by hand, of sentences of 5 words against references of 5 words:
ALL = (1, 1, 1, 1, 1)
FIRST_OR_LAST_WRONG = (4 / 5, 3 / 4, 2 / 3, 1 / 2, 0.1 / 1)  # one end of the sentence differs


def by_hand(precisions, n):
    return math.prod(precisions[:n]) ** (1 / n)


def bleu_case():
    """
    Against 500 times "a b c d e" and then once "V w x y z". With 4 words the 5-grams are 0.1 of 1, and the brevity
    penalty is exp(1 - 5 / 4).
    """
    predictions = ["a b c d e"] * 50 + ["a b c d q"] * 50  # all right; last word wrong
    predictions += ["v w x y z"] * 50 + ["A b c d e"] * 50  # first word right in lower case only
    predictions += ["a b c d"] * 440 + ["q r s t u"] * 60  # short; nothing in common
    return predictions, ["a b c d e"] * 500 + ["V w x y z"]


@pytest.mark.parametrize("variant", BLEU_VARIANTS)
def test_variants_of_bleu_by_hand(modules, variant):
    predictions, references = bleu_case()
    penalty = math.exp(1 - 5 / 4)
    short = (1, 1, 1, 1, 0.1)

    def expected(n):
        wrong, brief = by_hand(FIRST_OR_LAST_WRONG, n), by_hand(short, n)
        return {
            "standard": (50 + 150 * wrong + 440 * penalty * brief) / 700,
            "texygen": (50 + 100 * wrong + 440 * penalty * brief) / 700,  # "V w x y z" is the 501st
            "textgan-pytorch": round((50 + 50 * wrong + 50 + 50) / 200, 3),
            "relgan": (50 + 50 * wrong) / 100,
            "textbox": (50 + 150 * FIRST_OR_LAST_WRONG[n - 1] + 440 * penalty * short[n - 1]) / 700,
            "vgan": (50 + 150 * wrong + 440 * penalty * brief) / 700,
            "textkd-gan": (50 + 150 * wrong + 440 * brief) / 640,
        }[variant]

    orders = {"vgan": [2], "textkd-gan": [2, 3, 4]}.get(variant, [2, 3, 4, 5])
    used = {"textgan-pytorch": 200, "relgan": 100, "textkd-gan": 640}.get(variant, 700)
    result = compute(modules, "textgan_bleu", predictions, references, variant=variant)
    assert result == pytest.approx(
        {
            "variant": variant,
            **{f"bleu_{n}": expected(n) for n in orders},
            "num_predictions": used,
            "num_references": 500 if variant == "texygen" else 501,
        },
        abs=1e-12,
    )


@pytest.mark.parametrize("variant", SELF_BLEU_VARIANTS)
def test_variants_of_self_bleu_by_hand(modules, variant):
    # One sentence without its like, two frequent kinds that share their first 4 words, one that comes first at place
    # 200 and again only after place 500, and one that is like the first kind but for the last word.
    predictions = ["u v w x y"] + ["a b c d e"] * 99 + ["A b c d q"] * 100
    predictions += ["g h i j k"] + ["a b c d e"] * 299 + ["g h i j k"] * 100 + ["a b c d r"]

    def expected(n):
        wrong = by_hand(FIRST_OR_LAST_WRONG, n)
        return {
            "standard": (0 + 599 + wrong) / 601,
            "texygen": (0 + 199 + 0 + 299) / 500,
            "textgan-pytorch": round((0 + 99 + 100 * wrong) / 200, 3),  # against "A b c d e", lower-cased
            "relgan": 1.0,
            "textbox": (0 + 599 + FIRST_OR_LAST_WRONG[n - 1]) / 601,
        }[variant]

    own = variant == "textgan-pytorch"
    result = compute(modules, "self_bleu", predictions, ["A b c d e"] if own else None, variant=variant)
    used = {"textgan-pytorch": 200, "relgan": 200, "texygen": 500}.get(variant, 601)
    against = {"textgan-pytorch": 1, "relgan": 601, "texygen": 499}.get(variant, 600)
    assert result == pytest.approx(
        {
            "variant": variant,
            **{f"self_bleu_{n}": expected(n) for n in ([2, 3, 4] if own else [2, 3, 4, 5])},
            "num_predictions": used,
            "num_references": against,
        },
        abs=1e-12,
    )


# ---- The divergence, distinct n-grams, MS-Jaccard, novelty ----------------------------------------------------------


def entropy_term(p, m):
    return p * math.log2(p / m)


def test_divergence_of_words_and_of_characters(modules):
    # Words: P(aa) = 1/2, P(b) = 1/2; Q(aa) = 1. M = 3/4, 1/4.
    words = (entropy_term(1 / 2, 3 / 4) + entropy_term(1 / 2, 1 / 4) + entropy_term(1, 3 / 4)) / 2
    result = compute(modules, "ngram_jsd", ["aa b"], ["aa"], max_order=1)
    assert (result["level"], result["variant"]) == ("word", "standard")
    assert result["jsd_1"] == pytest.approx(words, abs=1e-12)
    # Characters: P(a) = 1/2, P(blank) = P(b) = 1/4; Q(a) = 1. M = 3/4, 1/8, 1/8.
    characters = (entropy_term(1 / 2, 3 / 4) + 2 * entropy_term(1 / 4, 1 / 8) + entropy_term(1, 3 / 4)) / 2
    result = compute(modules, "ngram_jsd", ["aa b"], ["aa"], level="character", max_order=2)
    assert result["level"] == "character"
    assert result["jsd_1"] == pytest.approx(characters, abs=1e-12)
    # Pairs of characters: "aa", "a ", " b" a third each, against "aa".
    pairs = (entropy_term(1 / 3, 2 / 3) + 2 * entropy_term(1 / 3, 1 / 6) + entropy_term(1, 2 / 3)) / 2
    assert result["jsd_2"] == pytest.approx(pairs, abs=1e-12)


def test_divergence_of_iwgan_by_hand(modules):
    # Of "a" in 32 places 31 are padding; the 641st sentence and the 33rd and later characters do not count.
    # P(a) = 1/32, P(padding) = 31/32; Q(a) = 1. M = 33/64, 31/64.
    expected = (entropy_term(1 / 32, 33 / 64) + entropy_term(31 / 32, 31 / 64) + entropy_term(1, 33 / 64)) / 2
    result = compute(modules, "ngram_jsd", ["a"] * 640 + ["b"], ["a" * 32 + "c" * 8], variant="iwgan")
    assert result["jsd_1"] == pytest.approx(expected, abs=1e-12)
    # Pairs: "a`" and 30 times "``", none of which the other side has.
    assert result["jsd_2"] == 1.0
    assert {key: result[key] for key in ("variant", "level", "num_predictions", "num_references")} == {
        "variant": "iwgan",
        "level": "character",
        "num_predictions": 640,
        "num_references": 1,
    }


def test_distinct_n_by_hand(modules):
    # 7 words, 4 distinct of them; ab ba ab and bc cb; aba bab and bcb
    assert compute(modules, "distinct_n", ["a b a b", "b c b"], max_order=3) == pytest.approx(
        {"distinct_1": 3 / 7, "distinct_2": 4 / 5, "distinct_3": 1.0, "num_predictions": 2}
    )


def test_ms_jaccard_by_hand(modules):
    # Words per sentence: a 2, b 1 against a 1, b 1: 2 / 3. Pairs: aa 1, ab 1 against ab 1/2, ba 1/2: (1/2) / (5/2).
    result = compute(modules, "ms_jaccard", ["a a b"], ["a b", "b a"], max_order=3)
    assert result["jaccard_1"] == pytest.approx(2 / 3, abs=1e-15)
    assert result["jaccard_2"] == pytest.approx(1 / 5, abs=1e-15)
    assert result["jaccard_3"] == 0  # "a a b" against nothing
    assert result["ms_jaccard_1"] == result["jaccard_1"]
    assert result["ms_jaccard_2"] == pytest.approx(math.sqrt(2 / 15), abs=1e-15)
    assert result["ms_jaccard_3"] == 0
    assert (result["num_predictions"], result["num_references"]) == (1, 2)


def plain_counts(texts, n):
    words = [text.split() for text in texts]
    return Counter(tuple(one[i : i + n]) for one in words for i in range(len(one) - n + 1))


@pytest.mark.parametrize("seed", range(3))
def test_ms_jaccard_by_brute_force(modules, seed):
    ours, theirs = random_texts(seed, 30), random_texts(seed + 50, 45, "abcdef")
    result = compute(modules, "ms_jaccard", ours, theirs)
    product = Fraction(1)
    for n in range(1, 6):
        p, q = plain_counts(ours, n), plain_counts(theirs, n)
        pairs = [(Fraction(p[gram], 30), Fraction(q[gram], 45)) for gram in p | q]
        jaccard = sum(map(min, pairs)) / sum(map(max, pairs))
        product *= jaccard
        assert result[f"jaccard_{n}"] == pytest.approx(float(jaccard), abs=1e-15)
        assert result[f"ms_jaccard_{n}"] == pytest.approx(float(product) ** (1 / n), abs=1e-12)


def test_novelty_by_hand(modules):
    predictions = ["a cat sat here", "a cat sat here", "the dog", "there is a cat"]
    references = ["the cat sat on the mat", "a cat is on the mat", "there is a cat"]
    assert compute(modules, "novelty", predictions, references, max_order=3) == pytest.approx(
        {
            "duplicates": 1 / 4,
            "copied_sentences": 1 / 4,
            "longest_copied_mean": (2 + 2 + 1 + 4) / 4,  # "a cat" or "cat sat", twice; "the"; the whole sentence
            "longest_copied_max": 4,
            "novel_1": 3 / 14,  # "here" twice, "dog"
            "novel_2": 3 / 10,  # "sat here" twice, "the dog"
            "novel_3": 4 / 6,  # "a cat sat" and "cat sat here" twice
            "num_predictions": 4,
            "num_references": 3,
        }
    )


def contains(sentence, gram):
    return any(sentence[i : i + len(gram)] == gram for i in range(len(sentence) - len(gram) + 1))


@pytest.mark.parametrize("seed", range(4))
def test_novelty_by_brute_force(modules, seed):
    predictions = random_texts(seed, 40, "abcdef", longest=7)
    references = random_texts(seed + 9, 25, "abcdeg", longest=12)
    references += predictions[:2]
    result = compute(modules, "novelty", predictions, references)
    ours, theirs = [text.split() for text in predictions], [text.split() for text in references]
    longest = []
    for one in ours:
        grams = [one[i:j] for i in range(len(one)) for j in range(i + 1, len(one) + 1)]
        longest.append(max((len(g) for g in grams if any(contains(other, g) for other in theirs)), default=0))
    assert result["longest_copied_mean"] == pytest.approx(mean(longest), abs=1e-12)
    assert result["longest_copied_max"] == max(longest)
    assert ngrams.longest_copied(ours, theirs) == longest
    assert result["duplicates"] == pytest.approx(1 - len(set(predictions)) / 40, abs=1e-12)
    assert result["copied_sentences"] == pytest.approx(sum(p in references for p in predictions) / 40, abs=1e-12)
    for n in range(1, 5):
        grams = [one[i : i + n] for one in ours for i in range(len(one) - n + 1)]
        novel = [not any(contains(other, gram) for other in theirs) for gram in grams]
        assert result[f"novel_{n}"] == pytest.approx(sum(novel) / len(novel), abs=1e-12)


def test_nothing_in_common_and_everything(modules):
    result = compute(modules, "novelty", ["a b", "c"], ["x y z"])
    assert (result["longest_copied_max"], result["longest_copied_mean"], result["novel_1"]) == (0, 0, 1)
    assert math.isnan(result["novel_3"])
    same = random_texts(0, 30, shortest=5)
    for name, key, best in (
        ("ms_jaccard", "ms_jaccard_5", 1),
        ("ngram_jsd", "jsd_4", 0),
        ("novelty", "copied_sentences", 1),
        ("textgan_bleu", "bleu_5", 1),
    ):
        assert compute(modules, name, same, same)[key] == best
    for name, key, worst in (
        ("ms_jaccard", "ms_jaccard_1", 0),
        ("ngram_jsd", "jsd_1", 1),
        ("textgan_bleu", "bleu_2", 0),
    ):
        assert compute(modules, name, ["a b c"], ["x y z"])[key] == worst


# ---- What holds for all ---------------------------------------------------------------------------------------------


@pytest.mark.invariant
@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_sentences_does_not_matter(modules, name):
    predictions, references = random_texts(1, 80), random_texts(2, 90)
    given = references if name in WITH_REFERENCES else None
    result = compute(modules, name, predictions, given, num_bootstrap=10)
    assert sum(key.endswith("_interval") for key in result) >= 4
    rng = random.Random(0)
    for _ in range(2):
        rng.shuffle(predictions)
        rng.shuffle(references)
        given = references if name in WITH_REFERENCES else None
        assert compute(modules, name, predictions, given, num_bootstrap=10) == result


@pytest.mark.parametrize("name", NAMES)
def test_lists_of_tokens_and_added_batches(modules, name):
    predictions, references = random_texts(3, 20), random_texts(4, 30)
    given = references if name in WITH_REFERENCES else None
    result = compute(modules, name, predictions, given)
    split = [text.split() for text in references] if given else None
    assert compute(modules, name, [text.split() for text in predictions], split) == result
    assert compute(modules, name, tuple(predictions), given and tuple(given)) == result
    modules[name].add_batch(predictions=predictions[:7])
    modules[name].add_batch(predictions=predictions[7:])
    assert modules[name].compute(references=given) == result
    assert json.loads(json.dumps(result)) == result  # plain numbers


@pytest.mark.parametrize("name", NAMES)
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
    ours, theirs = ([text.split() for text in random_texts(seed + i, 20)] for i in (0, 10))
    weights = rng.integers(0, 3, 20)
    repeated = [one for one, times in zip(ours, weights, strict=True) for _ in range(times)]
    assert ngrams.distinct_n_measure(ours)(weights) == ngrams.distinct_n(repeated)
    assert ngrams.ngram_jsd_measure(ours, theirs)(weights) == pytest.approx(ngrams.ngram_jsd(repeated, theirs))
    assert ngrams.ms_jaccard_measure(ours, theirs)(weights) == pytest.approx(ngrams.ms_jaccard(repeated, theirs))
    weighted, plain = ngrams.novelty_measure(ours, theirs)(weights), ngrams.novelty(repeated, theirs)
    del weighted["duplicates"], plain["duplicates"]  # which sentences are duplicates stays
    assert weighted == pytest.approx(plain)


def test_values_of_a_drawn_set_without_long_sentences_are_left_out():
    # 3 words are in one sentence of four; a drawn set misses it in (3/4)^4 = 32 % of the draws.
    measure = ngrams.distinct_n_measure([["a"], ["a", "b"], ["b"], ["a", "b", "c"]], 4)
    result = Bootstrap(50, 0.9, 0).report(measure, 4)
    low, high = result["distinct_3_interval"]  # a drawn set with this sentence k times has 1 / k
    assert 0 < low < high == 1
    assert np.isnan(result["distinct_4_interval"]).all() and math.isnan(result["distinct_4"])


@pytest.mark.invariant
def test_damage_shows(modules):
    """Words replaced at random make each measure worse, step by step."""
    texts = CaptionGrammar().sample(600, seed=0)
    real, references = texts[:300], texts[300:]
    vocabulary = sorted({word for text in references for word in text.split()})
    series = []
    for share in (0, 0.1, 0.3, 0.6):
        rng = random.Random(0)
        damaged = [
            " ".join(rng.choice(vocabulary) if rng.random() < share else word for word in text.split())
            for text in real
        ]
        values = {}
        for name in WITH_REFERENCES:
            values |= compute(modules, name, damaged, references)
        series.append(values)
    for better, worse in zip(series, series[1:], strict=False):
        for key in ("bleu_2", "bleu_4", "ms_jaccard_3", "longest_copied_mean"):
            assert worse[key] < better[key]
        for key in ("jsd_2", "jsd_4", "novel_3"):
            assert worse[key] > better[key]


def test_lost_modes_show_in_diversity_alone(modules):
    letters = string.ascii_letters
    real = random_texts(9, 400, letters, shortest=4)
    references = random_texts(10, 400, letters, shortest=4)
    collapsed = real[:100] * 4
    scores = [compute(modules, "textgan_bleu", one, references)["bleu_3"] for one in (real, collapsed)]
    assert abs(scores[0] - scores[1]) < 0.03
    scores = [compute(modules, "self_bleu", one)["self_bleu_3"] for one in (real, collapsed)]
    assert scores[1] == 1 > scores[0] + 0.2
    shares = [compute(modules, "novelty", one, references)["duplicates"] for one in (real, collapsed)]
    assert shares[1] == pytest.approx(0.75) and shares[0] < 0.05


# ---- Errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "predictions", "references", "options", "error", "message"),
    [
        (
            "textgan_bleu",
            None,
            ["a"],
            {},
            ValueError,
            "There are no predictions; pass predictions=, a list of sentences.",
        ),
        (
            "textgan_bleu",
            ["a"],
            None,
            {},
            ValueError,
            "There are no references; pass references=, a list of sentences.",
        ),
        ("distinct_n", [], None, {}, ValueError, "There are 0 predictions; pass at least 1 sentence."),
        ("novelty", ["a"], [], {}, ValueError, "There are 0 references; pass at least 1 sentence."),
        ("distinct_n", "a dog", None, {}, TypeError, "predictions='a dog' is no list; pass a list of sentences."),
        ("novelty", ["a"], 3, {}, TypeError, "references=3 is no list; pass a list of sentences."),
        (
            "distinct_n",
            ["a", 5],
            None,
            {},
            TypeError,
            "predictions[1]=5 is not a string; pass all of them in one form.",
        ),
        (
            "distinct_n",
            [None, "a"],
            None,
            {},
            TypeError,
            "predictions[0]=None is not a string or a list of tokens; pass all of them in one form.",
        ),
        (
            "ms_jaccard",
            ["a"],
            [["a"], "b"],
            {},
            TypeError,
            "references[1]='b' is not a string or a list of tokens; pass all of them in one form.",
        ),
        (
            "distinct_n",
            [["a"], ["b", 7]],
            None,
            {},
            TypeError,
            "predictions[1] has the token 7; pass tokens as strings.",
        ),
        (
            "distinct_n",
            ["a", "", "b", " "],
            None,
            {},
            ValueError,
            "2 of 4 predictions have no token, the first at index 1; drop them and report how many there were.",
        ),
        (
            "textgan_bleu",
            ["a"],
            ["a", "b", ""],
            {},
            ValueError,
            "1 of 3 references have no token, the first at index 2; drop them and report how many there were.",
        ),
        (
            "textgan_bleu",
            ["a"],
            ["a"],
            {"variant": "seqgan"},
            ValueError,
            "There is no variant 'seqgan'; use one of standard, texygen, textgan-pytorch, relgan, textbox, vgan, "
            "textkd-gan.",
        ),
        (
            "self_bleu",
            ["a", "b"],
            None,
            {"variant": "vgan"},
            ValueError,
            "There is no variant 'vgan'; use one of standard, texygen, textgan-pytorch, relgan, textbox.",
        ),
        (
            "self_bleu",
            ["a", "b"],
            None,
            {"variant": "textgan-pytorch"},
            ValueError,
            "There are no references; pass references=, a list of sentences.",
        ),
        (
            "self_bleu",
            ["a", "b"],
            ["c"],
            {},
            ValueError,
            "The variant 'standard' compares the predictions with each other; leave references= out.",
        ),
        (
            "self_bleu",
            ["a"],
            None,
            {},
            ValueError,
            "There is only 1 sentence to compare; Self-BLEU needs at least 2.",
        ),
        (
            "distinct_n",
            ["a"],
            ["a"],
            {},
            ValueError,
            "distinct_n looks at the predictions alone; leave references= out.",
        ),
        ("distinct_n", ["a"], None, {"max_order": 0}, ValueError, "max_order=0 is too small; use 1 or more."),
        ("novelty", ["a"], ["a"], {"max_order": 0}, ValueError, "max_order=0 is too small; use 1 or more."),
        ("ms_jaccard", ["a"], ["a"], {"max_order": -1}, ValueError, "max_order=-1 is too small; use 1 or more."),
        (
            "ngram_jsd",
            ["a"],
            ["a"],
            {"level": "byte"},
            ValueError,
            "There is no level 'byte'; use one of word, character.",
        ),
        (
            "ngram_jsd",
            ["a"],
            ["a"],
            {"level": "word", "variant": "iwgan"},
            ValueError,
            "level='word' contradicts the variant, which has 'character'; leave the level out.",
        ),
        (
            "ngram_jsd",
            [["a"]],
            ["a"],
            {"level": "character"},
            TypeError,
            "predictions[0]=['a'] is not a string; pass strings to count characters.",
        ),
        (
            "distinct_n",
            ["a"],
            None,
            {"num_bootstrap": 5},
            ValueError,
            "There is only 1 prediction to draw from; pass at least 2 or num_bootstrap=0.",
        ),
        (
            "distinct_n",
            ["a"],
            None,
            {"num_bootstrap": -1},
            ValueError,
            "num_bootstrap=-1 is negative; use 0 or more.",
        ),
        (
            "distinct_n",
            ["a"],
            None,
            {"num_bootstrap": "5"},
            TypeError,
            "num_bootstrap='5' is no whole number; use 0 or more.",
        ),
        ("distinct_n", ["a"], None, {"seed": 0.5}, TypeError, "seed=0.5 is no whole number; use 0 or more."),
        (
            "distinct_n",
            ["a"],
            None,
            {"confidence": 95},
            ValueError,
            "confidence=95 is no share; use a number between 0 and 1, such as 0.95.",
        ),
    ],
)
def test_errors_name_the_value_and_the_fix(name, predictions, references, options, error, message, tmp_path):
    with pytest.raises(error) as caught:
        load(name, cache_dir=str(tmp_path)).compute(predictions=predictions, references=references, **options)
    assert str(caught.value) == message


def test_errors_of_added_batches_and_names(modules):
    with pytest.raises(ValueError, match="^add_batch takes predictions only, references go to compute; leave refer"):
        modules["textgan_bleu"].add_batch(predictions=["a"], references=["a"])
    with pytest.raises(TypeError, match=r"^predictions\[1\]=3 is not a string; pass all of them in one form.$"):
        modules["textgan_bleu"].add_batch(predictions=["a", 3])
    with pytest.raises(ValueError, match="^There is no metric 'bleu'; use one of .*distinct_n, .*, textgan_bleu"):
        load("bleu")


def test_a_module_works_after_an_error(modules):
    with pytest.raises(ValueError, match="have no token"):
        compute(modules, "distinct_n", ["a", ""])
    assert compute(modules, "distinct_n", ["a"], max_order=1) == {"distinct_1": 1.0, "num_predictions": 1}


# ---- Modules of evaluate --------------------------------------------------------------------------------------------


def test_available():
    assert set(NAMES) <= set(available())
    assert not {"__pycache__", "module_helpers", "ngrams", "ngram_options"} & set(available())


@pytest.mark.parametrize("name", NAMES)
def test_examples_of_the_documentation_run(modules, name):
    module = inspect.getmodule(type(modules[name]))
    examples = doctest.DocTestParser().get_doctest(module._KWARGS_DESCRIPTION, {}, name, name, 0)
    assert len(examples.examples) >= 2
    assert doctest.DocTestRunner().run(examples).failed == 0
    # evaluate appends the description of the arguments, and the citation stands in the card
    assert module._KWARGS_DESCRIPTION in modules[name].compute.__doc__
    assert modules[name].citation == module._CITATION


@pytest.mark.parametrize("name", NAMES)
def test_load_by_path_from_another_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = evaluate.load(str(FOLDER / name))
    copy = Path(inspect.getfile(type(module))).parent
    assert copy != FOLDER / name
    for helper in ("module_helpers.py", "ngrams.py", "ngram_options.py"):
        assert (FOLDER / name / helper).is_symlink() and not os.readlink(FOLDER / name / helper).startswith("/")
        assert (copy / helper).is_file() and not (copy / helper).is_symlink()
        assert (copy / helper).read_text() == (FOLDER / helper).read_text()


def test_load_through_the_class():
    from hf_textgan.metrics.textgan_bleu.textgan_bleu import TextganBleu

    assert TextganBleu().compute(predictions=["dog"], references=REFERENCES, variant="vgan")["bleu_2"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_space_needs_no_package(name, tmp_path, monkeypatch):
    """The files of the folder, links resolved, load where this package cannot be imported."""
    shutil.copytree(FOLDER / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    assert not any(path.is_symlink() for path in (tmp_path / name).iterdir())
    with open(tmp_path / name / f"{name}.py", "a") as script:
        script.write("# not the script that is imported already\n")
    for module in [key for key in sys.modules if key.partition(".")[0] == "hf_textgan"]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.chdir(tmp_path)
    references = ["a b", "c"] if name in WITH_REFERENCES else None
    result = evaluate.load(f"./{name}").compute(predictions=["a b", "a", "c"], references=references)
    assert result["num_predictions"] == 3


@pytest.mark.parametrize("name", NAMES)
def test_web_page(name, monkeypatch):
    """The page's table of sentences reaches the module; gradio itself is replaced."""
    pages = []

    class Interface:
        def __init__(self, fn, inputs, **options):
            self.fn, self.headers, self.options = fn, inputs["headers"], options

        def launch(self):
            pages.append(self)

    gradio = types.ModuleType("gradio")
    gradio.Interface = Interface
    gradio.inputs = types.SimpleNamespace(Dataframe=lambda **options: options)
    gradio.outputs = types.SimpleNamespace(Textbox=lambda **options: options)
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    monkeypatch.setattr(sys, "path", [str(FOLDER / name), *sys.path])  # as `python app.py` has it
    runpy.run_path(str(FOLDER / name / "app.py"))
    (page,) = pages
    rows = {"predictions": ['"a b"', '"a c"'], "references": ['"a b"', '"a d"']}
    assert list(page.headers) == (["predictions", "references"] if name in WITH_REFERENCES else ["predictions"])
    result = page.fn(pd.DataFrame({header: rows[header] for header in page.headers}))
    assert result["num_predictions"] == 2
    assert page.options["article"].lstrip().startswith("# ")


def numbers_of(node, names):
    """All values that these metrics have anywhere in the record, as a card shows them."""
    for key, value in node.items():
        if key in names:
            yield from (f"{x:.3f}" for x in all_floats(value))
        elif isinstance(value, dict):
            yield from numbers_of(value, names)


def all_floats(node):
    if isinstance(node, float):
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from all_floats(value)


@pytest.mark.parametrize("name", NAMES)
def test_cards(name):
    text = (FOLDER / name / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    front = yaml.safe_load(front)
    assert front["sdk"] == "gradio" and front["app_file"] == "app.py" and front["tags"] == ["evaluate", "metric"]
    assert front["title"]
    for heading in ("## How to use", "## Values", "## Limits", "## Calibration", "## Citation"):
        assert heading in body
    variants = {"textgan_bleu": BLEU_VARIANTS, "self_bleu": SELF_BLEU_VARIANTS, "ngram_jsd": JSD_VARIANTS}
    for variant in variants.get(name, []):
        assert f"`{variant}`" in body
    measured = json.loads((ROOT / "benchmarks" / "results" / "metric_calibration_ngrams.json").read_text())
    known = set(numbers_of(measured["values"], (name, f"{name}_iwgan")))
    figures = re.findall(r"(?<![\w.])\d+\.\d+", body.split("## Calibration")[1].split("\n## ")[0])
    assert len(figures) >= 40 and set(figures) <= known
    requirements = (FOLDER / name / "requirements.txt").read_text().split()
    assert [line.split(">")[0] for line in requirements] == ["evaluate", "datasets", "numpy"]


# ---- Real text ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpora():
    folder = Path(os.environ.get("TEXTGAN_DATA_DIR") or "")
    paths = [folder / name for name in ("image_coco/train.tok.txt", "image_coco/test.tok.txt")]
    paths += [folder / name for name in ("emnlp_news/train.txt", "emnlp_news/test.txt")]
    if "TEXTGAN_DATA_DIR" not in os.environ or not all(path.is_file() for path in paths):
        pytest.skip("TEXTGAN_DATA_DIR names no folder with image_coco and emnlp_news")
    return [path.read_text().splitlines() for path in paths]


def test_calibration_of_bleu_on_real_text(modules, corpora):
    """Real sentences against the published split of Image COCO and two parts of EMNLP news, 1,000 against 10,000."""
    expected = {0: (0.742, 0.519, 0.334, 0.215), 2: (0.852, 0.602, 0.366, 0.212)}
    for first, values in expected.items():
        sample = random.Random(1).sample(corpora[first], 1000)
        result = compute(modules, "textgan_bleu", sample, corpora[first + 1])
        assert [result[f"bleu_{n}"] for n in (2, 3, 4, 5)] == pytest.approx(values, abs=0.025)


def test_calibration_of_self_bleu_on_real_text(modules, corpora):
    expected = {0: (0.745, 0.520, 0.340, 0.221), 2: (0.669, 0.385, 0.208, 0.119)}
    for corpus, values in expected.items():
        sample = random.Random(1).sample(corpora[corpus], 1000)
        result = compute(modules, "self_bleu", sample)
        assert [result[f"self_bleu_{n}"] for n in (2, 3, 4, 5)] == pytest.approx(values, abs=0.025)


def test_calibration_of_set_measures_on_real_text(modules, corpora):
    test = random.Random(1).sample(corpora[1], 10000)
    halves = test[:5000], test[5000:]
    result = compute(modules, "ngram_jsd", *halves)
    assert [result[f"jsd_{n}"] for n in (1, 2, 3)] == pytest.approx((0.035, 0.231, 0.503), abs=0.01)
    result = compute(modules, "ms_jaccard", *halves)
    expected = (0.851, 0.667, 0.494, 0.356, 0.252)
    assert [result[f"ms_jaccard_{n}"] for n in range(1, 6)] == pytest.approx(expected, abs=0.01)
    result = compute(modules, "distinct_n", halves[0])
    assert [result[f"distinct_{n}"] for n in range(1, 5)] == pytest.approx((0.054, 0.297, 0.583, 0.785), abs=0.01)
