"""Rows of text from files, folders and the Hub, in batches, with the number of each row for error messages."""

import csv
import itertools
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, LargeList, List, Value
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub import HfApi

from ..utils.files import file_digest
from ..utils.names import is_hub_name, unknown_name
from .dialect import Dialect, find_delimiter
from .errors import DataError
from .lines import LINES_PER_BATCH, amount_error, arrow_batches, decoded_lines
from .white_space import one_line


logger = logging.getLogger(__name__)

SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".json", ".parquet")
# Names of columns that hold text; any other in a first line may be a sentence in its place.
_TEXT_NAMES = (
    "text",
    "texts",
    "sentence",
    "sentences",
    "caption",
    "captions",
    "line",
    "review",
    "content",
    "document",
)
_SPLIT_FILE = r"(-\d+-of-\d+(-[0-9a-f]{16})?)?"  # after the name of the split, as in the files of the Hub
_HUB_FOLDER = "data"  # of the files of a repository on the Hub
_LFS_POINTER = b"version https://git-lfs"
_SPLIT_ALIASES = {"valid": "validation", "val": "validation", "dev": "validation"}


def parse_number(value: str) -> int | float | str:
    """Returns the number that a text writes, or the text without white space around it."""
    value = value.strip()
    if re.fullmatch(r"[+-]?[0-9]+", value):
        return int(value) if len(value) < 20 else float(value)
    return float(value) if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", value) else value


@dataclass
class Batch:
    """Rows of a source: columns, the number of each row, and the unit of the numbers (`line` or `row`)."""

    columns: dict[str, list]
    numbers: Sequence[int]
    unit: str
    name: str
    respaced: int = 0  # texts given by `text` in which white space became blanks

    def row_name(self, index: int) -> str:
        """Returns the name of a row for error messages."""
        return f"{self.unit.capitalize()} {self.numbers[index]} of {self.name!r}"

    def text(self, column: str, index: int, lowercase: bool) -> str:
        """Returns a text in one line, see [`one_line`]; raises [`DataError`] if it is invalid."""
        value = self.columns[column][index]
        if not isinstance(value, str):
            if value is None:
                raise DataError(
                    f"{self.row_name(index)} has no text in the column {column!r}; fill it in, or remove the row."
                )
            if isinstance(value, list):
                raise DataError(
                    f"{self.row_name(index)} has the list {repr(value)[:40]} in the column {column!r} and no text; "
                    "join the tokens of each row to a text, as in ' '.join(tokens)."
                )
            raise DataError(
                f"{self.row_name(index)} has the {type(value).__name__} {repr(value)[:40]} in the column {column!r} "
                "and no text; name another column, or make it text."
            )
        value = value.strip()
        if not value.isprintable():
            value = self._checked(value, column, index)
        return value.lower() if lowercase else value

    def _checked(self, value: str, column: str, index: int) -> str:
        """Returns a text with characters that cannot be printed, such as tabs, in one line."""
        line_break = "\n" in value or "\r" in value
        if line_break or "\0" in value:
            problem, fix = ("a line break", "replace it by a blank") if line_break else ("a NUL byte", "remove it")
            raise DataError(
                f"{self.row_name(index)} has {problem} within the text of the column {column!r}, but a sentence is "
                f"one line of plain text; {fix}."
            )
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{self.row_name(index)} has half of a surrogate pair ({error.object[error.start]!r}) in the "
                f"column {column!r}; repair the escapes of the text."
            ) from None
        line = one_line(value)
        self.respaced += line != value
        return line


class Source:
    """Rows of text from anywhere. A cached copy depends on `state`."""

    name: str
    state: Any
    unit = "row"
    num_rows: int | None = None
    untyped = False  # whether numbers are given as text

    def columns(self) -> dict[str, str]:
        """Returns the columns, and what each holds: `text`, `list` or `other`."""
        raise NotImplementedError

    def class_names(self, column: str) -> list[str] | None:
        """Returns the names of the classes of a column, if the source has them."""
        return None

    def batches(self, columns: list[str]) -> Iterator[Batch]:
        """Yields the rows, with these columns only."""
        raise NotImplementedError


