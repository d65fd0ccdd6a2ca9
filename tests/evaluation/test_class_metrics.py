"""Metrics of texts that were generated for classes."""

import pytest

from hf_textgan.evaluation import ClassMetrics, TextMetrics
from hf_textgan.evaluation.descriptions import describe_metric
from hf_textgan.metrics.ngrams import ReferenceTable


TRAIN = [(0, "so dull ."), (0, "dull and long ."), (1, "so fine ."), (1, "fine and short .")] * 3
TEST = [(0, "dull ."), (1, "fine ."), (1, "dull ."), (1, "fine and fine .")]


def columns(rows):
    return [text.split() for _, text in rows], [label for label, _ in rows]


def class_metrics(**options) -> ClassMetrics:
    return ClassMetrics(*columns(TRAIN), *columns(TEST), ["bad", "good"], max_order=2, **options)


def test_category_accuracy_by_class_beside_that_of_real_text():
    sentences, labels = columns(
        [(1, "fine ."), (1, "fine ."), (1, "dull ."), (1, "fine ."), (0, "fine ."), (0, "dull .")]
    )
    assert class_metrics().accuracy(sentences, labels) == {
        "category_accuracy": 4 / 6,
        "category_accuracy[bad]": 1 / 2,
        "category_accuracy[good]": 3 / 4,
        "category_accuracy_real": 3 / 4,
        "category_accuracy_real[bad]": 1.0,
        "category_accuracy_real[good]": 2 / 3,
    }
    # A class that nothing was generated for has no share.
    assert "category_accuracy[bad]" not in class_metrics().accuracy(*columns([(1, "fine .")]))
    one_class = ClassMetrics([["a"]], [0], [["a"]], [0], ["all"])
    assert one_class.accuracy([["a"]], [0]) == {}


def test_bleu_of_a_class_is_against_its_own_references():
    sentences, labels = columns([(0, "dull ."), (1, "fine ."), (0, "fine and fine .")])
    metrics = class_metrics().ngrams(sentences, labels)
    bad = ReferenceTable([["dull", "."]], 2).score([["dull", "."], ["fine", "and", "fine", "."]])
    good = ReferenceTable([text.split() for label, text in TEST if label == 1], 2).score([["fine", "."]])
    assert metrics["bleu_2[bad]"] == bad["bleu_2"] < 1.0 and metrics["bleu_2[good]"] == good["bleu_2"] == 1.0
    assert "self_bleu_2[bad]" in metrics and "self_bleu_2[good]" not in metrics, "one text has no others"


def test_text_metrics_take_the_labels_of_the_rows():
    metrics = TextMetrics(["dull ."], max_order=2, classes=class_metrics())
    rows = [{"labels": 1}, {"labels": 1}]
    assert metrics(["fine .", "dull ."], rows)["category_accuracy"] == 0.5
    assert "category_accuracy" not in metrics(["fine .", "dull ."])
    assert "category_accuracy" not in metrics(["fine .", "dull ."], [{"condition_ids": [1]}] * 2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("eval_category_accuracy", "share of the samples in the requested class; best near category_accuracy_real"),
        (
            "self_bleu_4[sci-fi [old]]",
            "of the class sci-fi [old]: BLEU-4 of each sample against the others; high means",
        ),
        ("jaccard_novelty_real", "1 - word overlap with the nearest training text"),
        ("nll_bound_test", "upper bound on the NLL of held-out text, nats per token"),
    ],
)
def test_descriptions_of_metrics_of_classes(name, expected):
    described = describe_metric(name)
    assert described is not None and described.meaning.startswith(expected)
