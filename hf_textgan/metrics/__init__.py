"""
Metrics of generated text: plain functions, and a folder for each metric with a module of the evaluate library that
calls them and a card that describes it.

    >>> from hf_textgan.metrics import load
    >>> load("distinct_n").compute(predictions=["a b a b"])["distinct_1"]
    0.5
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from evaluate import EvaluationModule

_FOLDER = Path(__file__).parent


def available() -> list[str]:
    """Returns the names of the metrics that [`load`] can load."""
    return sorted(folder.name for folder in _FOLDER.iterdir() if (folder / f"{folder.name}.py").is_file())


def load(name: str, **kwargs: Any) -> "EvaluationModule":
    """
    Loads a metric of this package, from any working directory and without a network.

    Args:
        name (`str`):
            One of [`available`].
        kwargs:
            Arguments of [`evaluate.load`](https://huggingface.co/docs/evaluate).

    Returns:
        `evaluate.EvaluationModule`: The metric, with the method `compute`.

    Raises:
        `ValueError`: If there is no metric of this name.
    """
    folder = metric_folder(name)
    import evaluate  # takes seconds, and not every user of the functions needs it

    return evaluate.load(str(folder), **kwargs)


def metric_folder(name: str) -> Path:
    """
    Returns the folder of a metric, with its module and its card.

    Raises:
        `ValueError`: If there is no metric of this name.
    """
    if name not in available():
        raise ValueError(f"There is no metric {name!r}; use one of {', '.join(available())}.")
    return _FOLDER / name


def describe(name: str) -> str:
    """Returns the description of a metric in one line, from the head of its card. See [`metric_folder`] for errors."""
    import yaml

    card = (metric_folder(name) / "README.md").read_text(encoding="utf-8")
    return yaml.safe_load(card.split("---\n")[1])["description"].strip()


__all__ = ["available", "describe", "load", "metric_folder"]