class Files(Source):
    """One file, or the parts of a split in order."""

    def __init__(self, paths: list[Path]):
        self.paths = paths
        self.name = str(paths[0])
        for path in paths:
            if not path.is_file():
                raise DataError(f"There is no file {str(path)!r}; give the path of a text file.")
        # Not its size and time, which an edit can leave as they were.
        self.state = [type(self).__name__, *(file_digest(path) for path in paths)]

    def batches(self, columns: list[str]) -> Iterator[Batch]:
        for path in self.paths:
            yield from self.read(path, columns)

    def read(self, path: Path, columns: list[str] | None) -> Iterator[Batch]:
        """Yields the rows of a file, with all columns if `columns` is `None`."""
        raise NotImplementedError

    def columns(self) -> dict[str, str]:
        first = next(self.read(self.paths[0], None), None)
        if first is None or not first.numbers:
            raise amount_error(self.name, self.unit, 0)
        return {name: self.kind_of(values) for name, values in first.columns.items()}

    @staticmethod
    def kind_of(values: list) -> str:
        values = [value for value in values if value is not None]
        for kind, type_ in (("text", str), ("list", list)):
            if values and all(isinstance(value, type_) for value in values):
                return kind
        return "other"


class Lines(Files):
    """Text files with one text a line."""

    unit = "line"

    def columns(self) -> dict[str, str]:
        return {"text": "text"}

    def read(self, path: Path, columns: list[str] | None) -> Iterator[Batch]:
        lines, first = [], 1
        for number, line in enumerate(decoded_lines(path), start=1):
            lines.append(line)
            if len(lines) == LINES_PER_BATCH:
                yield Batch({"text": lines}, range(first, number + 1), self.unit, str(path))
                lines, first = [], number + 1
        if lines:
            yield Batch({"text": lines}, range(first, first + len(lines)), self.unit, str(path))


class Table(Files):
    """CSV and TSV files. The number of a row is that of its first line."""

    unit = "line"
    untyped = True

    def __init__(self, paths: list[Path], dialect: Dialect):
        super().__init__(paths)
        self.usual_delimiter = "\t" if paths[0].suffix.lower() == ".tsv" else ","
        self.delimiter = dialect.delimiter or find_delimiter(decoded_lines(paths[0]), self.usual_delimiter)
        self.no_header = dialect.no_header
        self.state += [self.delimiter, self.no_header]

    def report(self, text_column: str, named: bool) -> None:
        """Logs how the file is read; warns of a first line that may be a row, if nobody has `named` the column."""
        _, header = next(self.rows(self.paths[0]), (0, []))
        names = ", ".join(map(str, range(len(header))) if self.no_header else header)
        level = logging.INFO if self.delimiter == self.usual_delimiter else logging.WARNING
        logger.log(level, "%r is read as CSV separated by %r with the columns %s.", self.name, self.delimiter, names)
        if not (named or self.no_header or text_column.strip().lower() in _TEXT_NAMES):
            logger.warning(
                "The first line of %r names its columns (%s); if it is a row like the others, set no_header, else set "
                "text_column to %r.",
                self.name,
                names,
                text_column,
            )

    @staticmethod
    def kind_of(values: list) -> str:
        values = [value for value in map(str.strip, values) if value]
        return "text" if any(isinstance(parse_number(value), str) for value in values) else "other"

    def read(self, path: Path, columns: list[str] | None) -> Iterator[Batch]:
        rows = self.rows(path)
        first, header = next(rows, (0, []))
        if self.no_header and first:
            rows = itertools.chain([(first, header)], rows)
            header = [str(index) for index in range(len(header))]
        repeated = [name for name in header if header.count(name) > 1]
        if repeated:
            raise DataError(
                f"{str(path)!r} has two columns called {repeated[0]!r}; rename one in its first line, or set "
                "no_header if that is a row like the others."
            )
        _check_header(path, header, columns)
        indices = {name: header.index(name) for name in (header if columns is None else columns)}
        values: dict[str, list] = {name: [] for name in indices}
        numbers: list[int] = []
        for number, row in rows:
            if not row:  # an empty line, which is skipped as a blank text
                row = [""] * len(header)
            if len(row) != len(header):
                found = "has" if self.no_header else "names"
                raise DataError(
                    f"Line {number} of {str(path)!r} has {len(row)} fields, but the first line {found} {len(header)} "
                    "columns; put fields with delimiters into quotes, or repair the line."
                )
            numbers.append(number)
            for name, index in indices.items():
                values[name].append(row[index])
            if len(numbers) == LINES_PER_BATCH:
                yield Batch(values, numbers, self.unit, str(path))
                values, numbers = {name: [] for name in indices}, []
        if numbers:
            yield Batch(values, numbers, self.unit, str(path))

    def rows(self, path: Path) -> Iterator[tuple[int, list[str]]]:
        """Yields the rows of a file, each with the number of its first line."""
        reader = csv.reader(decoded_lines(path), delimiter=self.delimiter, strict=True)
        while True:
            number = reader.line_num + 1
            try:
                row = next(reader, None)
            except csv.Error as error:
                raise DataError(
                    f"Line {number} of {str(path)!r} is not {path.suffix[1:].upper()} ({error}); check its quotes and "
                    "delimiters."
                ) from None
            if row is None:
                return
            yield number, row


