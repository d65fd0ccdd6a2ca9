"""A convolutional one-shot generator: the generator of WGAN-GP on text."""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from .configuration_conv_generator import ConvGeneratorConfig
from .modeling_latent_generation_utils import LatentSamplingMixin
from .modeling_outputs import LatentGenerationOutput
from .modeling_resnet_utils import PositionConvolution, ResidualBlock, autocast_where_fast, initialize


class ConvGeneratorPreTrainedModel(PreTrainedModel):
    config: ConvGeneratorConfig
    config_class = ConvGeneratorConfig
    base_model_prefix = "generator"
    project: nn.Linear

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (PositionConvolution, nn.Linear)):
            initialize(module, before_relu=module is not self.project)


class ConvGenerator(LatentSamplingMixin, ConvGeneratorPreTrainedModel):
    """
    A linear layer, residual blocks of convolutions and a linear layer at each position (WGAN-GP, arXiv 1704.00028,
    the character-level language model). All positions are generated at once; the critic of the paper reads the
    softmax of the scores.
    """

    auto_classes = ()

    def __init__(self, config: ConvGeneratorConfig):
        super().__init__(config)
        self.project = nn.Linear(config.latent_size, config.hidden_size * config.sequence_length)
        self.blocks = nn.ModuleList(
            ResidualBlock(config.hidden_size, config.kernel_size, config.residual_scale)
            for _ in range(config.num_blocks)
        )
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def forward(
        self, latents: torch.Tensor | None = None, return_dict: bool | None = None, **kwargs: Any
    ) -> LatentGenerationOutput | tuple:
        r"""
        Args:
            latents (`torch.FloatTensor` of shape `(batch_size, latent_size)`):
                Draws from N(0, I), as `sample_latents` returns them.
        """
        if latents is None:
            raise ValueError("latents is None; pass latent vectors, such as those of sample_latents.")
        return_dict = return_dict if return_dict is not None else self.config.return_dict
        with autocast_where_fast(latents.device):
            hidden = self.project(latents.to(self.project.weight.dtype))
            # The channel is the slower index.
            hidden = hidden.view(len(latents), self.config.hidden_size, self.config.sequence_length)
            hidden = hidden.permute(2, 0, 1).contiguous()  # (L, B, C)
            for block in self.blocks:
                hidden = block(hidden)
            logits = self.lm_head(hidden).transpose(0, 1).contiguous()  # (B, L, V)
        output = LatentGenerationOutput(logits=logits)
        return output if return_dict else output.to_tuple()


__all__ = ["ConvGenerator"]
