"""Texts of a generator as the tokens of a classifier that has its own tokenizer."""

import copy
import logging
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..sampling.samples import Samples


logger = logging.getLogger(__name__)

_MAX_CACHED = 100_000  # texts


class Retokenizer:
    """
    Writes samples as text and encodes them by the tokenizer of a classifier, with its special tokens; a condition and
    its text become a pair. Real and generated sequences take the same way, so what it loses tells nobody which is
    which. Encodings are kept, because real texts and short completions recur.

    Args:
        tokenizer (`PreTrainedTokenizerBase`):
            The tokenizer of the classifier, with a padding token.
        generator_tokenizer (`PreTrainedTokenizerBase`):
            The tokenizer of the generator.
        max_length (`int`, *optional*):
            Number of tokens that the classifier reads; longer texts are cut.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        generator_tokenizer: PreTrainedTokenizerBase,
        max_length: int | None = None,
    ):
        self.tokenizer = tokenizer
        self.generator_tokenizer = generator_tokenizer
        self.max_length = max_length
        self._encoded: dict[tuple[tuple[int, ...], ...], dict[str, list[int]]] = {}
        self._has_warned = False

    def __call__(self, samples: Samples) -> dict[str, torch.Tensor]:
        """Returns `input_ids`, `attention_mask` and what else the tokenizer makes, each of shape `(rows, length)`."""
        columns = [_rows(samples.sequences, samples.attention_mask)]
        if "condition_ids" in samples.inputs:
            columns.insert(0, _rows(samples.inputs["condition_ids"], samples.inputs["condition_mask"]))
        rows = list(zip(*columns, strict=True))
        new = [row for row in dict.fromkeys(rows) if row not in self._encoded]
        if len(self._encoded) + len(new) > _MAX_CACHED:
            self._encoded.clear()
            new = list(dict.fromkeys(rows))
        if new:
            self._encoded.update(zip(new, self._encode(new), strict=True))
        parts = [self._encoded[row] for row in rows]
        padding = {"input_ids": self.tokenizer.pad_token_id}
        width = max(len(part["input_ids"]) for part in parts)
        return {
            name: torch.tensor(
                [part[name] + [padding.get(name, 0)] * (width - len(part[name])) for part in parts],
                device=samples.sequences.device,
            )
            for name in parts[0]
        }

    def _encode(self, rows: list[tuple[tuple[int, ...], ...]]) -> list[dict[str, list[int]]]:
        decode = self.generator_tokenizer.batch_decode
        options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
        texts = [
            [text.strip() for text in decode([list(ids) for ids in column], **options)]
            for column in zip(*rows, strict=True)
        ]
        tokenizer: Any = self.tokenizer
        encoded = tokenizer(
            *texts,
            split_special_tokens=True,
            truncation=self.max_length is not None,
            max_length=self.max_length,
            verbose=False,
        )
        if self.max_length is not None and not self._has_warned:
            if any(len(ids) == self.max_length for ids in encoded["input_ids"]):
                self._has_warned = True
                logger.warning(
                    "Some texts fill the %d tokens that the discriminator reads, and longer ones are cut.",
                    self.max_length,
                )
        result = [{name: encoded[name][i] for name in encoded} for i in range(len(rows))]
        for row in result:
            if not row["input_ids"]:  # an empty text, of a tokenizer without special tokens
                row.update(
                    {name: [0] for name in row} | {"input_ids": [self.tokenizer.pad_token_id], "attention_mask": [1]}
                )
        return result


def _rows(ids: torch.Tensor, mask: torch.Tensor) -> list[tuple[int, ...]]:
    """Returns the ids of each row without padding."""
    return [tuple(row[:length]) for row, length in zip(ids.tolist(), mask.sum(1).tolist(), strict=True)]


def set_tokenizer(
    classifier: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, generator_tokenizer: PreTrainedTokenizerBase
) -> None:
    """
    Makes a classifier read the texts of a generator through its own tokenizer, as a discriminator. The tokenizer is
    saved with it. Where both tokenizers give the same tokens the classifier reads those of the generator.

    Args:
        classifier (`PreTrainedModel`):
            A classifier of sequences. One without `pad_token_id` gets that of the tokenizer.
        tokenizer (`PreTrainedTokenizerBase`):
            Its tokenizer; one without padding token pads with its EOS token.
        generator_tokenizer (`PreTrainedTokenizerBase`):
            The tokenizer of the generator.

    Raises:
        `ValueError`: If the tokenizer has more tokens than the classifier, no token to pad with, or another one.

    Example:

    ```python
    >>> from hf_textgan import set_tokenizer

    >>> set_tokenizer(bert, bert_tokenizer, tokenizer)
    >>> trainer = AdversarialTrainer(model=generator, players={"discriminator": bert}, processing_class=tokenizer,
    ...                              objective="seqgan", args=args, train_dataset=dataset)
    ```"""
    name, config = type(classifier).__name__, classifier.config
    tokenizer = copy.deepcopy(tokenizer)
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ValueError(
                f"The tokenizer of the {name} has no token to pad with; set its pad_token to one of its tokens."
            )
        tokenizer.pad_token = tokenizer.eos_token
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id
    if config.pad_token_id != tokenizer.pad_token_id:
        raise ValueError(
            f"The {name} has pad_token_id {config.pad_token_id} and its tokenizer {tokenizer.pad_token_id}; make them "
            "equal."
        )
    if len(tokenizer) > config.vocab_size:
        raise ValueError(
            f"The {name} has vocab_size {config.vocab_size} and its tokenizer {len(tokenizer)} tokens; use the "
            "tokenizer that it was trained with."
        )
    same = tokenizer.get_vocab() == generator_tokenizer.get_vocab()
    # What reads the tokens of the generator reads a text and then EOS.
    if same and list(tokenizer("")["input_ids"]) == [generator_tokenizer.eos_token_id]:
        return
    tokenizer.padding_side = "right"
    limits = (
        getattr(config, "sequence_length", None),
        getattr(config, "max_position_embeddings", None),
        tokenizer.model_max_length,
    )
    known = [limit for limit in limits if limit is not None and 0 < limit < 1e9]
    reader: Any = classifier  # a plain attribute, which is not saved
    reader.retokenizer = Retokenizer(tokenizer, generator_tokenizer, min(known) if known else None)


__all__ = ["Retokenizer", "set_tokenizer"]
