"""Text from files, folders and the Hub as one memory-mapped data set, whatever its size."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, Value
from datasets.utils import tqdm
from huggingface_hub import HfApi
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ..systems.spec import unknown
from .text import BATCH, DataError, cached_dataset, check_amount, decoded_lines, fingerprint, write_arrow


SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".json", ".parquet")
LABEL_COLUMNS = ("label", "labels")  # where the labels are looked for if no column is named
_MAX_CLASSES = 10_000  # more different names than that are no classes, and would fill the memory
_MAX_LABEL = 2**31 - 1
_SPLIT_FILE = r"(-\d+-of-\d+)?"  # behind the name of the split, as in the files of the Hub
_SPLIT_ALIASES = {"valid": "validation", "val": "validation", "dev": "validation"}
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def load_text(
    source: str | Path | Dataset,
    split: str | None = None,
    config_name: str | None = None,
    streaming: bool = False,
    text_column: str | None = None,
    label_column: str | None = None,
    source_column: str | None = None,
    target_column: str | None = None,
    label_names: Sequence[str] | None = None,
    lowercase: bool = False,
    cache_dir: str | Path | None = None,
    progress: bool = True,
) -> Dataset:
    """
    Reads text from anywhere into a memory-mapped data set, one row a sentence. White space around a sentence is
    removed; rows whose text or condition is blank are skipped, and a warning says how many. What was read is kept in
    the cache and found again until the source or an option changes; the memory that it takes does not grow with the
    text.

    Args:
        source (`str`, `Path` or `datasets.Dataset`):
            One of

            - a file: `.txt` (one sentence a line), `.csv` or `.tsv` (with a line of column names), `.jsonl` or `.json`
              (one object a line), `.parquet`;
            - a folder: what `save_to_disk` has written, or files called after their split, such as `train.csv`;
            - a data set on the Hub, as `org/name`.
        split (`str`, *optional*):
            Which part of a folder or a data set on the Hub; by default `train`.
        config_name (`str`, *optional*):
            Which configuration of a data set on the Hub.
        streaming (`bool`, *optional*, defaults to `False`):
            Whether a data set on the Hub is read row by row instead of being downloaded as a whole first.
        text_column (`str`, *optional*):
            By default the column `text`, else the only column that holds text.
        label_column (`str`, *optional*):
            By default the column `label` or `labels`, if there is one; `""` leaves the labels out. Labels are integers
            from 0 or names. Names are numbered in sorted order.
        source_column (`str`, *optional*):
            The texts that condition the others, as the source sentences of a translation.
        target_column (`str`, *optional*):
            The texts that belong to those of `source_column`; another name for `text_column`.
        label_names (`Sequence[str]`, *optional*):
            The names of the classes in order, to number held-out data as the training data. Other names are errors.
        lowercase (`bool`, *optional*, defaults to `False`):
            Whether texts and conditions are put into lower case.
        cache_dir (`str` or `Path`, *optional*):
            Where the result is kept; by default the folder `hf_textgan` in the cache of 🤗 Datasets.
        progress (`bool`, *optional*, defaults to `True`):
            Whether a bar is shown for what takes more than a second.

    Returns:
        `datasets.Dataset`: The columns `text`, `label` (integers; a `ClassLabel` where there are names) if there are
        labels, and `condition` if there is a `source_column`; at least 2 rows.

    Raises:
        [`DataError`]: If there is no such source, or something in it is not what it should be; the message says where.
    """
    if target_column is not None and text_column is not None:
        raise DataError(
            f"target_column={target_column!r} and text_column={text_column!r} both name the text; leave one of them "
            "out."
        )
    if target_column is not None and source_column is None:
        raise DataError(
            f"target_column={target_column!r} has no source_column beside it; name that too, or use text_column."
        )
    wanted = {"text": target_column or text_column, "label": label_column, "condition": source_column}
    opened = _open(source, split, config_name, streaming)
    names = None if label_names is None else list(label_names)

    def write(path: Path) -> dict[str, Any]:
        columns = _choose_columns(opened, wanted)
        return _write(path, opened, columns, names, lowercase, progress)

    key = fingerprint("load_text", opened.state, wanted, names, lowercase)
    dataset, record = cached_dataset(key, write, cache_dir)
    check_amount(opened.name, opened.unit, len(dataset), record["skipped"])
    return dataset


def split_names(source: str | Path, config_name: str | None = None) -> list[str]:
    """The splits of a folder or of a data set on the Hub."""
    path = Path(source)
    if path.is_dir():
        return ["train"] if (path / "state.json").is_file() else [*_folder_splits(path)]
    return [*_from_hub(str(source), datasets.get_dataset_split_names, config_name)]


def load_tokenizer(name_or_path: str) -> PreTrainedTokenizerFast:
    """
    Loads any tokenizer that the library can train with.

    Args:
        name_or_path (`str`):
            A folder, or a repository on the Hub.

    Returns:
        [`~transformers.PreTrainedTokenizerFast`]: The tokenizer.

    Raises:
        [`DataError`]: If it cannot be loaded, is not a fast one or has no `eos_token`.
    """
    if not Path(name_or_path).is_dir() and (name_or_path.count("/") > 1 or name_or_path.startswith((".", "/"))):
        raise DataError(f"There is no folder {name_or_path!r}; name a tokenizer's folder or a repository org/name.")
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name_or_path)
    except Exception as error:  # tokenizers, huggingface_hub and json each raise their own
        raise DataError(
            f"The tokenizer {name_or_path!r} cannot be loaded ({_reason(error)}); name a tokenizer's folder or a "
            "repository org/name."
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise DataError(
            f"The tokenizer {name_or_path!r} is a {type(tokenizer).__name__}, which is not a fast one, and "
            "discriminators need a copy with another template, which only fast ones have; convert it, or name another."
        )
    if tokenizer.eos_token_id is None:
        raise DataError(
            f"The tokenizer {name_or_path!r} has no eos_token, which ends every line; set tokenizer.eos_token to a "
            "token of its vocabulary and save it again."
        )
    return tokenizer


# ---- From the rows of a source to ours --------------------------------------------------------------------------


def _choose_columns(source: "_Source", wanted: Mapping[str, str | None]) -> dict[str, str]:
    """Which column is the text, the label and the condition: as named, or as found."""
    if isinstance(source, _Lines):
        named = [name for name in wanted.values() if name]
        if named:
            raise DataError(
                f"{source.name!r} has lines and no column {named[0]!r}; give a .csv or .jsonl file, or name no column."
            )
        return {"text": "text"}
    is_text = source.columns()
    chosen = {role: name for role, name in wanted.items() if name}
    for name in chosen.values():
        if name not in is_text:
            raise DataError(unknown(f"column of {source.name!r} (it has {', '.join(is_text)})", name, is_text))
    if len(set(chosen.values())) < len(chosen):
        raise DataError(
            f"The columns {', '.join(map(repr, chosen.values()))} are named for text, label and source in this order "
            "as far as there are such; name a column once."
        )
    if wanted["label"] is None:
        found = [name for name in LABEL_COLUMNS if name in is_text and name not in chosen.values()]
        chosen.update({"label": found[0]} if found else {})
    if "text" not in chosen:
        free = [name for name, text in is_text.items() if text and name not in chosen.values()]
        if "text" in is_text and "text" not in chosen.values():
            free = ["text"]
        if not free:
            raise DataError(
                f"{source.name!r} has no column of text left among {', '.join(is_text)}; name it with text_column."
            )
        if len(free) > 1:
            raise DataError(
                f"{source.name!r} has several columns of text ({', '.join(free)}); name the one to use with "
                "text_column."
            )
        chosen["text"] = free[0]
    return chosen


def _write(
    path: Path,
    source: "_Source",
    columns: Mapping[str, str],
    names: list[str] | None,
    lowercase: bool,
    progress: bool,
) -> dict[str, Any]:
    """Writes the rows of a source as an Arrow file; returns how many of them were blank."""
    labels = None
    if "label" in columns:
        labels = _Labels(columns["label"], source.class_names(columns["label"]), names, source.untyped)
    features = {"text": Value("string")}
    features.update({"label": Value("int64")} if labels is not None else {})
    features.update({"condition": Value("string")} if "condition" in columns else {})
    skipped = kept = 0

    def batches() -> Iterator[dict[str, list]]:
        nonlocal skipped, kept
        with tqdm(
            total=source.num_rows, unit=f" {source.unit}s", desc="Reading", delay=1, disable=not progress
        ) as bar:
            for batch in source.batches(list(dict.fromkeys(columns.values()))):
                texts = [batch.text(columns["text"], place, lowercase) for place in range(len(batch.numbers))]
                rows = {"text": texts}
                if "condition" in columns:
                    rows["condition"] = [
                        batch.text(columns["condition"], place, lowercase) for place in range(len(texts))
                    ]
                places = [place for place in range(len(texts)) if all(column[place] for column in rows.values())]
                if len(places) < len(texts):
                    rows = {name: [column[place] for place in places] for name, column in rows.items()}
                if labels is not None:
                    values = batch.columns[columns["label"]]
                    rows["label"] = [labels(values[place], batch.place, place) for place in places]
                kept += len(places)
                skipped += len(texts) - len(places)
                yield rows
                bar.update(len(texts))

    write_arrow(path, Features(features), batches())
    check_amount(source.name, source.unit, kept, 0)
    if labels is not None and labels.names is not None:
        # The names are known only now, and stand at the head of the file.
        order, features["label"] = labels.order(), ClassLabel(names=labels.sorted_names())
        first = path.with_suffix(".first")
        path.rename(first)
        write_arrow(path, Features(features), _renumbered(first, order))
        first.unlink()
    return {"skipped": skipped}


def _renumbered(path: Path, order: list[int]) -> Iterator[dict[str, list]]:
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
        for batch in reader:
            rows = batch.to_pydict()
            rows["label"] = [order[label] for label in rows["label"]]
            yield rows


class _Labels:
    """
    Labels as integers from 0. Names are numbered as they come; `order` sorts them in the end.

    Args:
        column (`str`):
            Where they stand.
        own_names (`list[str]`, *optional*):
            What the integers of a `ClassLabel` mean.
        known_names (`list[str]`, *optional*):
            The only names allowed, in their order.
        untyped (`bool`):
            Whether numbers come as text.
    """

    def __init__(self, column: str, own_names: list[str] | None, known_names: list[str] | None, untyped: bool):
        self.column = column
        self.own_names = own_names
        self.known_names = known_names
        self.untyped = untyped
        self.first: Any = None
        self.names: dict[str, int] | None = None
        names = known_names if known_names is not None else own_names
        if names is not None:
            self.names = {name: number for number, name in enumerate(names)}
        self.fixed = names is not None

    def __call__(self, value: Any, where: Callable[[int], str], place: int) -> int:
        if self.untyped:
            value = _parsed(value)
        if isinstance(value, str):
            value = value.strip()
        if value is None or value == "":
            raise DataError(
                f"{where(place)} has no label in the column {self.column!r}; fill it in, or remove the row."
            )
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise DataError(
                f"{where(place)} has the label {value!r}, which is neither an integer nor a name; change it, or leave "
                "the labels out with an empty label_column."
            )
        if isinstance(value, float) or (isinstance(value, int) and not 0 <= value <= _MAX_LABEL):
            raise DataError(
                f"{where(place)} has the label {value}, which is no class; number the classes 0, 1, 2 and so on, or "
                "leave the labels out with an empty label_column."
            )
        if self.own_names is not None and isinstance(value, int):
            if value >= len(self.own_names):
                raise DataError(
                    f"{where(place)} has the label {value}, but there are {len(self.own_names)} classes; repair the "
                    "data set."
                )
            value = self.own_names[value]
        if self.fixed:
            if value not in self.names:
                names = ", ".join(list(self.names)[:20])
                raise DataError(
                    f"{where(place)} has the label {value!r}, which is not one of {names}; use the names of the "
                    "training data."
                )
            return self.names[value]
        if self.first is None:
            self.first = value
        if isinstance(value, str) != isinstance(self.first, str):
            raise DataError(
                f"{where(place)} has the label {value!r}, but an earlier row has {self.first!r}; use only names or "
                "only integers."
            )
        if isinstance(value, int):
            return value
        self.names = {} if self.names is None else self.names
        if value not in self.names and len(self.names) == _MAX_CLASSES:
            raise DataError(
                f"{where(place)} has one label more than the {_MAX_CLASSES:,} that the column {self.column!r} may "
                "have; name the column of the classes with label_column, or leave the labels out with an empty one."
            )
        return self.names.setdefault(value, len(self.names))

    def sorted_names(self) -> list[str]:
        return list(self.names) if self.fixed else sorted(self.names)

    def order(self) -> list[int]:
        """The final number of each provisional one."""
        final = {name: number for number, name in enumerate(self.sorted_names())}
        return [final[name] for name in self.names]


def _parsed(value: str) -> int | float | str:
    """A number as such, if the text is one."""
    value = value.strip()
    if re.fullmatch(r"[+-]?[0-9]+", value):
        return int(value) if len(value) < 20 else float(value)
    return float(value) if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", value) else value


# ---- Sources ----------------------------------------------------------------------------------------------------


@dataclass
class _Batch:
    """Some rows of a source: columns, the number of each row, and what the numbers count."""

    columns: dict[str, list]
    numbers: Sequence[int]
    unit: str
    name: str

    def place(self, index: int) -> str:
        return f"{self.unit.capitalize()} {self.numbers[index]} of {self.name!r}"

    def text(self, column: str, index: int, lowercase: bool) -> str:
        """A text without the white space around it, checked."""
        value = self.columns[column][index]
        if not isinstance(value, str):
            if value is None:
                raise DataError(
                    f"{self.place(index)} has no text in the column {column!r}; fill it in, or remove the row."
                )
            raise DataError(
                f"{self.place(index)} has the {type(value).__name__} {repr(value)[:40]} in the column {column!r} and "
                "no text; name another column, or make it text."
            )
        value = value.strip()
        if "\n" in value or "\0" in value:
            what, fix = ("a line break", "replace it by a blank") if "\n" in value else ("a NUL byte", "remove it")
            raise DataError(
                f"{self.place(index)} has {what} within the text of the column {column!r}, but a sentence is one line"
                f" of plain text; {fix}."
            )
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{self.place(index)} has half of a surrogate pair ({error.object[error.start]!r}) in the column "
                    f"{column!r}; repair the escapes of the text."
                ) from None
        return value.lower() if lowercase else value


class _Source:
    """Rows of anything. `state` is what a cached copy depends on."""

    name: str
    state: Any
    unit = "row"
    num_rows: int | None = None
    untyped = False  # numbers come as text

    def columns(self) -> dict[str, bool]:
        """The columns and whether they hold text."""
        raise NotImplementedError

    def class_names(self, column: str) -> list[str] | None:
        return None

    def batches(self, columns: list[str]) -> Iterator[_Batch]:
        raise NotImplementedError


class _Files(_Source):
    """One file, or the parts of a split in their order."""

    def __init__(self, paths: list[Path]):
        self.paths = paths
        self.name = str(paths[0])
        for path in paths:
            if not path.is_file():
                raise DataError(f"There is no file {str(path)!r}; give the path of a text file.")
        stats = [path.stat() for path in paths]
        self.state = [
            [str(path.resolve()), stat.st_size, stat.st_mtime_ns] for path, stat in zip(paths, stats, strict=True)
        ]

    def batches(self, columns: list[str]) -> Iterator[_Batch]:
        for path in self.paths:
            yield from self.read(path, columns)

    def read(self, path: Path, columns: list[str] | None) -> Iterator[_Batch]:
        """The batches of a file; all its columns if none are named."""
        raise NotImplementedError

    def columns(self) -> dict[str, bool]:
        first = next(self.read(self.paths[0], None), None)
        if first is None or not first.numbers:
            check_amount(self.name, self.unit, 0, 0)
        return {name: self.holds_text(values) for name, values in first.columns.items()}

    @staticmethod
    def holds_text(values: list) -> bool:
        values = [value for value in values if value is not None]
        return bool(values) and all(isinstance(value, str) for value in values)


class _Lines(_Files):
    unit = "line"

    def columns(self) -> dict[str, bool]:
        return {"text": True}

    def read(self, path: Path, columns: list[str] | None) -> Iterator[_Batch]:
        lines, first = [], 1
        for number, line in enumerate(decoded_lines(path), start=1):
            lines.append(line)
            if len(lines) == BATCH:
                yield _Batch({"text": lines}, range(first, number + 1), self.unit, str(path))
                lines, first = [], number + 1
        if lines:
            yield _Batch({"text": lines}, range(first, first + len(lines)), self.unit, str(path))


class _Table(_Files):
    """CSV and TSV. Rows are named by the line that they begin on."""

    unit = "line"
    untyped = True

    def __init__(self, paths: list[Path]):
        super().__init__(paths)
        self.delimiter = "\t" if paths[0].suffix.lower() == ".tsv" else ","

    @staticmethod
    def holds_text(values: list) -> bool:
        values = [value for value in map(str.strip, values) if value]
        return any(isinstance(_parsed(value), str) for value in values)

    def read(self, path: Path, columns: list[str] | None) -> Iterator[_Batch]:
        reader = csv.reader(decoded_lines(path), delimiter=self.delimiter, strict=True)
        rows = self.rows(path, reader)
        _, header = next(rows, (0, []))
        twice = [name for name in header if header.count(name) > 1]
        if twice:
            raise DataError(f"{str(path)!r} has two columns called {twice[0]!r}; rename one in its first line.")
        _check_header(path, header, columns)
        wanted = {name: header.index(name) for name in (header if columns is None else columns)}
        values: dict[str, list] = {name: [] for name in wanted}
        numbers: list[int] = []
        for number, row in rows:
            if not row:  # an empty line, which is skipped as a blank text
                row = [""] * len(header)
            if len(row) != len(header):
                raise DataError(
                    f"Line {number} of {str(path)!r} has {len(row)} fields, but the first line names {len(header)} "
                    "columns; put fields with delimiters into quotes, or repair the line."
                )
            numbers.append(number)
            for name, place in wanted.items():
                values[name].append(row[place])
            if len(numbers) == BATCH:
                yield _Batch(values, numbers, self.unit, str(path))
                values, numbers = {name: [] for name in wanted}, []
        if numbers:
            yield _Batch(values, numbers, self.unit, str(path))

    @staticmethod
    def rows(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
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


class _JsonLines(_Files):
    unit = "line"

    def read(self, path: Path, columns: list[str] | None) -> Iterator[_Batch]:
        rows: list[dict] = []
        numbers: list[int] = []
        for number, line in enumerate(decoded_lines(path), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                syntax = isinstance(error, json.JSONDecodeError)
                reason = f"{error.msg} at character {error.pos + 1}" if syntax else _reason(error)
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
            if len(rows) == BATCH:
                yield self.batch(path, rows, numbers, columns)
                rows, numbers = [], []
        if rows:
            yield self.batch(path, rows, numbers, columns)

    def batch(self, path: Path, rows: list[dict], numbers: list[int], columns: list[str] | None) -> _Batch:
        names = dict.fromkeys(name for row in rows for name in row) if columns is None else columns
        return _Batch({name: [row.get(name) for row in rows] for name in names}, numbers, self.unit, str(path))


_JSON_KINDS = {list: "array", str: "string", int: "number", float: "number", bool: "value", type(None): "value"}


class _Parquet(_Files):
    def __init__(self, paths: list[Path]):
        super().__init__(paths)
        self.num_rows = 0
        for path in paths:
            if path.stat().st_size == 0:
                raise DataError(f"{str(path)!r} is empty; give a Parquet file with at least 2 sentences.")
            with self.errors(path), pq.ParquetFile(path) as file:
                self.num_rows += file.metadata.num_rows
                features = Features.from_arrow_schema(file.schema_arrow)
            if path == paths[0]:
                self.features = features

    @staticmethod
    def errors(path: Path) -> "_Errors":
        return _Errors(f"{str(path)!r} is not a readable Parquet file", "write it again, or give another.")

    def columns(self) -> dict[str, bool]:
        return _text_features(self.features)

    def class_names(self, column: str) -> list[str] | None:
        return _names_of(self.features[column])

    def read(self, path: Path, columns: list[str] | None) -> Iterator[_Batch]:
        with self.errors(path), pq.ParquetFile(path) as file:
            _check_header(path, file.schema_arrow.names, columns)
            first = 1
            for rows in file.iter_batches(BATCH, columns=columns):
                yield _Batch(rows.to_pydict(), range(first, first + len(rows)), self.unit, str(path))
                first += len(rows)


class _Rows(_Source):
    """A data set of 🤗 Datasets."""

    def __init__(self, name: str, dataset: Dataset):
        self.name = name
        self.dataset = dataset
        self.state = ["dataset", dataset._fingerprint, str(dataset.features)]
        self.num_rows = len(dataset)

    def columns(self) -> dict[str, bool]:
        if self.num_rows == 0:
            check_amount(self.name, self.unit, 0, 0)
        return _text_features(self.dataset.features)

    def class_names(self, column: str) -> list[str] | None:
        return _names_of(self.dataset.features[column])

    def batches(self, columns: list[str]) -> Iterator[_Batch]:
        first = 1
        for table in self.dataset.select_columns(columns).with_format("arrow").iter(BATCH):
            yield _Batch(table.to_pydict(), range(first, first + len(table)), self.unit, self.name)
            first += len(table)


class _Stream(_Source):
    """A data set of the Hub that is read row by row."""

    def __init__(self, name: str, split: str, config_name: str | None):
        self.name = name
        load = _hub_loader(split, streaming=True)
        self.dataset = _from_hub(name, lambda *words: load(*words)._resolve_features(), config_name)
        revision = _from_hub(name, lambda name, _: HfApi().dataset_info(name).sha, None)
        self.state = ["stream", name, revision, split, config_name]

    def columns(self) -> dict[str, bool]:
        return _text_features(self.dataset.features)

    def class_names(self, column: str) -> list[str] | None:
        return _names_of(self.dataset.features[column])

    def batches(self, columns: list[str]) -> Iterator[_Batch]:
        first = 1
        rows = self.dataset.iter(BATCH)
        while True:
            batch = _from_hub(self.name, lambda *_: next(rows, None), None)
            if batch is None:
                return
            length = len(batch[columns[0]])
            yield _Batch(dict(batch), range(first, first + length), self.unit, self.name)
            first += length


class _Errors:
    """Errors of a reader as one sentence; ours pass."""

    def __init__(self, what: str, fix: str):
        self.what, self.fix = what, fix

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, (pa.ArrowException, OSError, ValueError)) and not isinstance(error, DataError):
            raise DataError(f"{self.what} ({_reason(error)}); {self.fix}") from error


def _check_header(path: Path, header: list[str], columns: list[str] | None) -> None:
    for name in columns or ():
        if name not in header:
            raise DataError(unknown(f"column of {str(path)!r} (it has {', '.join(header)})", name, header))


def _text_features(features: Features) -> dict[str, bool]:
    return {
        name: isinstance(feature, Value) and feature.dtype in ("string", "large_string", "string_view")
        for name, feature in features.items()
    }


def _names_of(feature: Any) -> list[str] | None:
    return feature.names if isinstance(feature, ClassLabel) else None


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


# ---- Finding the source -----------------------------------------------------------------------------------------


def _open(source: str | Path | Dataset, split: str | None, config_name: str | None, streaming: bool) -> _Source:
    if isinstance(source, Dataset):
        return _Rows("the data set", source)
    path = Path(source)
    on_hub = not path.exists() and path.suffix.lower() not in SUFFIXES and bool(_HUB_NAME.fullmatch(str(source)))
    for option, value in (("config_name", config_name), ("streaming", streaming)):
        if value and not on_hub:
            raise DataError(f"{option}={value!r} is for data sets on the Hub, not for {str(path)!r}; leave it out.")
    if on_hub:
        if streaming:
            return _Stream(str(source), split or "train", config_name)
        name = str(source)
        return _Rows(name, _from_hub(name, _hub_loader(split or "train", streaming=False), config_name))
    if path.is_dir():
        return _open_folder(path, split)
    if split is not None:
        raise DataError(
            f"split={split!r} is for folders and data sets on the Hub, not for {str(path)!r}; leave it out."
        )
    return _open_files([path])


def _open_files(paths: list[Path]) -> _Files:
    path = paths[0]
    if path.suffix.lower() not in SUFFIXES and path.is_file():
        raise DataError(
            f"{str(path)!r} ends in {path.suffix!r}; give a file of the kinds {', '.join(SUFFIXES)}, or rename it."
        )
    if not path.is_file():
        raise DataError(f"There is no file {str(path)!r}; give the path of a text file with one sentence a line.")
    kinds = {".txt": _Lines, ".csv": _Table, ".tsv": _Table, ".parquet": _Parquet}
    return kinds.get(path.suffix.lower(), _JsonLines)(paths)


def _open_folder(path: Path, split: str | None) -> _Source:
    if (path / "state.json").is_file():
        if split not in (None, "train"):
            raise DataError(
                f"{str(path)!r} holds one data set without splits and no split {split!r}; leave split out."
            )
        return _saved(path)
    splits = _folder_splits(path)
    if not splits:
        raise DataError(
            f"{str(path)!r} is a folder without a data set; give a file, a folder that save_to_disk has written, or "
            "one with files called after their splits, such as train.csv."
        )
    split = split or "train"
    if split not in splits:
        raise DataError(unknown(f"split of {str(path)!r} (it has {', '.join(splits)})", split, splits))
    found = splits[split]
    if isinstance(found, Path):
        return _saved(found)
    if len({file.suffix for file in found}) > 1 or (len(found) > 1 and any("-of-" not in f.stem for f in found)):
        raise DataError(
            f"{str(path)!r} has several files for the split {split!r} ({', '.join(f.name for f in found)}); leave one."
        )
    return _open_files(found)


def _folder_splits(path: Path) -> dict[str, Path | list[Path]]:
    """The splits of a folder: a saved data set each, or files."""
    if (path / "dataset_dict.json").is_file():
        with _Errors(f"{str(path / 'dataset_dict.json')!r} is not readable", "save the data set again."):
            names = json.loads((path / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
        return {name: path / name for name in names}
    splits: dict[str, list[Path]] = {}
    for file in sorted(path.iterdir()):
        stem = re.sub(_SPLIT_FILE + "$", "", file.stem)
        if file.is_file() and file.suffix.lower() in SUFFIXES and stem:
            splits.setdefault(_SPLIT_ALIASES.get(stem, stem), []).append(file)
    return splits


def _saved(path: Path) -> _Rows:
    with _Errors(f"The data set in {str(path)!r} cannot be read", "save it again with save_to_disk."):
        return _Rows(str(path), datasets.load_from_disk(str(path)))


def _hub_loader(split: str, streaming: bool) -> Callable[[str, str | None], Any]:
    return lambda name, config: datasets.load_dataset(name, config, split=split, streaming=streaming)


def _from_hub(name: str, load: Callable[[str, str | None], Any], config_name: str | None) -> Any:
    """Calls `load`; whatever goes wrong is one sentence."""
    try:
        return load(name, config_name)
    except datasets.exceptions.DatasetNotFoundError as error:
        raise DataError(
            f"There is neither a folder {name!r} nor a data set of that name on the Hub that can be read; check the "
            "name, and log in if it is private."
        ) from error
    except Exception as error:  # httpx, huggingface_hub, pyarrow and datasets each raise their own
        raise DataError(
            f"The data set {name!r} cannot be read from the Hub ({_reason(error)}); check its name, configuration and "
            "split, and the connection."
        ) from error


__all__ = ["load_text", "load_tokenizer", "split_names"]
