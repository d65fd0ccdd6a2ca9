"""Relaxed one-hot samples: sequences of tokens through which a gradient flows back into their generator."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from transformers import PreTrainedModel
from transformers.generation.utils import ALL_CACHE_NAMES

from .capabilities import capabilities_of
from .inputs import at_positions
from .samples import Samples


Feed = Literal["soft", "hard", "straight-through"]
FEEDS: tuple[str, ...] = get_args(Feed)

_SMALLEST = 2**-25  # in the place of a uniform number 0, the others being multiples of 2^-24


@dataclass
class RelaxedSamples:
    """
    Sampled sequences as relaxed one-hot vectors.

    Args:
        onehots (`torch.FloatTensor` of shape `(batch_size, max_length, vocab_size)`):
            Vectors of non-negative numbers with sum 1, whose largest entry is the token. They carry the gradient.
            After the first EOS they are the one-hot vector of padding, which is constant.
        samples ([`Samples`]):
            The tokens, and what their generator read beside them.
    """

    onehots: torch.Tensor
    samples: Samples


def draw_relaxed(
    model: Any,
    bare: PreTrainedModel,
    inputs: dict[str, torch.Tensor],
    num_samples: int,
    length: int,
    bos_token_id: int,
    pad_token_id: int,
    eos_token_id: int | None,
    temperature: float,
    relaxation: float,
    feed: Feed,
    uniform: Callable[[int, int], torch.Tensor] | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Draws relaxed samples, one position after the other.

    Args:
        model:
            The generator, wrapped if it is trained under data parallelism.
        bare (`PreTrainedModel`):
            The same generator, not wrapped.
        uniform (`Callable`, *optional*):
            Returns numbers from U[0, 1) for a number of rows and of columns; `None` for no noise.

    Returns:
        The relaxed one-hot vectors, of shape `(num_samples, length, vocab_size)`, and the tokens, of shape
        `(num_samples, length)`. After EOS both are padding.
    """
    known = capabilities_of(bare)
    table = None if feed == "hard" else embedding_table(bare)
    name = "input_ids" if table is None else "inputs_embeds"
    read = torch.full((num_samples, 1), bos_token_id, device=bare.device)
    read = read if table is None else table[read]
    ended: torch.Tensor | None = None
    state: dict[str, Any] = {}
    tokens, onehots = [], []
    for position in range(length):
        start = position + 1 - read.shape[1]  # a model without a state reads all of them again
        output = model(**{name: read}, **at_positions(known, inputs, start, position + 1), **state, use_cache=True)
        logits = output.logits[:, -1].float()
        state = {name: output[name] for name in ALL_CACHE_NAMES if output.get(name) is not None}
        noise = uniform(*logits.shape).to(logits.device) if uniform is not None else None
        onehot, token = _Relax.apply(
            logits, noise, ended, pad_token_id, temperature, relaxation, feed == "straight-through"
        )
        if eos_token_id is not None:
            ended = token == eos_token_id if ended is None else ended | (token == eos_token_id)
        tokens.append(token)
        onehots.append(onehot)
        following = token[:, None] if table is None else (onehot.to(table.dtype) @ table)[:, None]
        read = following if state else torch.cat([read, following], dim=1)
    return torch.stack(onehots, dim=1), torch.stack(tokens, dim=1)


def global_uniform(device: torch.device) -> Callable[[int, int], torch.Tensor]:
    """Returns a function that draws numbers from U[0, 1) from torch's global generator."""
    return lambda rows, columns: torch.rand(rows, columns, device=device)


def embedding_table(model: PreTrainedModel) -> torch.Tensor:
    """
    Returns the embeddings of all tokens with gradient, `(vocab_size, embedding_size)`, whose mixtures a generator can
    read as `inputs_embeds`.
    """
    embeddings = model.get_input_embeddings()
    num_embeddings = getattr(embeddings, "num_embeddings", None) or model.config.vocab_size
    # Through the module, which may scale the rows of its weights.
    return embeddings(torch.arange(num_embeddings, device=model.device))


def check_relaxed(model: PreTrainedModel, feed: str) -> None:
    """Raises `ValueError` if a generator has no relaxed samples, or cannot read its own."""
    name = type(model).__name__
    if capabilities_of(model).sampling != "autoregressive":
        raise ValueError(
            f"A {name} does not write one token after the other, so it has no relaxed samples; use a causal language "
            "model."
        )
    if feed != "hard" and "inputs_embeds" not in inspect.signature(model.forward).parameters:
        raise ValueError(
            f"A {name} reads no inputs_embeds, so it cannot read its own relaxed tokens; set feed to 'hard', or use "
            "another generator."
        )


def check_relaxation(relaxation: float, feed: str) -> None:
    """Raises `ValueError` for invalid options of relaxed samples."""
    if not 0 < relaxation < float("inf"):
        raise ValueError(
            f"relaxation is {relaxation}; set it to a number above 0 (near 0 the vectors are one-hot, and their "
            "gradient varies the more)."
        )
    if feed not in FEEDS:
        raise ValueError(f"feed is {feed!r}; set it to one of {', '.join(map(repr, FEEDS))}.")


class _Relax(torch.autograd.Function):
    """
    ``y = softmax((l / temperature + g) / relaxation)`` with Gumbel noise ``g = -log(-log u)``, and the token
    ``argmax y``. Straight through, the value is one-hot and the gradient that of ``y``. A row that has ended is the
    one-hot vector of padding, whose derivative is 0.

    The numbers of `noise` are overwritten, and only ``y`` is kept for the backward pass: fresh memory as wide as the
    vocabulary costs more than the arithmetic.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: torch.Tensor,
        noise: torch.Tensor | None,
        ended: torch.Tensor | None,
        pad_token_id: int,
        temperature: float,
        relaxation: float,
        straight_through: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if noise is None:
            scores = logits / temperature
        else:
            scores = noise.clamp_(min=_SMALLEST).log_().neg_().log_().neg_()
            scores.add_(logits, alpha=1 / temperature)
        if ended is not None:
            scores.masked_fill_(ended[:, None], -torch.inf)
            scores[:, pad_token_id].masked_fill_(ended, 0.0)
        tokens = scores.argmax(-1)
        soft = scores.div_(relaxation).softmax(-1)
        ctx.save_for_backward(soft)
        ctx.scale = 1 / (temperature * relaxation)
        ctx.mark_non_differentiable(tokens)
        onehots = torch.zeros_like(soft).scatter_(1, tokens[:, None], 1.0) if straight_through else soft
        return onehots, tokens

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (soft,) = ctx.saved_tensors
        product = gradients[0] * soft
        to_logits = product.addcmul_(soft, product.sum(-1, keepdim=True), value=-1)
        return to_logits.mul_(ctx.scale), *[None] * 6


__all__ = ["RelaxedSamples"]
