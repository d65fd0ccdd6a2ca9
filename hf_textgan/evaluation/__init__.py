"""Evaluation of generators: held-out likelihood, samples, and the metrics of their texts."""

from types import ModuleType

from .generators import *
from .oracle import *
from .text_metrics import *
from .token_jsd import *


_MODULES = [module for module in tuple(globals().values()) if isinstance(module, ModuleType)]

__all__ = [name for module in _MODULES for name in module.__all__ if name in globals()]
