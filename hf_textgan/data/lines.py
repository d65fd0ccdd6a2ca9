"""Lines of text, one by one and in batches."""

import functools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from datasets import Dataset

from .errors import DataError


logger = logging.getLogger(__name__)


BATCH = 10_000  # lines read, tokenized and written at once; bounds the memory, whatever the size of the text


_LONGEST_LINE = 1 << 24  # bytes; a file without line ends is not read into memory as one line


def read_lines(path: str | Path) -> list[str]:
    """
    Reads a UTF-8 text file with one sentence a line. A byte order mark, line ends and white space around a sentence
    are removed, the sentence itself is left as it is. Blank lines are skipped, and a warning says how many.

    Args:
        path (`str` or `Path`):
            The file.

    Returns:
        `list[str]`: The sentences in the order of the file, at least 2.

    Raises:
        [`DataError`]: If the file is missing or a folder, is not valid UTF-8, contains a NUL byte, or holds fewer than
            2 sentences.
    """
    lines, blank = [], 0
    for raw in decoded_lines(path):
        line = raw.strip()
        if line:
            lines.append(line)
        else:
            blank += 1
    check_amount(str(path), "line", len(lines), blank)
    return lines


def decoded_lines(path: str | Path) -> Iterator[str]:
    """The lines of a UTF-8 file with their ends, read one by one; the first byte that is wrong is an error."""
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{str(path)!r} is a folder; give the path of a text file with one sentence a line.")
    if not path.is_file():
        raise DataError(f"There is no file {str(path)!r}; give the path of a text file with one sentence a line.")
    offset = 0
    with path.open("rb") as file:
        # Only "\n" ends a line: `str.splitlines` would also break sentences at form feeds and Unicode separators.
        for number, raw in enumerate(iter(functools.partial(file.readline, _LONGEST_LINE), b""), start=1):
            if len(raw) == _LONGEST_LINE:
                raise DataError(
                    f"Line {number} of {str(path)!r} has more than {_LONGEST_LINE >> 20} MiB; write one sentence (or "
                    "row) a line."
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


def check_amount(name: str, unit: str, kept: int, blank: int) -> None:
    """Too little text is an error, blank texts that were skipped are worth a warning."""
    fix = "give a file with at least 2 sentences, one a line." if unit == "line" else "give at least 2 sentences."
    if kept < 2:
        raise DataError(f"{name!r} has {'only 1' if kept else 'no'} {unit} with text; {fix}")
    if blank:
        logger.warning("Skipped %d blank %ss of %r.", blank, unit, name)


def iterate_texts(dataset: Dataset) -> Iterator[str]:
    """The texts of a data set one by one, for a tokenizer; faster than its rows and with no more memory."""
    for batch in column_batches(dataset, ["text"]):
        yield from batch["text"]


def check_batch(num_lines: int, batch_size: int) -> None:
    """
    Makes sure that there are lines enough for one full batch.

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
    """[`BATCH`] rows of text at a time, as lists, from a data set or a list (whose only column is `text`)."""
    if isinstance(texts, Dataset):
        data = texts if columns is None else texts.select_columns(list(columns))
        for table in data.with_format("arrow").iter(BATCH):
            yield table.to_pydict()
    else:
        for start in range(0, len(texts), BATCH):
            yield {"text": list(texts[start : start + BATCH])}


def check_lines(lines: Dataset | Sequence[str]) -> None:
    if isinstance(lines, str):
        raise DataError(f"The lines are one string ({lines[:20]!r}...); pass a list of sentences instead.")
    if isinstance(lines, Dataset) and "text" not in lines.column_names:
        raise DataError(
            f"The data set has the columns {', '.join(lines.column_names)} and no 'text'; make it with load_text, or "
            "rename the column of the text."
        )
    if len(lines) == 0:
        raise DataError("There are 0 lines; pass at least 1 sentence.")


def check_truncate(truncate: bool, max_length: int | None) -> None:
    if truncate and max_length is None:
        raise DataError(
            "truncate is set and max_length is not; set max_length to the tokens to keep, or leave truncate out."
        )


__all__ = ["iterate_texts", "read_lines"]
