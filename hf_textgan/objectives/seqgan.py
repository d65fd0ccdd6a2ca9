"""SeqGAN: policy gradient with Monte-Carlo rollouts scored by a discriminator."""

from dataclasses import dataclass

import torch

from ..losses import policy_gradient_loss, real_fake_cross_entropy
from ..regularization import output_layer_l2
from ..rewards import rollout_rewards
from ..sampling import RolloutEngine
from ..trainer.players import Players
from ..trainer.timetable import Turn
from .base import ObjectiveOutput, StepContext
from .mle import MLEObjective


@dataclass
class SeqGANObjective(MLEObjective):
    """
    SeqGAN (Yu, Zhang, Wang, Yu, AAAI 2017, arXiv 1609.05473).

    Generator (equations 4 and 7): ``- sum_b sum_t log G(y_t | y_<t) Q(y_<t, y_t)``, where ``Q`` is the mean of the
    discriminator's probability "real" over `num_rollouts` completions of ``y_1..y_t``. Discriminator (equation 5):
    cross-entropy of real against generated sequences, plus `l2_weight` times the L2 norm of its output layer.

    Args:
        num_rollouts (`int`, *optional*, defaults to `16`):
            Completions per prefix.
        generator_steps (`int`, *optional*, defaults to `1`):
            Generator steps per round of adversarial training.
        discriminator_steps (`int`, *optional*, defaults to `5`):
            Discriminator steps per round, each on fresh negatives.
        l2_weight (`float`, *optional*, defaults to `0.2`):
            Weight of the penalty on the discriminator's output layer.

    Inputs:

    | player | batch |
    |---|---|
    | generator | its size is the number of sampled sequences |
    | discriminator | `input_ids` of shape `(batch_size, length)` from BOS to EOS, `attention_mask` |

    Relations: [`MLEObjective`] is its pre-training.

    Deviations from the paper: sequences end at EOS, and padding earns neither reward nor loss. The reference code
    refreshes a pool of 10,000 negatives and trains several epochs on it; here every step draws fresh ones.

    Example:

    ```python
    >>> from hf_textgan import AdversarialTrainer, SeqGANObjective

    >>> trainer = AdversarialTrainer(model=generator, players={"discriminator": discriminator},
    ...                              objective=SeqGANObjective(num_rollouts=8), args=args, train_dataset=dataset,
    ...                              processing_class=tokenizer)
    ```"""

    num_rollouts: int = 16
    generator_steps: int = 1
    discriminator_steps: int = 5
    l2_weight: float = 0.2

    def __post_init__(self) -> None:
        if self.num_rollouts < 1:
            raise ValueError(f"num_rollouts is {self.num_rollouts}; set it to 1 or more.")

    def turns(self) -> dict[str, tuple[Turn, ...]]:
        return {
            **super().turns(),
            "pretrain_discriminator": (Turn("discriminator", "discriminator_loss"),),
            "adversarial": (
                Turn("generator", "generator_loss", repeat=self.generator_steps),
                Turn("discriminator", "discriminator_loss", repeat=self.discriminator_steps),
            ),
        }

    def generator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        policy, discriminator = players.unwrap("generator"), players["discriminator"]

        def real_probability(sequences: torch.LongTensor) -> torch.Tensor:
            return discriminator(input_ids=sequences).logits.float().softmax(-1)[:, 1]

        samples = engine.sample(policy, len(batch["input_ids"]), context.temperature)
        rewards = rollout_rewards(engine, policy, samples, real_probability, self.num_rollouts, context.temperature)
        logps = engine.per_token_logps(players["generator"], samples, context.temperature)
        loss = policy_gradient_loss(logps, rewards, samples.attention_mask)

        mask = samples.attention_mask
        num_tokens = mask.sum()
        metrics = {
            "reward/mean": float(rewards.sum() / num_tokens),
            "reward/std": float(rewards[mask == 1].std(unbiased=False)),
            "generator/entropy_estimate": float(-logps.detach().sum() / num_tokens),
            "generator/length": float(num_tokens / len(mask)),
        }
        return ObjectiveOutput(loss, metrics, reduction="sum")

    def discriminator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        discriminator = players["discriminator"]
        real, real_mask = batch["input_ids"][:, 1:], batch["attention_mask"][:, 1:]
        fake = engine.sample(players["generator"], len(real), context.temperature).sequences

        # One call for both, so that a data-parallel wrapper sees one forward pass per step.
        padding = engine.max_length - real.shape[1]
        real = real.masked_fill(real_mask == 0, engine.pad_token_id)
        real = torch.nn.functional.pad(real, (0, padding), value=engine.pad_token_id)
        logits = discriminator(input_ids=torch.cat([real, fake])).logits
        real_logits, fake_logits = logits.chunk(2)
        penalty = output_layer_l2(players.unwrap("discriminator").classifier)
        loss = real_fake_cross_entropy(real_logits, fake_logits) + self.l2_weight * penalty

        with torch.no_grad():
            metrics = {
                "discriminator/accuracy_real": float((real_logits[:, 1] > real_logits[:, 0]).float().mean()),
                "discriminator/accuracy_fake": float((fake_logits[:, 1] <= fake_logits[:, 0]).float().mean()),
            }
        return ObjectiveOutput(loss, metrics, weight=float(len(real)))


__all__ = ["SeqGANObjective"]
