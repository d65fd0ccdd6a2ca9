"""The policy gradient that several papers share: rollouts, rewards, a baseline, and the variance of its estimate."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from ..core.context import ObjectiveOutput, StepContext
from ..core.players import Players
from ..core.schedule import Update
from ..losses.adversarial import policy_gradient_loss
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples
from ..utils.numbers import AT_LEAST_ONE, NOT_NEGATIVE, PROBABILITY
from .baselines import BaselineKind, RewardBaseline
from .classifier import ClassifierObjective
from .rewards import probability_of_real, rollout_rewards


@dataclass
class PolicyGradientObjective(ClassifierObjective):
    """
    The generator of the systems with a policy gradient (SeqGAN, arXiv 1609.05473, equations 4 and 7): ``- sum_b sum_t
    log G(y_t | y_<t) A(y_<t, y_t)``, where the advantage ``A`` is the reward of a token minus a baseline. The reward
    is the mean score of `num_rollouts` completions of ``y_1..y_t``. The discriminator is that of
    [`ClassifierObjective`].

    A subclass may say how completions are scored (`score_of`), what a token earns (`rewards`) and which
    log-probabilities the advantages weigh (`per_token_logps`).

    Args:
        num_rollouts (`int`, *optional*, defaults to `16`):
            Completions per prefix.
        generator_steps (`int`, *optional*, defaults to `1`):
            Generator steps per iteration of adversarial training.
        bf16_rewards (`bool`, *optional*, defaults to `False`):
            Let the discriminator score completions in bfloat16: faster on GPUs and on CPUs with instructions for it,
            ignored on other CPUs. The discriminator is trained as before.
        baseline (`str`, *optional*, defaults to `"none"`):
            What is subtracted from the rewards: `"none"`, `"mean"`, `"ema"`, `"leave_one_out"` or `"position_mean"`
            (see [`~objectives.baselines.RewardBaseline`]).
        baseline_decay (`float`, *optional*, defaults to `0.99`):
            Weight of the past in the moving average of `baseline="ema"`.
        variance_steps (`int`, *optional*, defaults to `10`):
            The variance of the gradient is estimated at every `variance_steps`-th generator step and logged as
            `generator/gradient_variance`, next to `generator/grad_norm`, whose square has this variance in it. An
            estimate costs a second backward pass through the generator; 0 makes none.
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
    """

    num_rollouts: int = 16
    generator_steps: int = 1
    bf16_rewards: bool = False
    baseline: BaselineKind = "none"
    baseline_decay: float = 0.99
    variance_steps: int = 10

    ranges = {
        **ClassifierObjective.ranges,
        "num_rollouts": AT_LEAST_ONE,
        "generator_steps": AT_LEAST_ONE,
        "baseline_decay": PROBABILITY,
        "variance_steps": NOT_NEGATIVE,
    }
    panels = {
        **ClassifierObjective.panels,
        "reward: probability of real that the generator's samples get (higher is better for it)": ("reward/*",),
        "variance of the policy gradient (lower is better)": ("generator/gradient_variance",),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self._baseline = RewardBaseline(self.baseline, self.baseline_decay)

    @property
    def couples_batch(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Returns whether the baseline of a sequence depends on the others of its batch."""
        return self._baseline.couples_batch

    def updates(self) -> dict[str, tuple[Update, ...]]:
        generator = Update("generator", "generator_loss", repeat=self.generator_steps)
        discriminator = Update("discriminator", "discriminator_loss", repeat=self.discriminator_steps)
        return {**super().updates(), "adversarial": (generator, discriminator)}

    def generator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        policy = players.unwrap("generator")
        samples = engine.sample(policy, len(batch["input_ids"]))
        rewards = self.rewards(players, engine, samples)
        mask = samples.attention_mask
        advantages = self._baseline.advantages(rewards, mask)
        logps = self.per_token_logps(players, engine, samples)
        loss = policy_gradient_loss(logps, advantages, mask)

        num_tokens = mask.sum()
        metrics = {
            "generator/loss_per_token": float(loss.detach() / num_tokens),
            "reward/mean": float(rewards.sum() / num_tokens),
            "reward/std": float(rewards[mask == 1].std(unbiased=False)),
            "generator/entropy_estimate": float(-logps.detach().sum() / num_tokens),
            "generator/length": float(num_tokens / len(mask)),
        }
        if self.variance_steps and context.step % self.variance_steps == 0 and len(mask) > 1:
            losses = -(logps * advantages.detach() * mask).sum(1)
            variance = gradient_variance(losses, policy.parameters())
            metrics["generator/gradient_variance"] = variance * context.num_shards  # the step adds its parts
        statistics = {"reward": rewards.sum(), "tokens": num_tokens.to(rewards.dtype)}
        return ObjectiveOutput(loss, metrics, reduction="sum", statistics=statistics)

    def score_of(self, players: Players) -> Callable[[Samples], torch.Tensor]:
        """Returns the function that scores completions: by default the discriminator's probability "real"."""
        discriminator = players["discriminator"]

        def score(samples: Samples) -> torch.Tensor:
            return probability_of_real(discriminator, samples.sequences, self.bf16_rewards)

        return score

    def rewards(self, players: Players, engine: RolloutEngine, samples: Samples) -> torch.Tensor:
        """Returns the reward of each token, of shape `(batch_size, max_length)`; 0 at padding."""
        policy, score = players.unwrap("generator"), self.score_of(players)
        return rollout_rewards(engine, policy, samples, score, self.num_rollouts, batch_size=None, inputs=())

    def per_token_logps(self, players: Players, engine: RolloutEngine, samples: Samples) -> torch.Tensor:
        """
        Returns the log-probabilities that the advantages weigh, with gradient, of shape `(batch_size, max_length)`.
        """
        return engine.per_token_logps(players["generator"], samples)

    def after_step(self, update: Update, statistics: dict[str, torch.Tensor], context: StepContext) -> None:
        if self.baseline == "ema" and update.loss == "generator_loss":
            self._baseline.update(float(statistics["reward"] / statistics["tokens"]))

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        return {**state, "baseline": self._baseline.state_dict()} if self.baseline == "ema" else state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.baseline == "ema":
            state = dict(state)
            self._baseline.load_state_dict(state.pop("baseline"))
        super().load_state_dict(state)


