"""Packages whose modules are imported at the first use of one of their names."""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Sequence
from typing import Any


def lazy_attributes(
    package: str, modules: Sequence[str], own_names: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """
    Returns the functions `__getattr__` and `__dir__` of a package: each name of the `__all__` of a module, and each
    module, can be imported from the package, and only then is a module imported.

    Args:
        package (`str`):
            The name of the package.
        modules (`Sequence[str]`):
            Its public modules, relative to it; they are asked for a name in this order, so those that are quick to
            import come first.
        own_names (`Sequence[str]`, *optional*):
            The public names that the package itself defines.
    """

    def public_names() -> list[str]:
        imported = (importlib.import_module(f"{package}.{module}") for module in modules)
        return sorted({*own_names, *(name for module in imported for name in module.__all__)})

    def get_attribute(name: str) -> Any:
        if name == "__all__":
            return public_names()
        if name in {info.name for info in pkgutil.iter_modules(sys.modules[package].__path__)}:
            return importlib.import_module(f"{package}.{name}")
        if not name.startswith("_"):
            for module_name in modules:
                module = importlib.import_module(f"{package}.{module_name}")
                if name in module.__all__:
                    return getattr(module, name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get_attribute, public_names


__all__ = ["lazy_attributes"]
