"""A convolutional classifier of sequences: the discriminator of SeqGAN and its relatives."""

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init

from .configuration_cnn_discriminator import CNNDiscriminatorConfig
from .modeling_outputs import DiscriminatorOutput
from .modeling_text_cnn_utils import fill_padding, looked_up_features, pooled_features


_SCORING_BATCH_SIZE = 16384  # sequences whose convolutions `classify` computes together
_FEATURE_BATCH_SIZE = 1024  # sequences whose later layers it computes together


class Highway(nn.Module):
    """``t * relu(W_H x + b_H) + (1 - t) * x`` with ``t = sigmoid(W_T x + b_T)`` (arXiv 1505.00387)."""

    def __init__(self, size: int, bias: bool = True):
        super().__init__()
        self.gate = nn.Linear(size, size, bias=bias)
        self.candidate = nn.Linear(size, size, bias=bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        gate = torch.sigmoid(self.gate(features))
        return features + gate * (F.relu(self.candidate(features)) - features)


class CNNDiscriminatorPreTrainedModel(PreTrainedModel):
    config: CNNDiscriminatorConfig
    config_class = CNNDiscriminatorConfig
    base_model_prefix = "discriminator"
    classifier: nn.Linear

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        std = self.config.initializer_range
        if isinstance(module, nn.Embedding):
            init.uniform_(module.weight, -1.0, 1.0)
        elif isinstance(module, nn.Conv1d) or (isinstance(module, nn.Linear) and module is self.classifier):
            init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
            assert module.bias is not None
            init.constant_(module.bias, std)
        elif isinstance(module, nn.Linear):  # of a highway layer
            init.xavier_uniform_(module.weight)
            init.zeros_(module.bias)


class CNNDiscriminator(CNNDiscriminatorPreTrainedModel):
    """
    Embedding, parallel convolutions with ReLU and max-over-time pooling, highway, dropout, linear output
    (SeqGAN, arXiv 1609.05473, equations 12 to 14). Class 1 is `real`.

    Padding is an ordinary token with its own embedding, as in the paper: every input is padded to
    `config.sequence_length` with `config.pad_token_id`, so the score does not depend on how a batch was padded.
    """

    auto_classes = ("AutoModelForSequenceClassification",)
    finds_ends = True  # needs no mask to tell where a text ends

    def __init__(self, config: CNNDiscriminatorConfig):
        super().__init__(config)
        if config.pad_token_id is None or not 0 <= config.pad_token_id < config.vocab_size:
            raise ValueError(
                f"pad_token_id is {config.pad_token_id}; set it to an id from 0 to {config.vocab_size - 1}."
            )
        self.embed_tokens = nn.Embedding(config.vocab_size, config.embedding_size)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.embedding_size, filters, min(window, config.sequence_length))
            for window, filters in zip(config.window_sizes, config.num_filters, strict=True)
        )
        num_features = sum(config.num_filters)
        self.highways = nn.ModuleList(Highway(num_features) for _ in range(config.num_highway_layers))
        self.dropout = nn.Dropout(config.dropout)
        assert config.num_labels is not None
        self.classifier = nn.Linear(num_features, config.num_labels)
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
                One-hot vectors or probabilities; differentiable.
            inputs_embeds (`torch.FloatTensor` of shape `(batch_size, sequence_length, embedding_size)`, *optional*):
                Embeddings; differentiable.
            labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
                1 for real, 0 for fake.
        """
        if sum(value is not None for value in (input_ids, inputs_onehot, inputs_embeds)) != 1:
            raise ValueError("Give exactly one of input_ids, inputs_onehot and inputs_embeds.")
        return_dict = return_dict if return_dict is not None else self.config.return_dict
        if input_ids is not None:
            embeds = self.embed_tokens(input_ids)  # (B, L, E)
        elif inputs_onehot is not None:
            embeds = inputs_onehot @ self.embed_tokens.weight
        else:
            assert inputs_embeds is not None
            embeds = inputs_embeds

        # A gradient penalty needs a differentiable input, which token ids are not.
        pad, missing = self.embed_tokens.weight[self.config.pad_token_id], self._missing(embeds.shape[1])
        embeds = fill_padding(embeds, attention_mask, pad, missing)  # (B, sequence_length, E)
        features = self.pool(embeds, twice_differentiable=input_ids is None)
        logits, features = self._classify_features(features)
        loss = F.cross_entropy(logits, labels) if labels is not None else None
        output = DiscriminatorOutput(loss=loss, logits=logits, features=features)
        return output if return_dict else output.to_tuple()

    @torch.no_grad()
    def classify(self, input_ids: torch.Tensor) -> torch.Tensor:
        """
        Returns the logits of many sequences without gradient, as the rewards of rollouts need them: those of
        `forward`, in less time, with memory that does not grow with the number of sequences.

        Args:
            input_ids (`torch.LongTensor` of shape `(num_sequences, sequence_length)`):
                Token ids without BOS.
        """
        logits = []
        for ids in input_ids.split(_SCORING_BATCH_SIZE):
            ids = F.pad(ids, (0, self._missing(ids.shape[1])), value=self.config.pad_token_id)
            features = looked_up_features(self._convolution_layers(), self.embed_tokens.weight, ids)
            for start in range(0, len(ids), _FEATURE_BATCH_SIZE):
                rows = slice(start, start + _FEATURE_BATCH_SIZE)
                pooled = features[rows] if features is not None else self.pool(self.embed_tokens(ids[rows]))
                logits.append(self._classify_features(pooled)[0])
        return torch.cat(logits) if logits else self.classifier.weight.new_empty(0, self.classifier.out_features)

    def _classify_features(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        for highway in self.highways:
            features = highway(features)
        return self.classifier(self.dropout(features)), features

    def _convolution_layers(self) -> Iterable[nn.Conv1d]:
        return cast(Iterable[nn.Conv1d], self.convolutions)

    def _missing(self, length: int) -> int:
        """Returns the number of positions of padding that an input of this length needs."""
        if length > self.config.sequence_length:
            raise ValueError(
                f"The input has {length} positions and sequence_length is {self.config.sequence_length}; cut the "
                "input, or build the discriminator for longer sequences."
            )
        return self.config.sequence_length - length

    def pool(self, embeds: torch.Tensor, twice_differentiable: bool = True) -> torch.Tensor:
        """Applies convolutions and max-over-time pooling: `(B, sequence_length, E)` to `(B, num_features)`."""
        return pooled_features(self._convolution_layers(), embeds, twice_differentiable)


__all__ = ["CNNDiscriminator"]
