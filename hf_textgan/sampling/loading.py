"""Loading a generator of any kind."""

from typing import Any

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedModel

from ..models import MODELS
from .capabilities import capabilities_of


def load_generator(name_or_path: str, **options: Any) -> PreTrainedModel:
    """
    Loads a generator by the Auto class of its kind.

    Args:
        name_or_path (`str`):
            A folder, or a repository on the Hub.
        options:
            Arguments of `from_pretrained`, such as `dtype`.
    """
    own_classes = {model_class.config_class: model_class for model_class in MODELS}
    own_class = own_classes.get(type(AutoConfig.from_pretrained(name_or_path)))
    one_shot = own_class is not None and capabilities_of(own_class).sampling == "one-shot"
    return (AutoModel if one_shot else AutoModelForCausalLM).from_pretrained(name_or_path, **options)


__all__ = ["load_generator"]
