"""
What a generator reads beside tokens: class labels, latents, noise, conditions.

A generator names its inputs in `row_inputs` and `step_inputs` (see [`Capabilities`]), gets them as arguments of
`forward`, and draws those that can be drawn in ``draw_inputs(num_rows, length)``, which returns them by name with
`num_rows` rows and, for `step_inputs`, `length` positions. A generator that declares none reads tokens alone.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from .capabilities import Capabilities, capabilities_of


# The column of a batch of real text that holds an input, where it has another name: `labels` are targets elsewhere.
_COLUMNS = {"class_labels": "labels"}


def draw_missing(
    model: Any, given: Mapping[str, torch.Tensor] | None, num_rows: int, length: int
) -> dict[str, torch.Tensor]:
    """
    Returns all inputs of a generator: the given ones, and draws of the others.

    Args:
        model (`PreTrainedModel`):
            The bare generator.
        given (`Mapping[str, torch.Tensor]`, *optional*):
            Inputs by name, of `num_rows` rows; those in `step_inputs` have at least `length` positions.
        num_rows (`int`):
            Number of sequences.
        length (`int`):
            Number of positions of `step_inputs`.

    Raises:
        `ValueError`: If an input is given that the generator does not read, has another size, or can neither be drawn
            nor is given.
    """
    known, given = capabilities_of(model), dict(given or {})
    names = (*known.row_inputs, *known.step_inputs)
    for name, value in given.items():
        if name not in names:
            raise ValueError(
                f"{name} is given, but a {type(model).__name__} reads {', '.join(names) or 'nothing'} beside tokens; "
                "leave it out."
            )
        if len(value) != num_rows:
            raise ValueError(f"{name} has {len(value)} rows for {num_rows} sequences; give one row each.")
        if name in known.step_inputs and value.shape[1] < length:
            raise ValueError(f"{name} has {value.shape[1]} positions for sequences of {length}; give one each.")
    inputs = {name: value.to(model.device) for name, value in given.items()}
    if len(inputs) < len(names):
        inputs = {**draw_inputs(model, num_rows, length), **inputs}
        missing = [name for name in names if name not in inputs]
        if missing:
            raise ValueError(
                f"A {type(model).__name__} reads {', '.join(missing)}, which it cannot draw; give them in inputs, or "
                "train and evaluate it on data that have them."
            )
    return {name: inputs[name] for name in names}


def draw_inputs(model: Any, num_rows: int, length: int) -> dict[str, torch.Tensor]:
    """Returns draws of the inputs of a generator that can be drawn."""
    return model.draw_inputs(num_rows, length) if hasattr(model, "draw_inputs") else {}


def inputs_of_columns(model: Any, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns the columns of a collated batch that a generator reads, by the names of its inputs."""
    known = capabilities_of(model)
    columns = {name: _COLUMNS.get(name, name) for name in (*known.row_inputs, *known.step_inputs)}
    return {name: batch[column] for name, column in columns.items() if column in batch}


def unread_columns(model: Any, row: Mapping[str, Any]) -> list[str]:
    """Returns the columns `labels` and `condition_ids` of a row of data that a generator does not read."""
    read = {_COLUMNS.get(name, name) for name in capabilities_of(model).row_inputs}
    return [name for name in ("labels", "condition_ids") if name in row and name not in read]


def arguments_of(
    model: Any, input_ids: torch.Tensor, inputs: Mapping[str, torch.Tensor], start: int, stop: int
) -> dict[str, Any]:
    """
    Returns the arguments of `forward` with which a generator reads tokens from BOS on, or those at some positions,
    with their part of the inputs. A language model with an encoder gets the condition as its `input_ids` and the
    tokens as `decoder_input_ids`, where its own first token takes the place of BOS.

    Args:
        model (`PreTrainedModel`):
            The generator, wrapped or not.
        input_ids (`torch.LongTensor` of shape `(batch_size, stop - start)`):
            The tokens; position 0 is that of BOS.
        inputs (`Mapping[str, torch.Tensor]`):
            What the generator reads beside tokens.
        start, stop (`int`):
            The positions of the tokens.
    """
    model = bare_model(model)
    known = capabilities_of(model)
    given = at_positions(known, inputs, start, stop)
    if known.sampling != "encoder-decoder":
        return {"input_ids": input_ids, **given}
    first = decoder_start_token_id(model)
    if start == 0 and first is not None:
        input_ids = torch.cat([torch.full_like(input_ids[:, :1], first), input_ids[:, 1:]], dim=1)
    condition = {"input_ids": given.pop("condition_ids"), "attention_mask": given.pop("condition_mask")}
    return {**condition, "decoder_input_ids": input_ids, **given}


def decoder_start_token_id(model: Any) -> int | None:
    """
    Returns the first token that the decoder of an encoder-decoder model reads, as `generate` finds it: that of its
    generation or model configuration; `None` if it is BOS.
    """
    configs: tuple[Any, ...] = (getattr(model, "generation_config", None), model.config)
    return next((config.decoder_start_token_id for config in configs if _has_start(config)), None)


def _has_start(config: Any) -> bool:
    return getattr(config, "decoder_start_token_id", None) is not None


def bare_model(model: Any) -> Any:
    """Returns the model that data parallelism may have wrapped."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def at_positions(
    known: Capabilities, inputs: Mapping[str, torch.Tensor], start: int, stop: int
) -> dict[str, torch.Tensor]:
    """
    Returns the inputs with which a generator reads the tokens at some positions: `row_inputs` as they are, and these
    positions of `step_inputs`. Other inputs, those of another generator, are left out.
    """
    missing = [name for name in (*known.row_inputs, *known.step_inputs) if name not in inputs]
    if missing:
        raise ValueError(
            f"The sequences come without {', '.join(missing)}, which the generator reads; take them from "
            "engine.sample(model, ...), or from engine.real_samples(model, batch)."
        )
    return {
        **{name: inputs[name] for name in known.row_inputs},
        **{name: inputs[name][:, start:stop] for name in known.step_inputs},
    }


__all__ = [
    "arguments_of",
    "at_positions",
    "bare_model",
    "decoder_start_token_id",
    "draw_inputs",
    "draw_missing",
    "inputs_of_columns",
    "unread_columns",
]
