"""A convolutional discriminator that reads several low-dimensional representations of a sequence: that of RelGAN."""

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init

from .configuration_multi_representation_discriminator import MultiRepresentationDiscriminatorConfig
from .modeling_cnn_discriminator import Highway
from .modeling_outputs import DiscriminatorOutput
from .modeling_text_cnn_utils import fill_padding, pooled_narrow_features


class MultiRepresentationDiscriminatorPreTrainedModel(PreTrainedModel):
    config: MultiRepresentationDiscriminatorConfig
    config_class = MultiRepresentationDiscriminatorConfig
    base_model_prefix = "discriminator"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        fan_in, gain = 0, 1.0
        if isinstance(module, nn.Embedding):
            fan_in = module.num_embeddings
        elif isinstance(module, nn.Linear):
            fan_in = module.in_features
        elif isinstance(module, nn.Conv1d):
            fan_in, gain = module.in_channels * module.kernel_size[0], 2.0
        else:
            return
        std = (gain / fan_in) ** 0.5
        init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        if not isinstance(module, nn.Embedding) and module.bias is not None:
            init.zeros_(module.bias)


class MultiRepresentationDiscriminator(MultiRepresentationDiscriminatorPreTrainedModel):
    """
    The discriminator of RelGAN (Nie, Narodytska, Patel, ICLR 2019, OpenReview rJedV3R5tm, section 2.3). The embedding
    of a token is cut into `num_representations` parts. Each part of a sequence is read by the same parallel
    convolutions with ReLU and max-over-time pooling, highway layer without biases, dropout and two linear layers
    without a non-linearity between them, and has a score. `scores` are these, `logits` their mean.

    Padding is an ordinary token: every input is padded to `config.sequence_length` with `config.pad_token_id`, so the
    score does not depend on how a batch was padded.
    """

    auto_classes = ("AutoModelForSequenceClassification",)

    def __init__(self, config: MultiRepresentationDiscriminatorConfig):
        super().__init__(config)
        if config.pad_token_id is None or not 0 <= config.pad_token_id < config.vocab_size:
            raise ValueError(
                f"pad_token_id is {config.pad_token_id}; set it to an id from 0 to {config.vocab_size - 1}."
            )
        self.embed_tokens = nn.Embedding(config.vocab_size, config.embedding_size)
        width = config.embedding_size // config.num_representations
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, filters, min(window, config.sequence_length))
            for window, filters in zip(config.window_sizes, config.num_filters, strict=True)
        )
        num_features = sum(config.num_filters)
        self.highways = nn.ModuleList(Highway(num_features, bias=False) for _ in range(config.num_highway_layers))
        self.dropout = nn.Dropout(config.dropout)
        self.hidden = nn.Linear(num_features, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embed_tokens = value

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
                One-hot vectors or probabilities; differentiable once.
            inputs_embeds (`torch.FloatTensor` of shape `(batch_size, sequence_length, embedding_size)`, *optional*):
                Embeddings; differentiable once.
            labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
                Not used; a critic has no loss of its own.
        """
        if sum(value is not None for value in (input_ids, inputs_onehot, inputs_embeds)) != 1:
            raise ValueError("Give exactly one of input_ids, inputs_onehot and inputs_embeds.")
        if labels is not None:
            raise ValueError("labels is given and a critic has no loss of its own; leave it out and use the logits.")
        return_dict = return_dict if return_dict is not None else self.config.return_dict
        if input_ids is not None:
            embeds = self.embed_tokens(input_ids)  # (B, L, E)
        elif inputs_onehot is not None:
            embeds = inputs_onehot.to(self.embed_tokens.weight.dtype) @ self.embed_tokens.weight
        else:
            assert inputs_embeds is not None
            embeds = inputs_embeds
        missing = self.config.sequence_length - embeds.shape[1]
        if missing < 0:
            raise ValueError(
                f"The input has {embeds.shape[1]} positions and sequence_length is {self.config.sequence_length}; cut "
                "the input, or build the discriminator for longer sequences."
            )
        pad = self.embed_tokens.weight[self.config.pad_token_id]
        embeds = fill_padding(embeds, attention_mask, pad, missing)  # (B, sequence_length, E)

        batch_size, length, _ = embeds.shape
        parts = embeds.view(batch_size, length, self.config.num_representations, -1)  # (B, L, S, w)
        parts = parts.transpose(0, 1).flatten(1, 2)  # (L, B * S, w)
        features = pooled_narrow_features(cast(Iterable[nn.Conv1d], self.convolutions), parts)  # (B * S, F)
        for highway in self.highways:
            features = highway(features)
        hidden = self.hidden(self.dropout(features)).view(batch_size, self.config.num_representations, -1)
        scores = self.classifier(hidden).squeeze(2)  # (B, S)
        output = DiscriminatorOutput(logits=scores.mean(1, keepdim=True), features=hidden.mean(1), scores=scores)
        return output if return_dict else output.to_tuple()


__all__ = ["MultiRepresentationDiscriminator"]
