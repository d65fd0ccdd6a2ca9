"""IWGAN: a critic that is kept 1-Lipschitz by a gradient penalty reads rows of probabilities."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from ..losses import row_entropy, wasserstein_gap
from ..regularization import gradient_penalty, interpolate
from ..sampling import RolloutEngine
from ..trainer.players import Players
from ..trainer.timetable import Turn
from .base import Objective, ObjectiveOutput, ObjectiveReport, StepContext


@dataclass
class IWGANObjective(Objective):
    """
    WGAN-GP on text (Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, NIPS 2017, arXiv 1704.00028).

    A real line is a matrix of one-hot rows, a generated one a matrix of softmax rows, and the critic ``f`` reads
    either. Critic (equation 3): ``E f(g) - E f(x) + gradient_penalty * E (||grad f(xhat)||_2 - 1)^2`` with ``xhat`` on
    the line between the i-th real and the i-th generated matrix of the batch, one share ``a ~ U[0, 1]`` per line.
    Generator: ``- E f(G(z))``. No symbol is drawn in training.

    Args:
        discriminator_steps (`int`, *optional*, defaults to `10`):
            Critic steps per generator step.
        gradient_penalty (`float`, *optional*, defaults to `10.0`):
            Weight of the penalty, the paper's lambda.

    Inputs:

    | player | batch |
    |---|---|
    | discriminator | `input_ids` of shape `(batch_size, length)` from BOS, `attention_mask` |
    | generator | its size is the number of generated sequences |

    Deviations from the paper: the end of a line is a symbol, and padding follows it.
    """

    discriminator_steps: int = 10
    gradient_penalty: float = 10.0

    def __post_init__(self) -> None:
        if self.gradient_penalty < 0:
            raise ValueError(f"gradient_penalty is {self.gradient_penalty}; set it to 0 or more.")

    def turns(self) -> dict[str, tuple[Turn, ...]]:
        # The reference code moves the generator first, but not in its first iteration: the same order.
        return {
            "adversarial": (
                Turn("discriminator", "discriminator_loss", repeat=self.discriminator_steps),
                Turn("generator", "generator_loss"),
            )
        }

    def check_players(self, models: dict[str, PreTrainedModel], engine: RolloutEngine) -> None:
        for name, model in models.items():
            if getattr(model.config, "sequence_length", engine.max_length) != engine.max_length:
                raise ValueError(
                    f"The {name} has sequence_length {model.config.sequence_length} and the texts {engine.max_length} "
                    f"positions; build it with sequence_length={engine.max_length}."
                )
        critic = models["discriminator"]
        if not hasattr(critic, "input_gradient"):
            raise ValueError(
                f"A {type(critic).__name__} cannot be trained by {type(self).__name__}, which needs a critic of rows "
                "of probabilities, such as ConvCritic."
            )
        for name, model in models.items():
            if model.config.vocab_size != critic.config.vocab_size:
                raise ValueError(
                    f"The {name} has vocab_size {model.config.vocab_size} and the discriminator "
                    f"{critic.config.vocab_size}; build both for the same symbols."
                )
        if not hasattr(models["generator"], "sample_latents"):
            raise ValueError(
                f"A {type(models['generator']).__name__} cannot be trained by {type(self).__name__}, which needs a "
                "generator of whole sequences from noise, such as ConvGenerator."
            )

    # ---- What the critic compares ---------------------------------------------------------------------------------

    def real_rows(self, players: Players, sequences: torch.LongTensor) -> torch.FloatTensor:
        """What the critic sees in the place of real sequences, `(batch_size, length, vocab_size)`."""
        return F.one_hot(sequences, players.unwrap("discriminator").config.vocab_size).float()

    def interpolated_rows(
        self, players: Players, sequences: torch.LongTensor, rows: torch.FloatTensor
    ) -> torch.FloatTensor:
        """The real ends of the lines on which the gradient is penalized; here what the critic sees."""
        return rows

    def fake_rows(self, players: Players, num_rows: int, context: StepContext, turn: str) -> torch.FloatTensor:
        """``G(z)``, the softmax rows of generated sequences."""
        generator = players["generator"]
        config = players.unwrap("generator").config
        latents = context.randn(f"latents of the {turn}", num_rows, config.latent_size)
        device = players.unwrap("generator").device
        return generator(latents=latents.to(device)).logits.float().softmax(-1)

    # ---- The losses -----------------------------------------------------------------------------------------------

    def discriminator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        critic = players.unwrap("discriminator")
        sequences = engine.real_sequences(batch)
        with torch.no_grad():
            real = self.real_rows(players, sequences)
            fake = self.fake_rows(players, len(real), context, "discriminator")
            shares = context.rand("shares", len(real)).to(real.device)
            between = interpolate(self.interpolated_rows(players, sequences, real), fake, shares)
        # One call for both, so that a data-parallel wrapper sees one forward pass per step.
        scores = players["discriminator"](inputs_onehot=torch.cat([real, fake])).logits.squeeze(1)
        gap = wasserstein_gap(*scores.chunk(2))
        penalty, norms = gradient_penalty(critic.input_gradient(between))
        loss = self.gradient_penalty * penalty - gap
        metrics = {
            "discriminator/gap": gap.detach(),
            "discriminator/penalty": penalty.detach(),
            "discriminator/input_gradient_norm": norms.mean(),
            "real/row_entropy": row_entropy(real).mean(),
            "real/max_probability": real.amax(-1).mean(),
            "generator/row_entropy": row_entropy(fake).mean(),
            "generator/max_probability": fake.amax(-1).mean(),
        }
        return ObjectiveOutput(loss, metrics, weight=float(len(real)))

    def generator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        fake = self.fake_rows(players, len(batch["input_ids"]), context, "generator")
        scores = players["discriminator"](inputs_onehot=fake).logits.squeeze(1)
        return ObjectiveOutput(-scores.float().mean(), weight=float(len(fake)))

    # ---- Reports --------------------------------------------------------------------------------------------------

    def report(self, players: Players, engine: RolloutEngine, batch: dict) -> ObjectiveReport:
        sequences = engine.real_sequences(batch)
        real = self.real_rows(players, sequences)
        generator = players.unwrap("generator")
        fake = generator(latents=generator.sample_latents(len(real))).logits.float().softmax(-1)
        entropies = row_entropy(real).mean(1), row_entropy(fake).mean(1)
        metrics: dict[str, Any] = {
            "real_row_entropy": float(entropies[0].mean()),
            "generator_row_entropy": float(entropies[1].mean()),
            "real_max_probability": float(real.amax(-1).mean()),
            "generator_max_probability": float(fake.amax(-1).mean()),
            "told_apart_by_entropy": best_threshold_accuracy(*entropies),
        }
        return ObjectiveReport(metrics)


def best_threshold_accuracy(first: torch.Tensor, second: torch.Tensor) -> float:
    """
    How often the best threshold on a number tells two kinds of examples apart, if both are as frequent: 1/2 if their
    distributions are the same (and somewhat more in small samples), 1 if they do not overlap.

    Args:
        first, second (`torch.FloatTensor` of shape `(num_examples,)`):
            The numbers of either kind.
    """
    points = torch.cat([first, second]).unique()
    below = [
        torch.searchsorted(values.sort().values, points, right=True).double() / len(values)
        for values in (first, second)
    ]
    return 0.5 + 0.5 * float((below[0] - below[1]).abs().max())


__all__ = ["IWGANObjective", "best_threshold_accuracy"]
