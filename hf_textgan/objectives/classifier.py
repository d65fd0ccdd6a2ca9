"""A discriminator that tells real from generated sequences, and its pool of negatives."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from ..core.context import ObjectiveOutput, StepContext
from ..core.players import Players
from ..core.schedule import Update
from ..data.rows import Rows
from ..losses.adversarial import real_fake_cross_entropy
from ..losses.regularization import output_layer_l2
from ..sampling.capabilities import capabilities_of
from ..sampling.engine import RolloutEngine
from ..utils.numbers import AT_LEAST_ONE, NOT_NEGATIVE, check_memory
from .judging import check_discriminator, check_real_or_fake, judge, output_layer, real_and_fake
from .mle import MLEObjective
from .negative_pool import NegativePool


@dataclass
class ClassifierObjective(MLEObjective):
    """
    The discriminator of the systems that classify sequences: cross-entropy of real against generated ones (SeqGAN,
    arXiv 1609.05473, equation 5), plus `l2_weight` times the L2 norm of its output layer. A subclass adds the loss of
    the generator and the updates of adversarial training.

    Args:
        discriminator_steps (`int`, *optional*, defaults to `5`):
            Discriminator steps per iteration, each of one batch of real and one of generated sequences.
        num_negatives (`int`, *optional*, defaults to `0`):
            Size of the pool of generated sequences that serves several discriminator steps; 0 draws fresh ones at
            every step.
        negative_epochs (`int`, *optional*, defaults to `3`):
            Epochs that a pool serves before it is drawn anew.
        l2_weight (`float`, *optional*, defaults to `0.2`):
            Weight of the penalty on the discriminator's output layer.
        scheduled_sampling (`float`, *optional*, defaults to `0.0`):
            See [`MLEObjective`].
    """

    discriminator_steps: int = 5
    num_negatives: int = 0
    negative_epochs: int = 3
    l2_weight: float = 0.2

    ranges = {
        **MLEObjective.ranges,
        "discriminator_steps": AT_LEAST_ONE,
        "num_negatives": NOT_NEGATIVE,
        "negative_epochs": AT_LEAST_ONE,
        "l2_weight": NOT_NEGATIVE,
    }
    panels = {
        **MLEObjective.panels,
        "accuracy of the discriminator (0.5 is chance)": ("discriminator/accuracy*",),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self._pool = NegativePool(self.num_negatives, self.negative_epochs) if self.num_negatives else None

    def updates(self) -> dict[str, tuple[Update, ...]]:
        return {**super().updates(), "pretrain_discriminator": (Update("discriminator", "discriminator_loss"),)}

    def check_step_size(self, num_examples: int) -> None:
        if self._pool is not None:
            self._pool.steps_per_epoch(num_examples)

    def check_players(self, models: dict[str, PreTrainedModel], engine: RolloutEngine) -> None:
        if "discriminator" in models:
            check_discriminator(models["discriminator"], self.l2_weight)
            self.check_labels(models)
        if self._pool is not None and "condition_ids" in capabilities_of(models["generator"]).row_inputs:
            raise ValueError(
                f"num_negatives is {self.num_negatives}, but the generator reads the conditions of a batch, which a "
                "pool does not have; set num_negatives to 0."
            )

    def check_labels(self, models: dict[str, PreTrainedModel]) -> None:
        """Raises `ValueError` if the discriminator has not the labels that the loss needs."""
        check_real_or_fake(models["discriminator"])

    def prepare(self, train_dataset: Rows, engine: RolloutEngine, models: dict[str, PreTrainedModel]) -> None:
        check_memory(f"num_negatives={self.num_negatives}", 8 * self.num_negatives * engine.max_length, "lower it")

    def discriminator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        if self._pool is None:
            fake = engine.sample_like(players["generator"], batch)
        else:
            fake = self._pool.batch(engine, players["generator"], len(batch["input_ids"]), context)

        # One call for both, so that a data-parallel wrapper sees one forward pass per step.
        logits = judge(players["discriminator"], real_and_fake(engine, batch, fake))
        real_logits, fake_logits = logits.chunk(2)
        loss = self.classification_loss(players, real_logits, fake_logits, batch)
        if self.l2_weight:
            layer = output_layer(players.unwrap("discriminator"))
            assert layer is not None  # `check_players` has seen it
            loss = loss + self.l2_weight * output_layer_l2(layer)

        with torch.no_grad():
            metrics = {  # in a tie, fake; of several classes of real text, any is real
                "discriminator/accuracy_real": float((real_logits.argmax(1) > 0).float().mean()),
                "discriminator/accuracy_fake": float((fake_logits.argmax(1) == 0).float().mean()),
            }
        return ObjectiveOutput(loss, metrics, weight=float(len(real_logits)))

    def classification_loss(
        self, players: Players, real_logits: torch.Tensor, fake_logits: torch.Tensor, batch: dict
    ) -> torch.Tensor:
        """Returns the loss of the scores of a batch of real text and of as many generated sequences."""
        return real_fake_cross_entropy(real_logits, fake_logits)

    def state_dict(self) -> dict[str, Any]:
        return {} if self._pool is None else self._pool.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._pool is None:
            super().load_state_dict(state)
        else:
            self._pool.load_state_dict(state)


__all__ = ["ClassifierObjective"]
