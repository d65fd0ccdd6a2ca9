"""Evaluation of generators: held-out likelihood, samples, and the metrics of their texts."""

from typing import TYPE_CHECKING

from ..utils.lazy import lazy_attributes


if TYPE_CHECKING:
    from .class_metrics import *
    from .classes import *
    from .generators import *
    from .oracle import *
    from .text_metrics import *
    from .token_jsd import *

__getattr__, __dir__ = lazy_attributes(
    __name__,
    ("class_metrics", "classes", "generators", "oracle", "text_metrics", "token_jsd"),
)
