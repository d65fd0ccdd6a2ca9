"""Generators and discriminators; importing this package registers them with the Auto classes."""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from .configuration_cnn_discriminator import CNNDiscriminatorConfig
from .configuration_recurrent_discriminator import RecurrentDiscriminatorConfig
from .configuration_recurrent_generator import RecurrentGeneratorConfig
from .modeling_cnn_discriminator import CNNDiscriminator
from .modeling_outputs import DiscriminatorOutput, RecurrentCausalLMOutput, RecurrentState
from .modeling_recurrent_discriminator import RecurrentDiscriminator
from .modeling_recurrent_generator import RecurrentGeneratorForCausalLM


# Class -> the Auto classes, beside AutoModel, that load it.
MODELS = {
    RecurrentGeneratorForCausalLM: (AutoModelForCausalLM,),
    CNNDiscriminator: (AutoModelForSequenceClassification,),
    RecurrentDiscriminator: (AutoModelForSequenceClassification,),
}

for model_class, auto_classes in MODELS.items():
    AutoConfig.register(model_class.config_class.model_type, model_class.config_class, exist_ok=True)
    for auto_class in (AutoModel, *auto_classes):
        auto_class.register(model_class.config_class, model_class, exist_ok=True)


__all__ = [
    "CNNDiscriminator",
    "CNNDiscriminatorConfig",
    "DiscriminatorOutput",
    "MODELS",
    "RecurrentCausalLMOutput",
    "RecurrentDiscriminator",
    "RecurrentDiscriminatorConfig",
    "RecurrentGeneratorConfig",
    "RecurrentGeneratorForCausalLM",
    "RecurrentState",
]
