"""Lines of text, one by one and in batches."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
from datasets import Dataset

from .errors import DataError
from .white_space import one_line


logger = logging.getLogger(__name__)

LINES_PER_BATCH = 10_000  # lines read, tokenized and written at once; bounds the memory for texts of any size
_MAX_LINE_BYTES = 1 << 24  # a file without line ends is not read into memory as one line
_BLOCK_BYTES = 1 << 20


def read_lines(path: str | Path) -> list[str]:
    """
    Reads a UTF-8 text file with one sentence a line. A line ends at `"\\n"`, `"\\r\\n"` or `"\\r"`. A byte order mark,
    line ends and white space around a sentence are removed, other white space within it than blanks (tabs, no-break
    spaces, line separators) becomes blanks, and the sentence does not change otherwise. Blank lines are skipped.
    Warnings give the numbers of both.

    Args:
        path (`str` or `Path`):
            The file.

    Returns:
        `list[str]`: The sentences in the order of the file, at least 2.

    Raises:
        [`DataError`]: If the file is missing or a folder, is not valid UTF-8, contains a NUL byte, or holds fewer than
            2 sentences.
    """
    lines, blank, respaced = [], 0, 0
    for raw in decoded_lines(path):
        line = one_line(raw)
        if line:
            lines.append(line)
            respaced += line != raw.strip()
        else:
            blank += 1
    check_amount(str(path), "line", len(lines), blank, respaced)
    return lines


def decoded_lines(path: str | Path) -> Iterator[str]:
    """
    Yields the lines of a UTF-8 file with their ends, `"\\n"`, `"\\r\\n"` or `"\\r"`; raises [`DataError`] at the first
    invalid byte.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{str(path)!r} is a folder; give the path of a text file with one sentence a line.")
    if not path.is_file():
        raise DataError(f"There is no file {str(path)!r}; give the path of a text file with one sentence a line.")
    offset = 0
    with path.open("rb") as file:
        for number, raw in enumerate(_raw_lines(file), start=1):
            if len(raw) >= _MAX_LINE_BYTES:
                raise DataError(
                    f"Line {number} of {str(path)!r} has more than {_MAX_LINE_BYTES >> 20} MiB; write one sentence "
                    "(or row) a line."
                )
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{str(path)!r} is not valid UTF-8 at byte offset {offset + error.start} (line {number}); convert "
                    "the file to UTF-8."
                ) from None
            if "\0" in line:
                raise DataError(
                    f"{str(path)!r} contains a NUL byte at byte offset {offset + raw.index(0)} (line {number}); give "
                    "a plain text file in UTF-8."
                )
            offset += len(raw)
            yield line.removeprefix("\ufeff") if number == 1 else line


def _raw_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yields the lines of a file with their ends; one that is too long ends soon after [`_MAX_LINE_BYTES`]."""
    rest = b""
    while block := file.read(_BLOCK_BYTES):
        # That of bytes ends lines as universal newlines do; that of strings would also at form feeds and others.
        lines = (rest + block).splitlines(keepends=True)
        # A line without "\n" may go on, or its "\r" be the first half of "\r\n".
        rest = b"" if lines[-1].endswith(b"\n") or len(lines[-1]) >= _MAX_LINE_BYTES else lines.pop()
        yield from lines
    if rest:
        yield rest


def amount_error(name: str, unit: str, kept: int) -> DataError:
    """Returns the error of a source with fewer than 2 texts."""
    fix = "give a file with at least 2 sentences, one a line." if unit == "line" else "give at least 2 sentences."
    return DataError(f"{name!r} has {'only 1' if kept else 'no'} {unit} with text; {fix}")


def check_amount(name: str, unit: str, kept: int, blank: int, respaced: int) -> None:
    """Raises [`DataError`] if fewer than 2 texts are kept; warns of blank texts and of replaced white space."""
    if kept < 2:
        raise amount_error(name, unit, kept)
    if blank:
        logger.warning("Skipped %d blank %ss of %r.", blank, unit, name)
    if respaced:
        logger.warning(
            "White space other than blanks (tabs, no-break spaces, line separators) became blanks in %d texts of %r.",
            respaced,
            name,
        )


def iterate_texts(dataset: Dataset, column: str = "text") -> Iterator[str]:
    """
    Yields the texts of a data set, or those of another column if it has that, for a tokenizer; faster than its rows
    and with no more memory.
    """
    if column in dataset.column_names:
        for batch in column_batches(dataset, [column]):
            yield from batch[column]


def check_batch(num_lines: int, batch_size: int) -> None:
    """
    Checks that the lines fill one batch.

    Args:
        num_lines (`int`):
            Lines to train on.
        batch_size (`int`):
            Lines in a batch.

    Raises:
        [`DataError`]: If `batch_size` is less than 1 or greater than `num_lines`.
    """
    if batch_size < 1:
        raise DataError(f"batch_size={batch_size} is not a number of lines; use 1 or more.")
    if num_lines < batch_size:
        raise DataError(
            f"The {num_lines} training lines do not fill one batch of batch_size={batch_size}; use a batch_size of at "
            f"most {num_lines}, or give more lines."
        )


def column_batches(texts: Dataset | Sequence[str], columns: Sequence[str] | None = None) -> Iterator[dict[str, list]]:
    """Yields [`LINES_PER_BATCH`] rows of text as lists, from a data set or a list (whose only column is `text`)."""
    if isinstance(texts, Dataset):
        names = texts.column_names if columns is None else columns
        for table in arrow_batches(texts, names, LINES_PER_BATCH):
            yield table.to_pydict()
    else:
        for start in range(0, len(texts), LINES_PER_BATCH):
            yield {"text": list(texts[start : start + LINES_PER_BATCH])}


def arrow_batches(dataset: Dataset, columns: Sequence[str], size: int) -> Iterator[pa.Table]:
    """Yields the rows of a data set as Arrow tables of `size` rows."""
    yield from cast(Iterator[pa.Table], dataset.select_columns(list(columns)).with_format("arrow").iter(size))


def check_lines(lines: Dataset | Sequence[str]) -> None:
    """Raises [`DataError`] if `lines` are one string, have no column `text` or are empty."""
    if isinstance(lines, str):
        raise DataError(f"The lines are one string ({lines[:20]!r}...); pass a list of sentences instead.")
    if isinstance(lines, Dataset) and "text" not in lines.column_names:
        raise DataError(
            f"The data set has the columns {', '.join(lines.column_names)} and no 'text'; make it with load_text, or "
            "rename the column of the text."
        )
    if len(lines) == 0:
        raise DataError("There are 0 lines; pass at least 1 sentence.")


__all__ = ["iterate_texts", "read_lines"]
