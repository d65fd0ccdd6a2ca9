"""The systems, one file each; importing them needs neither torch nor transformers."""

from . import arae, iwgan, rnnlm, seqgan, textkd_gan
from .spec import Paper, SystemSpec, unknown


SYSTEMS: dict[str, SystemSpec] = {
    module.SYSTEM.name: module.SYSTEM for module in (rnnlm, seqgan, iwgan, textkd_gan, arae)
}


def get_system(name: str) -> SystemSpec:
    """The system of this name."""
    if name not in SYSTEMS:
        raise ValueError(unknown("system", name, SYSTEMS))
    return SYSTEMS[name]


__all__ = ["Paper", "SYSTEMS", "SystemSpec", "get_system"]
