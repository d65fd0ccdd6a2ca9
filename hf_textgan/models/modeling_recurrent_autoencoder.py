"""A recurrent autoencoder of sequences: the teacher of TextKD-GAN and the autoencoder of ARAE."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init

from .configuration_recurrent_autoencoder import RecurrentAutoencoderConfig
from .modeling_latent_generation_utils import truncate_at_eos
from .modeling_outputs import AutoencoderOutput
from .modeling_recurrence_utils import run_recurrence
from .modeling_recurrent_decoder_utils import RecurrentDecoder


class RecurrentAutoencoderPreTrainedModel(PreTrainedModel):
    config: RecurrentAutoencoderConfig
    config_class = RecurrentAutoencoderConfig
    base_model_prefix = "autoencoder"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        bound = self.config.initializer_range
        if isinstance(module, nn.Embedding | nn.LSTM):
            for parameter in module.parameters(recurse=False):
                init.uniform_(parameter, -bound, bound)
        elif isinstance(module, nn.Linear):
            init.uniform_(module.weight, -bound, bound)
            init.zeros_(module.bias)


class RecurrentAutoencoder(RecurrentAutoencoderPreTrainedModel):
    """
    An LSTM encoder, whose last state is the code of a sequence, and an LSTM decoder, which reads the code at every
    position and reconstructs the sequence (TextKD-GAN, arXiv 1905.01976; ARAE, arXiv 1706.04223).
    """

    auto_classes = ()

    def __init__(self, config: RecurrentAutoencoderConfig):
        super().__init__(config)
        assert config.bos_token_id is not None and config.pad_token_id is not None  # see validate_token_ids
        self.bos_token_id, self.pad_token_id = config.bos_token_id, config.pad_token_id
        self.embed_tokens = nn.Embedding(config.vocab_size, config.embedding_size)
        self.encoder = nn.LSTM(config.embedding_size, config.hidden_size, batch_first=True)
        self.decoder = RecurrentDecoder(
            config.vocab_size, config.embedding_size, config.hidden_size, config.hidden_size, config.bos_token_id
        )
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embed_tokens = value

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        code_noise: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        decode: bool = True,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> AutoencoderOutput | tuple:
        r"""
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`):
                Token ids without BOS, through EOS, then padding.
            attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                1 through EOS, 0 at the padding on the right; by default padding is found by its id.
            code_noise (`torch.FloatTensor` of shape `(batch_size, hidden_size)`, *optional*):
                Added to the codes that are decoded.
            labels (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                Tokens to compute the loss for, -100 where a position does not count; usually `input_ids`.
            decode (`bool`, *optional*, defaults to `True`):
                Whether to decode; if `False`, only the codes are computed.
        """
        return_dict = return_dict if return_dict is not None else self.config.return_dict
        input_ids, attention_mask = self._complete(input_ids, attention_mask)
        codes = self._encode(input_ids, attention_mask)
        loss = logits = None
        if decode:
            decoded = codes if code_noise is None else codes + code_noise
            if self.config.decoder_input == "teacher_forcing":
                logits = self.decoder.teacher_forced(decoded, input_ids)
            else:
                logits, _ = self.decoder.free_running(decoded, input_ids.shape[1], self.config.decoder_input)
            if labels is not None:
                labels = F.pad(labels, (0, input_ids.shape[1] - labels.shape[1]), value=-100)
                loss = F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten())
        output = AutoencoderOutput(loss=loss, logits=logits, codes=codes)
        return output if return_dict else output.to_tuple()

    def _complete(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Returns the tokens to reconstruct, padded as configured, and the mask of those that count (`None`: all)."""
        config = self.config
        if input_ids.shape[1] > config.sequence_length:
            raise ValueError(
                f"input_ids has {input_ids.shape[1]} positions and the autoencoder {config.sequence_length}; shorten "
                "it, or build the model with a larger sequence_length."
            )
        if attention_mask is not None:
            input_ids = input_ids.masked_fill(attention_mask == 0, self.pad_token_id)
        if config.padding == "token":
            return F.pad(input_ids, (0, config.sequence_length - input_ids.shape[1]), value=self.pad_token_id), None
        if attention_mask is None:
            attention_mask = (input_ids != self.pad_token_id).long()
        return input_ids, attention_mask

    def _encode(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        if attention_mask is not None:
            # The encoder reads BOS and the tokens before EOS, which carries no information.
            bos = torch.full_like(input_ids[:, :1], self.bos_token_id)
            read, eos = attention_mask, self.config.eos_token_id
            if eos is not None:
                read = read * ~torch.isin(input_ids, torch.tensor(eos, device=input_ids.device))
            attention_mask = torch.cat([torch.ones_like(bos), read], dim=1)
            input_ids = torch.cat([bos, input_ids], dim=1)
        _, (hidden, _) = run_recurrence(self.encoder, self.embed_tokens(input_ids), attention_mask)
        codes = hidden[-1]
        return F.normalize(codes, dim=1) if self.config.normalize_code else codes

    def encode(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Returns the codes, of shape `(batch_size, hidden_size)`, of sequences as in `forward`."""
        return self._encode(*self._complete(input_ids, attention_mask))

    @torch.no_grad()
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """
        Decodes codes of shape `(batch_size, hidden_size)` to sequences `(batch_size, sequence_length)`, through EOS,
        then padding. The decoder reads its own most probable tokens, or their probabilities if `decoder_input` is
        `"soft"`.
        """
        decoder_input = "soft" if self.config.decoder_input == "soft" else "greedy"
        _, tokens = self.decoder.free_running(codes, self.config.sequence_length, decoder_input)
        return truncate_at_eos(tokens, self.config.eos_token_id, self.pad_token_id)

    @torch.no_grad()
    def interpolate(self, first: torch.Tensor, second: torch.Tensor, num_steps: int = 7) -> torch.Tensor:
        """
        Returns the sequences between two sequences of shape `(length,)`, or `(1, length)` as tokenizers return them,
        without BOS: the decoded codes on the line between their codes, both ends included (ARAE, arXiv 1706.04223).
        With `normalize_code` these are normalized.

        Returns:
            `torch.LongTensor` of shape `(num_steps, sequence_length)`.

        Raises:
            `ValueError`: If one of them is not a single sequence.
        """
        for ids in (first, second):
            if ids.dim() not in (1, 2) or (ids.dim() == 2 and len(ids) != 1):
                raise ValueError(
                    f"A sequence has the shape {tuple(ids.shape)}; pass ids of shape (length,), one text."
                )
        ends = torch.cat([self.encode(ids.reshape(1, -1).to(self.device)) for ids in (first, second)])  # (2, H)
        alpha = torch.linspace(0, 1, num_steps, device=ends.device)[:, None]
        codes = ends[0] + alpha * (ends[1] - ends[0])
        return self.decode(F.normalize(codes, dim=1) if self.config.normalize_code else codes)


__all__ = ["RecurrentAutoencoder"]
