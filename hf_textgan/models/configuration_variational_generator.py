"""Configuration of the recurrent generator with a latent variable at every step."""

from huggingface_hub.dataclasses import strict

from .configuration_recurrent_generator import RecurrentGeneratorConfig


@strict
class VariationalGeneratorConfig(RecurrentGeneratorConfig):
    r"""
    Configuration of [`VariationalGeneratorForCausalLM`]. The defaults are the generator of VGAN (arXiv 1712.00170).

    Args:
        vocab_size (`int`, *optional*, defaults to `5000`):
            Number of tokens, special tokens included.
        embedding_size (`int`, *optional*, defaults to `300`):
            Width of the token embeddings.
        hidden_size (`int`, *optional*, defaults to `300`):
            Width of the recurrent state, and of the layer that joins it with the latent variable.
        latent_size (`int`, *optional*, defaults to `60`):
            Dimensions of the latent variable of a step.
        posterior_size (`int`, *optional*, defaults to `128`):
            Width of the hidden layer of the approximate posterior.
        posterior_reads_target (`bool`, *optional*, defaults to `False`):
            Whether the posterior of a step also reads the token that the step predicts. Without it the posterior knows
            nothing that the prior of the next step does not know.
        recurrent_latents (`bool`, *optional*, defaults to `False`):
            Whether the latent variable of a step also enters the next step of the recurrence, which then runs one
            position at a time.
        peephole (`bool`, *optional*, defaults to `False`):
            Whether the gates also read the previous cell through full matrices and have no biases, as printed in the
            paper (equations 1 to 5). The recurrence then runs one position at a time.
        num_hidden_layers (`int`, *optional*, defaults to `1`):
            Number of stacked recurrent layers.
        cell_type (`"lstm"` or `"gru"`, *optional*, defaults to `"lstm"`):
            The recurrent cell.
        dropout (`float`, *optional*, defaults to `0.5`):
            Dropout on the output of the recurrent layers where prior, posterior and output layer read it, and between
            the layers, in training mode only.
        initializer_range (`float`, *optional*, defaults to `0.1`):
            Standard deviation of the normal distribution from which every array, biases included, is drawn.
        tie_word_embeddings (`bool`, *optional*, defaults to `False`):
            Whether the output layer has the weights of the embeddings, which needs `embedding_size` equal to
            `hidden_size`.
        use_cache (`bool`, *optional*, defaults to `True`):
            Whether `forward` returns the recurrent state, so that `generate` feeds one token at a time.

    Example:

    ```python
    >>> from hf_textgan import VariationalGeneratorConfig, VariationalGeneratorForCausalLM

    >>> model = VariationalGeneratorForCausalLM(VariationalGeneratorConfig(vocab_size=100))
    ```"""

    model_type = "textgan_variational"

    embedding_size: int = 300
    hidden_size: int = 300
    latent_size: int = 60
    posterior_size: int = 128
    posterior_reads_target: bool = False
    recurrent_latents: bool = False
    peephole: bool = False
    dropout: float = 0.5

    def validate_latents(self) -> None:
        for name in ("latent_size", "posterior_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; set it to 1 or more.")
        if self.peephole and (self.cell_type != "lstm" or self.num_hidden_layers != 1):
            raise ValueError(
                f"peephole is True, cell_type is {self.cell_type!r} and num_hidden_layers is "
                f"{self.num_hidden_layers}, but the gates of the paper are those of 1 LSTM layer; set "
                "cell_type to 'lstm' and num_hidden_layers to 1, or peephole to False."
            )


__all__ = ["VariationalGeneratorConfig"]
