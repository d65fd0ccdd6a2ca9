"""Generators and discriminators; importing this package registers them with the Auto classes."""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from .configuration_cnn_discriminator import CNNDiscriminatorConfig
from .configuration_conv_critic import ConvCriticConfig
from .configuration_conv_generator import ConvGeneratorConfig
from .configuration_latent_critic import LatentCriticConfig
from .configuration_latent_generator import LatentGeneratorConfig
from .configuration_recurrent_autoencoder import RecurrentAutoencoderConfig
from .configuration_recurrent_discriminator import RecurrentDiscriminatorConfig
from .configuration_recurrent_generator import RecurrentGeneratorConfig
from .modeling_cnn_discriminator import CNNDiscriminator
from .modeling_conv_critic import ConvCritic
from .modeling_conv_generator import ConvGenerator
from .modeling_latent_critic import LatentCritic
from .modeling_latent_generator import LatentGenerator
from .modeling_one_shot import OneShotGeneratorMixin
from .modeling_outputs import (
    CACHE_NAME,
    AutoencoderOutput,
    DiscriminatorOutput,
    OneShotGeneratorOutput,
    RecurrentState,
)
from .modeling_recurrent_autoencoder import RecurrentAutoencoder
from .modeling_recurrent_discriminator import RecurrentDiscriminator
from .modeling_recurrent_generator import RecurrentGeneratorForCausalLM


# Class -> the Auto classes, beside AutoModel, that load it.
MODELS = {
    RecurrentGeneratorForCausalLM: (AutoModelForCausalLM,),
    CNNDiscriminator: (AutoModelForSequenceClassification,),
    RecurrentDiscriminator: (AutoModelForSequenceClassification,),
    ConvGenerator: (),
    ConvCritic: (AutoModelForSequenceClassification,),
    LatentGenerator: (),
    LatentCritic: (),
    RecurrentAutoencoder: (),
}

for model_class, auto_classes in MODELS.items():
    AutoConfig.register(model_class.config_class.model_type, model_class.config_class, exist_ok=True)
    for auto_class in (AutoModel, *auto_classes):
        auto_class.register(model_class.config_class, model_class, exist_ok=True)


__all__ = [
    "AutoencoderOutput",
    "CACHE_NAME",
    "CNNDiscriminator",
    "CNNDiscriminatorConfig",
    "ConvCritic",
    "ConvCriticConfig",
    "ConvGenerator",
    "ConvGeneratorConfig",
    "DiscriminatorOutput",
    "LatentCritic",
    "LatentCriticConfig",
    "LatentGenerator",
    "LatentGeneratorConfig",
    "MODELS",
    "OneShotGeneratorMixin",
    "OneShotGeneratorOutput",
    "RecurrentAutoencoder",
    "RecurrentAutoencoderConfig",
    "RecurrentDiscriminator",
    "RecurrentDiscriminatorConfig",
    "RecurrentGeneratorConfig",
    "RecurrentGeneratorForCausalLM",
    "RecurrentState",
]
