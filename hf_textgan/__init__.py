"""
Text GANs as a Hugging Face extension.

Importing this package registers its configurations and models with the Auto classes of transformers; everything else
is imported on first use.
"""

import importlib
import os
import pkgutil
from typing import TYPE_CHECKING, Any

from .utils.registration import register_with_auto_classes
from .utils.version import __version__ as __version__


if TYPE_CHECKING:
    from .comparison.prepare import *
    from .core.batches import *
    from .core.context import *
    from .core.objective import *
    from .core.players import *
    from .core.schedule import *
    from .core.step import *
    from .data import *
    from .evaluation import *
    from .losses import *
    from .models import *
    from .objectives import *
    from .runs.build import *
    from .runs.evaluate import *
    from .runs.generate import *
    from .sampling import *
    from .systems import *
    from .trainer.adversarial_config import *
    from .trainer.adversarial_trainer import *


# The public modules: each name of their `__all__` can be imported from here.
_MODULES = (
    "systems",
    "core.schedule",
    "core.context",
    "core.objective",
    "core.players",
    "core.batches",
    "core.step",
    "models",
    "data",
    "sampling",
    "losses",
    "objectives",
    "evaluation",
    "trainer.adversarial_config",
    "trainer.adversarial_trainer",
    "runs.build",
    "runs.generate",
    "runs.evaluate",
    "comparison.prepare",
)


def _names() -> list[str]:
    modules = (importlib.import_module(f"{__name__}.{module}") for module in _MODULES)
    return sorted({"__version__", *(name for module in modules for name in module.__all__)})


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return _names()
    if name in {info.name for info in pkgutil.iter_modules([os.path.dirname(__file__)])}:
        return importlib.import_module(f"{__name__}.{name}")
    if not name.startswith("_"):
        for module_name in _MODULES:
            module = importlib.import_module(f"{__name__}.{module_name}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return _names()


register_with_auto_classes(f"{__name__}.models")
