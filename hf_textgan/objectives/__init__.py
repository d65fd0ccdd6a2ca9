"""One file per paper's objective."""

from .base import Objective, ObjectiveOutput, StepContext
from .mle import MLEObjective
from .seqgan import SeqGANObjective


OBJECTIVES: dict[str, type[Objective]] = {
    "mle": MLEObjective,
    "seqgan": SeqGANObjective,
}

__all__ = ["MLEObjective", "OBJECTIVES", "Objective", "ObjectiveOutput", "SeqGANObjective", "StepContext"]
