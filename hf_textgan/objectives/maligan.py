"""MaliGAN: maximum likelihood on the generator's own samples, weighted by the discriminator's density ratio."""

from dataclasses import dataclass

import torch

from ..core.context import ObjectiveOutput, StepContext
from ..core.players import Players
from ..core.schedule import Update
from ..losses.adversarial import policy_gradient_loss
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples
from ..utils.numbers import AT_LEAST_ONE, NOT_NEGATIVE, PROBABILITY
from .classifier import ClassifierObjective
from .judging import JUDGED_INPUTS, judge
from .rewards import rollout_rewards


@dataclass
class MaliGANObjective(ClassifierObjective):
    """
    MaliGAN (Che, Li, Zhang, Hjelm, Li, Song, Bengio, 2017, arXiv 1702.07983).

    For a discriminator that is optimal against the frozen generator ``p'``, the odds ``r = D / (1 - D)`` are the ratio
    of the data's density to that of ``p'``. So samples of ``p'`` weighted by ``r`` stand for the data, and the
    generator is trained by likelihood on them: ``- sum_b (r_b / sum_b' r_b' - beta / B) log G(x_b)`` over the batch of
    ``B`` samples. The player `delayed` is ``p'``, a copy of the generator that each iteration brings up to date. The
    discriminator is that of [`ClassifierObjective`].

    Args:
        generator_steps (`int`, *optional*, defaults to `1`):
            Generator steps per iteration of adversarial training, all on samples of the same delayed copy.
        num_rollouts (`int`, *optional*, defaults to `0`):
            With 0 all tokens of a sample share its weight. Otherwise the odds of a token are their mean over this many
            completions of its prefix by the delayed copy, normalized at each position; a sample that has ended there
            counts with its own odds.
        baseline (`float`, *optional*, defaults to `1.0`):
            The value of ``beta`` at the end of adversarial training; it rises linearly from 0.
        max_log_odds (`float`, *optional*, defaults to `10.0`):
            The logarithms of the odds are clamped to this distance from 0.
        discriminator_steps (`int`, *optional*, defaults to `5`):
            See [`ClassifierObjective`].
        num_negatives (`int`, *optional*, defaults to `0`):
            See [`ClassifierObjective`].
        negative_epochs (`int`, *optional*, defaults to `3`):
            See [`ClassifierObjective`].
        l2_weight (`float`, *optional*, defaults to `0.2`):
            See [`ClassifierObjective`].
        scheduled_sampling (`float`, *optional*, defaults to `0.0`):
            See [`MLEObjective`].

    Inputs:

    | player | batch |
    |---|---|
    | generator | its size is the number of sampled sequences |
    | discriminator | `input_ids` of shape `(batch_size, length)` from BOS to EOS, `attention_mask` |

    Deviations from the paper: the baseline ``b`` is read as ``beta / B``, because weights average ``1 / B``. The mixed
    variant, which continues prefixes of real text, is left out.
    """

    generator_steps: int = 1
    num_rollouts: int = 0
    baseline: float = 1.0
    max_log_odds: float = 10.0

    couples_batch = True  # weights are normalized over the batch
    ranges = {
        **ClassifierObjective.ranges,
        "generator_steps": AT_LEAST_ONE,
        "num_rollouts": NOT_NEGATIVE,
        "baseline": PROBABILITY,
        "max_log_odds": (0.0, 50.0, False),
    }
    panels = {
        **ClassifierObjective.panels,
        "effective sample size (1 is collapse, the batch size is best)": ("generator/effective_sample_size",),
    }

    def updates(self) -> dict[str, tuple[Update, ...]]:
        generator = Update("generator", "generator_loss", repeat=self.generator_steps)
        discriminator = Update("discriminator", "discriminator_loss", repeat=self.discriminator_steps)
        return {**super().updates(), "adversarial": (generator, discriminator)}

    def generator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        if context.step % self.generator_steps == 0:  # the first step of an iteration
            players.carry("generator", "delayed")
        samples = engine.sample_like(players["delayed"], batch)
        odds = self._odds(players, engine, samples)  # (B, T)
        weights = odds / odds.sum(0)
        beta = self.baseline * context.progress
        logps = engine.per_token_logps(players["generator"], samples)
        loss = policy_gradient_loss(logps, weights - beta / len(weights), samples.attention_mask)

        final = weights[:, -1]  # of whole samples
        metrics = {
            "generator/effective_sample_size": float(1 / final.square().sum()),
            "generator/baseline": beta,
            "generator/entropy_estimate": float(-logps.detach().sum() / samples.attention_mask.sum()),
            "generator/length": float(samples.attention_mask.sum(1).float().mean()),
        }
        return ObjectiveOutput(loss, metrics)

    @torch.no_grad()
    def _odds(self, players: Players, engine: RolloutEngine, samples: Samples) -> torch.Tensor:
        """Returns the odds of each prefix, of shape `(batch_size, max_length)`; at padding, those of the sample."""
        discriminator = players["discriminator"]

        def odds_of(completed: Samples) -> torch.Tensor:
            return density_ratio(judge(discriminator, completed), self.max_log_odds)

        mask = samples.attention_mask
        if self.num_rollouts == 0:
            return odds_of(samples)[:, None].expand(mask.shape)
        values = rollout_rewards(engine, players["delayed"], samples, odds_of, self.num_rollouts, inputs=JUDGED_INPUTS)
        final = values.gather(1, mask.sum(1, keepdim=True) - 1)
        return torch.where(mask == 1, values, final)


def density_ratio(logits: torch.Tensor, max_log_odds: float) -> torch.Tensor:
    """
    Returns ``D / (1 - D)`` of a classifier's logits `(batch_size, 2)`, from the difference of the two: exact where a
    probability would round to 1.
    """
    log_odds = (logits[:, 1] - logits[:, 0]).double()
    return log_odds.clamp(-max_log_odds, max_log_odds).exp()


__all__ = ["MaliGANObjective", "density_ratio"]
