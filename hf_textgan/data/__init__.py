"""Texts, tokenizers and the caption grammar."""

from types import ModuleType

from .caption_grammar import *
from .collator import *
from .encoding import *
from .errors import *
from .lines import *
from .loading import *
from .report import *
from .tokenizers import *


_MODULES = [module for module in tuple(globals().values()) if isinstance(module, ModuleType)]

__all__ = [name for module in _MODULES for name in module.__all__ if name in globals()]
