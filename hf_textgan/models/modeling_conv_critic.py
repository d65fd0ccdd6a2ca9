"""A convolutional critic of whole sequences: the critic of WGAN-GP on text."""

from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from .configuration_conv_critic import ConvCriticConfig
from .modeling_outputs import DiscriminatorOutput
from .modeling_resnet_utils import PositionConvolution, ResidualBlock, autocast_where_fast, initialize
from .modeling_text_cnn_utils import fill_padding


class ConvCriticPreTrainedModel(PreTrainedModel):
    config: ConvCriticConfig
    config_class = ConvCriticConfig
    base_model_prefix = "critic"
    classifier: nn.Linear

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (PositionConvolution, nn.Linear)):
            initialize(module, before_relu=module is not self.classifier)


class ConvCritic(ConvCriticPreTrainedModel):
    """
    A linear layer at each position, residual blocks of convolutions and a linear layer to one score without bounds
    (WGAN-GP, arXiv 1704.00028, the character-level language model). There is no batch normalisation and no dropout:
    a gradient penalty needs the gradient of one sequence's score.

    Padding is an ordinary token, as in the paper: every input is padded to `config.sequence_length` with
    `config.pad_token_id`, so the score does not depend on how a batch was padded.
    """

    auto_classes = ("AutoModelForSequenceClassification",)

    def __init__(self, config: ConvCriticConfig):
        super().__init__(config)
        if config.pad_token_id is None or not 0 <= config.pad_token_id < config.vocab_size:
            raise ValueError(
                f"pad_token_id is {config.pad_token_id}; set it to an id from 0 to {config.vocab_size - 1}."
            )
        self.input_projection = nn.Linear(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(
            ResidualBlock(config.hidden_size, config.kernel_size, config.residual_scale)
            for _ in range(config.num_blocks)
        )
        assert config.num_labels is not None
        self.classifier = nn.Linear(config.hidden_size * config.sequence_length, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_onehot: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> DiscriminatorOutput | tuple:
        r"""
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                Token ids without BOS. Give exactly one of `input_ids`, `inputs_onehot` and `inputs_embeds`.
            attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                1 for real tokens, 0 for padding on either side; masked positions count as padding at the end.
            inputs_onehot (`torch.FloatTensor` of shape `(batch_size, sequence_length, vocab_size)`, *optional*):
                One-hot vectors or probabilities; differentiable.
            inputs_embeds (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`, *optional*):
                Outputs of the first layer; differentiable.
            labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
                Not used; a critic has no loss of its own.
        """
        if sum(value is not None for value in (input_ids, inputs_onehot, inputs_embeds)) != 1:
            raise ValueError("Give exactly one of input_ids, inputs_onehot and inputs_embeds.")
        if labels is not None:
            raise ValueError("labels is given and a critic has no loss of its own; leave it out and use the logits.")
        return_dict = return_dict if return_dict is not None else self.config.return_dict
        with autocast_where_fast(self.classifier.weight.device):
            hidden = self._embed(input_ids, inputs_onehot, inputs_embeds, attention_mask)
            for block in self.blocks:
                hidden = block(hidden)
            features = hidden.permute(1, 2, 0).flatten(1)  # (B, C * L), the channel is the slow index
            logits = self.classifier(features)
        output = DiscriminatorOutput(logits=logits, features=features)
        return output if return_dict else output.to_tuple()

    def input_gradient(self, inputs_onehot: torch.Tensor) -> torch.Tensor:
        """
        Returns the gradient of each score with respect to its input, which a gradient penalty needs (arXiv 1704.00028,
        equation 3). It is differentiable with respect to the parameters and accumulates no gradient.

        On CPU the gradient is computed in closed form. The score is piecewise linear, so its gradient is a product of
        the weights and of the constant gates of the ReLUs. It needs one forward pass without a graph.

        Args:
            inputs_onehot (`torch.FloatTensor` of shape `(batch_size, length, vocab_size)`):
                One-hot vectors, probabilities or a mixture of both, treated as constants.

        Returns:
            `torch.FloatTensor` of shape `(batch_size, length, vocab_size)`.
        """
        inputs = inputs_onehot.detach()
        blocks = cast(list[ResidualBlock], list(self.blocks))
        if not all(block.convolution1.uses_matrix_products for block in blocks):
            with torch.enable_grad():
                inputs.requires_grad_()
                scores = self(inputs_onehot=inputs).logits.float()
                return torch.autograd.grad(scores.sum(), inputs, create_graph=True)[0]
        # No cache: a weight that autocast has rounded without a graph must not be used in the part with one.
        with autocast_where_fast(inputs.device, cache_enabled=False), torch.enable_grad():
            gates: list[tuple[torch.Tensor, ...]] = []
            with torch.no_grad():
                hidden = self._embed(None, inputs, None, None)
                for block in blocks:
                    hidden = block(hidden, gates)
            gradient = self.classifier.weight.view(self.config.hidden_size, -1).T[:, None]  # (L, 1, C)
            for block, gated in zip(reversed(blocks), reversed(gates), strict=True):
                gradient = block.input_gradient(gradient, gated)
            gradient = gradient.expand_as(hidden)[: inputs.shape[1]]  # the padding is not part of the input
            return (gradient @ self.input_projection.weight).transpose(0, 1).to(inputs_onehot.dtype)

    def _embed(
        self,
        input_ids: torch.Tensor | None,
        inputs_onehot: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
    ) -> torch.Tensor:
        weight = self.input_projection.weight
        if input_ids is not None:
            embeds = F.embedding(input_ids, weight.T) + self.input_projection.bias
        elif inputs_onehot is not None:
            embeds = self.input_projection(inputs_onehot.to(weight.dtype))
        else:
            assert inputs_embeds is not None
            embeds = inputs_embeds
        return self._pad(embeds, attention_mask).transpose(0, 1).contiguous()  # (L, B, C)

    def _pad(self, embeds: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        """Moves padding to the end and fills it, and the rest of `sequence_length`, with the pad token's embedding."""
        length = embeds.shape[1]
        if length > self.config.sequence_length:
            raise ValueError(
                f"The input has {length} positions and sequence_length is {self.config.sequence_length}; cut the "
                "input, or build the critic for longer sequences."
            )
        if attention_mask is None and length == self.config.sequence_length:
            return embeds  # (B, L, C)
        pad = self.input_projection.weight[:, self.config.pad_token_id] + self.input_projection.bias
        return fill_padding(embeds, attention_mask, pad, self.config.sequence_length - length)


__all__ = ["ConvCritic"]
