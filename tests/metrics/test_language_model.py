"""The n-gram language model against hand-worked numbers and a second implementation straight from the formulas."""

import math
import random
from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest

from hf_textgan.metrics import language_model
from hf_textgan.metrics.language_model import KneserNeyModel, forward_nll, reverse_nll, training_vocabulary


class PlainModel:
    """Interpolated modified Kneser-Ney, one dictionary per length and one token at a time."""

    def __init__(self, vocabulary, order, sentences):
        self.vocabulary, self.order = set(vocabulary), order
        self.next_tokens = [*sorted(self.vocabulary), "<unk>", "</s>"]
        occurrences = defaultdict(Counter)
        for sentence in sentences:
            tokens = self.tokens(sentence)
            for length in range(1, order + 1):
                for start in range(len(tokens) - length + 1):
                    occurrences[length][tuple(tokens[start : start + length])] += 1
        self.counts = {order: dict(occurrences[order])}
        for length in range(1, order):
            before = defaultdict(set)
            for ngram in occurrences[length + 1]:
                before[ngram[1:]].add(ngram[0])
            self.counts[length] = {
                ngram: count if ngram[0] == "<s>" else len(before[ngram])
                for ngram, count in occurrences[length].items()
            }
        self.counts[1].pop(("<s>",), None)
        self.discounts = {length: self.estimate(counts.values()) for length, counts in self.counts.items()}

    def tokens(self, sentence):
        return ["<s>", *(token if token in self.vocabulary else "<unk>" for token in sentence), "</s>"]

    def estimate(self, counts):
        n = Counter(counts)
        if all(n[i] for i in (1, 2, 3, 4)):
            y = n[1] / (n[1] + 2 * n[2])
            found = [0, 1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2], 3 - 4 * y * n[4] / n[3]]
            if min(found[1:]) > 0:
                return found
        return [0, 0.5, 1.0, 1.5]

    def probability(self, word, context):
        """Of `word` after the tokens `context`, of which at most `order - 1` count."""
        context = tuple(context)[-(self.order - 1) :] if self.order > 1 else ()
        shorter = self.probability_after(word, context[1:]) if context else 1 / len(self.next_tokens)
        return self.interpolate(word, context, shorter)

    def probability_after(self, word, context):
        shorter = self.probability_after(word, context[1:]) if context else 1 / len(self.next_tokens)
        return self.interpolate(word, context, shorter)

    def interpolate(self, word, context, shorter):
        length = len(context) + 1
        counts, discounts = self.counts[length], self.discounts[length]
        after = [counts[(*context, v)] for v in self.next_tokens if (*context, v) in counts]
        if not after:
            return shorter
        own = counts.get((*context, word), 0)
        backoff = sum(discounts[min(count, 3)] for count in after)
        return (own - discounts[min(own, 3)] + backoff * shorter) / sum(after)

    def nll(self, sentence):
        tokens = self.tokens(sentence)
        return -sum(math.log(self.probability(tokens[i], tokens[:i])) for i in range(1, len(tokens)))


def markov_text(seed, num_sentences, num_words=12):
    """Sentences in which the next word is mostly near the last one, so that n-grams repeat."""
    source = random.Random(seed)
    sentences = []
    for _ in range(num_sentences):
        word, sentence = source.randrange(num_words), []
        while source.random() < 0.85:
            sentence.append(f"w{word}")
            word = (word + source.choice([1, 1, 1, 2, 5])) % num_words
        sentences.append(sentence)
    return sentences


def test_two_sentences_by_hand():
    model = KneserNeyModel(["a", "dog", "cat"], order=2).fit([["a", "dog"], ["a", "cat"]])
    # Tokens follow 1 ("a", "dog", "cat") or 2 (the end) different ones, 5 together, less 0.5 or 1: 2.5 / 5 are
    # given to the uniform 1/5. So p(a) = p(dog) = p(cat) = 0.5/5 + 0.1, p(end) = 1/5 + 0.1, p(unknown) = 0.1.
    np.testing.assert_allclose(model.distribution(["bird"]), [0.2, 0.2, 0.2, 0.1, 0.3], rtol=1e-14)
    # "a" begins both sentences: (2 - 1)/2, and 1/2 is left.
    np.testing.assert_allclose(model.distribution([]), [0.6, 0.1, 0.1, 0.05, 0.15], rtol=1e-14)
    # After "a": (1 - 0.5)/2 each, and 1/2 is left.
    np.testing.assert_allclose(model.distribution(["a"]), [0.1, 0.35, 0.35, 0.05, 0.15], rtol=1e-14)
    # After "dog": (1 - 0.5)/1 for the end, and 1/2 is left.
    assert model.nll([["a", "dog"]]) == (pytest.approx(-math.log(0.6 * 0.35 * 0.65), rel=1e-14), 3)
    # A bird begins no sentence and ends as the unigrams say.
    assert model.nll([["bird"], []]) == (pytest.approx(-math.log(0.05 * 0.3 * 0.15), rel=1e-14), 3)


