"""Pretrained word vectors in the text format of word2vec and GloVe."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from .errors import DataError


def read_word_vectors(path: str | Path, words: Collection[str]) -> dict[str, np.ndarray]:
    """
    Reads the vectors of some words. Each line of the file is a word and its values, separated by blanks; a first line
    of two whole numbers, as word2vec writes, is skipped. Of a word that comes twice the first vector counts.

    Args:
        path (`str` or `Path`):
            The file, in UTF-8. It is read line by line, and only the vectors of `words` are kept.
        words (`Collection[str]`):
            The words to look for.

    Returns:
        `dict[str, np.ndarray]`: The vector of each word that the file has, of the same size and in single precision.

    Raises:
        [`DataError`]: If the file is missing, has none of the words, or a line has another number of values than the
            first, or a value that is no finite number.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There is no file {str(path)!r}; give the path of a text file of word vectors.")
    vectors: dict[str, np.ndarray] = {}
    size = 0
    # Bytes that are not UTF-8 may stand in words, which are then none of the tokenizer's.
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\r\n ")
            if not size:
                parts = line.split(" ")
                if number == 1 and len(parts) == 2 and all(part.isdecimal() for part in parts):
                    continue
                size = len(parts) - 1
            if not line:
                continue
            word, *values = line.rsplit(" ", size)  # a word may have blanks of its own
            if len(values) != size or size == 0:
                raise DataError(
                    f"Line {number} of {str(path)!r} has {len(values)} values and the first has {size}; give a word "
                    "and its values in each line, separated by blanks."
                )
            if word in words and word not in vectors:
                vectors[word] = _vector(values, path, number)
    if not vectors:
        raise DataError(
            f"{str(path)!r} has none of the {len(words):,} words of the tokenizer; give vectors of the same language, "
            "in the text format of word2vec or GloVe, and texts of the same case."
        )
    return vectors


def _vector(values: list[str], path: Path, number: int) -> np.ndarray:
    try:
        vector = np.array([float(value) for value in values], dtype=np.float32)
    except ValueError:
        vector = np.array([np.nan])
    if not np.isfinite(vector).all():
        bad = next((value for value in values if not _is_finite(value)), "a value")
        raise DataError(
            f"Line {number} of {str(path)!r} has the value {bad!r}, which is no finite number; correct the line."
        )
    return vector


def _is_finite(value: str) -> bool:
    try:
        return bool(np.isfinite(np.float32(value)))
    except ValueError:
        return False


__all__ = ["read_word_vectors"]
