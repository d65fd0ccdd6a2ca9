"""BLEU and Self-BLEU against hand-checked values and against NLTK."""

import math
import os
import random
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from hf_textgan.metrics import ngrams
from hf_textgan.metrics.export import export_metrics
from hf_textgan.metrics.ngrams import ReferenceTable, bleu, distinct_n, ngram_jsd, self_bleu


REFERENCES = [
    "the cat sat on the mat".split(),
    "a cat is on the mat today".split(),
    "there is a cat here".split(),
]


def nltk_bleu(hypotheses, references, order):
    method = SmoothingFunction().method1
    weights = (1 / order,) * order
    scores = [sentence_bleu(references, one, weights=weights, smoothing_function=method) for one in hypotheses]
    return math.fsum(scores) / len(scores)


def nltk_self_bleu(sentences, order):
    scores = [
        nltk_bleu([one], sentences[:index] + sentences[index + 1 :], order) for index, one in enumerate(sentences)
    ]
    return math.fsum(scores) / len(scores)


def random_sentences(rng, count, vocabulary="abcde", longest=9, shortest=1):
    return [rng.choices(vocabulary, k=rng.randint(shortest, longest)) for _ in range(count)]


@pytest.mark.parametrize(
    ("hypothesis", "expected"),
    [
        ("the cat the cat on a mat", (0.37796, 0.14190, 0.09193)),
        ("a cat sat here", (0.63589, 0.25064, 0.18713)),
        ("the mat", (0.22313, 0.10357, 0.07056)),
        ("dog", (0, 0, 0)),
        ("", (0, 0, 0)),
        ("the cat sat on the mat", (1, 1, 1)),
    ],
)
def test_bleu_of_known_sentences(hypothesis, expected):
    scores = bleu([hypothesis.split()], REFERENCES, max_order=4)
    assert list(scores) == ["bleu_2", "bleu_3", "bleu_4"]
    assert list(scores.values()) == pytest.approx(expected, abs=1e-5)


def test_bleu_by_hand():
    # "the the cat": 1-grams 2 of 3 ("the" occurs at most once in a reference), 2-grams 1 of 2 ("the cat"), no 3-gram
    # (0.1 of 1). The references have 2 and 4 tokens, equally far from 3; the shorter one counts: no penalty.
    scores = bleu(["the the cat".split()], ["the cat".split(), "a cat sees the".split()], max_order=3)
    assert scores["bleu_2"] == pytest.approx(math.sqrt(2 / 3 * 1 / 2), abs=1e-12)
    assert scores["bleu_3"] == pytest.approx((2 / 3 * 1 / 2 * 0.1) ** (1 / 3), abs=1e-12)


def test_bleu_averages_over_all_hypotheses():
    scores = bleu([["dog"], "the cat sat on the mat".split(), [], ["bird"]], REFERENCES)
    assert scores == {"bleu_2": 0.25, "bleu_3": 0.25, "bleu_4": 0.25, "bleu_5": 0.25}


def test_self_bleu_of_known_sentences():
    assert list(self_bleu(REFERENCES, max_order=4).values()) == pytest.approx((0.49605, 0.32880, 0.17841), abs=1e-5)
    doubled = self_bleu(REFERENCES + REFERENCES[:1], max_order=4)
    assert list(doubled) == ["self_bleu_2", "self_bleu_3", "self_bleu_4"]
    assert list(doubled.values()) == pytest.approx((0.74294, 0.64523, 0.57953), abs=1e-5)


def test_self_bleu_extremes():
    assert set(self_bleu([list("abcdef")] * 3).values()) == {1.0}
    assert set(self_bleu([list("abcdef"), list("ghijkl")]).values()) == {0.0}


@pytest.mark.invariant
@pytest.mark.parametrize("seed", range(8))
def test_bleu_equals_nltk(seed):
    rng = random.Random(seed)
    references = random_sentences(rng, 12, shortest=1 + seed % 4)
    hypotheses = random_sentences(rng, 20, vocabulary="abcdexyz", longest=12)
    hypotheses += [references[0], references[1], ["a"], ["a", "a", "a", "a"], ["x", "y", "z"], ["b", "a"], ["a"] * 30]
    scores = bleu(hypotheses, references)
    assert list(scores) == ["bleu_2", "bleu_3", "bleu_4", "bleu_5"]
    for order in range(2, 6):
        assert scores[f"bleu_{order}"] == pytest.approx(nltk_bleu(hypotheses, references, order), abs=1e-9)
    for hypothesis in hypotheses:  # also one by one: errors must not cancel out in a mean
        for order, score in enumerate(bleu([hypothesis], references).values(), start=2):
            assert score == pytest.approx(nltk_bleu([hypothesis], references, order), abs=1e-9)


