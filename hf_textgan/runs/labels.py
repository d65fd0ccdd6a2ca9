"""Labels and conditions: what a system needs of its data, and the classes of a generator by their names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedModel

from ..data.caption_grammar import CAPTION_COLUMNS
from ..sampling.capabilities import capabilities_of
from ..systems import SystemSpec
from ..utils.names import unknown_name
from .data import DataArguments, Texts


# The column of loaded text that satisfies a need of a system, and the options that name it.
_COLUMNS = {
    "labels": ("label", "label_column", "--label_column"),
    "conditions": ("condition", "source_column", "--source_column and that of the texts with --target_column"),
}


def check_needs(system: SystemSpec, data: DataArguments, texts: Texts) -> None:
    """Raises `ValueError` if the data lack what a system needs beside text."""
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
    `textgan generate --label` knows them, and into those of other players with `num_classes`, whose first outputs are
    the classes.

    Raises:
        `ValueError`: If the generator reads labels and the data have none, or other classes.
    """
    generator = players["generator"]
    if not reads_labels(generator):
        return
    if "labels" not in train.column_names:
        raise ValueError(
            f"A {type(generator).__name__} reads labels and the training text has none; name their column with "
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
    configs: list[Any] = [player.config for player in players.values()]
    for config in configs:
        expected = getattr(config, "num_classes", None)
        if config is not generator.config and expected is None:
            continue
        if expected not in (None, len(names)):
            raise ValueError(
                f"The data have {len(names)} classes ({', '.join(names[:20])}) and a {type(config).__name__} has "
                f"num_classes {expected}; train on data with its classes, or start from another model."
            )
        known = dict(enumerate(names))
        if config is generator.config:
            _check_names(generator, names)
        else:
            known = {**config.id2label, **known}  # further outputs, such as `fake`, keep their names
        config.id2label, config.label2id = known, {name: number for number, name in known.items()}


def _check_names(generator: PreTrainedModel, names: list[str]) -> None:
    """Raises `ValueError` if a pretrained generator knows the classes by other names, or in another order."""
    known = names_of_classes(generator)
    if all(name in (str(number), f"LABEL_{number}") for number, name in enumerate(known)) or known == names:
        return
    raise ValueError(
        f"The generator has the classes {', '.join(known)} and the data {', '.join(names)}; give the classes of the "
        "data these names."
    )


def _labels(rows: Dataset) -> np.ndarray:
    return np.asarray(rows["labels"][:], dtype=np.int64)


def reads_labels(generator: Any) -> bool:
    """Returns whether a generator reads class labels."""
    return "class_labels" in capabilities_of(generator).row_inputs


def names_of_classes(generator: PreTrainedModel) -> list[str]:
    """Returns the names of the classes of a generator in the order of their numbers."""
    id2label: dict[int, str] = dict(generator.config.id2label or {})
    number = getattr(generator.config, "num_classes", len(id2label))
    return [str(id2label.get(index, index)) for index in range(number)]


def class_number(generator: PreTrainedModel, label: str | int) -> int:
    """
    Returns the number of a class of a generator, which is given by its name or by the number itself.

    Raises:
        `ValueError`: If the generator has no such class.
    """
    names = names_of_classes(generator)
    if str(label) in names:
        return names.index(str(label))
    number = int(label) if str(label).isdecimal() else -1
    if not 0 <= number < len(names):
        raise ValueError(unknown_name("class of the generator", str(label), names))
    return number


__all__ = ["check_needs", "class_names", "class_number", "name_classes", "names_of_classes", "reads_labels"]
