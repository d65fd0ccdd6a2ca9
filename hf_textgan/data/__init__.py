"""Texts, tokenizers and the caption grammar; its modules are imported at their first use."""

from typing import TYPE_CHECKING

from ..utils.lazy import lazy_attributes


if TYPE_CHECKING:
    from .caption_grammar import *
    from .collator import *
    from .encoding import *
    from .errors import *
    from .lines import *
    from .loading import *
    from .report import *
    from .retokenizer import *
    from .tokenizers import *

__getattr__, __dir__ = lazy_attributes(
    __name__,
    ("errors", "caption_grammar", "collator", "tokenizers", "lines", "encoding", "loading", "report", "retokenizer"),
)
