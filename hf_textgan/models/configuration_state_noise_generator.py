"""Configuration of the recurrent generator whose state begins with noise."""

from huggingface_hub.dataclasses import strict

from .configuration_recurrent_generator import RecurrentGeneratorConfig


@strict
class StateNoiseGeneratorConfig(RecurrentGeneratorConfig):
    r"""
    Configuration of [`StateNoiseGeneratorForCausalLM`], the generator of GSGAN (arXiv 1611.04051). The sizes and
    `initializer_range` are those of its reimplementation in Texygen.

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
            Whether the output layer has the weights of the embeddings, which needs `embedding_size` equal to
            `hidden_size`.
        use_cache (`bool`, *optional*, defaults to `True`):
            Whether `forward` returns the recurrent state, so that `generate` feeds one token at a time.
    """

    model_type = "textgan_state_noise"


__all__ = ["StateNoiseGeneratorConfig"]