class JsonLines(Files):
    """Files with one JSON object a line."""

    unit = "line"

    def read(self, path: Path, columns: list[str] | None) -> Iterator[Batch]:
        rows: list[dict] = []
        numbers: list[int] = []
        for number, line in enumerate(decoded_lines(path), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                syntax = isinstance(error, json.JSONDecodeError)
                reason = f"{error.msg} at character {error.pos + 1}" if syntax else reason_of(error)
                raise DataError(
                    f"Line {number} of {str(path)!r} is not JSON ({reason}); write one JSON object a line."
                ) from None
            if not isinstance(row, dict):
                raise DataError(
                    f"Line {number} of {str(path)!r} holds a JSON {_JSON_KINDS[type(row)]} and no object; write one "
                    'JSON object a line, such as {"text": "a dog ."}.'
                )
            rows.append(row)
            numbers.append(number)
            if len(rows) == LINES_PER_BATCH:
                yield self.batch(path, rows, numbers, columns)
                rows, numbers = [], []
        if rows:
            yield self.batch(path, rows, numbers, columns)

    def batch(self, path: Path, rows: list[dict], numbers: list[int], columns: list[str] | None) -> Batch:
        names = dict.fromkeys(name for row in rows for name in row) if columns is None else columns
        return Batch({name: [row.get(name) for row in rows] for name in names}, numbers, self.unit, str(path))


_JSON_KINDS = {list: "array", str: "string", int: "number", float: "number", bool: "value", type(None): "value"}


class Parquet(Files):
    """Parquet files."""

    def __init__(self, paths: list[Path]):
        super().__init__(paths)
        self.num_rows = 0
        for path in paths:
            if path.stat().st_size == 0:
                raise DataError(f"{str(path)!r} is empty; give a Parquet file with at least 2 sentences.")
            with path.open("rb") as file:
                if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
                    raise DataError(
                        f"{str(path)!r} is a pointer of Git LFS and not the data; run git lfs pull in its folder."
                    )
            with _parquet_file(path) as file:
                self.num_rows += file.metadata.num_rows
                features = Features.from_arrow_schema(file.schema_arrow)
            if path == paths[0]:
                self.features = features

    def columns(self) -> dict[str, str]:
        return _kinds_of(self.features)

    def class_names(self, column: str) -> list[str] | None:
        return _names_of(self.features[column])

    def read(self, path: Path, columns: list[str] | None) -> Iterator[Batch]:
        with _parquet_file(path) as file:
            _check_header(path, file.schema_arrow.names, columns)
            first = 1
            for rows in file.iter_batches(LINES_PER_BATCH, columns=columns):
                yield Batch(rows.to_pydict(), range(first, first + len(rows)), self.unit, str(path))
                first += len(rows)


class Rows(Source):
    """A data set of 🤗 Datasets."""

    def __init__(self, name: str, dataset: Dataset):
        self.name = name
        self.dataset = dataset
        self.state = ["dataset", dataset._fingerprint, str(dataset.features)]
        self.num_rows = len(dataset)

    def columns(self) -> dict[str, str]:
        if self.num_rows == 0:
            raise amount_error(self.name, self.unit, 0)
        return _kinds_of(self.dataset.features)

    def class_names(self, column: str) -> list[str] | None:
        return _names_of(self.dataset.features[column])

    def batches(self, columns: list[str]) -> Iterator[Batch]:
        first = 1
        for table in arrow_batches(self.dataset, columns, LINES_PER_BATCH):
            yield Batch(table.to_pydict(), range(first, first + len(table)), self.unit, self.name)
            first += len(table)


class Stream(Source):
    """A data set of the Hub that is read row by row."""

    def __init__(self, name: str, split: str, config_name: str | None):
        self.name = name
        load = _hub_loader(split, streaming=True)
        self.dataset = from_hub(name, lambda *words: load(*words)._resolve_features(), config_name)
        revision = from_hub(name, lambda name, _: HfApi().dataset_info(name).sha, None)
        self.state = ["stream", name, revision, split, config_name]

    def columns(self) -> dict[str, str]:
        return _kinds_of(self.dataset.features)

    def class_names(self, column: str) -> list[str] | None:
        return _names_of(self.dataset.features[column])

    def batches(self, columns: list[str]) -> Iterator[Batch]:
        first = 1
        rows = self.dataset.iter(LINES_PER_BATCH)
        while True:
            batch = from_hub(self.name, lambda *_: next(rows, None), None)
            if batch is None:
                return
            length = len(batch[columns[0]])
            yield Batch(dict(batch), range(first, first + length), self.unit, self.name)
            first += length


@contextmanager
def _as_data_error(problem: str, fix: str) -> Iterator[None]:
    """Re-raises errors of a reader as [`DataError`]."""
    try:
        yield
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{problem} ({reason_of(error)}); {fix}") from error


@contextmanager
def _parquet_file(path: Path) -> Iterator[pq.ParquetFile]:
    problem, fix = f"{str(path)!r} is not a readable Parquet file", "write it again, or give another."
    with _as_data_error(problem, fix), pq.ParquetFile(path) as file:
        yield file


def _check_header(path: Path, header: list[str], columns: list[str] | None) -> None:
    for name in columns or ():
        if name not in header:
            raise DataError(unknown_name(f"column of {str(path)!r} (it has {', '.join(header)})", name, header))


def _kinds_of(features: Features) -> dict[str, str]:
    kinds = {}
    for name, feature in features.items():
        is_text = isinstance(feature, Value) and feature.dtype in ("string", "large_string", "string_view")
        is_list = isinstance(feature, List | LargeList)
        kinds[name] = "text" if is_text else "list" if is_list else "other"
    return kinds


def _names_of(feature: Any) -> list[str] | None:
    return feature.names if isinstance(feature, ClassLabel) else None


def reason_of(error: BaseException) -> str:
    """Returns the kind and the message of an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def open_source(
    source: str | Path | Dataset, split: str | None, config_name: str | None, streaming: bool, dialect: Dialect
) -> Source:
    """Returns the rows of a file, a folder or a data set. See [`load_text`] for the arguments."""
    opened = _open(source, split, config_name, streaming, dialect)
    if not isinstance(opened, Table):
        for option, value in vars(dialect).items():
            if value:
                raise DataError(
                    f"{option}={value!r} is for .csv and .tsv files, not for {opened.name!r}; leave it out."
                )
    return opened


def _open(
    source: str | Path | Dataset, split: str | None, config_name: str | None, streaming: bool, dialect: Dialect
) -> Source:
    if isinstance(source, Dataset):
        return Rows("the data set", source)
    path = Path(source)
    on_hub = not path.exists() and path.suffix.lower() not in SUFFIXES and is_hub_name(str(source))
    for option, value in (("config_name", config_name), ("streaming", streaming)):
        if value and not on_hub:
            raise DataError(f"{option}={value!r} is for data sets on the Hub, not for {str(path)!r}; leave it out.")
    if on_hub:
        if streaming:
            return Stream(str(source), split or "train", config_name)
        name = str(source)
        return Rows(name, from_hub(name, _hub_loader(split or "train", streaming=False), config_name))
    if path.is_dir():
        return _open_folder(path, split, dialect)
    if split is not None:
        raise DataError(
            f"split={split!r} is for folders and data sets on the Hub, not for {str(path)!r}; leave it out."
        )
    return _open_files([path], dialect)


def _open_files(paths: list[Path], dialect: Dialect) -> Files:
    path = paths[0]
    if path.suffix.lower() not in SUFFIXES and path.is_file():
        raise DataError(
            f"{str(path)!r} ends in {path.suffix!r}; give a file of the kinds {', '.join(SUFFIXES)}, or rename it."
        )
    if not path.is_file():
        raise DataError(f"There is no file {str(path)!r}; give the path of a text file with one sentence a line.")
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return Table(paths, dialect)
    return {".txt": Lines, ".parquet": Parquet}.get(suffix, JsonLines)(paths)


def _open_folder(path: Path, split: str | None, dialect: Dialect) -> Source:
    if (path / "state.json").is_file():
        if split not in (None, "train"):
            raise DataError(
                f"{str(path)!r} holds one data set without splits and no split {split!r}; leave split out."
            )
        return _saved(path)
    splits = folder_splits(path)
    if not splits:
        inner = [folder for folder in sorted(path.iterdir()) if folder.is_dir() and folder_splits(folder)]
        if inner:  # a clone of a repository whose configurations are folders
            raise DataError(
                f"{str(path)!r} holds data sets in the folders {', '.join(folder.name for folder in inner)}; give one "
                f"of them, such as {str(inner[0])!r}."
            )
        raise DataError(
            f"{str(path)!r} is a folder without a data set; give a file, a folder written by save_to_disk, or one "
            "with files called after their splits, such as train.csv."
        )
    split = split or "train"
    if split not in splits:
        raise DataError(unknown_name(f"split of {str(path)!r} (it has {', '.join(splits)})", split, splits))
    files = splits[split]
    if isinstance(files, Path):
        return _saved(files)
    if len({file.suffix for file in files}) > 1 or (len(files) > 1 and any("-of-" not in f.stem for f in files)):
        raise DataError(
            f"{str(path)!r} has several files for the split {split!r} ({', '.join(f.name for f in files)}); leave one."
        )
    return _open_files(files, dialect)


def folder_splits(path: Path) -> Mapping[str, Path | list[Path]]:
    """Returns the splits of a folder: for each a saved data set, or files."""
    if (path / "dataset_dict.json").is_file():
        with _as_data_error(f"{str(path / 'dataset_dict.json')!r} is not readable", "save the data set again."):
            names = json.loads((path / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
        return {name: path / name for name in names}
    splits: dict[str, list[Path]] = {}
    for file in sorted(path.iterdir()):
        stem = re.sub(_SPLIT_FILE + "$", "", file.stem)
        if file.is_file() and file.suffix.lower() in SUFFIXES and stem:
            splits.setdefault(_SPLIT_ALIASES.get(stem, stem), []).append(file)
    if not splits and (path / _HUB_FOLDER).is_dir():
        return folder_splits(path / _HUB_FOLDER)
    return splits


def _saved(path: Path) -> Rows:
    with _as_data_error(f"The data set in {str(path)!r} cannot be read", "save it again with save_to_disk."):
        return Rows(str(path), Dataset.load_from_disk(str(path)))


def _hub_loader(split: str, streaming: bool) -> Callable[[str, str | None], Any]:
    return lambda name, config: datasets.load_dataset(name, config, split=split, streaming=streaming)


def from_hub(name: str, load: Callable[[str, str | None], Any], config_name: str | None) -> Any:
    """Returns `load(name, config_name)`; re-raises every error as [`DataError`]."""
    try:
        return load(name, config_name)
    except DatasetNotFoundError as error:
        raise DataError(
            f"There is neither a folder {name!r} nor a data set of that name on the Hub that can be read; check the "
            "name, and log in if it is private."
        ) from error
    except Exception as error:  # httpx, huggingface_hub, pyarrow and datasets each raise their own
        raise DataError(
            f"The data set {name!r} cannot be read from the Hub ({reason_of(error)}); check its name, configuration "
            "and split, and the connection."
        ) from error


__all__ = [
    "SUFFIXES",
    "Batch",
    "Lines",
    "Source",
    "Table",
    "folder_splits",
    "from_hub",
    "open_source",
    "parse_number",
    "reason_of",
]
