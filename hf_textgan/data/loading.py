"""Text of any size from files, folders and the Hub, as a memory-mapped data set."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets import ClassLabel, Dataset, Features, Value
from datasets.utils import tqdm
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ..utils.names import is_hub_name, unknown_name
from .cache import cached_dataset, fingerprint, write_arrow
from .dialect import Dialect
from .errors import DataError
from .lines import check_amount
from .sources import Lines, Source, Table, folder_splits, from_hub, open_source, parse_number, reason_of


_LABEL_COLUMNS = ("label", "labels")  # the columns of labels by default
_MAX_CLASSES = 10_000  # a column with more names holds no classes, and would fill the memory
_MAX_LABEL = 2**31 - 1


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
    delimiter: str | None = None,
    no_header: bool = False,
) -> Dataset:
    """
    Reads text from anywhere into a memory-mapped data set, one row a sentence. White space around a sentence is
    removed, other white space within it than blanks becomes blanks, and rows with a blank text or condition are
    skipped; warnings give the numbers of both. The result is kept in the cache and found again until the content of
    the source or an option changes; its use of memory does not grow with the text.

    Args:
        source (`str`, `Path` or `datasets.Dataset`):
            One of

            - a file: `.txt` (one sentence a line), `.csv` or `.tsv` (with a line of column names, unless `no_header`
              is set), `.jsonl` or `.json` (one object a line), `.parquet`;
            - a folder: written by `save_to_disk`, or with files called after their split, such as `train.csv`;
            - a data set on the Hub, as `org/name`.
        split (`str`, *optional*):
            The split of a folder or a data set on the Hub; by default `train`.
        config_name (`str`, *optional*):
            The configuration of a data set on the Hub.
        streaming (`bool`, *optional*, defaults to `False`):
            Whether a data set on the Hub is read row by row instead of being downloaded as a whole first.
        text_column (`str`, *optional*):
            The column of the text; by default `text`, else the only column that holds text.
        label_column (`str`, *optional*):
            The column of the labels; by default `label` or `labels`, if there is one; `""` leaves the labels out.
            Labels are integers from 0 or names. Names are numbered in sorted order.
        source_column (`str`, *optional*):
            The column of the texts that condition the others, such as the source sentences of a translation.
        target_column (`str`, *optional*):
            The column of the texts that belong to those of `source_column`; another name for `text_column`.
        label_names (`Sequence[str]`, *optional*):
            The names of the classes in order, to number held-out data like the training data. Other names are errors.
        lowercase (`bool`, *optional*, defaults to `False`):
            Whether texts and conditions are put into lower case.
        cache_dir (`str` or `Path`, *optional*):
            The folder of the result; by default the folder `hf_textgan` in the cache of 🤗 Datasets.
        progress (`bool`, *optional*, defaults to `True`):
            Whether a progress bar is shown after one second.
        delimiter (`str`, *optional*):
            The character between the fields of a `.csv` or `.tsv` file; by default the one of comma, semicolon, tab
            and bar that its first lines agree with.
        no_header (`bool`, *optional*, defaults to `False`):
            Whether the first line of a `.csv` or `.tsv` file is a row and does not name the columns, which are then
            called `"0"`, `"1"` and so on.

    Returns:
        `datasets.Dataset`: The columns `text`, `label` (integers; a `ClassLabel` where there are names) if there are
        labels, and `condition` if there is a `source_column`; at least 2 rows.

    Raises:
        [`DataError`]: If there is no such source, or a row of it is invalid; the message names the row.
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
    requested = {"text": target_column or text_column, "label": label_column, "condition": source_column}
    opened = open_source(source, split, config_name, streaming, Dialect(delimiter, no_header))
    names = None if label_names is None else list(label_names)

    def write(path: Path) -> dict[str, Any]:
        columns = _choose_columns(opened, requested)
        return _write(path, opened, columns, names, lowercase, progress)

    key = fingerprint("load_text", opened.state, requested, names, lowercase)
    dataset, record = cached_dataset(key, write, cache_dir)
    check_amount(opened.name, opened.unit, len(dataset), record["skipped"], record["respaced"])
    if isinstance(opened, Table):
        opened.report(record["text_column"], named=requested["text"] is not None)
    return dataset


def split_names(source: str | Path, config_name: str | None = None) -> list[str]:
    """Returns the names of the splits of a folder or of a data set on the Hub."""
    path = Path(source)
    if path.is_dir():
        return ["train"] if (path / "state.json").is_file() else [*folder_splits(path)]
    return [*from_hub(str(source), datasets.get_dataset_split_names, config_name)]


