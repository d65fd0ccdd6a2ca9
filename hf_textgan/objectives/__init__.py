"""One file per paper's objective."""

from .arae import ARAEObjective
from .base import Objective, ObjectiveOutput, ObjectiveReport, StepContext
from .iwgan import IWGANObjective
from .mle import MLEObjective
from .seqgan import SeqGANObjective
from .textkd_gan import TextKDObjective


OBJECTIVES: dict[str, type[Objective]] = {
    "arae": ARAEObjective,
    "iwgan": IWGANObjective,
    "mle": MLEObjective,
    "seqgan": SeqGANObjective,
    "textkd_gan": TextKDObjective,
}

__all__ = [
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
]
