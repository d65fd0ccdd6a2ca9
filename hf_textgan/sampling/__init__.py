"""Sampling from generators: token ids only, neither tokenizers nor rewards."""

from types import ModuleType

from .capabilities import *
from .categorical import *
from .engine import *
from .loading import *
from .relaxed import *
from .samples import *


_MODULES = [module for module in tuple(globals().values()) if isinstance(module, ModuleType)]

__all__ = [name for module in _MODULES for name in module.__all__ if name in globals()]