def load_tokenizer(name_or_path: str) -> PreTrainedTokenizerFast:
    """
    Loads a tokenizer that the library can train with.

    Args:
        name_or_path (`str`):
            A folder, or a repository on the Hub.

    Returns:
        [`~transformers.PreTrainedTokenizerFast`]: The tokenizer.

    Raises:
        [`DataError`]: If it cannot be loaded, is not a fast one or has no `eos_token`.
    """
    if not Path(name_or_path).is_dir() and not is_hub_name(name_or_path):
        raise DataError(f"There is no folder {name_or_path!r}; name a tokenizer's folder or a repository org/name.")
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name_or_path, trust_remote_code=False)
    except Exception as error:  # tokenizers, huggingface_hub and json each raise their own
        raise DataError(
            f"The tokenizer {name_or_path!r} cannot be loaded ({reason_of(error)}); name a tokenizer's folder or a "
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


# ---- From the rows of a source to the data set ------------------------------------------------------------------


def _choose_columns(source: Source, requested: Mapping[str, str | None]) -> dict[str, str]:
    """Returns the columns of the text, the label and the condition: those requested, or the default ones."""
    if isinstance(source, Lines):
        named = [name for name in requested.values() if name]
        if named:
            raise DataError(
                f"{source.name!r} has lines and no column {named[0]!r}; give a .csv or .jsonl file, or name no column."
            )
        return {"text": "text"}
    kinds = source.columns()
    chosen = {role: name for role, name in requested.items() if name}
    for name in chosen.values():
        if name not in kinds:
            raise DataError(unknown_name(f"column of {source.name!r} (it has {', '.join(kinds)})", name, kinds))
    if len(set(chosen.values())) < len(chosen):
        raise DataError(
            f"The columns {', '.join(map(repr, chosen.values()))} are given for {', '.join(chosen)}; give each column "
            "once."
        )
    if requested["label"] is None:
        default = [name for name in _LABEL_COLUMNS if name in kinds and name not in chosen.values()]
        chosen.update({"label": default[0]} if default else {})
    if "text" not in chosen:
        free = [name for name, kind in kinds.items() if kind == "text" and name not in chosen.values()]
        if "text" in kinds and "text" not in chosen.values():
            free = ["text"]
        lists = [name for name, kind in kinds.items() if kind == "list" and name not in chosen.values()]
        if not free and lists:
            raise DataError(
                f"{source.name!r} has no column of text, and lists in {', '.join(lists)}; join the tokens of each row "
                "to a text, as in ' '.join(tokens), and save them as the column text."
            )
        if not free:
            raise DataError(
                f"{source.name!r} has no column of text left among {', '.join(kinds)}; name it with text_column."
            )
        if len(free) > 1:
            raise DataError(
                f"{source.name!r} has several columns of text ({', '.join(free)}); name the one to use with "
                f"text_column{', or set no_header if these are a row' if isinstance(source, Table) else ''}."
            )
        chosen["text"] = free[0]
    return chosen


def _write(
    path: Path,
    source: Source,
    columns: Mapping[str, str],
    names: list[str] | None,
    lowercase: bool,
    progress: bool,
) -> dict[str, Any]:
    """Writes the rows of a source as an Arrow file; returns what is said about them at every loading."""
    labels = None
    if "label" in columns:
        labels = _Labels(columns["label"], source.class_names(columns["label"]), names, source.untyped)
    features: dict[str, Any] = {"text": Value("string")}
    features.update({"label": Value("int64")} if labels is not None else {})
    features.update({"condition": Value("string")} if "condition" in columns else {})
    skipped = kept = respaced = 0

    def batches() -> Iterator[dict[str, list]]:
        nonlocal skipped, kept, respaced
        with tqdm(
            total=source.num_rows, unit=f" {source.unit}s", desc="Reading", delay=1, disable=not progress
        ) as bar:
            for batch in source.batches(list(dict.fromkeys(columns.values()))):
                texts = [batch.text(columns["text"], index, lowercase) for index in range(len(batch.numbers))]
                rows: dict[str, list] = {"text": texts}
                if "condition" in columns:
                    rows["condition"] = [
                        batch.text(columns["condition"], index, lowercase) for index in range(len(texts))
                    ]
                indices = [index for index in range(len(texts)) if all(column[index] for column in rows.values())]
                if len(indices) < len(texts):
                    rows = {name: [column[index] for index in indices] for name, column in rows.items()}
                if labels is not None:
                    values = batch.columns[columns["label"]]
                    rows["label"] = [labels(values[index], batch.row_name, index) for index in indices]
                kept += len(indices)
                skipped += len(texts) - len(indices)
                respaced += batch.respaced
                yield rows
                bar.update(len(texts))

    write_arrow(path, Features(features), batches())
    check_amount(source.name, source.unit, kept, blank=0, respaced=0)
    if labels is not None and labels.has_names:
        # The head of the file holds the names, which are complete only after the last row.
        order, features["label"] = labels.order(), ClassLabel(names=labels.sorted_names())
        first = path.with_suffix(".first")
        path.rename(first)
        write_arrow(path, Features(features), _renumbered(first, order))
        first.unlink()
    return {"skipped": skipped, "respaced": respaced, "text_column": columns["text"]}


def _renumbered(path: Path, order: list[int]) -> Iterator[dict[str, list]]:
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
        for batch in reader:
            rows = batch.to_pydict()
            rows["label"] = [order[label] for label in rows["label"]]
            yield rows


class _Labels:
    """
    Labels as integers from 0. Names are numbered by first occurrence; `order` gives their final numbers.

    Args:
        column (`str`):
            The column of the labels.
        source_names (`list[str]`, *optional*):
            The names of the integers, if the source has a `ClassLabel`.
        known_names (`list[str]`, *optional*):
            The names that are allowed, in order; by default any.
        untyped (`bool`):
            Whether the source gives numbers as text.
    """

    def __init__(self, column: str, source_names: list[str] | None, known_names: list[str] | None, untyped: bool):
        self.column = column
        self.source_names = source_names
        self.untyped = untyped
        self.first: Any = None
        names = known_names if known_names is not None else source_names
        self.fixed = names is not None
        self.names = {name: number for number, name in enumerate(names or ())}

    @property
    def has_names(self) -> bool:
        """Returns whether the labels have names."""
        return self.fixed or bool(self.names)

    def __call__(self, value: Any, row_name: Callable[[int], str], index: int) -> int:
        if self.untyped:
            value = parse_number(value)
        if isinstance(value, str):
            value = value.strip()
        if value is None or value == "":
            raise DataError(
                f"{row_name(index)} has no label in the column {self.column!r}; fill it in, or remove the row."
            )
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise DataError(
                f"{row_name(index)} has the label {value!r}, which is neither an integer nor a name; change it, or "
                "leave the labels out with an empty label_column."
            )
        if isinstance(value, float) or (isinstance(value, int) and not 0 <= value <= _MAX_LABEL):
            raise DataError(
                f"{row_name(index)} has the label {value}, which is no class; number the classes 0, 1, 2 and so on, "
                "or leave the labels out with an empty label_column."
            )
        if self.source_names is not None and isinstance(value, int):
            if value >= len(self.source_names):
                raise DataError(
                    f"{row_name(index)} has the label {value}, but there are {len(self.source_names)} classes; repair "
                    "the data set."
                )
            value = self.source_names[value]
        if self.fixed:
            if not isinstance(value, str) or value not in self.names:
                names = ", ".join(list(self.names)[:20])
                raise DataError(
                    f"{row_name(index)} has the label {value!r}, which is not one of {names}; use the names of the "
                    "training data."
                )
            return self.names[value]
        if self.first is None:
            self.first = value
        if isinstance(value, str) != isinstance(self.first, str):
            raise DataError(
                f"{row_name(index)} has the label {value!r}, but an earlier row has {self.first!r}; use only names or "
                "only integers."
            )
        if isinstance(value, int):
            return value
        if value not in self.names and len(self.names) == _MAX_CLASSES:
            raise DataError(
                f"{row_name(index)} has one label more than the {_MAX_CLASSES:,} that the column {self.column!r} may "
                "have; name the column of the classes with label_column, or leave the labels out with an empty one."
            )
        return self.names.setdefault(value, len(self.names))

    def sorted_names(self) -> list[str]:
        """Returns the names in the order of their final numbers."""
        return list(self.names) if self.fixed else sorted(self.names)

    def order(self) -> list[int]:
        """Returns the final number of each provisional one."""
        final = {name: number for number, name in enumerate(self.sorted_names())}
        return [final[name] for name in self.names]


__all__ = ["load_text", "load_tokenizer", "split_names"]
