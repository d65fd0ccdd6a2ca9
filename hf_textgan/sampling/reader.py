"""One step of any generator."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.generation.utils import ALL_CACHE_NAMES
from transformers.utils import ModelOutput

from .categorical import draw_categorical, draw_from_hidden
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

    The first step tells whether the scores are the output layer applied to its input and nothing more. If so, the
    model stops before that layer in the later steps, and the draw applies it to a few rows at a time.

    Args:
        model (`PreTrainedModel`):
            The bare generator.
        temperature (`float`, *optional*, defaults to `1.0`):
            Of every draw.
    """

    def __init__(self, model: PreTrainedModel, temperature: float = 1.0):
        self.model = model
        self.temperature = temperature
        self.state_name: str | None = None
        self.state = None
        self.history: torch.LongTensor | None = None  # for a model that keeps no state
        self.size = 0
        head = getattr(model, "get_output_embeddings", lambda: None)()
        # A layer whose own `forward` was replaced is left alone.
        self.head = head if type(head) is nn.Linear and "forward" not in vars(head) else None
        self.layer: OutputLayer | None = None
        self.first = True
        self.output: torch.Tensor | None = None  # (R, H) what the head reads, or (R, V) without a head

    def read(self, tokens: torch.LongTensor) -> None:
        """Feeds one token per row, `(R,)`, or several, `(R, length)`."""
        self.size = len(tokens)
        tokens = tokens if tokens.dim() == 2 else tokens[:, None]
        if self.state is not None:
            inputs = {"input_ids": tokens, self.state_name: self.state}
        else:
            self.history = tokens if self.history is None else torch.cat([self.history, tokens], dim=1)
            inputs = {"input_ids": self.history}
        if self.head is not None and not self.first:
            with passing_through(self.head):
                output = self.model(**inputs, use_cache=True)
            self.output = output.logits[:, -1]
        else:
            output = self._read_first(inputs)
        for name in ALL_CACHE_NAMES:
            if output.get(name) is not None:
                self.state_name, self.state, self.history = name, output[name], None

    def _read_first(self, inputs: dict) -> ModelOutput:
        seen: list[tuple] = []
        with _watching(self.head, seen):
            output = self.model(**inputs, use_cache=True)
        self.output = logits = output.logits[:, -1]
        self.first = False
        # The head is called once, with the last position last, and nothing comes after it.
        plain = len(seen) == 1 and len(seen[0]) == 1 and seen[0][0].dim() == 3
        if plain and torch.equal(self.head(seen[0][0])[:, -1], logits):
            self.output = seen[0][0][:, -1]
        else:
            self.head = None
        return output

    def draw(
        self,
        rows: slice,
        num_draws: int | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> torch.LongTensor:
        """Draws the next token of some of the rows, `(R,)`, or several of each, `(R, num_draws)`."""
        if self.head is None:
            return draw_categorical(self.output[rows], self.temperature, num_draws, top_k, top_p)
        if self.layer is None and self.output.device.type == "cpu" and self.output.dtype == torch.float32:
            self.layer = OutputLayer(self.head.weight, self.head.bias, self.temperature)
        return draw_from_hidden(self.output[rows], self.head, self.temperature, num_draws, top_k, top_p, self.layer)

    def select(self, rows: torch.LongTensor) -> None:
        """Keeps `rows`, in this order; rows may repeat."""
        self.size = len(rows)
        if self.state is not None:
            self.state.reorder_cache(rows)
        else:
            self.history = self.history[rows]


def state_bytes(state: object, seen: set[int] | None = None) -> int:
    """Returns the bytes of the tensors of a state, at any depth."""
    seen = set() if seen is None else seen
    if id(state) in seen or isinstance(state, type):
        return 0
    seen.add(id(state))
    if isinstance(state, torch.Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, list | tuple):
        parts = state
    else:
        parts = (state if isinstance(state, dict) else getattr(state, "__dict__", {})).values()
    return sum(state_bytes(part, seen) for part in parts)


@contextmanager
def _watching(layer: nn.Linear | None, seen: list[tuple]) -> Iterator[None]:
    """Appends what the layer is called with to `seen`."""
    hook = layer.register_forward_pre_hook(lambda _, arguments: seen.append(arguments)) if layer is not None else None
    try:
        yield
    finally:
        if hook is not None:
            hook.remove()


@contextmanager
def passing_through(layer: nn.Linear) -> Iterator[None]:
    """Makes the layer return its input."""
    layer.forward = lambda hidden: hidden
    try:
        yield
    finally:
        del layer.forward


__all__ = ["Reader", "evaluating", "passing_through", "state_bytes"]