def test_discounts_by_hand():
    # n = 8, 4, 2, 1: Y = 8/16; D1 = 1 - 2/2 * 4/8, D2 = 2 - 3/2 * 2/4, D3 = 3 - 4/2 * 1/2.
    counts = np.array([1] * 8 + [2] * 4 + [3] * 2 + [4] + [9] * 5 + [0] * 3)
    assert language_model._discounts(counts) == pytest.approx((0.5, 1.25, 2.0))
    # No count of 4; then D2 = 2 - 3/3 * 4/1 < 0 with n = 1, 1, 4, 1.
    assert language_model._discounts(np.array([1, 1, 2, 3])) == (0.5, 1.0, 1.5)
    assert language_model._discounts(np.array([1, 2, 3, 3, 3, 3, 4])) == (0.5, 1.0, 1.5)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("num_sentences", [3, 400])  # 400: the discounts are estimated
def test_probabilities_sum_to_one(order, num_sentences):
    text = markov_text(1, num_sentences, num_words=3)
    model = KneserNeyModel(["w0", "w1", "w2"], order).fit(text)
    contexts = [context for length in range(5) for context in product(["w0", "w1", "w2", "?"], repeat=length)]
    for context in contexts:  # with words and pairs that never occur, the unknown word among them
        distribution = model.distribution(context)
        assert distribution.min() > 0
        assert distribution.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_agrees_with_plain_formulas(order):
    train, test = markov_text(2, 300), markov_text(3, 40) + [["w1", "new", "w2"], [], ["w5"] * 7]
    words = [f"w{i}" for i in range(10)]  # two words of the text are unknown
    model, plain = KneserNeyModel(words, order).fit(train), PlainModel(words, order, train)
    assert order < 3 or plain.discounts[order] != [0, 0.5, 1.0, 1.5]
    np.testing.assert_allclose(model.nll_per_sentence(test), [plain.nll(s) for s in test], rtol=0, atol=1e-9)
    total, num_tokens = model.nll(test)
    assert total == pytest.approx(sum(map(plain.nll, test)), abs=1e-9)
    assert num_tokens == sum(len(sentence) + 1 for sentence in test)
    tiny = KneserNeyModel(words, order).fit(train[:2])  # with the fixed discounts
    plain = PlainModel(words, order, train[:2])
    np.testing.assert_allclose(tiny.nll_per_sentence(test), [plain.nll(s) for s in test], rtol=0, atol=1e-9)


def test_only_empty_sentences():
    model = KneserNeyModel(["a"], order=3).fit([[], []])
    # One bigram, "begin end", twice, before it nothing: (2 - 1)/2 + 1/2 p(end). One token is before the end: p(end) =
    # (1 - 0.5)/1 + 0.5/3. No trigram.
    assert model.nll([[]]) == (pytest.approx(-math.log(0.5 + 0.5 * (0.5 + 0.5 / 3))), 1)


def test_words_named_like_special_tokens():
    model = KneserNeyModel(["<s>", "</s>", "<unk>"], order=3).fit([["<s>", "</s>"], ["<unk>"]])
    other = KneserNeyModel(["a", "b", "c"], order=3).fit([["a", "b"], ["c"]])
    assert model.nll([["<s>", "<unk>", "</s>"]]) == other.nll([["a", "c", "b"]])


def test_forward_and_reverse():
    train, test = markov_text(4, 500), markov_text(5, 200)
    words = sorted({word for sentence in train for word in sentence})
    forward = forward_nll(train, test)
    assert (forward["num_sentences"], forward["num_train_sentences"], forward["vocabulary_size"]) == (200, 500, 12)
    assert forward["unknown_share"] == forward["train_unknown_share"] == 0
    # The reverse model of a real sample is the language model of that sample.
    nats, num_tokens = KneserNeyModel(words).fit(train).nll(test)
    reverse = reverse_nll(train, test, words)
    assert reverse["nll_per_token"] == forward["nll_per_token"] == nats / num_tokens
    assert reverse["perplexity"] == pytest.approx(math.exp(nats / num_tokens))
    assert reverse["num_tokens"] == num_tokens
    # What was seen is more probable than what was not.
    assert forward_nll(train, train)["nll_per_token"] < forward["nll_per_token"]


def test_unknown_shares():
    scores = forward_nll([["a", "b"]], [["a", "c", "c", "a"], [], ["c"]], ["a", "b"])
    assert (scores["unknown_share"], scores["train_unknown_share"], scores["vocabulary_size"]) == (0.6, 0.0, 2)
    scores = reverse_nll([["x", "a"]], [["a"]], ["a"])
    assert (scores["unknown_share"], scores["train_unknown_share"]) == (0.0, 0.5)
    assert forward_nll([["a"]], [[]], ["a"])["unknown_share"] == 0.0  # no words at all
    # By default a word counts as known from the second time on.
    scores = forward_nll([["a", "b"], ["a"]], [["a", "b", "b", "c"]])
    assert (scores["unknown_share"], scores["train_unknown_share"], scores["vocabulary_size"]) == (0.75, 1 / 3, 1)


