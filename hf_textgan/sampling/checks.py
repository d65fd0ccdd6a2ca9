"""Checks of a generator before it is used: its parameters are finite, and it does not read what it is to predict."""

import torch
from torch import nn
from transformers import PreTrainedModel

from ..utils.random import fork_rng
from .capabilities import capabilities_of
from .inputs import draw_inputs
from .reader import evaluating


_LENGTH = 4  # tokens of the sequences that a causal model reads


def check_generator(model: PreTrainedModel) -> None:
    """
    Raises an error for a generator that cannot generate.

    Raises:
        `ValueError`: If a parameter is not finite, or if the scores of a token depend on the tokens after it.
    """
    check_finite("generator", model)
    check_causal(model)


def check_finite(name: str, model: nn.Module) -> None:
    """Raises `ValueError` if a parameter of the player `name` is NaN or infinite."""
    for parameter_name, parameter in model.named_parameters():
        if parameter.device.type != "meta" and parameter.is_floating_point() and not bool(parameter.isfinite().all()):
            raise ValueError(
                f"The parameter {parameter_name} of the {name} is not finite; load weights from before the training "
                "diverged, or build the model anew."
            )


def check_causal(model: PreTrainedModel) -> None:
    """
    Raises `ValueError` if an autoregressive generator, such as an encoder, reads the tokens that it is to predict. It
    reads short sequences that differ in the last token; the scores at the tokens before must be the same. A sequence
    that occurs twice tells how far the scores differ by rounding alone.
    """
    positions = getattr(model.config, "max_position_embeddings", None) or -1  # -1 if there is no limit
    length = min(_LENGTH, positions) if positions > 0 else _LENGTH
    if capabilities_of(model).sampling != "autoregressive" or length < 2:
        return
    special = {getattr(model.config, f"{name}_token_id", None) for name in ("bos", "eos", "pad")}
    tokens = [token for token in range(min(getattr(model.config, "vocab_size", 0), 8)) if token not in special][:2]
    if len(tokens) < 2:
        return
    sequences = torch.full((3, length), tokens[0], device=model.device)
    sequences[1, -1] = tokens[1]
    with evaluating(model), fork_rng("causality"), torch.no_grad():
        known = capabilities_of(model)
        names = (*known.row_inputs, *known.step_inputs)
        drawn = draw_inputs(model, 1, length) if names else {}
        if any(name not in drawn for name in names):
            return  # it reads conditions, which only data have
        inputs = {name: drawn[name].expand(3, *drawn[name].shape[1:]) for name in names}
        logits = model(input_ids=sequences, **inputs, use_cache=False).logits[:, :-1].float()
    difference, rounding = (float((logits[0] - logits[row]).abs().amax()) for row in (1, 2))
    if difference > 1e-5 * float(logits.abs().amax()) + 10 * rounding:
        raise ValueError(
            f"The generator is a {type(model).__name__} whose scores of a token depend on the tokens after it, so it "
            "cannot write one token after the other; use a causal language model, or set is_decoder=True in the "
            "configuration of an encoder that can be one."
        )


__all__ = ["check_causal", "check_finite", "check_generator"]
