"""Registration with the Auto classes before and after they are imported (in whole: tests/test_architecture.py)."""

import sys

from hf_textgan.utils.registration import register_with_auto_classes


def test_models_are_registered_at_once_if_the_auto_classes_are_imported(tmp_path, monkeypatch):
    from transformers import AutoConfig  # noqa: F401

    (tmp_path / "registered_models.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    finders = list(sys.meta_path)
    register_with_auto_classes("registered_models")
    assert "registered_models" in sys.modules and sys.meta_path == finders
    monkeypatch.delitem(sys.modules, "registered_models")


def test_models_are_registered_at_the_first_lookup_if_they_are_not(tmp_path, monkeypatch):
    """The module of the Auto classes is imported a second time, under its own name, and put back afterwards."""
    name = "transformers.models.auto.configuration_auto"
    import transformers.models.auto as package
    from transformers import AutoConfig

    original = sys.modules[name]
    (tmp_path / "late_models.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name)
    finders = list(sys.meta_path)
    register_with_auto_classes("late_models")
    assert "late_models" not in sys.modules and len(sys.meta_path) == len(finders) + 1
    try:
        fresh = __import__(name, fromlist=["AutoConfig"]).AutoConfig
        assert fresh is not AutoConfig and "late_models" not in sys.modules and sys.meta_path == finders
        assert fresh.for_model("gpt2").model_type == "gpt2"
        assert sys.modules.pop("late_models", None) is not None
        fresh.for_model("gpt2")  # later lookups import nothing
        assert "late_models" not in sys.modules
    finally:
        sys.meta_path[:] = finders
        sys.modules[name] = original
        package.configuration_auto = original