def test_training_vocabulary():
    text = [["b", "a", "b"], [], ["a", "c", "a"]]
    assert training_vocabulary(text) == ["a", "b"]
    assert training_vocabulary(text, 1) == ["a", "b", "c"]
    assert training_vocabulary(text, 3) == ["a"]


@pytest.mark.invariant
def test_order_of_sentences_and_of_vocabulary_changes_nothing():
    train, test = markov_text(6, 200), markov_text(7, 50)
    words = [f"w{i}" for i in range(9)]
    source = random.Random(0)
    expected = forward_nll(train, test, words, num_bootstrap=20)
    for _ in range(3):
        for part in (train, test, words):
            source.shuffle(part)
        assert forward_nll(train, test, words, num_bootstrap=20) == expected


def test_more_damage_scores_worse():
    train, test = markov_text(8, 1000), markov_text(9, 300)
    words = [f"w{i}" for i in range(12)]

    def damaged(sentences, share):
        source = random.Random(0)
        return [[source.choice(words) if source.random() < share else word for word in s] for s in sentences]

    shares = (0, 0.1, 0.2, 0.5)
    forward = [forward_nll(train, damaged(test, share), words)["nll_per_token"] for share in shares]
    reverse = [reverse_nll(damaged(train, share), test, words)["nll_per_token"] for share in shares]
    assert forward == sorted(forward) and len(set(forward)) == 4
    assert reverse == sorted(reverse) and len(set(reverse)) == 4


def test_lost_mode_scores_worse_in_reverse_only():
    def other_mode(sentences):
        return [[word.replace("w", "v") for word in sentence] for sentence in sentences]

    train = markov_text(10, 500) + other_mode(markov_text(11, 500))
    test = markov_text(12, 150) + other_mode(markov_text(13, 150))
    both, one = markov_text(14, 500) + other_mode(markov_text(15, 500)), markov_text(16, 1000)
    words = [f"{letter}{i}" for letter in "vw" for i in range(12)]
    assert reverse_nll(one, test, words)["nll_per_token"] > reverse_nll(both, test, words)["nll_per_token"] + 1
    assert abs(forward_nll(train, one)["nll_per_token"] - forward_nll(train, both)["nll_per_token"]) < 0.05


def test_bootstrap_interval():
    train, test = markov_text(14, 300), markov_text(15, 100)
    scores = forward_nll(train, test, num_bootstrap=500, seed=3)
    nlls = KneserNeyModel([f"w{i}" for i in range(12)]).fit(train).nll_per_sentence(test)
    tokens = np.array([len(sentence) + 1 for sentence in test])
    # The standard error of a ratio, from the residuals of the sentences.
    error = np.std(nlls - scores["nll_per_token"] * tokens) / tokens.mean() / math.sqrt(len(test))
    low, high = scores["nll_per_token_interval"]
    width = high - low
    assert width == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert low < scores["nll_per_token"] < high
    assert (scores["num_bootstrap"], scores["confidence"], scores["seed"]) == (500, 0.95, 3)
    narrow = forward_nll(train, test, num_bootstrap=500, confidence=0.5, seed=3)["nll_per_token_interval"]
    assert narrow[1] - narrow[0] == pytest.approx(2 * 0.674 * error, rel=0.15)
    assert scores == forward_nll(train, test, num_bootstrap=500, seed=3)
    assert scores != forward_nll(train, test, num_bootstrap=500, seed=4)
    assert not any("interval" in name for name in forward_nll(train, test))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: KneserNeyModel([]), ValueError, "vocabulary has 0 words"),
        (lambda: KneserNeyModel("ab"), TypeError, "vocabulary is one string \\('ab'\\)"),
        (lambda: KneserNeyModel(["a"], order=0), ValueError, "order=0"),
        (lambda: KneserNeyModel(["a"]).nll([["a"]]), RuntimeError, "call fit"),
        (lambda: KneserNeyModel(["a"]).fit([]), ValueError, "train has 0 sentences"),
        (lambda: forward_nll([["a"]], []), ValueError, "generated has 0 sentences"),
        (lambda: forward_nll([["a"]], ["a b"]), TypeError, r"generated\[0\]='a b' is not a list of tokens"),
        (lambda: forward_nll("a b", [["a"]]), TypeError, "train='a b' is not a list"),
        (lambda: reverse_nll([["a"]], [], ["a"]), ValueError, "test has 0 sentences"),
        (lambda: forward_nll([["a"]], [["a"]], ["a"], num_bootstrap=-1), ValueError, "num_bootstrap=-1"),
        (lambda: forward_nll([["a"]], [["a"]], ["a"], confidence=95), ValueError, "confidence=95 is not between"),
        (lambda: forward_nll([["a", "b"]], [["a"]]), ValueError, "None of the 2 words .* occurs 2 times"),
        (lambda: training_vocabulary([]), ValueError, "train has 0 sentences"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
