"""
Text GANs as a Hugging Face extension.

Importing this package registers its configurations and models with the Auto classes of transformers; everything else
is imported on first use.
"""

from typing import TYPE_CHECKING

from .utils.lazy import lazy_attributes
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
    from .runs.push import *
    from .runs.spaces import *
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
    "runs.push",
    "runs.spaces",
    "comparison.prepare",
)

__getattr__, __dir__ = lazy_attributes(__name__, _MODULES, own_names=["__version__"])

register_with_auto_classes(f"{__name__}.models")
