"""A recurrent (LSTM, GRU) classifier of sequences: a discriminator that reads a sentence token by token."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init

from .configuration_recurrent_discriminator import RecurrentDiscriminatorConfig
from .modeling_outputs import DiscriminatorOutput
from .modeling_recurrence_utils import run_recurrence


class RecurrentDiscriminatorPreTrainedModel(PreTrainedModel):
    config: RecurrentDiscriminatorConfig
    config_class = RecurrentDiscriminatorConfig
    base_model_prefix = "discriminator"
    classifier: nn.Linear

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        std = self.config.initializer_range
        if isinstance(module, nn.Embedding):
            init.uniform_(module.weight, -1.0, 1.0)
        elif isinstance(module, nn.LSTM | nn.GRU):  # PyTorch's default
            bound = self.config.hidden_size**-0.5
            for parameter in module.parameters():
                init.uniform_(parameter, -bound, bound)
        elif isinstance(module, nn.Linear) and module is self.classifier:
            init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
            init.constant_(module.bias, std)


class RecurrentDiscriminator(RecurrentDiscriminatorPreTrainedModel):
    """
    Embedding, recurrent layers, the final state of the top layer, dropout, linear output. Class 1 is `real`.

    The final state of the forward direction is the one after the last real token, that of the backward direction the
    one after the first; `features` joins the two. Padding is never read, so the score does not depend on how a batch
    was padded. Positions after the first EOS (`config.eos_token_id`) and positions with mask 0 are padding. Without an
    EOS and without a mask, every position is a token, the pad id included. A sequence without any real token has the
    zero state.
    """

    auto_classes = ("AutoModelForSequenceClassification",)
    finds_ends = True  # needs no mask to tell where a text ends

    def __init__(self, config: RecurrentDiscriminatorConfig):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.embedding_size)
        cell = {"lstm": nn.LSTM, "gru": nn.GRU}[config.cell_type]
        self.rnn = cell(
            config.embedding_size,
            config.hidden_size,
            config.num_hidden_layers,
            batch_first=True,
            bidirectional=config.bidirectional,
        )
        self.num_directions = 2 if config.bidirectional else 1
        self.dropout = nn.Dropout(config.dropout)
        assert config.num_labels is not None
        self.classifier = nn.Linear(self.num_directions * config.hidden_size, config.num_labels)
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
                1 for real tokens, 0 for padding on either side. Positions after the first EOS are always padding.
            inputs_onehot (`torch.FloatTensor` of shape `(batch_size, sequence_length, vocab_size)`, *optional*):
                One-hot vectors or probabilities; differentiable. EOS as the most probable token ends the sequence.
            inputs_embeds (`torch.FloatTensor` of shape `(batch_size, sequence_length, embedding_size)`, *optional*):
                Embeddings; differentiable. Only `attention_mask` marks padding.
            labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
                1 for real, 0 for fake.
        """
        if sum(value is not None for value in (input_ids, inputs_onehot, inputs_embeds)) != 1:
            raise ValueError("Give exactly one of input_ids, inputs_onehot and inputs_embeds.")
        return_dict = return_dict if return_dict is not None else self.config.return_dict
        if input_ids is not None:
            ids, embeds = input_ids, self.embed_tokens(input_ids)  # (B, L), (B, L, E)
        elif inputs_onehot is not None:
            ids, embeds = inputs_onehot.argmax(-1), inputs_onehot @ self.embed_tokens.weight
        else:
            assert inputs_embeds is not None
            ids, embeds = None, inputs_embeds
        length, max_length = embeds.shape[1], self.config.sequence_length
        if length > max_length:
            raise ValueError(
                f"The input has {length} positions and sequence_length is {max_length}; cut the input, "
                "or build the discriminator for longer sequences."
            )

        features = self.summarize(embeds, self._real_positions(ids, attention_mask))
        logits = self.classifier(self.dropout(features))
        loss = F.cross_entropy(logits, labels) if labels is not None else None
        output = DiscriminatorOutput(loss=loss, logits=logits, features=features)
        return output if return_dict else output.to_tuple()

    def _real_positions(self, ids: torch.Tensor | None, attention_mask: torch.Tensor | None) -> torch.Tensor | None:
        """Returns the mask of real tokens, of shape `(B, L)`; `None` if every position is one."""
        mask = attention_mask != 0 if attention_mask is not None else None
        if ids is None or self.config.eos_token_id is None:
            return mask
        ends = torch.isin(ids, torch.tensor(self.config.eos_token_id, device=ids.device))
        if mask is not None:
            ends = ends & mask  # padding on the left may consist of EOS
        through_end = ends.cumsum(1) - ends.long() == 0
        return through_end if mask is None else through_end & mask

    def summarize(self, embeds: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Returns the final states of the top layer: `(B, L, E)` to `(B, num_directions * H)`."""
        if embeds.shape[1] == 0:  # PyTorch's recurrence takes no input without positions
            embeds, mask = F.pad(embeds, (0, 0, 0, 1)), embeds.new_zeros((len(embeds), 1))
        _, state = run_recurrence(self.rnn, embeds, mask)
        return torch.cat(state[0][-self.num_directions :].unbind(0), dim=1)  # of (layers * directions, B, H)


__all__ = ["RecurrentDiscriminator"]
