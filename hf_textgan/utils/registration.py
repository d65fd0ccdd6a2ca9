"""
Registration with the Auto classes of transformers without importing torch.

Registering a model needs its class, and the class needs torch, which takes seconds to import: too long for the help of
a command. So the models are registered when the Auto classes are first used. Only `AutoConfig` looks up a model type
by name; every other use of an Auto class has an instance of a configuration, whose import has registered its model.
"""

import functools
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


_AUTO_MODULE = "transformers.models.auto.configuration_auto"


def register_with_auto_classes(module: str) -> None:
    """
    Imports `module`, which registers its models: immediately if the Auto classes are already imported, else at their
    first use.
    """
    if _AUTO_MODULE in sys.modules:
        importlib.import_module(module)
    else:
        sys.meta_path.insert(0, _AutoModuleFinder(module))


class _AutoModuleFinder(MetaPathFinder):
    """Finds the module of `AutoConfig` with the other finders and patches `AutoConfig` once it is executed."""

    def __init__(self, module: str):
        self.module = module

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _AUTO_MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_prepare(module: ModuleType) -> None:
                execute(module)
                _import_before_lookup(module.AutoConfig, self.module)

            spec.loader.exec_module = execute_and_prepare
        return spec


def _import_before_lookup(auto_config: Any, module: str) -> None:
    """Makes the first call of each method that looks up a model type import `module`."""
    for name in ("from_pretrained", "for_model"):
        original = auto_config.__dict__[name]

        def lookup(cls: Any, *args: Any, _name: str = name, _original: Any = original, **kwargs: Any) -> Any:
            setattr(auto_config, _name, _original)
            importlib.import_module(module)
            return getattr(cls, _name)(*args, **kwargs)

        functools.update_wrapper(lookup, getattr(original, "__func__", original))
        setattr(auto_config, name, classmethod(lookup))


__all__ = ["register_with_auto_classes"]
