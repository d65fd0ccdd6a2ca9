"""Non-autoregressive generation from a latent vector: `generate(num_samples)`."""

from collections.abc import Callable
from typing import Any, Literal

import torch


class LatentSamplingMixin:
    """
    Generates whole sequences at once with a model whose `forward(latents)` returns the scores of all positions. A
    subclass has a configuration with `latent_size`, `sequence_length`, `readout`, `eos_token_id` and `pad_token_id`.
    """

    config: Any
    device: torch.device
    __call__: Callable[..., Any]

    # The capabilities that the sampling of this library reads.
    likelihood = None
    accepts_prompts = False
    sampling_kind = "one-shot"

    @classmethod
    def can_generate(cls) -> bool:
        """Returns `False`: `generate` is not the one of transformers, which has prompts and a `generation_config`."""
        return False

    @property
    def uses_temperature(self) -> bool:
        """Returns whether the samples depend on a temperature."""
        return self.config.readout == "sample"

    def sample_latents(self, num_samples: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Draws ``z ~ N(0, I)``, of shape `(num_samples, latent_size)`, on the device of the model."""
        device = generator.device if generator is not None else self.device
        latents = torch.randn(num_samples, self.config.latent_size, generator=generator, device=device)
        return latents.to(self.device)

    @torch.no_grad()
    def generate(
        self,
        num_samples: int = 1,
        latents: torch.Tensor | None = None,
        readout: Literal["argmax", "sample"] | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """
        Generates sequences of tokens. The model must be in evaluation mode, as for every `generate`.

        Args:
            num_samples (`int`, *optional*, defaults to `1`):
                Number of sequences.
            latents (`torch.FloatTensor` of shape `(num_samples, latent_size)`, *optional*):
                The latent vectors; drawn from N(0, I) by default.
            readout (`"argmax"` or `"sample"`, *optional*):
                The most probable token at each position, or a draw; defaults to `config.readout`.
            temperature (`float`, *optional*, defaults to `1.0`):
                Temperature of the draws; below 1 sharpens. The most probable tokens do not depend on it.
            generator (`torch.Generator`, *optional*):
                Source of randomness.

        Returns:
            `torch.LongTensor` of shape `(num_samples, sequence_length)`: without BOS, through EOS, then padding.
        """
        readout = self.config.readout if readout is None else readout
        if readout not in ("argmax", "sample"):
            raise ValueError(f"readout is {readout!r}; set it to 'argmax' or 'sample'.")
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}; set it above 0.")
        if latents is None:
            latents = self.sample_latents(num_samples, generator)
        elif latents.dim() != 2 or latents.shape[1] != self.config.latent_size:
            raise ValueError(
                f"latents has the shape {tuple(latents.shape)}; give one vector of {self.config.latent_size} numbers "
                "per sequence."
            )
        tokens = self._read_out(latents, temperature if readout == "sample" else None, generator)
        return truncate_at_eos(tokens, self.config.eos_token_id, self.config.pad_token_id)

    def _read_out(
        self, latents: torch.Tensor, temperature: float | None, generator: torch.Generator | None
    ) -> torch.Tensor:
        """Returns the token of each position: the most probable one, or a draw at a temperature."""
        logits = self(latents=latents).logits.float()
        if temperature is None:
            return logits.argmax(-1)
        return draw_tokens(logits, temperature, generator)


def truncate_at_eos(sequences: torch.Tensor, eos_token_id: int | list[int] | None, pad_token_id: int) -> torch.Tensor:
    """
    Returns sequences `(batch_size, length)` truncated at their first EOS or padding: that position holds an EOS and
    the later ones padding. With several EOS ids, an EOS keeps its id and padding becomes the first id.
    """
    if eos_token_id is None:
        return sequences
    eos = [eos_token_id] if isinstance(eos_token_id, int) else list(eos_token_id)
    if pad_token_id not in eos:
        sequences = sequences.masked_fill(sequences == pad_token_id, eos[0])
    ended = torch.isin(sequences, torch.tensor(eos, device=sequences.device)).long()
    return sequences.masked_fill(ended.cumsum(1) > ended, pad_token_id)


def draw_tokens(logits: torch.Tensor, temperature: float, generator: torch.Generator | None = None) -> torch.Tensor:
    """Draws a token for each row of scores `(..., vocab_size)`."""
    probabilities = (logits.float() / temperature).softmax(-1)
    flat = torch.multinomial(probabilities.flatten(0, -2), 1, generator=generator)
    return flat.view(logits.shape[:-1])


__all__ = ["LatentSamplingMixin", "draw_tokens", "truncate_at_eos"]
