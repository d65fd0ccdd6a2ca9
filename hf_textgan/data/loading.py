"""Text from files, folders and the Hub as one memory-mapped data set, whatever its size."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets import ClassLabel, Dataset, Features, Value
from datasets.utils import tqdm
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ..utils.names import unknown_name
from .cache import cached_dataset, fingerprint, write_arrow
from .errors import DataError
from .lines import check_amount
from .sources import Lines, Source, folder_splits, from_hub, open_source, parsed, reason_of


LABEL_COLUMNS = ("label", "labels")  # where the labels are looked for if no column is named
_MAX_CLASSES = 10_000  # more different names than that are no classes, and would fill the memory
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
    opened = open_source(source, split, config_name, streaming)
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
        return ["train"] if (path / "state.json").is_file() else [*folder_splits(path)]
    return [*from_hub(str(source), datasets.get_dataset_split_names, config_name)]


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


# ---- From the rows of a source to ours --------------------------------------------------------------------------


def _choose_columns(source: "Source", wanted: Mapping[str, str | None]) -> dict[str, str]:
    """Which column is the text, the label and the condition: as named, or as found."""
    if isinstance(source, Lines):
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
            raise DataError(unknown_name(f"column of {source.name!r} (it has {', '.join(is_text)})", name, is_text))
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
    source: "Source",
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
            value = parsed(value)
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


__all__ = ["load_text", "load_tokenizer", "split_names"]
