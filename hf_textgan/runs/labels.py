"""Labels and conditions: what a system needs of its data, and the classes of a generator by their names."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedModel

from ..data.caption_grammar import CAPTION_COLUMNS
from ..evaluation.class_metrics import ClassMetrics
from ..evaluation.classes import names_of_classes, reads_labels, reads_sources
from ..systems import SystemSpec
from .data import DataArguments, Texts, label_names


_MAX_CLASSIFIER_TEXTS = 5_000  # more take minutes to learn from

# The column of loaded text that satisfies a need of a system, and the options that name it.
_COLUMNS = {
    "labels": ("label", "label_column", "--label_column"),
    "conditions": ("condition", "source_column", "--source_column and that of the texts with --target_column"),
}


def check_needs(system: SystemSpec, data: DataArguments, texts: Texts) -> None:
    """Raises `ValueError` if the data lack what a system needs beside text, or have no sources to limit."""
    if data.max_condition_length is not None and "condition" not in texts.train.column_names:
        raise ValueError(
            f"max_condition_length is {data.max_condition_length} and the training text has no sources; name their "
            "column with --source_column, or leave it out."
        )
    train_source = data.train_file or data.dataset_name or "the training text"
    eval_source = data.eval_file or data.dataset_name or "the held-out text"
    for need in system.needs:
        column, option, named_by = _COLUMNS[need]
        for dataset, source in ((texts.train, train_source), (texts.eval, eval_source)):
            if dataset is None or column in dataset.column_names:
                continue
            fix = f"name their column with {named_by}"
            if data.dataset_name == "grammar":
                fix = f"add --{option} {next(iter(CAPTION_COLUMNS[option]))}"
            elif Path(source).suffix.lower() == ".txt":
                fix = f"give a file with columns, such as a .csv, and {fix}"
            raise ValueError(f"{system.name} needs {need} and {source} has none; {fix}.")


def class_names(texts: Texts, rows: Dataset) -> list[str] | None:
    """
    Returns the classes of the training text in the order of their numbers, and the numbers where they have no names;
    `None` without labels, or if the numbers leave so many out that they are no classes.
    """
    if "labels" not in rows.column_names:
        return None
    if texts.label_names is not None:
        return texts.label_names
    largest = int(_labels(rows).max())
    return [str(number) for number in range(largest + 1)] if largest < len(rows) else None


def name_classes(
    players: Mapping[str, PreTrainedModel], names: list[str] | None, train: Dataset, held_out: Dataset | None
) -> None:
    """
    Writes the names of the classes into the configuration of a generator that reads labels (`id2label`), from which
    `textgan generate --label` knows them, and into that of a discriminator with a label for each class, after the
    label of fake text.

    Raises:
        `ValueError`: If the generator reads labels and the data have none, or other classes.
    """
    generator = players["generator"]
    if not reads_labels(generator):
        return
    for rows, source in ((train, "training"), (held_out, "held-out")):
        if rows is not None and "labels" not in rows.column_names:
            raise ValueError(
                f"A {type(generator).__name__} reads labels and the {source} text has none; name their column with "
                "--label_column."
            )
    labels, numbers = _labels(train), "number the classes 0, 1, 2 and so on without a gap"
    if names is None:
        raise ValueError(f"The largest label is {labels.max()} for {len(train)} training texts; {numbers}.")
    empty = next((number for number, count in enumerate(np.bincount(labels, minlength=len(names))) if not count), None)
    if empty is not None:
        raise ValueError(f"The class {names[empty]!r} has no training text; give it some, or {numbers}.")
    if held_out is not None and (largest := int(_labels(held_out).max())) >= len(names):
        raise ValueError(
            f"A held-out text has the label {largest} and the training texts have 0 to {len(names) - 1}; leave it "
            "out, or train on texts of its class."
        )
    expected = getattr(generator.config, "num_classes", None)
    if expected not in (None, len(names)):
        raise ValueError(
            f"The data have {len(names)} classes ({', '.join(names[:20])}) and a {type(generator.config).__name__} "
            f"has num_classes {expected}; train on data with its classes, or start from another model."
        )
    _check_names(generator, names)
    _set_names(generator, dict(enumerate(names)))
    for player in players.values():
        if getattr(player.config, "num_real_classes", 1) == len(names) > 1:
            _set_names(player, {0: "fake", **dict(enumerate(names, start=1))})


def _set_names(player: PreTrainedModel, names: dict[int, str]) -> None:
    config: Any = player.config
    config.id2label, config.label2id = names, {name: number for number, name in names.items()}


def _check_names(generator: PreTrainedModel, names: list[str]) -> None:
    """Raises `ValueError` if a pretrained generator knows the classes by other names, or in another order."""
    known = names_of_classes(generator)
    # What transformers fills in are no names: "LABEL_0" and "LABEL_1" where there are more classes, too.
    unnamed = all(name in (f"LABEL_{number}", str(number)) for number, name in enumerate(known))
    if known == names or unnamed:
        return
    raise ValueError(
        f"The generator has the classes {', '.join(known)} and the data {', '.join(names)}; give the classes of the "
        "data these names."
    )


def check_held_out_inputs(generator: PreTrainedModel, name: str, texts: Dataset, source: str) -> None:
    """Raises `ValueError` if held-out text lacks what a generator called `name` reads, or has other classes."""
    for reads, column, what in ((reads_labels, "label", "labels"), (reads_sources, "condition", "sources")):
        if reads(generator) and column not in texts.column_names:
            raise ValueError(f"{name} reads {what} and {source} has none; give text with the columns of its training.")
    if not reads_labels(generator):
        return
    names, known = label_names(texts), names_of_classes(generator)
    if names is not None:
        _check_names(generator, names)
    elif max(texts["label"]) >= len(known):
        raise ValueError(
            f"{source} has the label {max(texts['label'])} and {name} has {len(known)} classes; leave it out."
        )


def named_classes(generator: PreTrainedModel) -> list[str] | None:
    """Returns the names of the classes that a generator reads, `None` where it reads none or they are numbers."""
    names = names_of_classes(generator) if reads_labels(generator) else []
    unnamed = all(name in (str(number), f"LABEL_{number}") for number, name in enumerate(names))
    return None if unnamed else names


def class_metrics(
    texts: Texts, references: Sequence[str] | None, names: list[str] | None, split: Callable[[str], list[str]]
) -> ClassMetrics | None:
    """
    Returns the metrics of texts that are generated for the classes of the data, `None` without classes. The classifier
    learns from at most 5,000 training texts, evenly spaced.
    """
    if names is None or (texts.eval is not None and "label" not in texts.eval.column_names):
        return None
    count = len(texts.train)
    train = texts.train[np.linspace(0, count - 1, min(count, _MAX_CLASSIFIER_TEXTS)).astype(int).tolist()]
    return ClassMetrics(
        [split(text) for text in train["text"]],
        train["label"],
        [split(text) for text in references or ()],
        [] if texts.eval is None else texts.eval["label"][:],
        names,
    )


def _labels(rows: Dataset) -> np.ndarray:
    return np.asarray(rows["labels"][:], dtype=np.int64)


__all__ = [
    "check_held_out_inputs",
    "check_needs",
    "class_metrics",
    "class_names",
    "name_classes",
    "named_classes",
]
