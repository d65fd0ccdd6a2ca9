"""Likelihood of text under a generator, and its samples."""

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from ..data.collator import collate as collate_rows
from ..data.rows import Rows
from ..data.white_space import one_line
from ..sampling.capabilities import capabilities_of
from ..sampling.engine import RolloutEngine
from ..sampling.inputs import draw_missing, inputs_of_columns
from ..sampling.reader import evaluating
from ..sampling.samples import Samples, concatenate_samples
from ..utils.numbers import check_memory
from ..utils.random import fork_rng


logger = logging.get_logger(__name__)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Samples are drawn in blocks of this size, each under its own seed, so they do not depend on the number of processes.
SAMPLE_BLOCK = 256
NLL_METRICS = ("nll_per_token", "nll_per_sequence", "perplexity")
NLL_BOUND_METRICS = ("nll_bound_per_token", "nll_bound_per_sequence")
IW_DRAWS = 50  # of the latents of a text, in an importance-weighted likelihood
_BOUND_DRAWS = 5  # of what a generator draws, in a bound on the likelihood of each text


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
    Returns the sums for the negative log-likelihood of a held-out corpus under `model` at temperature 1, given the
    labels and conditions of the rows that it reads. EOS counts, padding does not.

    Of a model whose likelihood has only a bound they are those of an upper bound: the mean of a fixed number of draws
    of ``model.nll_bound(input_ids, attention_mask, **inputs)``, which has shape `(batch_size,)`, or, where the model
    has no such method, of the NLL given draws of what it reads beside tokens (Jensen's inequality). What is drawn has
    a fixed seed for each batch, so the value is the same at every call and does not depend on `world_size`.

    Returns:
        `torch.DoubleTensor` of shape `(3,)`: the NLL in nats, the tokens and the sequences of this rank's share.
    """
    sums, engine = torch.zeros(3, dtype=torch.float64), engine.at(1.0)
    num_draws = _BOUND_DRAWS if capabilities_of(model).likelihood == "bound" else 1
    for start in range(rank * batch_size, len(dataset), world_size * batch_size):
        rows = [dataset[i] for i in range(start, min(start + batch_size, len(dataset)))]
        batch = collate(rows)
        with fork_rng("likelihood", start):
            for _ in range(num_draws):
                sums += _batch_nll(model, engine, batch) / num_draws
    return sums


def importance_weighted_nll(
    model: Any,
    engine: RolloutEngine,
    dataset: Rows,
    collate: Callable[[list[dict]], dict],
    num_draws: int = IW_DRAWS,
    batch_size: int = 256,
) -> dict[str, float]:
    """
    Returns `nll_iw_{num_draws}_per_token` and `nll_iw_{num_draws}_per_sequence`: the negative log-likelihood of a
    held-out corpus in nats, estimated by ``model.nll_importance_weighted(input_ids, attention_mask, num_draws)``. It
    lies above the true value on average, and below a bound of one draw. The seed of the draws is fixed.
    """
    sums = torch.zeros(3, dtype=torch.float64)
    for start in range(0, len(dataset), batch_size):
        batch = collate([dataset[i] for i in range(start, min(start + batch_size, len(dataset)))])
        ids, mask = batch["input_ids"].to(model.device), batch["attention_mask"].to(model.device)
        with fork_rng("importance weights", start), evaluating(model), torch.no_grad():
            values = model.nll_importance_weighted(ids, mask, num_draws)
        sums += torch.tensor([float(values.double().sum()), float(mask[:, 1:].sum()), len(values)]).double()
    nll, tokens, sequences = (float(value) for value in sums)
    return {f"nll_iw_{num_draws}_per_token": nll / tokens, f"nll_iw_{num_draws}_per_sequence": nll / sequences}


def _batch_nll(model: Any, engine: RolloutEngine, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    if capabilities_of(model).likelihood != "bound" or not hasattr(model, "nll_bound"):
        return sample_nll(model, engine, engine.real_samples(model, batch))
    batch = {name: value.to(model.device) for name, value in batch.items()}
    with evaluating(model), torch.no_grad():
        bounds = model.nll_bound(batch["input_ids"], batch["attention_mask"], **inputs_of_columns(model, batch))
    return torch.tensor(
        [float(bounds.double().sum()), float(batch["attention_mask"][:, 1:].sum()), len(bounds)]
    ).double()


def sample_nll(model: PreTrainedModel, engine: RolloutEngine, samples: Samples) -> torch.Tensor:
    """
    Returns the sums of [`corpus_nll`] for sequences without BOS, at the temperature of the engine; for samples of
    `model` itself they estimate its entropy.
    """
    logps = engine.score(model, samples)
    return torch.tensor([-float(logps.double().sum()), float(samples.attention_mask.sum()), len(logps)]).double()


def nll_metrics(sums: torch.Tensor, bound: bool = False) -> dict[str, float]:
    """
    Returns `nll_per_token` and `nll_per_sequence` in nats and `perplexity` per token from the sums of [`corpus_nll`];
    of a bound `nll_bound_per_token` and `nll_bound_per_sequence`, which cannot be compared with them.
    """
    nll, tokens, sequences = (float(value) for value in sums)
    per_token = nll / tokens
    if bound:
        return {"nll_bound_per_token": per_token, "nll_bound_per_sequence": nll / sequences}
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
    given: Rows | None = None,
    **options: Any,
) -> Samples:
    """
    Draws this rank's part of `num_samples` sequences: the blocks `rank`, `rank + world_size`, ... of [`SAMPLE_BLOCK`].

    Args:
        given ([`Rows`], *optional*):
            Data whose labels or conditions a generator reads: sample `i` has those of row `i`, modulo the number of
            rows. What they do not have, the generator draws.
        options:
            Those of [`RolloutEngine.sample`]: `top_k`, `top_p`, `prompt`. The engine sets the temperature.

    Returns:
        [`Samples`] of `num_blocks * SAMPLE_BLOCK` sequences, with what the generator read; the last block is drawn
        whole.
    """
    check_samples(num_samples, engine.max_length, "num_samples")
    parts = []
    for block in range(rank, math.ceil(num_samples / SAMPLE_BLOCK), world_size):
        inputs = _given_inputs(model, engine, given, block)
        with fork_rng("samples", seed, block):
            parts.append(engine.sample(model, SAMPLE_BLOCK, inputs=inputs, **options))
    if parts:
        return concatenate_samples(parts)
    nothing = torch.empty(0, engine.max_length, dtype=torch.long, device=model.device)
    inputs = {name: value[:0] for name, value in _given_inputs(model, engine, given, 0).items()}
    with fork_rng("samples", seed):
        return Samples(nothing, nothing, draw_missing(model, inputs, 0, engine.max_length))


def _given_inputs(
    model: PreTrainedModel, engine: RolloutEngine, given: Rows | None, block: int
) -> dict[str, torch.Tensor]:
    """Returns the inputs of the samples of a block that the data have."""
    known = capabilities_of(model)
    if not given or not (known.row_inputs or known.step_inputs):
        return {}
    rows = given_rows(given, range(block * SAMPLE_BLOCK, (block + 1) * SAMPLE_BLOCK))
    return inputs_of_columns(model, collate_rows(rows, engine.pad_token_id))


def given_rows(given: Rows, samples: Iterable[int]) -> list[Any]:
    """Returns the rows of the data that belong to samples by number, as in [`sample_sequences`]."""
    return [given[number % len(given)] for number in samples]


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
    return decode(tokenizer, sample_sequences(model, engine, num_samples, seed)[:num_samples].sequences)


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
    "NLL_BOUND_METRICS",
    "NLL_METRICS",
    "IW_DRAWS",
    "SAMPLE_BLOCK",
    "check_samples",
    "corpus_nll",
    "decode",
    "given_rows",
    "importance_weighted_nll",
    "nll_metrics",
    "sample_nll",
    "sample_sequences",
    "sample_texts",
]
