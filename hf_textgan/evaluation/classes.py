"""The classes of a generator by their names, and what its samples were drawn for."""

from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..sampling.capabilities import capabilities_of
from ..sampling.samples import Samples
from ..utils.names import unknown_name
from .generators import decode


def reads_labels(generator: Any) -> bool:
    """Returns whether a generator reads class labels."""
    return "class_labels" in capabilities_of(generator).row_inputs


def reads_sources(generator: Any) -> bool:
    """Returns whether a generator reads source texts."""
    return "condition_ids" in capabilities_of(generator).row_inputs


def names_of_classes(generator: PreTrainedModel) -> list[str]:
    """Returns the names of the classes of a generator in the order of their numbers, from its configuration."""
    config: Any = generator.config
    names = config.id2label or {}
    return [str(names.get(number, number)) for number in range(getattr(config, "num_classes", len(names)))]


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


def describe_inputs(
    generator: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, samples: Samples
) -> dict[str, list[str]]:
    """
    Returns what the samples of a generator were drawn for, in words: the columns `label` (names of classes) and
    `source` (texts), as far as the generator reads them.
    """
    described: dict[str, list[str]] = {}
    if reads_labels(generator):
        names = names_of_classes(generator)
        numbers = samples.inputs["class_labels"].tolist()
        described["label"] = [names[number] if number < len(names) else str(number) for number in numbers]
    if reads_sources(generator):
        ids, mask = (samples.inputs[name].tolist() for name in ("condition_ids", "condition_mask"))
        sources = [[i for i, read in zip(*row, strict=True) if read] for row in zip(ids, mask, strict=True)]
        described["source"] = decode(tokenizer, sources)
    return described


__all__ = ["class_number", "describe_inputs", "names_of_classes", "reads_labels", "reads_sources"]
