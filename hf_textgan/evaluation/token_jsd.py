"""Jensen-Shannon divergence between the token n-grams of samples and of the training rows."""

from collections.abc import Iterator

import numpy as np

from ..data.rows import Rows
from ..data.statistics import iterate_ids
from ..metrics.divergence import jensen_shannon_divergence
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples


_TOKEN_BATCH_SIZE = 2**20  # tokens of training rows in memory


class TokenJSD:
    """
    The Jensen-Shannon divergence between the token n-grams of samples and those of all training rows (IWGAN,
    arXiv 1704.00028): ``(KL(P | M) + KL(Q | M)) / 2`` with ``M = (P + Q) / 2``, in bits, of relative
    frequencies without smoothing. Small sets have a large divergence even if both are real: compare at equal numbers
    of samples.

    As in the paper, a line is a window of `max_length` tokens. A short line is filled with the padding token, which
    counts like any other token. EOS counts as padding, in samples and training rows.

    Args:
        train_dataset (`datasets.Dataset` or `Sequence[dict]`):
            Rows with `input_ids`: BOS and at most `max_length` tokens. They are read once or twice, and not kept.
        engine ([`RolloutEngine`]):
            The engine that draws the samples.
        max_order (`int`, *optional*, defaults to `4`):
            The maximum length of the n-grams.

    Returns:
        `dict[str, float]`: Called with [`Samples`] of `max_length` positions, `jsd_1` to `jsd_{max_order}`, each from
        0 (equal) to 1 (nothing in common); NaN where n-grams are longer than `max_length`.

    Raises:
        `ValueError`: If there are no rows or no samples, a row is longer than `max_length`, samples have another
            number of positions, or `max_order` is less than 1.
    """

    def __init__(self, train_dataset: Rows, engine: RolloutEngine, max_order: int = 4):
        if max_order < 1:
            raise ValueError(f"max_order={max_order} is too small; use 1 or more.")
        if len(train_dataset) == 0:
            raise ValueError("There are 0 training rows to compare samples with; pass at least 1.")
        self.max_order = max_order
        self.max_length = engine.max_length
        self._eos, self._pad = engine.eos_token_id, engine.pad_token_id
        batch_size = max(1, _TOKEN_BATCH_SIZE // self.max_length)

        def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            return iterate_ids(train_dataset, batch_size)

        # The largest code of a token is that of all tokens that are in no training row.
        self._base = 2 + max(self._pad, *(int(ids.max()) for _, ids in batches()))
        self._tables: list[_Table] = []  # per order
        packed = sum(self._fits(order) for order in range(1, max_order + 1))
        # Longer n-grams begin with the rank of their prefix, which is known when all rows have been read once.
        for orders in [range(1, packed + 1), *([order] for order in range(packed + 1, max_order + 1))]:
            tables = [_Table() for _ in orders]
            for lengths, ids in batches():
                codes = self._codes(self._window(lengths, ids), orders[-1])
                for table, codes_of_order in zip(tables, codes[orders[0] - 1 :], strict=True):
                    table.add(codes_of_order)
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
        tokens = self._end_is_padding(sequences.astype(np.int64)).clip(max=self._base - 1)
        tables_and_codes = zip(self._tables, self._codes(tokens, self.max_order), strict=True)
        return {f"jsd_{order}": table.divergence(codes) for order, (table, codes) in enumerate(tables_and_codes, 1)}

    def _fits(self, order: int) -> bool:
        """Returns whether the codes of n-grams, numbers in the base, are 64-bit integers."""
        return order == 1 or self._base**order <= 2**63

    def _window(self, lengths: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Returns the windows of rows: (rows, max_length)."""
        longest = int(lengths.max()) - 1
        if longest > self.max_length:
            raise ValueError(
                f"A training row has {longest} tokens after BOS, which are more than max_length={self.max_length}; "
                f"encode the rows with max_length={self.max_length}."
            )
        tokens = np.full((len(lengths), self.max_length), self._pad, np.int64)
        after_bos = np.ones(len(ids), bool)
        after_bos[np.cumsum(lengths) - lengths] = False
        tokens[np.arange(self.max_length) < lengths[:, None] - 1] = ids[after_bos]
        return self._end_is_padding(tokens)

    def _end_is_padding(self, tokens: np.ndarray) -> np.ndarray:
        if self._eos is not None:
            tokens[tokens == self._eos] = self._pad
        return tokens

    def _codes(self, tokens: np.ndarray, max_order: int) -> list[np.ndarray]:
        """Returns the code of the n-gram at each position, per order: (rows, max_length - order + 1)."""
        codes = [tokens]
        for order in range(2, max_order + 1):
            prefixes = codes[-1][:, :-1]
            if not self._fits(order):
                table = self._tables[order - 2]
                indices, known = table.find(prefixes)
                prefixes = np.where(known, indices, len(table.codes))
            codes.append(prefixes * self._base + tokens[:, order - 1 :])
        return codes


class _Table:
    """The counts of codes, as sorted arrays of distinct codes; new codes are merged when there are many of them."""

    def __init__(self):
        self.codes, self.counts, self.total = np.empty(0, np.int64), np.empty(0, np.int64), 0
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []
        self._num_unmerged = 0

    def add(self, codes: np.ndarray) -> None:
        """Counts codes."""
        self._parts.append(np.unique(codes, return_counts=True))
        self._num_unmerged += len(self._parts[-1][0])
        self.total += codes.size
        if self._num_unmerged > max(len(self.codes), 2 * _TOKEN_BATCH_SIZE):
            self.finish()

    def finish(self) -> "_Table":
        """Merges the new codes, and returns the table."""
        codes, counts = zip((self.codes, self.counts), *self._parts, strict=True)
        order = np.argsort(np.concatenate(codes), kind="stable")  # which merges sorted arrays in linear time
        merged, counts = np.concatenate(codes)[order], np.concatenate(counts)[order]
        first = np.flatnonzero(np.diff(merged, prepend=-1))
        self.codes, self.counts = merged[first], np.add.reduceat(counts, first)
        self._parts, self._num_unmerged = [], 0
        return self

    def find(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the indices of codes, and whether the table has them."""
        indices = np.searchsorted(self.codes, codes).clip(max=len(self.codes) - 1)
        return indices, self.codes[indices] == codes

    def divergence(self, codes: np.ndarray) -> float:
        """Returns the Jensen-Shannon divergence, in bits, between the frequencies of `codes` and of the table."""
        distinct, counts = np.unique(codes, return_counts=True)
        indices, shared = self.find(distinct)
        both = np.stack([counts[shared], self.counts[indices[shared]]])
        return jensen_shannon_divergence(both, totals=(codes.size, self.total))


__all__ = ["TokenJSD"]
