"""Lengths and a checksum of an encoded data set."""

import sys
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from datasets import Dataset

from .lines import LINES_PER_BATCH, arrow_batches
from .rows import Rows


def scan_dataset(dataset: Rows) -> tuple[int, int, int]:
    """
    Returns the number of ids of the shortest and of the longest row, and a checksum of all rows with their labels and
    conditions.
    """
    shortest, longest, checksum = sys.maxsize, 0, 0
    for lengths, ids in iterate_ids(dataset):
        shortest, longest = min(shortest, int(lengths.min())), max(longest, int(lengths.max()))
        for part in (lengths, ids):
            checksum = zlib.crc32(part.astype(np.int64).tobytes(), checksum)
    if "condition_ids" in dataset[0]:
        for lengths, ids in iterate_ids(dataset, column="condition_ids"):
            for part in (lengths, ids):
                checksum = zlib.crc32(part.astype(np.int64).tobytes(), checksum)
    if "labels" in dataset[0]:
        checksum = zlib.crc32(labels_of(dataset).tobytes(), checksum)
    return shortest, longest, checksum


def labels_of(dataset: Rows) -> np.ndarray:
    """Returns the labels of all rows, of shape `(num_rows,)`."""
    labels = dataset["labels"] if isinstance(dataset, Dataset) else [row["labels"] for row in _rows(dataset)]
    return np.asarray(labels[:], dtype=np.int64)


def _rows(dataset: Rows) -> Iterator[Any]:
    return (dataset[index] for index in range(len(dataset)))


def iterate_ids(
    dataset: Rows, size: int = LINES_PER_BATCH, column: str = "input_ids"
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the lengths and the ids of `size` rows at a time; those of a memory-mapped data set stay arrays."""
    if isinstance(dataset, Dataset) and dataset.format["type"] is None:
        for table in arrow_batches(dataset, [column], size):
            values = table[column].combine_chunks()
            yield np.diff(values.offsets.to_numpy()), values.flatten().to_numpy()
        return
    for start in range(0, len(dataset), size):
        rows = [np.asarray(dataset[i][column]) for i in range(start, min(start + size, len(dataset)))]
        yield np.array([len(row) for row in rows]), np.concatenate(rows)


__all__ = ["iterate_ids", "labels_of", "scan_dataset"]
