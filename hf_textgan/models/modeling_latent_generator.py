"""A generator from noise over a code to text: the one of ARAE, and a recurrent generator for TextKD-GAN."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init

from .configuration_latent_generator import LatentGeneratorConfig
from .modeling_latent_generation_utils import LatentSamplingMixin
from .modeling_outputs import LatentGenerationOutput
from .modeling_recurrent_decoder_utils import RecurrentDecoder


class LatentGeneratorPreTrainedModel(PreTrainedModel):
    config: LatentGeneratorConfig
    config_class = LatentGeneratorConfig
    base_model_prefix = "generator"
    decoder: RecurrentDecoder

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        bound = self.config.decoder_initializer_range
        if isinstance(module, nn.Embedding | nn.LSTM):
            for parameter in module.parameters(recurse=False):
                init.uniform_(parameter, -bound, bound)
        elif isinstance(module, nn.Linear):
            if module is self.decoder.lm_head:
                init.uniform_(module.weight, -bound, bound)
            else:
                init.normal_(module.weight, std=self.config.initializer_range)
            init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm1d | nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
            if isinstance(module, nn.BatchNorm1d):
                for name, buffer in module.named_buffers(recurse=False):
                    init.ones_(buffer) if name == "running_var" else init.zeros_(buffer)


class LatentGenerator(LatentSamplingMixin, LatentGeneratorPreTrainedModel):
    """
    Layers ``[Linear, normalization, ReLU]`` for each of `config.layer_sizes` and a last Linear, from noise to a code,
    and a recurrent decoder from the code to text (ARAE, arXiv 1706.04223). The code is not normalized.
    """

    auto_classes = ()

    def __init__(self, config: LatentGeneratorConfig):
        super().__init__(config)
        norms: dict[str, Callable[[int], nn.Module]] = {
            "batch": nn.BatchNorm1d,
            "layer": nn.LayerNorm,
            "none": lambda size: nn.Identity(),
        }
        sizes = [config.latent_size, *config.layer_sizes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.norms = nn.ModuleList(norms[config.normalization](size) for size in config.layer_sizes)
        self.to_code = nn.Linear(sizes[-1], config.code_size)
        assert config.bos_token_id is not None  # see validate_token_ids
        self.decoder = RecurrentDecoder(
            config.vocab_size, config.embedding_size, config.hidden_size, config.code_size, config.bos_token_id
        )
        self.decoder.requires_grad_(not config.frozen_decoder)
        self.post_init()

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        loaded = super().from_pretrained(*args, **kwargs)  # creates new parameters, which require a gradient
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.decoder.requires_grad_(not model.config.frozen_decoder)
        return loaded

    def forward(
        self,
        latents: torch.Tensor,
        decode: bool = True,
        batch_statistics: bool = False,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> LatentGenerationOutput | tuple:
        r"""
        Args:
            latents (`torch.FloatTensor` of shape `(batch_size, latent_size)`):
                The noise.
            decode (`bool`, *optional*, defaults to `True`):
                Whether to decode; if `False`, only the codes are computed.
            batch_statistics (`bool`, *optional*, defaults to `False`):
                Whether batch normalization takes the statistics of this batch in evaluation mode, as in training, but
                without recording them.
        """
        return_dict = return_dict if return_dict is not None else self.config.return_dict
        codes = self.codes(latents, batch_statistics)
        logits = self._write(codes)[0] if decode else None
        output = LatentGenerationOutput(logits=logits, codes=codes)
        return output if return_dict else output.to_tuple()

    def codes(self, latents: torch.Tensor, batch_statistics: bool = False) -> torch.Tensor:
        """Returns the codes of noise, of shape `(batch_size, code_size)`."""
        hidden = latents
        for layer, norm in zip(self.layers, self.norms, strict=True):
            hidden = layer(hidden)
            if batch_statistics and isinstance(norm, nn.BatchNorm1d):
                hidden = F.batch_norm(hidden, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)
            else:
                hidden = norm(hidden)
            hidden = F.relu(hidden)
        return self.to_code(hidden)

    def _write(self, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.decoder.free_running(codes, self.config.sequence_length, self.config.decoder_input)

    def _read_out(
        self, latents: torch.Tensor, temperature: float | None, generator: torch.Generator | None
    ) -> torch.Tensor:
        if temperature is None or self.config.decoder_input == "soft":
            return super()._read_out(latents, temperature, generator)
        # The decoder reads the tokens that are drawn.
        return self.decoder.free_running(
            self.codes(latents), self.config.sequence_length, "sample", temperature, generator
        )[1]


__all__ = ["LatentGenerator"]
