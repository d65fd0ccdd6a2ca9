"""The dialect of CSV files: what separates the fields, and whether the first line names the columns."""

import csv
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import DataError


DELIMITERS = (",", ";", "\t", "|")
_WRITTEN = {"tab": "\t", "\\t": "\t"}  # how a tab is typed in a shell
_SAMPLE_LINES = 200  # by which the delimiter is found


@dataclass
class Dialect:
    """
    The dialect of a CSV file as far as it is given.

    Args:
        delimiter (`str`, *optional*):
            The character between two fields (`"tab"` for a tab); by default it is found in the first lines.
        no_header (`bool`, *optional*, defaults to `False`):
            Whether the first line is a row like the others and does not name the columns, which are then called
            `"0"`, `"1"` and so on.
    """

    delimiter: str | None = None
    no_header: bool = False

    def __post_init__(self):
        if self.delimiter is None:
            return
        self.delimiter = _WRITTEN.get(self.delimiter, self.delimiter)
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise DataError(
                f"delimiter={self.delimiter!r} cannot separate the fields of a CSV file; set it to one character such "
                "as ';', or to tab."
            )


def find_delimiter(lines: Iterable[str], default: str) -> str:
    """
    Returns the delimiter of the lines of a CSV file: the one by which the first row has several fields and most rows
    as many. If less than half of them have as many by any, there is one column, and `default` is returned.
    """
    sample = list(itertools.islice(lines, _SAMPLE_LINES))
    best, best_share = default, 0.5
    for delimiter in dict.fromkeys((default, *DELIMITERS)):  # the default wins a tie
        counts = _field_counts(sample, delimiter)
        if counts and counts[0] > 1 and counts.count(counts[0]) / len(counts) > best_share:
            best, best_share = delimiter, counts.count(counts[0]) / len(counts)
    return best


def _field_counts(lines: list[str], delimiter: str) -> list[int]:
    """Returns the number of fields of each row that is not empty, up to the first that is not valid."""
    counts = []
    try:
        for row in csv.reader(lines, delimiter=delimiter, strict=True):
            if row:
                counts.append(len(row))
    except csv.Error:
        pass  # the end of the sample may be within quotes; other errors show when the file is read
    return counts


__all__ = ["Dialect", "find_delimiter"]
