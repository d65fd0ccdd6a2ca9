"""Likelihood of text under a generator, and its samples."""

import math
import re
from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from ..data.rows import Rows
from ..data.white_space import one_line
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples
from ..utils.numbers import check_memory
from ..utils.random import fork_rng


logger = logging.get_logger(__name__)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Samples are drawn in blocks of this size, each under its own seed, so they do not depend on the number of processes.
SAMPLE_BLOCK = 256
NLL_METRICS = ("nll_per_token", "nll_per_sequence", "perplexity")


def corpus_nll(
    model: PreTrainedModel,
    engine: RolloutEngine,
    dataset: Rows,
    collate: Callable[[list[dict]], dict],
    batch_size: int = 256,
    rank: int = 0,
    world_size: int = 1,
) -> torch.Tensor:
    """
    Returns the sums for the negative log-likelihood of a held-out corpus under `model` at temperature 1. EOS counts,
    padding does not.

    Returns:
        `torch.DoubleTensor` of shape `(3,)`: the NLL in nats, the tokens and the sequences of this rank's share.
    """
    sums, engine = torch.zeros(3, dtype=torch.float64), engine.at(1.0)
    for start in range(rank * batch_size, len(dataset), world_size * batch_size):
        rows = [dataset[i] for i in range(start, min(start + batch_size, len(dataset)))]
        batch = collate(rows)
        sums += sample_nll(model, engine, Samples(batch["input_ids"][:, 1:], batch["attention_mask"][:, 1:]))
    return sums


def sample_nll(model: PreTrainedModel, engine: RolloutEngine, samples: Samples) -> torch.Tensor:
    """
    Returns the sums of [`corpus_nll`] for sequences without BOS, at the temperature of the engine; for samples of
    `model` itself they estimate its entropy.
    """
    logps = engine.score(model, samples)
    return torch.tensor([-float(logps.double().sum()), float(samples.attention_mask.sum()), len(logps)]).double()


def nll_metrics(sums: torch.Tensor) -> dict[str, float]:
    """
    Returns `nll_per_token` and `nll_per_sequence` in nats and `perplexity` per token from the sums of [`corpus_nll`].
    """
    nll, tokens, sequences = (float(value) for value in sums)
    per_token = nll / tokens
    return {
        "nll_per_token": per_token,
        "nll_per_sequence": nll / sequences,
        "perplexity": math.exp(per_token) if per_token < 700 else math.inf,
    }


def sample_sequences(
    model: PreTrainedModel,
    engine: RolloutEngine,
    num_samples: int,
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
    **options: Any,
) -> torch.Tensor:
    """
    Draws this rank's part of `num_samples` sequences: the blocks `rank`, `rank + world_size`, ... of [`SAMPLE_BLOCK`].
    `options` are those of [`RolloutEngine.sample`]: `top_k`, `top_p`, `prompt`. The engine sets the temperature.

    Returns:
        `torch.LongTensor` of shape `(num_blocks * SAMPLE_BLOCK, max_length)`; the last block is drawn whole.
    """
    check_samples(num_samples, engine.max_length, "num_samples")
    blocks = []
    for block in range(rank, math.ceil(num_samples / SAMPLE_BLOCK), world_size):
        with fork_rng("samples", seed, block):
            blocks.append(engine.sample(model, SAMPLE_BLOCK, **options).sequences)
    return torch.cat(blocks) if blocks else torch.empty(0, engine.max_length, dtype=torch.long, device=model.device)


def check_samples(num_samples: int, max_length: int, name: str) -> None:
    """Raises `ValueError` if so many samples of `max_length` tokens do not fit into memory; `name` is their option."""
    num_bytes = max(num_samples, SAMPLE_BLOCK) * max_length * 2 * 8  # ids and mask
    check_memory(f"{name}={num_samples} with max_length={max_length}", num_bytes, "lower one of them")


def sample_texts(
    model: PreTrainedModel,
    engine: RolloutEngine,
    tokenizer: PreTrainedTokenizerBase | None,
    num_samples: int,
    seed: int = 0,
) -> list[str]:
    """Draws `num_samples` texts, the same for the same seed."""
    sequences = sample_sequences(model, engine, num_samples, seed)[:num_samples]
    return decode(tokenizer, sequences)


def decode(tokenizer: PreTrainedTokenizerBase | None, sequences: torch.Tensor | list) -> list[str]:
    """
    Returns the texts of sequences `(num_sequences, length)` without special tokens, or their ids without a tokenizer.

    A text is one line, as the texts that are read: line breaks and all other white space but blanks become blanks.
    Other control characters, which a file of text may not hold and a terminal obeys, become U+FFFD.
    """
    if tokenizer is None:
        rows = sequences.tolist() if isinstance(sequences, torch.Tensor) else sequences
        return [" ".join(map(str, row)) for row in rows]
    texts = tokenizer.batch_decode(sequences, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return [_plain_line(text) for text in texts]


def _plain_line(text: str) -> str:
    text = text.strip()
    line = _CONTROL.sub("\ufffd", one_line(text))
    if line != text:
        logger.warning_once(
            "Some samples hold line breaks, tabs or control characters; a sample is one line of plain text, so they "
            "become blanks, and U+FFFD for control characters."
        )
    return line


__all__ = [
    "NLL_METRICS",
    "SAMPLE_BLOCK",
    "check_samples",
    "corpus_nll",
    "decode",
    "nll_metrics",
    "sample_nll",
    "sample_sequences",
    "sample_texts",
]
