"""Signs that a generator collapses: it writes few different texts."""

from collections.abc import Mapping


# A sign: the metric, the bound as a function of its value at the start of the phase, and whether it lies above.
_MIN_SHARE_OF_DISTINCT_TEXTS = 0.5  # of the share at the start
_MIN_SHARE_OF_ENTROPY = 0.25  # of the entropy at the start
_MAX_SHARE_TO_SELF_BLEU_ONE = 0.6  # of the way from the value at the start to 1


def collapse_signs(metrics: Mapping[str, float], start: Mapping[str, float]) -> list[str]:
    """
    Returns a sentence for each sign of collapse.

    Args:
        metrics (`Mapping[str, float]`):
            The metrics of an evaluation, without prefix.
        start (`Mapping[str, float]`):
            Those at the start of the phase.
    """
    signs = []
    distinct, before = metrics.get("distinct_texts"), start.get("distinct_texts")
    if distinct is not None and before and distinct < _MIN_SHARE_OF_DISTINCT_TEXTS * before:
        signs.append(f"{distinct:.0%} of the samples are different texts, at the start of the phase {before:.0%}")
    entropy, before = metrics.get("nll_div"), start.get("nll_div")
    if entropy is not None and before and entropy < _MIN_SHARE_OF_ENTROPY * before:
        signs.append(f"the samples have an entropy of {entropy:.3g} nats per token, at the start {before:.3g}")
    self_bleu, before = metrics.get("self_bleu_4"), start.get("self_bleu_4")
    if self_bleu is not None and before is not None:
        bound = before + _MAX_SHARE_TO_SELF_BLEU_ONE * (1 - before)
        if self_bleu > bound:
            signs.append(f"Self-BLEU-4 of the samples is {self_bleu:.2f}, at the start {before:.2f}")
    return signs


__all__ = ["collapse_signs"]
