"""The values of the n-gram metrics as modules of evaluate: against NLTK, brute force and numbers by hand."""

import math
import os
import random
import string
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from hf_textgan.data.caption_grammar import CaptionGrammar
from hf_textgan.metrics import ngrams
from hf_textgan.metrics.variants import BLEU_VARIANTS, SELF_BLEU_VARIANTS
from tests.metrics.texts import REFERENCES, WITH_REFERENCES, compute, mean, nltk_scores, random_texts


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
    result = compute(modules, "textgan_bleu", hypotheses, references, variant=variant)
    among = compute(modules, "self_bleu", hypotheses, variant=variant)
    others = [hypotheses[:i] + hypotheses[i + 1 :] for i in range(len(hypotheses))]
    for n in range(2, 6):
        weights = (1 / n,) * n if variant == "standard" else (0,) * (n - 1) + (1,)
        expected = mean(nltk_scores(hypotheses, [references] * len(hypotheses), weights))
        assert result[f"bleu_{n}"] == pytest.approx(expected, abs=1e-9)
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
    # One sentence without its like, two frequent kinds that share their first 4 words, one that comes first at index
    # 200 and again only after index 500, and one that is like the first kind but for the last word.
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
    # Of the 32 characters of "a" 31 are padding; the 641st sentence and the 33rd and later characters do not count.
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
    generated, real = random_texts(seed, 30), random_texts(seed + 50, 45, "abcdef")
    result = compute(modules, "ms_jaccard", generated, real)
    product = Fraction(1)
    for n in range(1, 6):
        p, q = plain_counts(generated, n), plain_counts(real, n)
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
    generated, real = [text.split() for text in predictions], [text.split() for text in references]
    longest = []
    for one in generated:
        grams = [one[i:j] for i in range(len(one)) for j in range(i + 1, len(one) + 1)]
        longest.append(max((len(g) for g in grams if any(contains(other, g) for other in real)), default=0))
    assert result["longest_copied_mean"] == pytest.approx(mean(longest), abs=1e-12)
    assert result["longest_copied_max"] == max(longest)
    assert ngrams.longest_copied(generated, real) == longest
    assert result["duplicates"] == pytest.approx(1 - len(set(predictions)) / 40, abs=1e-12)
    assert result["copied_sentences"] == pytest.approx(sum(p in references for p in predictions) / 40, abs=1e-12)
    for n in range(1, 5):
        grams = [one[i : i + n] for one in generated for i in range(len(one) - n + 1)]
        novel = [not any(contains(other, gram) for other in real) for gram in grams]
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


# ---- Damage and lost modes ------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", WITH_REFERENCES)
def test_a_list_of_references_for_each_prediction(modules, name):
    predictions = ["the cat sat on the mat", "a dog ran far away today"]
    first, second = predictions
    expected = compute(modules, name, predictions, predictions)
    assert expected.get("bleu_4", 1) == expected.get("copied_sentences", 1) == 1
    assert compute(modules, name, predictions, [[first], [second]]) == expected
    assert compute(modules, name, predictions, [[first, second], [second]]) == expected
    tokens = [text.split() for text in predictions]
    for references in (tokens, [[one] for one in tokens]):
        assert compute(modules, name, tokens, references) == expected
    for added, references in ((predictions, [[first], [second]]), (tokens, [[one] for one in tokens])):
        modules[name].add_batch(predictions=added)
        assert modules[name].compute(references=references) == expected
