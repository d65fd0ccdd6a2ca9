"""Configuration of the generator of codes with a recurrent decoder."""

from typing import Literal

from huggingface_hub.dataclasses import strict

from .configuration_utils import UntiedConfig


@strict
class LatentGeneratorConfig(UntiedConfig):
    r"""
    Configuration of [`LatentGenerator`]. The defaults are the generator of ARAE (arXiv 1706.04223) with the sizes of
    its run on SNLI.

    Args:
        vocab_size (`int`, *optional*, defaults to `11004`):
            Number of tokens, special tokens included.
        sequence_length (`int`, *optional*, defaults to `16`):
            Maximum number of tokens of a sequence, EOS included.
        latent_size (`int`, *optional*, defaults to `100`):
            Width of the noise ``z ~ N(0, I)``.
        layer_sizes (`list[int]`, *optional*, defaults to `[300, 300]`):
            Widths of the layers between the noise and the code; empty for one linear map.
        normalization (`"batch"`, `"layer"` or `"none"`, *optional*, defaults to `"batch"`):
            Normalization between these layers and their ReLU. With batch normalization a code depends on the other
            codes of its batch while the generator is trained.
        code_size (`int`, *optional*, defaults to `300`):
            Width of the code.
        embedding_size, hidden_size (`int`, *optional*, default to `300`):
            Sizes of the decoder.
        decoder_input (`"greedy"` or `"soft"`, *optional*, defaults to `"greedy"`):
            Input of the decoder from the position before: the embedding of its most probable token, or the mean of
            the embeddings under its probabilities, which is differentiable.
        frozen_decoder (`bool`, *optional*, defaults to `True`):
            Whether the decoder is a copy of an autoencoder's that is not trained with the generator (ARAE). If
            `False`, the decoder is trained too (the recurrent generator of TextKD-GAN).
        readout (`"argmax"` or `"sample"`, *optional*, defaults to `"argmax"`):
            Whether `generate` takes the most probable token of each position or draws one.
        initializer_range (`float`, *optional*, defaults to `0.02`):
            Standard deviation of the weights between noise and code; their biases start at 0.
        decoder_initializer_range (`float`, *optional*, defaults to `0.1`):
            Bound of the uniform distribution U(-range, range) of the decoder's parameters.

    Example:

    ```python
    >>> from hf_textgan import LatentGenerator, LatentGeneratorConfig

    >>> model = LatentGenerator(LatentGeneratorConfig(vocab_size=100, sequence_length=32))
    >>> sequences = model.eval().generate(num_samples=4)
    ```"""

    model_type = "textgan_latent_generator"
    keys_to_ignore_at_inference = ["codes"]  # predictions are the scores alone

    vocab_size: int = 11004
    sequence_length: int = 16
    latent_size: int = 100
    layer_sizes: list[int] | tuple[int, ...] = (300, 300)
    normalization: Literal["batch", "layer", "none"] = "batch"
    code_size: int = 300
    embedding_size: int = 300
    hidden_size: int = 300
    decoder_input: Literal["greedy", "soft"] = "greedy"
    frozen_decoder: bool = True
    readout: Literal["argmax", "sample"] = "argmax"
    initializer_range: float = 0.02
    decoder_initializer_range: float = 0.1
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 0

    def validate_sizes(self) -> None:
        for name in ("vocab_size", "sequence_length", "latent_size", "code_size", "embedding_size", "hidden_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; set it to 1 or more.")
        if any(size < 1 for size in self.layer_sizes):
            raise ValueError(f"layer_sizes is {list(self.layer_sizes)}; set each to 1 or more.")

    def validate_token_ids(self) -> None:
        for name in ("bos_token_id", "pad_token_id"):
            if getattr(self, name) is None or not 0 <= getattr(self, name) < self.vocab_size:
                raise ValueError(f"{name} is {getattr(self, name)}; set it to an id from 0 to {self.vocab_size - 1}.")


__all__ = ["LatentGeneratorConfig"]
