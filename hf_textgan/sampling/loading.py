"""Loading a generator of any kind."""

import json
from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    GenerationConfig,
    PreTrainedModel,
)
from transformers.utils.import_utils import is_peft_available

from ..models import MODELS
from .capabilities import capabilities_of
from .download import model_folder


def load_generator(name_or_path: str, revision: str | None = None, **options: Any) -> PreTrainedModel:
    """
    Loads a generator by the Auto class of its kind: a language model with an encoder by `AutoModelForSeq2SeqLM`,
    another one by `AutoModelForCausalLM`. With an adapter it also loads the base model that the adapter names. The
    code of a repository is never run, no pickle is read, and a download is verified by its hashes.

    Args:
        name_or_path (`str`):
            A folder, or a repository on the Hub.
        revision (`str`, *optional*):
            A branch, a tag or a commit of the repository.
        options:
            Arguments of `from_pretrained`, such as `dtype`.
    """
    folder = model_folder(name_or_path, revision)
    base = _base_of_adapter(folder, name_or_path)
    base_folder = folder if base is None else model_folder(base)
    own_classes = {model_class.config_class: model_class for model_class in MODELS}
    config = AutoConfig.from_pretrained(base_folder, trust_remote_code=False)
    own_class = own_classes.get(type(config))
    one_shot = own_class is not None and capabilities_of(own_class).sampling == "one-shot"
    language_model = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = (AutoModel if one_shot else language_model).from_pretrained(
        base_folder, trust_remote_code=False, use_safetensors=True, **options
    )
    model.name_or_path = model.config._name_or_path = base or name_or_path  # and not the folder of the cache
    if base is not None:
        model.load_adapter(str(folder))
        model.set_adapter(model.active_adapters())  # it can be trained further
        try:
            model.generation_config = GenerationConfig.from_pretrained(folder)
        except OSError:
            pass  # the adapter was saved without it, and the one of the base model holds
    return model


def _base_of_adapter(folder: Path, name: str) -> str | None:
    """Returns the base model of an adapter without its own; `None` for any other model."""
    file = folder / "adapter_config.json"
    if (folder / "config.json").is_file() or not file.is_file():
        return None
    if not is_peft_available():
        raise ValueError(f"{name} is an adapter of peft, which is not installed; install peft.")
    base = json.loads(file.read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not base:
        raise ValueError(
            f"The adapter {name} names no base model; save the base model and write its folder as "
            "base_model_name_or_path into adapter_config.json."
        )
    return str(base)


__all__ = ["load_generator"]
