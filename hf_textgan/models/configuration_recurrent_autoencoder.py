"""Configuration of the recurrent autoencoder."""

from typing import Literal

from huggingface_hub.dataclasses import strict

from .configuration_utils import UntiedConfig


@strict
class RecurrentAutoencoderConfig(UntiedConfig):
    r"""
    Configuration of [`RecurrentAutoencoder`]. The defaults are the teacher of TextKD-GAN (arXiv 1905.01976): one LSTM
    layer of 512 cells on each side, a line of 32 characters.

    Args:
        vocab_size (`int`, *optional*, defaults to `100`):
            Number of tokens, special tokens included.
        sequence_length (`int`, *optional*, defaults to `32`):
            Maximum number of tokens of a sequence, EOS included.
        embedding_size (`int`, *optional*, defaults to `128`):
            Width of the embeddings; the encoder and the decoder have separate ones.
        hidden_size (`int`, *optional*, defaults to `512`):
            Width of the states and of the code.
        padding (`"token"` or `"masked"`, *optional*, defaults to `"token"`):
            Whether padding is an ordinary token, so that every sequence has `sequence_length` tokens (TextKD-GAN), or
            is masked (ARAE, where the encoder reads BOS and the tokens before EOS).
        decoder_input (`"greedy"`, `"soft"` or `"teacher_forcing"`, *optional*, defaults to `"greedy"`):
            Input of the decoder from the position before, in training: the embedding of its own most probable token,
            the mean of the embeddings under its own probabilities, or the embedding of the true token.
        normalize_code (`bool`, *optional*, defaults to `False`):
            Whether the code is divided by its norm (ARAE).
        initializer_range (`float`, *optional*, defaults to `0.1`):
            Bound of the uniform distribution U(-range, range) of the parameters; the output layer's bias starts at 0.

    Example:

    ```python
    >>> from hf_textgan import RecurrentAutoencoder, RecurrentAutoencoderConfig

    >>> model = RecurrentAutoencoder(RecurrentAutoencoderConfig(vocab_size=100))
    ```"""

    model_type = "textgan_recurrent_autoencoder"
    keys_to_ignore_at_inference = ["codes"]  # predictions are the scores alone

    vocab_size: int = 100
    sequence_length: int = 32
    embedding_size: int = 128
    hidden_size: int = 512
    padding: Literal["token", "masked"] = "token"
    decoder_input: Literal["greedy", "soft", "teacher_forcing"] = "greedy"
    normalize_code: bool = False
    initializer_range: float = 0.1
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 0

    def validate_sizes(self) -> None:
        for name in ("vocab_size", "sequence_length", "embedding_size", "hidden_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; set it to 1 or more.")

    def validate_token_ids(self) -> None:
        for name in ("bos_token_id", "pad_token_id"):
            if getattr(self, name) is None or not 0 <= getattr(self, name) < self.vocab_size:
                raise ValueError(f"{name} is {getattr(self, name)}; set it to an id from 0 to {self.vocab_size - 1}.")


__all__ = ["RecurrentAutoencoderConfig"]
