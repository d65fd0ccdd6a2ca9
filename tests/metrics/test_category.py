"""The classifier of categories and the accuracy that it gives."""

import math
import random

import numpy as np
import pytest

from hf_textgan.metrics.category import NgramClassifier, category_accuracy


def labelled(seed, num_sentences, share=0.8):
    """Sentences of which most have words of their category."""
    source = random.Random(seed)
    sentences, labels = [], []
    for index in range(num_sentences):
        label = index % 3
        own = source.random() < share
        kind = label if own else source.randrange(3)
        sentences.append([f"w{source.randrange(5) + (5 * kind if source.random() < 0.5 else 20)}" for _ in range(6)])
        labels.append(label)
    return sentences, labels


def test_classifier_is_at_the_minimum_of_its_loss():
    sentences, labels = labelled(0, 90)
    classifier = NgramClassifier(l2=0.7).fit(sentences, labels)

    # The loss written out sentence by sentence, with dictionaries.
    weights = {ngram: classifier._weights[index].numpy() for ngram, index in classifier._indices.items()}

    def loss(weights, biases):
        total = 0.35 * sum((row**2).sum() for row in weights.values())
        for sentence, label in zip(sentences, labels, strict=True):
            ngrams = [(word,) for word in sentence] + list(zip(sentence, sentence[1:], strict=False))
            scores = biases + sum(weights[ngram] for ngram in ngrams) / math.sqrt(len(ngrams))
            total += math.log(np.exp(scores).sum()) - scores[label]
        return total

    biases = classifier._biases.numpy()
    lowest = loss(weights, biases)
    source = np.random.default_rng(0)
    for size in (1e-1, 1e-2):
        for _ in range(20):
            other = {ngram: row + size * source.normal(size=3) for ngram, row in weights.items()}
            assert loss(other, biases + size * source.normal(size=3)) > lowest
    for label in range(3):  # a minimum is flat
        step = 1e-4 * np.eye(3)[label]
        assert abs(loss(weights, biases + step) - loss(weights, biases - step)) / 2e-4 < 1e-4
        ngram = ("w0",)
        up, down = ({**weights, ngram: weights[ngram] + sign * step} for sign in (1, -1))
        assert abs(loss(up, biases) - loss(down, biases)) / 2e-4 < 1e-4


def test_category_accuracy_of_real_and_of_wrong_labels():
    train, train_labels = labelled(1, 300)
    test, test_labels = labelled(2, 150)
    generated, requested = labelled(3, 150)
    scores = category_accuracy(generated, requested, train, train_labels, test, test_labels)
    assert 0.6 < scores["real_accuracy"] < 0.95
    assert abs(scores["accuracy"] - scores["real_accuracy"]) < 0.12
    # Sentences with all words of their category: a caricature.
    perfect = category_accuracy(*labelled(4, 150, share=1.0), train, train_labels, test, test_labels)
    assert perfect["accuracy"] > scores["real_accuracy"] + 0.05
    wrong = [(label + 1) % 3 for label in requested]
    assert category_accuracy(generated, wrong, train, train_labels, test, test_labels)["accuracy"] < 0.3
    # Totals are means over the labels, which are equally frequent here.
    assert scores["accuracy"] == pytest.approx(np.mean([scores[f"accuracy_{label}"] for label in range(3)]))
    assert [scores[f"num_{part}"] for part in ("generated", "test", "train")] == [150, 150, 300]


@pytest.mark.invariant
def test_category_accuracy_does_not_depend_on_the_order():
    train, test, generated = labelled(1, 90), labelled(2, 60), labelled(3, 60)
    expected = category_accuracy(*generated, *train, *test, num_bootstrap=30)
    source = random.Random(0)

    def mixed(sentences, labels):
        order = source.sample(range(len(labels)), len(labels))
        return [sentences[i] for i in order], [labels[i] for i in order]

    assert category_accuracy(*mixed(*generated), *mixed(*train), *mixed(*test), num_bootstrap=30) == expected


def test_category_accuracy_by_hand():
    train = [["good"], ["good", "film"], ["bad"], ["bad", "film"]]
    generated, requested = [["good"], ["bad"], ["good", "day"], ["good"]], ["p", "p", "p", "n"]
    options = {"train": train, "train_labels": list("ppnn"), "test": [["good"]], "test_labels": ["p"]}
    scores = category_accuracy(generated, requested, **options, num_bootstrap=200)
    assert scores["accuracy"] == 0.5
    assert scores["accuracy_p"] == pytest.approx(2 / 3)
    assert (scores["accuracy_n"], scores["real_accuracy"], scores["real_accuracy_p"]) == (0.0, 1.0, 1.0)
    assert math.isnan(scores["real_accuracy_n"])
    low, high = scores["accuracy_interval"]
    assert 0 <= low < 0.5 < high <= 1


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"generated": []}, ValueError, "generated has 0 sentences"),
        ({"requested": ["p"]}, ValueError, "generated has 2 sentences and 1 labels"),
        ({"requested": ["p", "x"]}, ValueError, "requested has the label 'x' and train_labels only"),
        ({"test_labels": ["y"]}, ValueError, "test_labels has the label 'y'"),
        ({"train_labels": ["p", "p"]}, ValueError, "All training sentences have the label 'p'"),
        ({"test": ["a b"]}, TypeError, r"test\[0\]='a b' is not a list of tokens"),
        ({"l2": 0}, ValueError, "l2=0 is not positive"),
        ({"num_bootstrap": -1}, ValueError, "num_bootstrap=-1"),
    ],
)
def test_errors_of_category_accuracy(changes, error, message):
    options = {
        "generated": [["a"], ["b"]],
        "requested": ["p", "n"],
        "train": [["a"], ["b"]],
        "train_labels": ["p", "n"],
        "test": [["a"]],
        "test_labels": ["p"],
    }
    assert category_accuracy(**options)["accuracy"] == 1
    with pytest.raises(error, match=message):
        category_accuracy(**{**options, **changes})
