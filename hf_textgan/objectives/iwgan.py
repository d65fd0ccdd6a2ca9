"""IWGAN: a critic, kept 1-Lipschitz by a gradient penalty, reads token probabilities."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from ..core.context import ObjectiveOutput, ObjectiveReport, StepContext
from ..core.objective import Objective
from ..core.players import Players
from ..core.schedule import Update
from ..losses.adversarial import score_gap
from ..losses.likelihood import token_entropy
from ..losses.regularization import gradient_penalty, interpolate
from ..sampling.capabilities import capabilities_of
from ..sampling.engine import RolloutEngine
from ..utils.numbers import AT_LEAST_ONE, NOT_NEGATIVE


@dataclass
class IWGANObjective(Objective):
    """
    WGAN-GP on text (Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, NIPS 2017, arXiv 1704.00028).

    A real line is a matrix of one-hot vectors, a generated one a matrix of softmax vectors, and the critic ``f`` reads
    either. Critic (equation 3): ``E f(g) - E f(x) + gradient_penalty * E (||grad f(xhat)||_2 - 1)^2`` with ``xhat`` on
    the line between the i-th real and the i-th generated matrix of the batch, one ``alpha ~ U[0, 1]`` per line.
    Generator: ``- E f(G(z))``. No token is drawn in training.

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

    Deviations from the paper: the end of a line is a token, and padding follows it.
    """

    discriminator_steps: int = 10
    gradient_penalty: float = 10.0

    ranges = {"discriminator_steps": AT_LEAST_ONE, "gradient_penalty": NOT_NEGATIVE}
    noise_keys = ("discriminator_latents", "generator_latents", "alpha")
    panels = {
        "critic's score gap": ("discriminator/score_gap",),
        "critic's gradient norm": ("discriminator/input_gradient_norm",),
        "token entropy (nats)": ("real/token_entropy", "generator/token_entropy"),
    }

    def updates(self) -> dict[str, tuple[Update, ...]]:
        # The reference code updates the generator first, but not in its first iteration: the same order.
        return {
            "adversarial": (
                Update("discriminator", "discriminator_loss", repeat=self.discriminator_steps),
                Update("generator", "generator_loss"),
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
                f"A {type(critic).__name__} cannot be trained by {type(self).__name__}, which needs a critic of token "
                "probabilities, such as ConvCritic."
            )
        for name, model in models.items():
            if model.config.vocab_size != critic.config.vocab_size:
                raise ValueError(
                    f"The {name} has vocab_size {model.config.vocab_size} and the discriminator "
                    f"{critic.config.vocab_size}; build both with the same vocabulary."
                )
        if capabilities_of(models["generator"]).sampling != "one-shot":
            raise ValueError(
                f"A {type(models['generator']).__name__} cannot be trained by {type(self).__name__}, which needs a "
                "latent-variable generator, such as ConvGenerator."
            )

    # ---- Inputs of the critic -------------------------------------------------------------------------------------

    def real_probs(self, players: Players, sequences: torch.Tensor) -> torch.Tensor:
        """Returns the critic's view of real sequences, `(batch_size, length, vocab_size)`."""
        return F.one_hot(sequences, players.unwrap("discriminator").config.vocab_size).float()

    def interpolated_probs(self, players: Players, sequences: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Returns the real ends of the lines on which the gradient is penalized; here the critic's view."""
        return real

    def fake_probs(self, players: Players, num_rows: int, context: StepContext, noise_key: str) -> torch.Tensor:
        """Returns ``G(z)``, the token probabilities of generated sequences."""
        generator = players["generator"]
        config = players.unwrap("generator").config
        latents = context.randn(noise_key, num_rows, config.latent_size)
        device = players.unwrap("generator").device
        return generator(latents=latents.to(device)).logits.float().softmax(-1)

    # ---- The losses -----------------------------------------------------------------------------------------------

    def discriminator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        critic = players.unwrap("discriminator")
        sequences = engine.real_sequences(batch)
        with torch.no_grad():
            real = self.real_probs(players, sequences)
            fake = self.fake_probs(players, len(real), context, "discriminator_latents")
            alpha = context.rand("alpha", len(real)).to(real.device)
            between = interpolate(self.interpolated_probs(players, sequences, real), fake, alpha)
        # One call for both, so that a data-parallel wrapper sees one forward pass per step.
        scores = players["discriminator"](inputs_onehot=torch.cat([real, fake])).logits.squeeze(1)
        gap = score_gap(*scores.chunk(2))
        penalty, norms = gradient_penalty(critic.input_gradient(between))
        loss = self.gradient_penalty * penalty - gap
        metrics = {
            "discriminator/score_gap": gap.detach(),
            "discriminator/penalty": penalty.detach(),
            "discriminator/input_gradient_norm": norms.mean(),
            "real/token_entropy": token_entropy(real).mean(),
            "real/max_probability": real.amax(-1).mean(),
            "generator/token_entropy": token_entropy(fake).mean(),
            "generator/max_probability": fake.amax(-1).mean(),
        }
        return ObjectiveOutput(loss, metrics, weight=float(len(real)))

    def generator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        fake = self.fake_probs(players, len(batch["input_ids"]), context, "generator_latents")
        scores = players["discriminator"](inputs_onehot=fake).logits.squeeze(1)
        return ObjectiveOutput(-scores.float().mean(), weight=float(len(fake)))

    # ---- Reports --------------------------------------------------------------------------------------------------

    def report(self, players: Players, engine: RolloutEngine, batch: dict) -> ObjectiveReport:
        sequences = engine.real_sequences(batch)
        real = self.real_probs(players, sequences)
        generator = players.unwrap("generator")
        fake = generator(latents=generator.sample_latents(len(real))).logits.float().softmax(-1)
        entropies = token_entropy(real).mean(1), token_entropy(fake).mean(1)
        metrics: dict[str, Any] = {
            "real_token_entropy": float(entropies[0].mean()),
            "generator_token_entropy": float(entropies[1].mean()),
            "real_max_probability": float(real.amax(-1).mean()),
            "generator_max_probability": float(fake.amax(-1).mean()),
            "entropy_separability": best_threshold_accuracy(*entropies),
        }
        return ObjectiveReport(metrics)


def best_threshold_accuracy(first: torch.Tensor, second: torch.Tensor) -> float:
    """
    Returns the accuracy of the best threshold on a number that separates two equally frequent kinds of examples: 1/2
    if their distributions are the same (and somewhat more in small samples), 1 if they do not overlap.

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


__all__ = ["IWGANObjective"]
