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
        use_cache (`bool`, *optional*, defaults to `True`):
            Whether `forward` returns the recurrent state, so that `generate` feeds one token at a time.

    Example:

    ```python
    >>> from hf_textgan import RecurrentGeneratorConfig, RecurrentGeneratorForCausalLM

    >>> model = RecurrentGeneratorForCausalLM(RecurrentGeneratorConfig(vocab_size=100))
    ```"""

    model_type = "textgan_recurrent"

    vocab_size: int = 5000
    embedding_size: int = 32
    hidden_size: int = 32
    num_hidden_layers: int = 1
    cell_type: Literal["lstm", "gru"] = "lstm"
    dropout: float = 0.0
    initializer_range: float = 0.1
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


__all__ = ["RecurrentGeneratorConfig"]
