"""SeqGAN: policy gradient with Monte-Carlo rollouts scored by a discriminator."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import PreTrainedModel

from ..core.context import ObjectiveOutput, StepContext
from ..core.players import Players
from ..core.schedule import Phase, Update
from ..data.rows import Rows
from ..losses.adversarial import policy_gradient_loss
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples
from ..utils.numbers import AT_LEAST_ONE, PROBABILITY
from .baselines import BaselineKind, RewardBaseline
from .classifier import ClassifierObjective
from .rewards import BleuScore, probability_of_real, rollout_rewards


@dataclass
class SeqGANObjective(ClassifierObjective):
    """
    SeqGAN (Yu, Zhang, Wang, Yu, AAAI 2017, arXiv 1609.05473).

    Generator (equations 4 and 7): ``- sum_b sum_t log G(y_t | y_<t) Q(y_<t, y_t)``, where ``Q`` is the mean of the
    discriminator's probability "real" over `num_rollouts` completions of ``y_1..y_t``. Discriminator (equation 5):
    cross-entropy of real against generated sequences, plus `l2_weight` times the L2 norm of its output layer.

    Args:
        num_rollouts (`int`, *optional*, defaults to `16`):
            Completions per prefix.
        generator_steps (`int`, *optional*, defaults to `1`):
            Generator steps per iteration of adversarial training.
        discriminator_steps (`int`, *optional*, defaults to `5`):
            Discriminator steps per iteration, each of one batch of real and one of generated sequences.
        num_negatives (`int`, *optional*, defaults to `0`):
            Size of the pool of generated sequences that serves several discriminator steps; 0 draws fresh ones at
            every step. The published schedule refreshes a pool of 10,000 five times an iteration.
        negative_epochs (`int`, *optional*, defaults to `3`):
            Epochs that a pool serves before it is drawn anew.
        l2_weight (`float`, *optional*, defaults to `0.2`):
            Weight of the penalty on the discriminator's output layer.
        reward (`"discriminator"`, `"bleu"` or `"constant"`, *optional*, defaults to `"discriminator"`):
            The score of a completion. `"bleu"` is PG-BLEU, the paper's baseline: BLEU against the training data.
            `"constant"` is a control: the gradient then has the expectation zero, so whatever changes is the effect
            of the noise and not of a discriminator. Both have no use for a discriminator and train none.
        bleu_order (`int`, *optional*, defaults to `3`):
            The longest n-grams of `reward="bleu"`.
        constant_reward (`float`, *optional*, defaults to `1.0`):
            The reward of every token under `reward="constant"`.
        bf16_rewards (`bool`, *optional*, defaults to `False`):
            Let the discriminator score completions in bfloat16: faster on GPUs and on CPUs with instructions for it,
            ignored on other CPUs. The discriminator is trained as before.
        baseline (`str`, *optional*, defaults to `"none"`):
            What is subtracted from the rewards: `"none"`, as in the paper, `"mean"`, `"ema"`, `"leave_one_out"` or
            `"position_mean"` (see [`~objectives.baselines.RewardBaseline`]).
        baseline_decay (`float`, *optional*, defaults to `0.99`):
            Weight of the past in the moving average of `baseline="ema"`.
        scheduled_sampling (`float`, *optional*, defaults to `0.0`):
            See [`MLEObjective`].

    Inputs:

    | player | batch |
    |---|---|
    | generator | its size is the number of sampled sequences |
    | discriminator | `input_ids` of shape `(batch_size, length)` from BOS to EOS, `attention_mask` |

    Relations: [`MLEObjective`] is its pre-training.

    Deviations from the paper: sequences end at EOS, and padding earns neither reward nor loss. A discriminator step
    takes one batch of real and one of generated sequences; the reference code takes one batch of a shuffled mixture.

    Example:

    ```python
    >>> from hf_textgan import AdversarialTrainer, SeqGANObjective

    >>> trainer = AdversarialTrainer(model=generator, players={"discriminator": discriminator},
    ...                              objective=SeqGANObjective(num_rollouts=8), args=args, train_dataset=dataset,
    ...                              processing_class=tokenizer)
    ```"""

    num_rollouts: int = 16
    generator_steps: int = 1
    reward: Literal["discriminator", "bleu", "constant"] = "discriminator"
    bleu_order: int = 3
    constant_reward: float = 1.0
    bf16_rewards: bool = False
    baseline: BaselineKind = "none"
    baseline_decay: float = 0.99

    ranges = {
        **ClassifierObjective.ranges,
        "num_rollouts": AT_LEAST_ONE,
        "generator_steps": AT_LEAST_ONE,
        "bleu_order": (2, math.inf, True),
        "baseline_decay": PROBABILITY,
    }
    panels = {
        **ClassifierObjective.panels,
        "reward: probability of real that the generator's samples get (higher is better for it)": ("reward/*",),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reward not in ("discriminator", "bleu", "constant"):
            raise ValueError(f"reward is {self.reward!r}; set it to 'discriminator', 'bleu' or 'constant'.")
        self._bleu: BleuScore | None = None
        self._baseline = RewardBaseline(self.baseline, self.baseline_decay)

    @property
    def couples_batch(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Returns whether the baseline of a sequence depends on the others of its batch."""
        return self._baseline.couples_batch

    def updates(self) -> dict[str, tuple[Update, ...]]:
        generator = Update("generator", "generator_loss", repeat=self.generator_steps)
        if self.reward != "discriminator":
            return {"pretrain_generator": super().updates()["pretrain_generator"], "adversarial": (generator,)}
        return {
            **super().updates(),
            "adversarial": (generator, Update("discriminator", "discriminator_loss", repeat=self.discriminator_steps)),
        }

    def phases(self, pretrain_generator: int, pretrain_discriminator: int, adversarial: int) -> list[Phase]:
        if self.reward != "discriminator":  # its steps, which the system may prescribe, are left out
            pretrain_discriminator = 0
        return super().phases(pretrain_generator, pretrain_discriminator, adversarial)

    @property
    def unused_players(self) -> frozenset[str]:
        return frozenset({"discriminator"} if self.reward != "discriminator" else ())

    def prepare(self, train_dataset: Rows, engine: RolloutEngine, models: dict[str, PreTrainedModel]) -> None:
        super().prepare(train_dataset, engine, models)
        if self.reward == "bleu":
            self._bleu = BleuScore(train_dataset, engine, self.bleu_order)

    def generator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        policy = players.unwrap("generator")
        samples = engine.sample(policy, len(batch["input_ids"]))
        rewards = self._rewards(players, engine, samples)
        mask = samples.attention_mask
        advantages = self._baseline.advantages(rewards, mask)
        logps, action_logps = self._log_policy(players, engine, samples)
        loss = policy_gradient_loss(action_logps, advantages, mask)

        num_tokens = mask.sum()
        metrics = {
            "generator/loss_per_token": float(loss.detach() / num_tokens),
            "reward/mean": float(rewards.sum() / num_tokens),
            "reward/std": float(rewards[mask == 1].std(unbiased=False)),
            # The variance of the gradient estimate grows with its square.
            "generator/advantage_rms": float((advantages.square().sum() / num_tokens).sqrt()),
            "generator/entropy_estimate": float(-logps.detach().sum() / num_tokens),
            "generator/length": float(num_tokens / len(mask)),
        }
        statistics = {"reward": rewards.sum(), "tokens": num_tokens.to(rewards.dtype)}
        return ObjectiveOutput(loss, metrics, reduction="sum", statistics=statistics)

    def _log_policy(
        self, players: Players, engine: RolloutEngine, samples: Samples
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Returns the log-probabilities of the tokens and those of the actions, with gradient, of shape `(batch_size,
        max_length)`. The actions are the tokens; a generator may choose more at each step.
        """
        logps = engine.per_token_logps(players["generator"], samples)
        return logps, logps

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

    def _rewards(self, players: Players, engine: RolloutEngine, samples: Samples) -> torch.Tensor:
        """Returns the action values, of shape `(batch_size, max_length)`; 0 at padding."""
        if self.reward == "constant":
            return self.constant_reward * samples.attention_mask.float()
        if self.reward == "bleu":
            if self._bleu is None:
                raise ValueError("reward is 'bleu', but prepare was not called; call it first.")
            bleu = self._bleu

            def score(samples: Samples) -> torch.Tensor:
                return bleu(samples.sequences)
        else:
            discriminator = players["discriminator"]

            def score(samples: Samples) -> torch.Tensor:
                return probability_of_real(discriminator, samples.sequences, self.bf16_rewards)

        policy = players.unwrap("generator")
        return rollout_rewards(engine, policy, samples, score, self.num_rollouts, batch_size=None, inputs=())


__all__ = ["SeqGANObjective"]
