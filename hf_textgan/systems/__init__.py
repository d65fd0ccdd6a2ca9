"""The systems, one file each; importing them needs neither torch nor transformers."""

import importlib
import pkgutil

from ..utils.names import unknown_name
from .spec import Paper, SystemSpec


def _records() -> list[SystemSpec]:
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    return sorted(
        (m.SYSTEM for m in modules if "SYSTEM" in vars(m)), key=lambda system: (system.mode != "mle", system.name)
    )


# Every file of this folder that holds a record, by the name of the system; the maximum-likelihood baseline first.
SYSTEMS: dict[str, SystemSpec] = {system.name: system for system in _records()}


def get_system(name: str) -> SystemSpec:
    """Returns the system of this name."""
    if name not in SYSTEMS:
        raise ValueError(unknown_name("system", name, SYSTEMS))
    return SYSTEMS[name]


__all__ = ["Paper", "SYSTEMS", "SystemSpec", "get_system"]