@pytest.mark.invariant
@pytest.mark.parametrize("seed", range(8))
def test_self_bleu_equals_nltk(seed):
    rng = random.Random(seed)
    sentences = random_sentences(rng, 14, vocabulary="abcdefgh"[: 2 + seed])
    sentences += [sentences[0], sentences[0], sentences[3], ["a"], ["z", "y"], ["a"] * 5, ["q"] * 14]
    for order, score in enumerate(self_bleu(sentences).values(), start=2):
        assert score == pytest.approx(nltk_self_bleu(sentences, order), abs=1e-9)
    for pair in (sentences[:2], [sentences[0], sentences[0]], [["a"], ["a", "b"]]):
        for order, score in enumerate(self_bleu(pair).values(), start=2):
            assert score == pytest.approx(nltk_self_bleu(pair, order), abs=1e-9)


def test_references_too_short_for_an_order():
    hypotheses = [list("abcdef"), ["a"], list("ab")]
    references = [["a"], ["b", "c"]]
    for order, score in enumerate(bleu(hypotheses, references).values(), start=2):
        assert score == pytest.approx(nltk_bleu(hypotheses, references, order), abs=1e-9)


def test_empty_sentences():
    assert bleu([["a", "b"]], [[], ["a", "b"]], max_order=2) == {"bleu_2": 1.0}
    assert bleu([["a"]], [[]], max_order=2) == {"bleu_2": 0.0}
    assert bleu([[]], REFERENCES, max_order=2) == {"bleu_2": 0.0}
    assert self_bleu([[], []], max_order=2) == {"self_bleu_2": 0.0}
    # The empty sentence has the closest length to "a", so the two "a" are not penalized; it scores 0 itself.
    sentences = [["a"], ["a"], []]
    assert self_bleu(sentences, 2)["self_bleu_2"] == pytest.approx(2 / 3 * math.sqrt(0.1), abs=1e-12)


@pytest.mark.invariant
def test_scores_do_not_depend_on_the_order_of_the_sentences():
    rng = random.Random(1)
    references, hypotheses = random_sentences(rng, 300), random_sentences(rng, 301, vocabulary="abcdexy")
    scores, self_scores = bleu(hypotheses, references), self_bleu(hypotheses)
    for _ in range(3):
        rng.shuffle(references)
        rng.shuffle(hypotheses)
        assert bleu(hypotheses, references) == scores
        assert self_bleu(hypotheses) == self_scores


