"""Jensen-Shannon divergence between the token n-grams of samples and of the training rows."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..metrics.divergence import jensen_shannon_divergence
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples


_TOKEN_BATCH_SIZE = 2**20  # of training rows in memory


class TokenJSD:
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
        from ..data.statistics import iterate_ids

        if max_order < 1:
            raise ValueError(f"max_order={max_order} is too small; use 1 or more.")
        if len(train_dataset) == 0:
            raise ValueError("There are 0 training rows to compare samples with; pass at least 1.")
        self.max_order = max_order
        self.max_length = engine.max_length
        self._eos, self._pad = engine.eos_token_id, engine.pad_token_id
        rows_at_once = max(1, _TOKEN_BATCH_SIZE // self.max_length)

        def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            return iterate_ids(train_dataset, rows_at_once)

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
        if self._waiting > max(len(self.codes), 2 * _TOKEN_BATCH_SIZE):
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


__all__ = ["TokenJSD"]
