"""Scores of texts by a discriminator of sequences."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase


_BATCH_SIZE = 256


def score_name(model: Any) -> str | None:
    """
    Returns the meaning of the score that a player gives to a text: `"probability of real"` of a classifier of the
    classes `fake` and `real`, `"score"` of a critic, which has no bounds; `None` of a player that scores no texts.
    """
    if "AutoModelForSequenceClassification" not in getattr(type(model), "auto_classes", ()):
        return None
    return {1: "score", 2: "probability of real"}.get(model.config.num_labels)


@torch.no_grad()
def score_texts(model: Any, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[float]:
    """
    Returns a score for each text, higher for texts that look real; see [`score_name`].

    Args:
        model (`PreTrainedModel`):
            A discriminator of sequences.
        tokenizer (`PreTrainedTokenizerBase`):
            Its tokenizer, [`~data.tokenizers.discriminator_tokenizer`], which is saved in its folder.
        texts (`Sequence[str]`):
            The texts; they are cut to what the discriminator reads.

    Raises:
        `ValueError`: If the model scores no texts.
    """
    if score_name(model) is None:
        raise ValueError(f"{type(model).__name__} gives no score to a text; pass a discriminator of sequences.")
    was_training, scores = model.training, []
    model.eval()
    try:
        for start in range(0, len(texts), _BATCH_SIZE):
            part = list(texts[start : start + _BATCH_SIZE])
            length = getattr(model.config, "sequence_length", None)
            encoded = tokenizer(
                part,
                padding="max_length" if length is not None else True,
                max_length=length,
                truncation=True,
                return_tensors="pt",
            )
            inputs = {k: v.to(model.device) for k, v in encoded.items() if k in ("input_ids", "attention_mask")}
            logits = model(**inputs).logits.float()
            scores += (logits.softmax(-1)[:, 1] if logits.shape[-1] == 2 else logits.flatten()).tolist()
    finally:
        model.train(was_training)
    return scores


__all__ = ["score_name", "score_texts"]