def test_scores_do_not_depend_on_the_hash_seed(tmp_path):
    export_metrics(tmp_path, ["self_bleu"])  # imported without the package, which takes longer
    code = (
        "import random; from self_bleu.ngrams import bleu, self_bleu; rng = random.Random(0);"
        "s = [rng.choices('abcdefg', k=8) for _ in range(200)]; print(bleu(s[:50], s[50:]), self_bleu(s))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(outputs) == 1
    assert "self_bleu_5" in outputs.pop()


def test_reference_table_is_reusable():
    rng = random.Random(2)
    references = random_sentences(rng, 30)
    table = ReferenceTable(references, max_order=3)
    for _ in range(3):  # scoring leaves the table as it is, unknown tokens included
        hypotheses = random_sentences(rng, 10, vocabulary="abxyz")
        assert table.score(hypotheses) == bleu(hypotheses, references, max_order=3)


def test_tokens_are_compared_whole():
    # Joined with blanks these would be equal.
    assert bleu([["a b", "c"]], [["a", "b c"]], max_order=2) == {"bleu_2": 0.0}


def test_sequences_of_any_kind():
    as_tuples = tuple(tuple(sentence) for sentence in REFERENCES)
    assert self_bleu(as_tuples) == self_bleu(REFERENCES)
    assert bleu(as_tuples, as_tuples) == {"bleu_2": 1.0, "bleu_3": 1.0, "bleu_4": 1.0, "bleu_5": 1.0}


def test_errors_name_the_value_and_the_fix():
    with pytest.raises(ValueError, match="^references has 0 sentences; pass at least 1.$"):
        bleu(REFERENCES, [])
    with pytest.raises(ValueError, match="^hypotheses has 0 sentences; pass at least 1.$"):
        bleu([], REFERENCES)
    with pytest.raises(ValueError, match="^sentences has 0 sentences; pass at least 1.$"):
        self_bleu([])
    with pytest.raises(ValueError, match="^There is only 1 sentence to compare; Self-BLEU needs at least 2.$"):
        self_bleu([["a", "b"]])
    with pytest.raises(ValueError, match="^max_order=1 is too small; use 2 or more.$"):
        bleu(REFERENCES, REFERENCES, max_order=1)
    with pytest.raises(
        TypeError,
        match=r"^references\[1\]='a dog' is not a list of tokens; pass lists of tokens, such as text.split\(\).$",
    ):
        ReferenceTable([["a"], "a dog"])
    with pytest.raises(TypeError, match=r"^hypotheses\[0\]='a dog' is not a list of tokens; pass"):
        bleu(["a dog"], REFERENCES)
    with pytest.raises(TypeError, match="^hypotheses='a dog' is not a list; pass a list of sentences.$"):
        bleu("a dog", REFERENCES)


# ---- Distinct n-grams and the divergence ----------------------------------------------------------------------------


def plain_counts(sentences, order):
    return Counter(tuple(s[i : i + order]) for s in sentences for i in range(len(s) - order + 1))


def test_distinct_n_by_hand():
    # 7 words, 4 distinct; 5 pairs: ab ba ab, bc cb; 3 triples: aba bab, bcb
    assert distinct_n(["a b a b".split(), "b c b".split()], 4) == pytest.approx(
        {"distinct_1": 3 / 7, "distinct_2": 4 / 5, "distinct_3": 1.0, "distinct_4": 1.0}
    )
    short = distinct_n([["a"], []], 2)
    assert short["distinct_1"] == 1 and math.isnan(short["distinct_2"])


@pytest.mark.parametrize("seed", range(3))
def test_distinct_n_and_jsd_equal_plain_counting(seed):
    rng = random.Random(seed)
    generated, real = (random_sentences(rng, count, shortest=0) for count in (40, 60))
    for order in range(1, 5):
        p, q = plain_counts(generated, order), plain_counts(real, order)
        assert distinct_n(generated)[f"distinct_{order}"] == pytest.approx(len(p) / p.total(), abs=1e-15)
        expected = 0.0
        for counts in (p, q):
            for ngram, count in counts.items():
                share = count / counts.total()
                expected += share * math.log(2 * share / (p[ngram] / p.total() + q[ngram] / q.total()), 2) / 2
        assert ngram_jsd(generated, real)[f"jsd_{order}"] == pytest.approx(expected, abs=1e-12)
        assert ngram_jsd(real, generated)[f"jsd_{order}"] == pytest.approx(expected, abs=1e-12)


def test_jsd_by_hand():
    # P(a) = 3/4, P(b) = 1/4; Q(a) = 1/4, Q(c) = 3/4; M = a 1/2, b 1/8, c 3/8
    expected = (0.75 * math.log2(1.5) + 0.25 * math.log2(2) + 0.25 * math.log2(0.5) + 0.75 * math.log2(2)) / 2
    assert ngram_jsd([list("aaab")], [list("accc")], 1)["jsd_1"] == pytest.approx(expected, abs=1e-15)


def test_jsd_extremes():
    same = random_sentences(random.Random(0), 20, shortest=4)
    assert ngram_jsd(same, same[::-1]) == {f"jsd_{order}": 0.0 for order in range(1, 5)}
    assert ngram_jsd([["a", "b"]], [["c", "d"]], 2) == {"jsd_1": 1.0, "jsd_2": 1.0}
    assert math.isnan(ngram_jsd([["a"]], [["a", "b"]], 2)["jsd_2"])
    assert ngram_jsd([["a"]], [["a"], []], 1) == {"jsd_1": 0.0}


def test_errors_of_distinct_n_and_jsd():
    with pytest.raises(ValueError, match="max_order=0 is too small; use 1 or more."):
        distinct_n([["a"]], 0)
    with pytest.raises(ValueError, match="max_order=0 is too small; use 1 or more."):
        ngram_jsd([["a"]], [["a"]], 0)
    with pytest.raises(ValueError, match="references has 0 sentences; pass at least 1."):
        ngram_jsd([["a"]], [])
    with pytest.raises(TypeError, match=r"sentences\[0\]='a b' is not a list of tokens"):
        distinct_n(["a b"])


def test_numbers_beyond_one_sort_are_sorted_all_the_same():
    """Pairs and starts that do not fit into one integer."""
    rng = np.random.default_rng(0)
    starts = rng.permutation(50)
    for scale in (1, 2**50):
        pairs = rng.integers(0, 5, 50) * scale
        sorted_pairs, sorted_starts = ngrams._sort_pairs(pairs, starts, 2**20)
        expected = sorted(zip(pairs.tolist(), starts.tolist(), strict=True))
        assert list(zip(sorted_pairs.tolist(), sorted_starts.tolist(), strict=True)) == expected
