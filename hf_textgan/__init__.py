"""
Text GANs as a Hugging Face extension.

Importing this package registers its configurations and models with the Auto classes of transformers; everything else
is imported on first use.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING


__version__ = "0.1.0.dev0"

_EXPORTS = {
    "data": ["CaptionGrammar", "encode_text", "load_text"],
    "models": [
        "CNNDiscriminator",
        "CNNDiscriminatorConfig",
        "ConvCritic",
        "ConvCriticConfig",
        "ConvGenerator",
        "ConvGeneratorConfig",
        "LatentCritic",
        "LatentCriticConfig",
        "LatentGenerator",
        "LatentGeneratorConfig",
        "RecurrentAutoencoder",
        "RecurrentAutoencoderConfig",
        "RecurrentDiscriminator",
        "RecurrentDiscriminatorConfig",
        "RecurrentGeneratorConfig",
        "RecurrentGeneratorForCausalLM",
    ],
    "objectives": [
        "ARAEObjective",
        "IWGANObjective",
        "MLEObjective",
        "OBJECTIVES",
        "Objective",
        "ObjectiveOutput",
        "ObjectiveReport",
        "SeqGANObjective",
        "StepContext",
        "TextKDObjective",
    ],
    "sampling": ["RolloutEngine", "Samples"],
    "systems": ["SYSTEMS", "SystemSpec", "get_system"],
    "trainer.adversarial_config": ["AdversarialConfig"],
    "trainer.adversarial_trainer": ["AdversarialTrainer"],
    "trainer.timetable": ["Phase", "Timetable", "Turn"],
}
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str):
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


# The command `textgan` prints its help and its tables without the seconds that importing torch takes; its subcommands
# that need models import them, which registers them.
if TYPE_CHECKING or os.path.splitext(os.path.basename(sys.argv[0] if sys.argv else ""))[0] != "textgan":
    from . import models as models
