"""One file per paper's objective."""

from types import ModuleType

from ..core.objective import Objective
from .arae import *
from .classifier import *
from .classifier import ClassifierObjective
from .gumbel import *
from .iwgan import *
from .jsdgan import *
from .judging import *
from .maligan import *
from .mle import *
from .policy_gradient import *
from .policy_gradient import PolicyGradientObjective
from .rewards import *
from .sentigan import *
from .seqgan import *
from .textkd_gan import *
from .variational_bound import *
from .vgan import *


_MODULES = [module for module in tuple(globals().values()) if isinstance(module, ModuleType)]

_BASES = {ClassifierObjective, PolicyGradientObjective}  # what several papers share

# Objectives by the name of their file.
OBJECTIVES: dict[str, type[Objective]] = {
    module.__name__.rpartition(".")[2]: value
    for module in _MODULES
    for value in map(globals().get, module.__all__)
    if isinstance(value, type) and issubclass(value, Objective) and value not in _BASES
}

__all__ = ["OBJECTIVES", *(name for module in _MODULES for name in module.__all__ if name in globals())]
