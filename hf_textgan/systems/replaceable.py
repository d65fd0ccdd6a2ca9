"""Players that can take each other's place."""

from typing import Any


# Discriminators of sequences that can take each other's place: class and values of their configuration.
DISCRIMINATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "cnn": ("CNNDiscriminatorConfig", {}),
    "recurrent": ("RecurrentDiscriminatorConfig", {"bidirectional": False}),
    "bidirectional": ("RecurrentDiscriminatorConfig", {"bidirectional": True}),
}


# Latent-variable generators that can.
GENERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "convolutional": ("ConvGeneratorConfig", {}),
    "recurrent": (
        "LatentGeneratorConfig",
        {
            "latent_size": 128,
            "layer_sizes": [],
            "normalization": "none",
            "code_size": 512,
            "embedding_size": 128,
            "hidden_size": 512,
            "decoder_input": "soft",
            "frozen_decoder": False,
        },
    ),
}


REPLACEABLE = {"discriminator": DISCRIMINATORS, "generator": GENERATORS}


__all__ = ["DISCRIMINATORS", "REPLACEABLE", "GENERATORS"]
