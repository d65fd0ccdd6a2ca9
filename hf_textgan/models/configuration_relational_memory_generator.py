"""Configuration of the relational memory generator."""

from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


@strict
class RelationalMemoryGeneratorConfig(PreTrainedConfig):
    r"""
    Configuration of [`RelationalMemoryGeneratorForCausalLM`]. The defaults are the generator of RelGAN (ICLR 2019,
    OpenReview rJedV3R5tm).

    Args:
        vocab_size (`int`, *optional*, defaults to `5000`):
            Number of tokens, special tokens included.
        embedding_size (`int`, *optional*, defaults to `32`):
            Width of the token embeddings.
        num_slots (`int`, *optional*, defaults to `1`):
            Number of rows of the memory.
        num_heads (`int`, *optional*, defaults to `2`):
            Number of attention heads.
        head_size (`int`, *optional*, defaults to `256`):
            Width of a head; a row of the memory has `num_heads * head_size` numbers.
        num_blocks (`int`, *optional*, defaults to `1`):
            Number of times that attention and MLP, with the same weights, are applied in a step.
        num_mlp_layers (`int`, *optional*, defaults to `2`):
            Number of layers of the MLP.
        gate_style (`"unit"`, `"memory"` or `"none"`, *optional*, defaults to `"unit"`):
            Gates for each number of the memory, for each of its rows, or none.
        input_bias (`float`, *optional*, defaults to `0.0`):
            Added to the scores of the input gates.
        forget_bias (`float`, *optional*, defaults to `1.0`):
            Added to the scores of the forget gates.
        tie_word_embeddings (`bool`, *optional*, defaults to `False`):
            Whether the output layer has the weights of the embeddings, which needs `embedding_size` equal to
            `num_slots * num_heads * head_size`.
        use_cache (`bool`, *optional*, defaults to `True`):
            Whether `forward` returns the memory, so that `generate` feeds one token at a time.
    """

    model_type = "textgan_relational_memory"
    keys_to_ignore_at_inference = ["past_key_values", "cache"]  # the state is not a tensor

    vocab_size: int = 5000
    embedding_size: int = 32
    num_slots: int = 1
    num_heads: int = 2
    head_size: int = 256
    num_blocks: int = 1
    num_mlp_layers: int = 2
    gate_style: Literal["unit", "memory", "none"] = "unit"
    input_bias: float = 0.0
    forget_bias: float = 1.0
    tie_word_embeddings: bool = False
    use_cache: bool = True
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 0

    @property
    def memory_size(self) -> int:
        """The width of a row of the memory."""
        return self.num_heads * self.head_size

    def validate_sizes(self) -> None:
        for name in (
            "vocab_size",
            "embedding_size",
            "num_slots",
            "num_heads",
            "head_size",
            "num_blocks",
            "num_mlp_layers",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; set it to 1 or more.")

    def validate_tied_embeddings(self) -> None:
        width = self.num_slots * self.memory_size
        if self.tie_word_embeddings and self.embedding_size != width:
            raise ValueError(
                f"tie_word_embeddings is True, but embedding_size is {self.embedding_size} and the memory has {width} "
                "numbers; set both to the same size, or tie_word_embeddings to False."
            )


__all__ = ["RelationalMemoryGeneratorConfig"]
