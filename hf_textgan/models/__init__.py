"""Generators and discriminators; importing this package registers them with the Auto classes."""

from types import ModuleType
from typing import Any

import transformers
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel

from .configuration_cnn_discriminator import *
from .configuration_conv_critic import *
from .configuration_conv_generator import *
from .configuration_latent_critic import *
from .configuration_latent_generator import *
from .configuration_mixture_generator import *
from .configuration_multi_representation_discriminator import *
from .configuration_recurrent_autoencoder import *
from .configuration_recurrent_discriminator import *
from .configuration_recurrent_generator import *
from .configuration_recurrent_generator import RecurrentGeneratorConfig
from .configuration_relational_memory_generator import *
from .configuration_state_noise_generator import *
from .configuration_variational_generator import *
from .modeling_cnn_discriminator import *
from .modeling_conv_critic import *
from .modeling_conv_generator import *
from .modeling_latent_critic import *
from .modeling_latent_generation_utils import *
from .modeling_latent_generator import *
from .modeling_mixture_generator import *
from .modeling_multi_representation_discriminator import *
from .modeling_outputs import *
from .modeling_recurrent_autoencoder import *
from .modeling_recurrent_discriminator import *
from .modeling_recurrent_generator import *
from .modeling_relational_memory_generator import *
from .modeling_state_noise_generator import *
from .modeling_variational_generator import *
from .tokenization_word import *
from .tokenization_word import WordTokenizer


_MODULES = [
    module for module in tuple(globals().values()) if isinstance(module, ModuleType) and module.__package__ == __name__
]

# The Auto classes, beside AutoModel, that load each class, as the class declares them.
MODELS: dict[type[PreTrainedModel], tuple[Any, ...]] = {
    value: tuple(getattr(transformers, name) for name in value.auto_classes)
    for module in _MODULES
    for value in (vars(module)[name] for name in module.__all__)
    if "auto_classes" in getattr(value, "__dict__", ())
}

for model_class, auto_classes in MODELS.items():
    config_class: Any = model_class.config_class
    AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
    for auto_class in (AutoModel, *auto_classes):
        auto_class.register(config_class, model_class, exist_ok=True)
# A saved tokenizer names its class, and this makes the name known, whatever model it was saved with.
AutoTokenizer.register(RecurrentGeneratorConfig, tokenizer_class=WordTokenizer, exist_ok=True)

__all__ = ["MODELS", *(name for module in _MODULES for name in module.__all__ if name in globals())]
