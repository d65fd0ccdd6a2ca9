"""Packages whose modules are imported at the first use of one of their names."""

import importlib
import sys

import pytest


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "lazy_animals"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from hf_textgan.utils.lazy import lazy_attributes\n\n"
        "VERSION = 1\n"
        "__getattr__, __dir__ = lazy_attributes(__name__, ('cats', 'dogs'), own_names=['VERSION'])\n"
    )
    (folder / "cats.py").write_text("__all__ = ['Tom']\nTom = 'tom'\nhidden = 1\n")
    (folder / "dogs.py").write_text("__all__ = ['Rex']\nRex = 'rex'\n")
    (folder / "other.py").write_text("inner = 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("lazy_animals")
    for name in [name for name in sys.modules if name.startswith("lazy_animals")]:
        del sys.modules[name]


def test_a_name_imports_the_modules_up_to_its_own(package):
    assert "lazy_animals.cats" not in sys.modules
    assert package.Tom == "tom"
    assert "lazy_animals.dogs" not in sys.modules
    assert package.Rex == "rex"


def test_names_are_those_of_the_modules_and_the_package(package):
    assert dir(package) == package.__all__ == ["Rex", "Tom", "VERSION"]
    assert package.other.inner == 2


@pytest.mark.parametrize("name", ["hidden", "Felix", "_private"])
def test_other_names_are_no_attributes(package, name):
    with pytest.raises(AttributeError, match=f"module 'lazy_animals' has no attribute '{name}'"):
        getattr(package, name)
