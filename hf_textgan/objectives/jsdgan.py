"""JSDGAN: the discriminator is written down instead of trained, because the generator has a density."""

import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np
import torch
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.utils import logging

from ..core.context import ObjectiveOutput, StepContext
from ..core.players import Players
from ..core.schedule import Update
from ..data.rows import Rows
from ..data.statistics import iterate_ids
from ..sampling.capabilities import capabilities_of
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples
from .mle import MLEObjective


logger = logging.get_logger(__name__)

_VANISHED = 1e-6  # a mean weight below which the epsilon of Adam, 1e-8, outweighs the gradients
_SMALLEST_DENSITY = 1e-10  # of the rescaled ones


@dataclass
class JSDGANObjective(MLEObjective):
    """
    JSDGAN (Li, Xia, Lou, Xu, Wang, Xiao, AISTATS 2019).

    The optimal discriminator ``D*(x) = p_d(x) / (p_d(x) + p(x))`` follows from the generator's density ``p`` and the
    frequencies ``p_d`` of the training sequences, so no network is needed. The generator minimizes the value of the
    GAN, twice the Jensen-Shannon divergence less ``2 log 2``:

    ``J = sum_{x in X} p_d(x) log D*(x) + p(x) log(1 - D*(x))``

    over the distinct training sequences ``X``; elsewhere ``p_d`` and the summand are 0. The terms from ``D*`` cancel
    in its gradient ``sum_{x in X} p(x) log(1 - D*(x)) grad log p(x)``. Batches hold each sequence as often as the data
    do, so with the ratio ``r = p(x) / p_d(x)`` the loss of a step is the mean of ``- r log(1 + 1/r) log p(x)`` over
    its batch, the first two factors without gradient: the negative log-likelihood, weighted from 0 to 1. With dropout
    in the generator, the weights are those of the thinned network.

    Args:
        density (`"normalized"`, `"exact"` or `"min-max"`, *optional*, defaults to `"normalized"`):
            The density ratio. `"exact"` is the objective above; its gradient vanishes where the generator gives the
            training sequences almost no probability, as before any training. `"normalized"` takes the geometric mean
            of the ratio over the tokens, ``r^(1/T)`` for `T` tokens: its weights do not vanish, and ``p = p_d`` is
            still a fixed point. `"min-max"` rescales the densities of a batch of `B` sequences to the range from 0 to
            1, with ``p_d = 1/B``, as TextGAN-PyTorch does: the least likely one gets no weight.
        scheduled_sampling (`float`, *optional*, defaults to `0.0`):
            See [`MLEObjective`].

    Inputs:

    | player | batch |
    |---|---|
    | generator | `input_ids` of shape `(batch_size, length)` from BOS to EOS, `attention_mask` |

    Relations: [`MLEObjective`] with all weights 1; it can come first as pre-training.

    Deviations from the paper: how it treats long sequences is not known here.
    """

    density: Literal["normalized", "exact", "min-max"] = "normalized"

    panels = {
        **MLEObjective.panels,
        "divergence from the training sequences, at most 0.693 nats (lower is better)": ("generator/jsd",),
        "weight of the log-likelihood (1 is maximum likelihood)": ("generator/weight",),
    }

    several_processes = True  # min-max gathers the densities of all processes

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.density not in ("normalized", "exact", "min-max"):
            raise ValueError(f"density is {self.density!r}; set it to 'normalized', 'exact' or 'min-max'.")
        self._frequencies: SequenceFrequencies | None = None
        self._has_warned = False

    @property
    def couples_batch(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Returns whether the weight of a sequence depends on the others of its batch."""
        return self.density == "min-max"

    def updates(self) -> dict[str, tuple[Update, ...]]:
        return {**super().updates(), "adversarial": (Update("generator", "generator_loss"),)}

    def check_step_size(self, num_examples: int) -> None:
        if self.density == "min-max" and num_examples < 2:
            raise ValueError(
                f"A step has {num_examples} sequence, but density='min-max' compares the sequences of a batch; raise "
                "per_device_train_batch_size to 2 or more."
            )

    def check_players(self, models: dict[str, PreTrainedModel], engine: RolloutEngine) -> None:
        generator = models["generator"]
        if capabilities_of(generator).likelihood != "exact":
            raise ValueError(
                f"A {type(generator).__name__} cannot be trained by {type(self).__name__}, which needs the "
                "probability of a text; use a causal language model, such as RecurrentGeneratorForCausalLM."
            )

    def prepare(self, train_dataset: Rows, engine: RolloutEngine, models: dict[str, PreTrainedModel]) -> None:
        self._frequencies = SequenceFrequencies(train_dataset)

    def generator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        if self._frequencies is None:
            raise ValueError(
                "JSDGANObjective compares with the training data, but prepare was not called; call it first."
            )
        engine = engine.at(1.0)  # the density is that of the model's own distribution
        real = Samples(batch["input_ids"][:, 1:], batch["attention_mask"][:, 1:])
        logps = engine.per_token_logps(players["generator"], real).sum(1)  # (B,)

        # Densities of sequences underflow in single precision, and their logarithms lose digits.
        log_density = logps.detach().cpu().double()
        log_ratio = log_density - self._frequencies.log_probs(batch)
        lengths = real.attention_mask.sum(1).cpu()
        if self.density == "exact":
            weights = likelihood_weights(log_ratio)
        elif self.density == "normalized":
            weights = likelihood_weights(log_ratio / lengths)
        else:
            weights = likelihood_weights(rescaled_log_ratio(log_density, gather(log_density, players, context)))
        self._warn_if_vanished(weights)
        loss = -(weights.to(logps) * logps).mean()
        metrics = {
            "generator/jsd": float(jensen_shannon_terms(log_ratio).mean()),
            "generator/weight": float(weights.mean()),
            "generator/nll_per_token": float(-log_density.sum() / lengths.sum()),
        }
        return ObjectiveOutput(loss, metrics, weight=float(len(logps)))

    def _warn_if_vanished(self, weights: torch.Tensor) -> None:
        if self.density == "exact" and not self._has_warned and weights.mean() < _VANISHED:
            self._has_warned = True
            logger.warning(
                "The generator gives the training sequences so little probability that density='exact' weights them "
                f"by {float(weights.mean()):.1e} on average, and it hardly learns; set pretrain_generator_steps, or "
                "density='normalized'."
            )


# ---- The density ratio ----------------------------------------------------------------------------------------------


def likelihood_weights(log_ratio: torch.Tensor) -> torch.Tensor:
    """
    Returns ``r log(1 + 1/r) = - p log(1 - D*) / p_d`` of density ratios ``r = p / p_d``: 0 for a sequence that the
    generator never writes, ``log 2`` at ``p = p_d``, and at most 1.

    Args:
        log_ratio (`torch.DoubleTensor` of shape `(batch_size,)`):
            ``log r``, without gradient.
    """
    return log_ratio.exp() * F.softplus(-log_ratio)


def jensen_shannon_terms(log_ratio: torch.Tensor) -> torch.Tensor:
    """
    Returns ``(log D* + r log(1 - D*)) / 2 + log 2``, whose mean over the training sequences, repeats counted, is the
    Jensen-Shannon divergence of generator and training sequences, in nats: 0 at ``p = p_d``, at most ``log 2``.

    Args:
        log_ratio (`torch.DoubleTensor` of shape `(batch_size,)`):
            ``log r = log p - log p_d``.
    """
    return math.log(2) - (F.softplus(log_ratio) + likelihood_weights(log_ratio)) / 2


def rescaled_log_ratio(log_density: torch.Tensor, log_densities: torch.Tensor) -> torch.Tensor:
    """
    Returns ``log(B q)`` with ``q = (p - min p) / (max p - min p)``, at least 1e-10: the ratio of TextGAN-PyTorch,
    where ``p_d = 1/B``.

    Args:
        log_density (`torch.DoubleTensor` of shape `(batch_size,)`):
            ``log p`` of the sequences of this process.
        log_densities (`torch.DoubleTensor` of shape `(B,)`):
            Those of all processes.
    """
    low, high = log_densities.min(), log_densities.max()
    smallest = (low - high).exp()  # in units of the largest density, which may be too small for a float
    spread = 1 - smallest
    rescaled = ((log_density - high).exp() - smallest) / spread if spread > 0 else torch.zeros_like(log_density)
    return rescaled.clamp(min=_SMALLEST_DENSITY).log() + math.log(len(log_densities))


def gather(values: torch.Tensor, players: Players, context: StepContext) -> torch.Tensor:
    """Returns the values `(batch_size,)` of all processes, one process after the other, in every process."""
    if context.num_shards == 1:
        return values
    slots = values.new_zeros(context.num_shards, len(values))
    slots[context.shard] = values
    device = players.unwrap("generator").device
    return players.mean(slots.to(device)).cpu().flatten() * context.num_shards


class SequenceFrequencies:
    """
    The frequency of each distinct sequence of a data set, by a hash of 64 bits: 16 bytes per sequence, and one search
    in a sorted array to find it. Two of a million sequences share a hash with a probability of 3e-8.

    Args:
        dataset (sequence of `dict`):
            Encoded text.
    """

    def __init__(self, dataset: Rows):
        hashes = np.concatenate([_hashes(lengths, ids) for lengths, ids in iterate_ids(dataset)])
        self._hashes, counts = np.unique(hashes, return_counts=True)
        self._log_probs = np.log(counts / len(hashes))

    def __len__(self) -> int:
        return len(self._hashes)

    def log_probs(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """
        Returns ``log p_d`` of the sequences of a batch, of shape `(batch_size,)`, in double precision on CPU.

        Raises:
            `ValueError`: If a sequence is not among the data.
        """
        mask = batch["attention_mask"].cpu().numpy()
        wanted = _hashes(mask.sum(1), batch["input_ids"].cpu().numpy()[mask == 1])
        places = np.searchsorted(self._hashes, wanted).clip(max=len(self._hashes) - 1)
        missing = np.flatnonzero(self._hashes[places] != wanted)
        if len(missing):
            raise ValueError(
                f"Row {missing[0]} of the batch is not among the {len(self):,} distinct training sequences; call "
                "prepare with the data that the batches come from."
            )
        return torch.from_numpy(self._log_probs[places])


def _hashes(lengths: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Returns a hash of each row of ids, the same in every process."""
    data, ends = ids.astype("<i8").tobytes(), 8 * np.cumsum(lengths)
    rows = zip(ends - 8 * lengths, ends, strict=True)
    return np.frombuffer(b"".join(blake2b(data[i:j], digest_size=8).digest() for i, j in rows), "<u8")


__all__ = ["JSDGANObjective"]
