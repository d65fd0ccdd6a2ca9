"""SeqGAN: policy gradient with Monte-Carlo rollouts scored by a discriminator."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import PreTrainedModel

from ..core.players import Players
from ..core.schedule import Phase, Update
from ..data.rows import Rows
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples
from .policy_gradient import PolicyGradientObjective
from .rewards import BleuScore


@dataclass
class SeqGANObjective(PolicyGradientObjective):
    """
    SeqGAN (Yu, Zhang, Wang, Yu, AAAI 2017, arXiv 1609.05473).

    Generator (equations 4 and 7): ``- sum_b sum_t log G(y_t | y_<t) Q(y_<t, y_t)``, where ``Q`` is the mean of the
    discriminator's probability "real" over `num_rollouts` completions of ``y_1..y_t``. Discriminator (equation 5):
    cross-entropy of real against generated sequences, plus `l2_weight` times the L2 norm of its output layer.

    Args:
        reward (`"discriminator"`, `"bleu"` or `"constant"`, *optional*, defaults to `"discriminator"`):
            The score of a completion. `"bleu"` is PG-BLEU, the paper's baseline: BLEU against the training data.
            `"constant"` is a control: the gradient then has the expectation zero, so whatever changes is the effect
            of the noise and not of a discriminator. Both have no use for a discriminator and train none.
        bleu_order (`int`, *optional*, defaults to `3`):
            The longest n-grams of `reward="bleu"`.
        constant_reward (`float`, *optional*, defaults to `1.0`):
            The reward of every token under `reward="constant"`.
        num_rollouts (`int`, *optional*, defaults to `16`):
            See [`PolicyGradientObjective`].
        generator_steps (`int`, *optional*, defaults to `1`):
            See [`PolicyGradientObjective`].
        bf16_rewards (`bool`, *optional*, defaults to `False`):
            See [`PolicyGradientObjective`].
        baseline (`str`, *optional*, defaults to `"none"`):
            See [`PolicyGradientObjective`].
        baseline_decay (`float`, *optional*, defaults to `0.99`):
            See [`PolicyGradientObjective`].
        variance_steps (`int`, *optional*, defaults to `10`):
            See [`PolicyGradientObjective`].
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

    reward: Literal["discriminator", "bleu", "constant"] = "discriminator"
    bleu_order: int = 3
    constant_reward: float = 1.0

    ranges = {**PolicyGradientObjective.ranges, "bleu_order": (2, math.inf, True)}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reward not in ("discriminator", "bleu", "constant"):
            raise ValueError(f"reward is {self.reward!r}; set it to 'discriminator', 'bleu' or 'constant'.")
        self._bleu: BleuScore | None = None

    def updates(self) -> dict[str, tuple[Update, ...]]:
        updates = super().updates()
        if self.reward == "discriminator":
            return updates
        alone = tuple(update for update in updates["adversarial"] if update.player == "generator")
        return {"pretrain_generator": updates["pretrain_generator"], "adversarial": alone}

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

    def score_of(self, players: Players) -> Callable[[Samples], torch.Tensor]:
        if self.reward != "bleu":
            return super().score_of(players)
        if self._bleu is None:
            raise ValueError("reward is 'bleu', but prepare was not called; call it first.")
        bleu = self._bleu
        return lambda samples: bleu(samples.sequences)

    def rewards(self, players: Players, engine: RolloutEngine, samples: Samples) -> torch.Tensor:
        if self.reward == "constant":
            return self.constant_reward * samples.attention_mask.float()
        return super().rewards(players, engine, samples)


__all__ = ["SeqGANObjective"]
