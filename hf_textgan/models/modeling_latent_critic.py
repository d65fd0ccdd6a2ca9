"""The critic of codes of ARAE."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init

from .configuration_latent_critic import LatentCriticConfig
from .modeling_outputs import DiscriminatorOutput


class LatentCriticPreTrainedModel(PreTrainedModel):
    config: LatentCriticConfig
    config_class = LatentCriticConfig
    base_model_prefix = "critic"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, std=self.config.initializer_range)
            init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)


class LatentCritic(LatentCriticPreTrainedModel):
    """Linear layers with leaky ReLU, and an unbounded score for each code (ARAE, arXiv 1706.04223)."""

    auto_classes = ()

    def __init__(self, config: LatentCriticConfig):
        super().__init__(config)
        sizes = [config.code_size, *config.layer_sizes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.norms = nn.ModuleList(
            nn.LayerNorm(size) if config.normalization == "layer" and number > 0 else nn.Identity()
            for number, size in enumerate(config.layer_sizes)
        )
        self.classifier = nn.Linear(sizes[-1], 1)
        self.post_init()

    def forward(
        self, codes: torch.Tensor, return_dict: bool | None = None, **kwargs: Any
    ) -> DiscriminatorOutput | tuple:
        r"""
        Args:
            codes (`torch.FloatTensor` of shape `(batch_size, code_size)`):
                The codes.
        """
        return_dict = return_dict if return_dict is not None else self.config.return_dict
        features = codes
        for layer, norm in zip(self.layers, self.norms, strict=True):
            features = F.leaky_relu(norm(layer(features)), self.config.negative_slope)
        output = DiscriminatorOutput(logits=self.classifier(features), features=features)
        return output if return_dict else output.to_tuple()


__all__ = ["LatentCritic"]
