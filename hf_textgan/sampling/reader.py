"""One step of any generator."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.generation.utils import ALL_CACHE_NAMES
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils.generic import ModelOutput

from .capabilities import capabilities_of
from .categorical import draw_categorical, draw_from_hidden
from .inputs import arguments_of
from .output_layer import OutputLayer


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Puts `model` in evaluation mode (dropout off) and restores its mode."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


class Reader:
    """
    One step of any generator: the model, its state, and the batch of sequences that it has read so far.

    An encoder reads the conditions once, before the first step.

    The first step finds out whether the scores are exactly the output of the output layer. If so, later steps skip
    that layer, and the draw applies it to a few rows at a time.

    Args:
        model (`PreTrainedModel`):
            The bare generator.
        temperature (`float`, *optional*, defaults to `1.0`):
            Temperature of every draw.
        inputs (`dict[str, torch.Tensor]`, *optional*):
            What the model reads beside tokens, a row per sequence; `select` selects them as well.
    """

    def __init__(
        self, model: PreTrainedModel, temperature: float = 1.0, inputs: dict[str, torch.Tensor] | None = None
    ):
        self.model = model
        self.temperature = temperature
        self.inputs = inputs or {}
        self.capabilities = capabilities_of(model)
        self.encoded: torch.Tensor | None = None  # (R, source length, H), of a model with an encoder
        self.num_read = 0  # tokens of each sequence
        self.state_name: str | None = None
        self.state: Any = None
        self.history: torch.Tensor | None = None  # for a model that keeps no state
        self.size = 0
        head = getattr(model, "get_output_embeddings", lambda: None)()
        # A layer whose `forward` was replaced is never skipped.
        self.head = head if type(head) is nn.Linear and "forward" not in vars(head) else None
        self.layer: OutputLayer | None = None
        self.first = True
        self.output: torch.Tensor | None = None  # (R, H) input of the head, or (R, V) scores without a head

    def read(self, tokens: torch.Tensor) -> None:
        """Feeds one token per row, `(R,)`, or several, `(R, length)`."""
        self.size = len(tokens)
        tokens = tokens if tokens.dim() == 2 else tokens[:, None]
        start, self.num_read = self.num_read, self.num_read + tokens.shape[1]
        if self.state is not None and self.state_name is not None:
            state: dict[str, Any] = {self.state_name: self.state}
        else:
            tokens = tokens if self.history is None else torch.cat([self.history, tokens], dim=1)
            self.history, state, start = tokens, {}, 0
        inputs = {**arguments_of(self.model, tokens, self.inputs, start, self.num_read), **state}
        if "decoder_input_ids" in inputs:
            self._encode(inputs)
        if self.head is not None and not self.first:
            with passing_through(self.head):
                output = self.model(**inputs, use_cache=True)
            self.output = output.logits[:, -1]
        else:
            output = self._read_first(inputs)
        for name in ALL_CACHE_NAMES:
            if output.get(name) is not None:
                self.state_name, self.state, self.history = name, output[name], None

    def _encode(self, inputs: dict[str, Any]) -> None:
        """Puts what the encoder makes of the conditions in their place."""
        condition_ids = inputs.pop("input_ids")
        if self.encoded is None:
            encoder: Any = self.model.get_encoder()
            self.encoded = encoder(input_ids=condition_ids, attention_mask=inputs["attention_mask"])[0]
        inputs["encoder_outputs"] = BaseModelOutput(last_hidden_state=cast(Any, self.encoded))

    def _read_first(self, inputs: dict[str, Any]) -> ModelOutput:
        """Runs the whole model, and keeps the input of the output layer if the scores are its output alone."""
        calls: list[tuple[tuple, torch.Tensor, int]] = []
        with _recording(self.head, calls):
            output = self.model(**inputs, use_cache=True)
        self.output = logits = output.logits[:, -1]
        self.first = False
        if self.head is not None and len(calls) == 1:
            arguments, scores, version = calls[0]
            # The scores are the tensor that the head has returned, unchanged: nothing comes after it, not even a bias
            # that is still 0. Its last position is that of the sequence.
            untouched = scores.untyped_storage().data_ptr() == output.logits.untyped_storage().data_ptr()
            plain = len(arguments) == 1 and arguments[0].dim() == 3
            if untouched and plain and _version(scores) == version:
                if torch.equal(self.head(arguments[0])[:, -1], logits):
                    self.output = arguments[0][:, -1]
                    return output
        self.head = None
        return output

    def draw(
        self,
        rows: slice | torch.Tensor,
        num_draws: int | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> torch.Tensor:
        """Draws the next token of some of the rows, `(R,)`, or several of each, `(R, num_draws)`."""
        assert self.output is not None  # `read` comes first
        if self.head is None:
            return draw_categorical(self.output[rows], self.temperature, num_draws, top_k, top_p)
        if self.layer is None and self.output.device.type == "cpu" and self.output.dtype == torch.float32:
            self.layer = OutputLayer(self.head.weight, self.head.bias, self.temperature)
        return draw_from_hidden(self.output[rows], self.head, self.temperature, num_draws, top_k, top_p, self.layer)

    def select(self, rows: torch.Tensor) -> None:
        """Keeps `rows`, in this order; rows may repeat."""
        self.size = len(rows)
        self.inputs = {name: value[rows] for name, value in self.inputs.items()}
        if self.encoded is not None:
            self.encoded = self.encoded[rows]
        if self.state is not None:
            self.state.reorder_cache(rows)
        else:
            assert self.history is not None  # `read` comes first
            self.history = self.history[rows]

    def num_bytes(self, length: int) -> int:
        """
        Returns about how many bytes the state of what was read takes after `length` tokens, if one was read. A
        key-value cache grows with the sequence and a recurrent state does not: this bound covers both. What is kept of
        the conditions does not grow.
        """
        growing = state_bytes(getattr(self.state, "self_attention_cache", self.state))
        return growing * length + state_bytes(self.state) - growing + state_bytes(self.encoded)


def state_bytes(state: object, counted: set[int] | None = None) -> int:
    """Returns the number of bytes of the tensors of a state, at any depth."""
    counted = set() if counted is None else counted
    if id(state) in counted or isinstance(state, type):
        return 0
    counted.add(id(state))
    if isinstance(state, torch.Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, list | tuple):
        parts = state
    else:
        parts = (state if isinstance(state, dict) else getattr(state, "__dict__", {})).values()
    return sum(state_bytes(part, counted) for part in parts)


@contextmanager
def _recording(layer: nn.Linear | None, calls: list[tuple[tuple, torch.Tensor, int]]) -> Iterator[None]:
    """Appends the arguments, the result and the version of the result of every call of the layer to `calls`."""

    def record(_: nn.Module, arguments: tuple, result: torch.Tensor) -> None:
        calls.append((arguments, result, _version(result)))

    hook = layer.register_forward_hook(record) if layer is not None else None
    try:
        yield
    finally:
        if hook is not None:
            hook.remove()


def _version(tensor: torch.Tensor) -> int:
    """Returns how often a tensor was changed in place; 0 where that is not counted."""
    return 0 if tensor.is_inference() else tensor._version


@contextmanager
def passing_through(layer: nn.Linear) -> Iterator[None]:
    """Makes the layer return its input."""
    layer.forward = lambda input: input
    try:
        yield
    finally:
        del layer.forward


__all__ = ["Reader", "evaluating", "passing_through", "state_bytes"]
