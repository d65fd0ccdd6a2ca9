"""MaliGAN: maximum likelihood on the generator's own samples, weighted by the discriminator's density ratio."""

import math
from dataclasses import dataclass

import torch

from ..core.context import ObjectiveOutput, StepContext
from ..core.players import Players
from ..core.schedule import Update
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples
from ..utils.numbers import AT_LEAST_ONE, NOT_NEGATIVE, PROBABILITY
from .classifier import ClassifierObjective
from .judging import JUDGED_INPUTS, judge
from .policy_gradient import gradient_variance
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

    With `num_completions` the generator learns by the paper's mixed variant, on ``m`` real sequences ``x_i``: it keeps
    their first ``N`` tokens and draws ``M`` completions ``x_ij`` of each from ``p'``, whose odds are normalized within
    the prefix, which cancels the partition function: ``- 1/m sum_i [ sum_{t <= N} log G(x_it) + sum_j (r_ij / sum_j'
    r_ij' - beta / M) sum_{t > N} log G(x_ijt) ]``. ``N`` falls from the length of a sequence, which is maximum
    likelihood, to 0.

    Args:
        generator_steps (`int`, *optional*, defaults to `1`):
            Generator steps per iteration of adversarial training, all on samples of the same delayed copy.
        num_rollouts (`int`, *optional*, defaults to `0`):
            With 0 all tokens of a sample share its weight. Otherwise the odds of a token are their mean over this many
            completions of its prefix by the delayed copy, normalized at each position; a sample that has ended there
            counts with its own odds. Not with the mixed variant.
        num_completions (`int`, *optional*, defaults to `0`):
            ``M``, the completions of each real prefix in the mixed variant, at least 2; 0 trains on whole samples.
        prefix_decrease (`int`, *optional*, defaults to `5`):
            ``K``, the number of tokens by which ``N`` falls at each of equal parts of adversarial training.
        weight_baseline (`float`, *optional*, defaults to `1.0`):
            The value of ``beta`` at the end of adversarial training; it rises linearly from 0.
        max_log_odds (`float`, *optional*, defaults to `10.0`):
            The logarithms of the odds are clamped to this distance from 0.
        variance_steps (`int`, *optional*, defaults to `10`):
            The variance of the gradient is estimated at every `variance_steps`-th generator step; 0 for never (see
            [`PolicyGradientObjective`]).
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

    Deviations from the paper: the baseline ``b`` is read as ``beta`` times the mean weight. ``N`` falls at fixed
    points of adversarial training, where the paper waits until the model stops improving. The discriminator of the
    mixed variant compares whole samples with real sequences; its odds differ from those of completions by a factor of
    the prefix, which the normalization cancels.
    """

    generator_steps: int = 1
    num_rollouts: int = 0
    num_completions: int = 0
    prefix_decrease: int = 5
    weight_baseline: float = 1.0
    max_log_odds: float = 10.0
    variance_steps: int = 10

    several_processes = True  # the odds of all processes are gathered
    ranges = {
        **ClassifierObjective.ranges,
        "generator_steps": AT_LEAST_ONE,
        "num_rollouts": NOT_NEGATIVE,
        "num_completions": NOT_NEGATIVE,
        "prefix_decrease": AT_LEAST_ONE,
        "weight_baseline": PROBABILITY,
        "max_log_odds": (0.0, 50.0, False),
        "variance_steps": NOT_NEGATIVE,
    }
    panels = {
        **ClassifierObjective.panels,
        "effective sample size (1 is collapse, the number of samples is best)": ("generator/effective_sample_size",),
        "variance of the gradient (lower is better)": ("generator/gradient_variance",),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_completions == 1:
            raise ValueError("num_completions is 1, whose only weight is always 1; set it to 2 or more, or to 0.")
        if self.num_completions and self.num_rollouts:
            raise ValueError(
                f"num_completions is {self.num_completions} and num_rollouts {self.num_rollouts}, but the mixed "
                "variant weighs whole completions; set one of the two to 0."
            )

    @property
    def couples_batch(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Returns whether the weights are normalized over the batch, and not within each prefix."""
        return self.num_completions == 0

    def updates(self) -> dict[str, tuple[Update, ...]]:
        generator = Update("generator", "generator_loss", repeat=self.generator_steps)
        discriminator = Update("discriminator", "discriminator_loss", repeat=self.discriminator_steps)
        return {**super().updates(), "adversarial": (generator, discriminator)}

    def generator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        if context.step % self.generator_steps == 0:  # the first step of an iteration
            players.carry("generator", "delayed")
        loss = self._mixed_loss if self.num_completions else self._sample_loss
        return loss(players, engine, batch, context)

    def _sample_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        """Returns the loss on samples of the delayed copy, weighted over the whole step."""
        samples = engine.sample_like(players["delayed"], batch)
        odds = self._odds(players, engine, samples)  # (B, T)
        all_odds = players.gather(odds)  # of all processes
        total, beta = all_odds.sum(0), self._beta(context)
        weights = odds / total - beta / len(all_odds)
        logps = engine.per_token_logps(players["generator"], samples)
        losses = -(weights * logps * samples.attention_mask).sum(1)

        final = all_odds[:, -1] / total[-1]  # of whole samples
        metrics = {
            "generator/effective_sample_size": float(1 / final.square().sum()),
            "generator/weight_baseline": beta,
            **self._variance(players, losses, context, context.num_shards),
            **_shape_of(samples, logps),
        }
        return ObjectiveOutput(losses.sum(), metrics, reduction="sum")

    def _mixed_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        """Returns the loss on real prefixes and their completions by the delayed copy, weighted within each prefix."""
        real = engine.real_samples(players.unwrap("generator"), batch)
        longest = prefix_length(context.progress, engine.max_length, self.prefix_decrease)
        lengths = real.attention_mask.sum(1).clamp(max=longest)  # (m,)
        completed = engine.complete(players["delayed"], real, lengths, self.num_completions)  # m * M of them
        groups = (len(real), self.num_completions)
        odds = self._odds(players, engine, completed)[:, 0].view(groups)
        weights, beta = odds / odds.sum(1, keepdim=True), self._beta(context)

        positions = torch.arange(engine.max_length, device=lengths.device)
        kept = (positions < lengths[:, None])[:, None]  # (m, 1, T)
        # Each of the M completions has its share of the likelihood of their prefix.
        by_token = torch.where(kept, 1.0, self.num_completions * weights[..., None] - beta) / self.num_completions
        logps = engine.per_token_logps(players["generator"], completed)
        mask = completed.attention_mask
        losses = -(by_token * (logps * mask).view(*groups, -1)).sum((1, 2)) / len(real)

        drawn = (mask.sum(1).view(groups) > lengths[:, None]).any(1)  # prefixes that were completed
        sizes = 1 / weights.square().sum(1)
        metrics = {
            "generator/effective_sample_size": float(sizes[drawn].mean() if drawn.any() else sizes.mean()),
            "generator/prefix_length": longest,
            "generator/weight_baseline": beta,
            **self._variance(players, losses, context, 1 / context.num_shards),
            **_shape_of(completed, logps),
        }
        return ObjectiveOutput(losses.sum(), metrics, weight=float(len(real)))

    def _beta(self, context: StepContext) -> float:
        return self.weight_baseline * context.progress

    def _variance(
        self, players: Players, losses: torch.Tensor, context: StepContext, scale: float
    ) -> dict[str, float]:
        """Returns the variance of the gradient of the step, whose parts have `scale` times that of their losses."""
        if not self.variance_steps or context.step % self.variance_steps or len(losses) < 2:
            return {}
        variance = gradient_variance(losses, players.unwrap("generator").parameters())
        return {"generator/gradient_variance": scale * variance}

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


def prefix_length(progress: float, longest: int, decrease: int) -> int:
    """
    Returns the number of real tokens that the mixed variant keeps after a fraction `progress` of adversarial training:
    `longest`, then `decrease` fewer in each of equal parts, and 0 in the last.
    """
    parts = math.ceil(longest / decrease) + 1
    return max(0, longest - decrease * int(progress * parts))


def _shape_of(samples: Samples, logps: torch.Tensor) -> dict[str, float]:
    num_tokens = samples.attention_mask.sum()
    return {
        "generator/entropy_estimate": float(-logps.detach().sum() / num_tokens),
        "generator/length": float(num_tokens / len(samples)),
    }


def density_ratio(logits: torch.Tensor, max_log_odds: float) -> torch.Tensor:
    """
    Returns ``D / (1 - D)`` of a classifier's logits `(batch_size, 2)`, from the difference of the two: exact where a
    probability would round to 1.
    """
    log_odds = (logits[:, 1] - logits[:, 0]).double()
    return log_odds.clamp(-max_log_odds, max_log_odds).exp()


__all__ = ["MaliGANObjective", "density_ratio", "prefix_length"]
