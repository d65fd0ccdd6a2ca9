"""Evaluation of generators: held-out likelihood, samples, and the metrics of their texts."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .metrics.divergence import jensen_shannon_divergence
from .models.modeling_one_shot import OneShotGeneratorMixin
from .randomness import own_randomness
from .sampling import RolloutEngine, Samples


# Samples are drawn in blocks of this size with a seed each, so that they do not depend on the number of processes.
SAMPLE_BLOCK = 256
NLL_METRICS = ("nll_per_token", "nll_per_sequence", "perplexity")
_SYMBOLS_AT_ONCE = 2**20  # of training rows in memory


def has_likelihood(model: PreTrainedModel) -> bool:
    """Whether `model` gives texts a probability: generators that make whole sequences of noise do not."""
    return not isinstance(model, OneShotGeneratorMixin)


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


class SymbolDivergence:
    """
    The Jensen-Shannon divergence between the n-grams of symbols of samples and those of all training rows (IWGAN,
    arXiv 1704.00028): ``(KL(P | M) + KL(Q | M)) / 2`` with ``M = (P + Q) / 2``, in bits, of relative
    frequencies without smoothing. Small sets are far apart even if both are real: compare at equal numbers of samples.

    As in the paper a line is a window of `max_length` symbols, the rest of a short one filled with the padding symbol,
    which counts like any other. An EOS counts as padding, on both sides.

    Args:
        train_dataset (`Sequence[dict]`):
            Rows with `input_ids`: BOS and at most `max_length` tokens. Read here, once or twice, and not kept.
        engine ([`RolloutEngine`]):
            The engine that draws the samples.
        max_order (`int`, *optional*, defaults to `4`):
            The longest n-grams.

    Returns:
        `dict[str, float]`: Called with [`Samples`] of `max_length` positions, `jsd_1` to `jsd_{max_order}`, each from
        0 (equal) to 1 (nothing in common); NaN where n-grams are longer than `max_length`.

    Raises:
        `ValueError`: If there are no rows or no samples, a row is longer than `max_length`, samples have another
            number of positions, or `max_order` is less than 1.
    """

    def __init__(self, train_dataset: Sequence[dict[str, Any]], engine: RolloutEngine, max_order: int = 4):
        from .trainer.survey import batches_of_ids

        if max_order < 1:
            raise ValueError(f"max_order={max_order} is too small; use 1 or more.")
        if len(train_dataset) == 0:
            raise ValueError("There are 0 training rows to compare samples with; pass at least 1.")
        self.max_order = max_order
        self.max_length = engine.max_length
        self._eos, self._pad = engine.eos_token_id, engine.pad_token_id
        rows_at_once = max(1, _SYMBOLS_AT_ONCE // self.max_length)

        def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            return batches_of_ids(train_dataset, rows_at_once)

        # The last symbol stands for all that are in no training row.
        self._base = 2 + max(self._pad, *(int(ids.max()) for _, ids in batches()))
        self._tables: list[_Table] = []  # per order
        packed = sum(self._fits(order) for order in range(1, max_order + 1))
        # Longer n-grams begin with the rank of their prefix, which is known when all rows have been read once.
        for orders in [range(1, packed + 1), *([order] for order in range(packed + 1, max_order + 1))]:
            tables = [_Table() for _ in orders]
            for lengths, ids in batches():
                codes = self._codes(self._window(lengths, ids), orders[-1])
                for table, one in zip(tables, codes[orders[0] - 1 :], strict=True):
                    table.add(one)
            self._tables += [table.finish() for table in tables]

    def __call__(self, samples: Samples) -> dict[str, float]:
        sequences = samples.sequences.cpu().numpy()
        if len(sequences) == 0:
            raise ValueError("There are 0 samples to compare with the training rows; pass at least 1.")
        if sequences.shape[1] != self.max_length:
            raise ValueError(
                f"The samples have {sequences.shape[1]} positions and the training rows {self.max_length}; draw them "
                f"with max_length={self.max_length}."
            )
        symbols = self._end_is_padding(sequences.astype(np.int64)).clip(max=self._base - 1)
        tables_and_codes = zip(self._tables, self._codes(symbols, self.max_order), strict=True)
        return {f"jsd_{order}": table.divergence(codes) for order, (table, codes) in enumerate(tables_and_codes, 1)}

    def _fits(self, order: int) -> bool:
        """Whether the numbers of n-grams, written in the base, are 64-bit integers."""
        return order == 1 or self._base**order <= 2**63

    def _window(self, lengths: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """The symbols of rows: (rows, max_length)."""
        longest = int(lengths.max()) - 1
        if longest > self.max_length:
            raise ValueError(
                f"A training row has {longest} tokens after BOS, which are more than max_length={self.max_length}; "
                f"encode the rows with max_length={self.max_length}."
            )
        symbols = np.full((len(lengths), self.max_length), self._pad, np.int64)
        after_bos = np.ones(len(ids), bool)
        after_bos[np.cumsum(lengths) - lengths] = False
        symbols[np.arange(self.max_length) < lengths[:, None] - 1] = ids[after_bos]
        return self._end_is_padding(symbols)

    def _end_is_padding(self, symbols: np.ndarray) -> np.ndarray:
        if self._eos is not None:
            symbols[symbols == self._eos] = self._pad
        return symbols

    def _codes(self, symbols: np.ndarray, max_order: int) -> list[np.ndarray]:
        """A number for the n-gram at each place, per order: (rows, max_length - order + 1)."""
        codes = [symbols]
        for order in range(2, max_order + 1):
            prefixes = codes[-1][:, :-1]
            if not self._fits(order):
                table = self._tables[order - 2]
                places, known = table.find(prefixes)
                prefixes = np.where(known, places, len(table.codes))
            codes.append(prefixes * self._base + symbols[:, order - 1 :])
        return codes


class _Table:
    """How often numbers occur, as sorted arrays; merged from time to time, so that only different ones are kept."""

    def __init__(self):
        self.codes, self.counts, self.total = np.empty(0, np.int64), np.empty(0, np.int64), 0
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []
        self._waiting = 0

    def add(self, codes: np.ndarray) -> None:
        self._parts.append(np.unique(codes, return_counts=True))
        self._waiting += len(self._parts[-1][0])
        self.total += codes.size
        if self._waiting > max(len(self.codes), 2 * _SYMBOLS_AT_ONCE):
            self.finish()

    def finish(self) -> "_Table":
        codes, counts = zip((self.codes, self.counts), *self._parts, strict=True)
        order = np.argsort(np.concatenate(codes), kind="stable")  # which merges sorted arrays in linear time
        merged, counts = np.concatenate(codes)[order], np.concatenate(counts)[order]
        first = np.flatnonzero(np.diff(merged, prepend=-1))
        self.codes, self.counts = merged[first], np.add.reduceat(counts, first)
        self._parts, self._waiting = [], 0
        return self

    def find(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places of numbers, and whether they are there."""
        places = np.searchsorted(self.codes, codes).clip(max=len(self.codes) - 1)
        return places, self.codes[places] == codes

    def divergence(self, codes: np.ndarray) -> float:
        """The Jensen-Shannon divergence, in bits, between the frequencies of `codes` and of those in the table."""
        distinct, counts = np.unique(codes, return_counts=True)
        places, shared = self.find(distinct)
        both = np.stack([counts[shared], self.counts[places[shared]]])
        return jensen_shannon_divergence(both, totals=(codes.size, self.total))


__all__ = [
    "NLL_METRICS",
    "SAMPLE_BLOCK",
    "SymbolDivergence",
    "TextMetrics",
    "corpus_nll",
    "has_likelihood",
    "decode",
    "nll_metrics",
    "sample_nll",
    "sample_sequences",
    "sample_texts",
]
