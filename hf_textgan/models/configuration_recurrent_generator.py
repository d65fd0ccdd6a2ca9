"""Configuration of the recurrent (LSTM, GRU) generator."""

from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


@strict
class RecurrentGeneratorConfig(PreTrainedConfig):
    r"""
    Configuration of [`RecurrentGeneratorForCausalLM`]. The defaults are the generator of SeqGAN (arXiv 1609.05473):
    embedding and hidden size 32, one LSTM layer, every parameter drawn from N(0, 0.1).

    Args:
        vocab_size (`int`, *optional*, defaults to `5000`):
            Number of tokens, special tokens included.
        embedding_size (`int`, *optional*, defaults to `32`):
            Width of the token embeddings.
        hidden_size (`int`, *optional*, defaults to `32`):
            Width of the recurrent state.
        num_hidden_layers (`int`, *optional*, defaults to `1`):
            Number of stacked recurrent layers.
        cell_type (`"lstm"` or `"gru"`, *optional*, defaults to `"lstm"`):
            The recurrent cell.
        dropout (`float`, *optional*, defaults to `0.0`):
            Dropout on the embeddings, between the layers and before the output layer, in training mode only.
        initializer_range (`float`, *optional*, defaults to `0.1`):
            Standard deviation of the normal distribution from which every array, biases included, is drawn.
        tie_word_embeddings (`bool`, *optional*, defaults to `False`):
            Whether the output layer has the weights of the embeddings (Press and Wolf 2017, arXiv 1608.05859), which
            needs `embedding_size` equal to `hidden_size`.
        use_cache (`bool`, *optional*, defaults to `True`):
            Whether `forward` returns the recurrent state, so that `generate` feeds one token at a time.

    Example:

    ```python
    >>> from hf_textgan import RecurrentGeneratorConfig, RecurrentGeneratorForCausalLM

    >>> model = RecurrentGeneratorForCausalLM(RecurrentGeneratorConfig(vocab_size=100))
    ```"""

    model_type = "textgan_recurrent"
    keys_to_ignore_at_inference = ["past_key_values", "cache"]  # the state is not a tensor

    vocab_size: int = 5000
    embedding_size: int = 32
    hidden_size: int = 32
    num_hidden_layers: int = 1
    cell_type: Literal["lstm", "gru"] = "lstm"
    dropout: float = 0.0
    initializer_range: float = 0.1
    tie_word_embeddings: bool = False
    use_cache: bool = True
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 0

    def validate_sizes(self) -> None:
        for name in ("vocab_size", "embedding_size", "hidden_size", "num_hidden_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; set it to 1 or more.")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}; set it to at least 0 and less than 1.")

    def validate_tied_embeddings(self) -> None:
        if self.tie_word_embeddings and self.embedding_size != self.hidden_size:
            raise ValueError(
                f"tie_word_embeddings is True, but embedding_size is {self.embedding_size} and hidden_size "
                f"{self.hidden_size}; set both to the same size, or tie_word_embeddings to False."
            )


__all__ = ["RecurrentGeneratorConfig"]
