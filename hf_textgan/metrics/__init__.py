"""
Measures of generated text: plain functions, and around them modules for the evaluate library, one folder each.

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
    """The names of the modules that [`load`] knows."""
    return sorted(folder.name for folder in _FOLDER.iterdir() if (folder / f"{folder.name}.py").is_file())


def load(name: str, **kwargs: Any) -> "EvaluationModule":
    """
    Loads a module of this package, from any working directory and without a network.

    Args:
        name (`str`):
            One of [`available`].
        kwargs:
            What [`evaluate.load`](https://huggingface.co/docs/evaluate) takes.

    Returns:
        `evaluate.EvaluationModule`: With the method `compute`.

    Raises:
        `ValueError`: If there is no module of this name.
    """
    if name not in available():
        raise ValueError(f"There is no metric {name!r}; use one of {', '.join(available())}.")
    import evaluate  # seconds, which most users of this package need not wait

    return evaluate.load(str(_FOLDER / name), **kwargs)