def gradient_variance(losses: torch.Tensor, parameters: Iterable[torch.nn.Parameter]) -> float:
    """
    Estimates the variance of the gradient of ``sum_b losses_b``, summed over all parameters (the trace of its
    covariance), from one batch and one backward pass.

    With the gradients ``g_b`` of `B` independent sequences of one distribution, the difference of the two halves of
    the batch has the mean 0 and the variance of the sum, so its squared norm ``|sum_{b < B/2} g_b - sum_{b >= B/2}
    g_b|^2`` is an unbiased estimate. Sequences that a baseline of the batch couples are independent up to a term of
    order ``1 / B``.

    Args:
        losses (`torch.FloatTensor` of shape `(batch_size,)`):
            The loss of each sequence, with gradient; its graph is kept. Of an odd number the last is left out of the
            difference, and the estimate raised to the whole number.
        parameters (`Iterable[torch.nn.Parameter]`):
            The parameters; those without gradient are left out.
    """
    half = len(losses) // 2
    difference = losses[:half].sum() - losses[half : 2 * half].sum()
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    gradients = torch.autograd.grad(difference, trained, retain_graph=True, allow_unused=True)
    squares = [gradient.double().square().sum() for gradient in gradients if gradient is not None]
    return float(torch.stack(squares).sum()) * len(losses) / (2 * half) if squares else 0.0


__all__ = ["PolicyGradientObjective", "gradient_variance"]
