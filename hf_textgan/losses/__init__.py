"""Losses and penalties as pure functions of tensors, each with its source."""

from types import ModuleType

from .adversarial import *
from .likelihood import *
from .regularization import *


_MODULES = [module for module in tuple(globals().values()) if isinstance(module, ModuleType)]

__all__ = [name for module in _MODULES for name in module.__all__ if name in globals()]
