"""Evaluation of generators: held-out likelihood, samples, and the metrics of their texts."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .randomness import own_randomness
from .sampling import RolloutEngine, Samples


# Samples are drawn in blocks of this size with a seed each, so that they do not depend on the number of processes.
SAMPLE_BLOCK = 256
NLL_METRICS = ("nll_per_token", "nll_per_sequence", "perplexity")


def corpus_nll(
    model: PreTrainedModel,
    engine: RolloutEngine,
    dataset: Sequence[dict[str, Any]],
    collate: Callable[[list[dict]], dict],
    batch_size: int = 256,
    rank: int = 0,
    world_size: int = 1,
) -> torch.Tensor:
    """
    Sums for the negative log-likelihood of a held-out corpus under `model` at temperature 1, EOS counted, padding not.

    Returns:
        `torch.DoubleTensor` of shape `(3,)`: the NLL in nats, the tokens and the sequences of this rank's share.
    """
    sums = torch.zeros(3, dtype=torch.float64)
    for start in range(rank * batch_size, len(dataset), world_size * batch_size):
        rows = [dataset[i] for i in range(start, min(start + batch_size, len(dataset)))]
        batch = collate(rows)
        sums += sample_nll(model, engine, Samples(batch["input_ids"][:, 1:], batch["attention_mask"][:, 1:]))
    return sums


def sample_nll(
    model: PreTrainedModel, engine: RolloutEngine, samples: Samples, temperature: float = 1.0
) -> torch.Tensor:
    """The sums of [`corpus_nll`] for sequences without BOS; of samples of `model` itself they estimate its entropy."""
    logps = engine.score(model, samples, temperature)
    return torch.tensor([-float(logps.double().sum()), float(samples.attention_mask.sum()), len(logps)]).double()


def nll_metrics(sums: torch.Tensor) -> dict[str, float]:
    """`nll_per_token` and `nll_per_sequence` in nats, `perplexity` per token, of the sums of [`corpus_nll`]."""
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
    temperature: float = 1.0,
    rank: int = 0,
    world_size: int = 1,
    **options,
) -> torch.LongTensor:
    """
    This rank's share of `num_samples` sequences: the blocks `rank`, `rank + world_size`, ... of [`SAMPLE_BLOCK`].
    `options` are those of [`RolloutEngine.sample`]: `top_k`, `top_p`, `prompt`.

    Returns:
        `torch.LongTensor` of shape `(num_blocks * SAMPLE_BLOCK, max_length)`; the last block is drawn whole.
    """
    blocks = []
    for block in range(rank, math.ceil(num_samples / SAMPLE_BLOCK), world_size):
        with own_randomness("samples", seed, block):
            blocks.append(engine.sample(model, SAMPLE_BLOCK, temperature, **options).sequences)
    return torch.cat(blocks) if blocks else torch.empty(0, engine.max_length, dtype=torch.long, device=model.device)


def sample_texts(
    model: PreTrainedModel,
    engine: RolloutEngine,
    tokenizer: PreTrainedTokenizerBase | None,
    num_samples: int,
    seed: int = 0,
    temperature: float = 1.0,
) -> list[str]:
    """`num_samples` generated texts, the same for the same seed."""
    sequences = sample_sequences(model, engine, num_samples, seed, temperature)[:num_samples]
    return decode(tokenizer, sequences)


def decode(tokenizer: PreTrainedTokenizerBase | None, sequences: torch.LongTensor | list) -> list[str]:
    """The texts of sequences `(num_sequences, length)`, without special tokens; without a tokenizer their ids."""
    if tokenizer is None:
        rows = sequences.tolist() if isinstance(sequences, torch.Tensor) else sequences
        return [" ".join(map(str, row)) for row in rows]
    texts = tokenizer.batch_decode(sequences, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return [text.strip() for text in texts]


class TextMetrics:
    """
    The metrics of generated texts: BLEU against held-out text, Self-BLEU, and the scores of the caption grammar.

    Args:
        references (`list[str]`, *optional*):
            Held-out text; the whole of it is the reference set of BLEU.
        split (`Callable[[str], list[str]]`, *optional*):
            Cuts a text into the units of the n-grams; by default at blanks.
        grammar ([`CaptionGrammar`], *optional*):
            The grammar that wrote the training text.
        max_order (`int`, *optional*, defaults to `5`):
            The longest n-grams.
    """

    def __init__(
        self,
        references: list[str] | None = None,
        split: Callable[[str], list[str]] = str.split,
        grammar: Any = None,
        max_order: int = 5,
    ):
        from .metrics.ngrams import ReferenceTable

        self.split = split
        self.grammar = grammar
        self.max_order = max_order
        self.table = ReferenceTable([split(text) for text in references], max_order) if references else None

    def __call__(self, texts: list[str]) -> dict[str, float]:
        from .metrics.ngrams import self_bleu

        tokens = [self.split(text) for text in texts]
        metrics = {}
        if self.table is not None:
            metrics.update(self.table.score(tokens))
        if len(tokens) > 1:
            metrics.update(self_bleu(tokens, self.max_order))
        metrics["distinct_texts"] = len(set(texts)) / len(texts)
        if self.grammar is not None:
            metrics.update(self.grammar.scores(texts))
        return metrics


__all__ = [
    "NLL_METRICS",
    "SAMPLE_BLOCK",
    "TextMetrics",
    "corpus_nll",
    "decode",
    "nll_metrics",
    "sample_nll",
    "sample_sequences",
    "sample_texts",
]
