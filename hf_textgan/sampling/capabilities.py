"""The capabilities of a generator, which its model declares and only this module reads."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Capabilities:
    """
    The capabilities of a generator.

    Args:
        likelihood (`"exact"`, `"bound"` or `None`):
            Whether the model computes the probability of a text, a bound on it, or neither.
        prompts (`bool`):
            Whether it can continue the beginning of a text.
        sampling (`"autoregressive"`, `"encoder-decoder"` or `"one-shot"`):
            Whether it draws one token after the other, one token after the other given a source text, or all tokens of
            a sequence at once.
        temperature (`bool`):
            Whether its draws depend on a temperature.
        row_inputs (`tuple[str, ...]`):
            The names of what it reads beside tokens with one row per sequence, for example `class_labels`, `latents`
            or `condition_ids`. It gets them at every step.
        step_inputs (`tuple[str, ...]`):
            The names of what it reads with each token, for example `noise`, of shape `(rows, positions, ...)`. A step
            gets the positions of the tokens that it reads; position 0 is that of BOS.
    """

    likelihood: Literal["exact", "bound"] | None = "exact"
    prompts: bool = True
    sampling: Literal["autoregressive", "encoder-decoder", "one-shot"] = "autoregressive"
    temperature: bool = True
    row_inputs: tuple[str, ...] = ()
    step_inputs: tuple[str, ...] = ()


def capabilities_of(model: Any) -> Capabilities:
    """
    Returns the [`Capabilities`] that a generator, or its class, declares in the attributes `likelihood`,
    `accepts_prompts`, `sampling_kind`, `uses_temperature`, `row_inputs` and `step_inputs`. A language model of
    transformers declares none of them. It has an exact likelihood, accepts prompts, draws one token after the other
    and reads nothing but tokens, unless it has an encoder: then it reads a source text, `condition_ids` and
    `condition_mask`, too. A class whose `uses_temperature` depends on the configuration counts as dependent on
    a temperature.
    """
    config = getattr(model, "config", getattr(model, "config_class", None))
    encoder_decoder = getattr(config, "is_encoder_decoder", False)
    sampling: Any = getattr(model, "sampling_kind", "encoder-decoder" if encoder_decoder else "autoregressive")
    source = ("condition_ids", "condition_mask") if sampling == "encoder-decoder" else ()
    return Capabilities(
        likelihood=getattr(model, "likelihood", "exact"),
        prompts=getattr(model, "accepts_prompts", True),
        sampling=sampling,
        temperature=bool(getattr(model, "uses_temperature", True)),
        row_inputs=tuple(getattr(model, "row_inputs", source)),
        step_inputs=tuple(getattr(model, "step_inputs", ())),
    )


__all__ = ["Capabilities", "capabilities_of"]
