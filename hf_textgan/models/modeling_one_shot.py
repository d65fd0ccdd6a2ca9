"""What the generators that make a whole sequence of a latent vector have in common: `generate(num_samples)`."""

from typing import Literal

import torch


class OneShotGeneratorMixin:
    """
    For generators whose `forward(latents)` returns the scores of all positions. A subclass has a configuration with
    `latent_size`, `sequence_length`, `readout`, `eos_token_id` and `pad_token_id`.
    """

    def sample_latents(self, num_samples: int, generator: torch.Generator | None = None) -> torch.FloatTensor:
        """``z ~ N(0, I)``, of shape `(num_samples, latent_size)`, on the device of the model."""
        device = generator.device if generator is not None else self.device
        latents = torch.randn(num_samples, self.config.latent_size, generator=generator, device=device)
        return latents.to(self.device)

    @torch.no_grad()
    def generate(
        self,
        num_samples: int = 1,
        latents: torch.FloatTensor | None = None,
        readout: Literal["argmax", "sample"] | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> torch.LongTensor:
        """
        Sequences of symbols. Put the model in evaluation mode before, as for any `generate`.

        Args:
            num_samples (`int`, *optional*, defaults to `1`):
                How many.
            latents (`torch.FloatTensor` of shape `(num_samples, latent_size)`, *optional*):
                Their latent vectors; drawn from N(0, I) without.
            readout (`"argmax"` or `"sample"`, *optional*):
                The most probable symbol at each position, or a draw; defaults to `config.readout`.
            temperature (`float`, *optional*, defaults to `1.0`):
                Of the draws; below 1 sharpens. The most probable symbols do not depend on it.
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
                f"latents has the shape {tuple(latents.shape)}; give one row of {self.config.latent_size} numbers per "
                "sequence."
            )
        symbols = self._read(latents, temperature if readout == "sample" else None, generator)
        return end(symbols, self.config.eos_token_id, self.config.pad_token_id)

    def _read(
        self, latents: torch.Tensor, temperature: float | None, generator: torch.Generator | None
    ) -> torch.LongTensor:
        """The symbols of each position: the most probable ones, or draws at a temperature."""
        logits = self(latents=latents).logits.float()
        if temperature is None:
            return logits.argmax(-1)
        return draw(logits, temperature, generator)


def end(sequences: torch.LongTensor, eos_token_id: int | list[int] | None, pad_token_id: int) -> torch.LongTensor:
    """
    Sequences `(batch_size, length)` end where EOS or padding comes first: EOS there (of several the one that was
    written, or the first one for padding), and padding after it.
    """
    if eos_token_id is None:
        return sequences
    eos = [eos_token_id] if isinstance(eos_token_id, int) else list(eos_token_id)
    if pad_token_id not in eos:
        sequences = sequences.masked_fill(sequences == pad_token_id, eos[0])
    ended = torch.isin(sequences, torch.tensor(eos, device=sequences.device)).long()
    return sequences.masked_fill(ended.cumsum(1) > ended, pad_token_id)


def draw(logits: torch.Tensor, temperature: float, generator: torch.Generator | None = None) -> torch.LongTensor:
    """Draws a symbol for each row of scores `(..., vocab_size)`."""
    probabilities = (logits.float() / temperature).softmax(-1)
    flat = torch.multinomial(probabilities.flatten(0, -2), 1, generator=generator)
    return flat.view(logits.shape[:-1])


__all__ = ["OneShotGeneratorMixin", "draw", "end"]
