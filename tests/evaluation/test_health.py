"""Signs of collapse, and the meanings of metrics."""

import pytest

from hf_textgan.evaluation.descriptions import SUMMARY_METRICS, describe_metric
from hf_textgan.evaluation.health import collapse_signs


START = {"distinct_texts": 0.9, "nll_div": 2.0, "self_bleu_4": 0.3}


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"distinct_texts": 0.44}, "44% of the samples are different texts, at the start of the phase 90%"),
        ({"nll_div": 0.49}, "the samples have an entropy of 0.49 nats per token, at the start 2"),
        ({"self_bleu_4": 0.73}, "Self-BLEU-4 of the samples is 0.73, at the start 0.30"),  # 0.3 + 0.6 * 0.7 = 0.72
    ],
)
def test_each_sign_alone(metrics, words):
    assert collapse_signs({**START, **metrics}, START) == [words]


def test_no_sign_without_change_or_without_a_start():
    assert collapse_signs({"distinct_texts": 0.46, "nll_div": 0.51, "self_bleu_4": 0.71}, START) == []
    assert collapse_signs({"distinct_texts": 0.01, "nll_div": 0.01, "self_bleu_4": 1.0}, {}) == []
    assert collapse_signs({}, START) == []


def test_metrics_have_a_meaning_and_a_direction():
    assert all(describe_metric(name) is not None for name in SUMMARY_METRICS)
    assert describe_metric("eval_self_bleu_4").direction == "lower is better"
    assert describe_metric("bleu_2").direction == "higher is better"
    assert describe_metric("nll_div").direction == "neither is better by itself"
    assert describe_metric("something_else") is None
    assert str(describe_metric("distinct_2")) == (
        "share of the 2-grams of the samples that are different; best near real text (neither is better by itself)"
    )
