"""VGAN: policy gradient of a generator with a latent variable at every step."""

from dataclasses import dataclass
from typing import Any, Literal

import torch

from ..core.players import Players
from ..core.schedule import Update
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples
from .seqgan import SeqGANObjective
from .variational_bound import VariationalBoundObjective


@dataclass
class VGANObjective(VariationalBoundObjective, SeqGANObjective):
    """
    VGAN (Wang, Qin, Wan, PAKDD 2018, arXiv 1712.00170).

    Pre-training: the variational bound (equation 10), that of [`VariationalBoundObjective`]. Generator: the policy
    gradient of SeqGAN, ``- sum_b sum_t Q_t log G(y_t | y_{1..t-1}, z_{1..t})``, where the latents ``z_t`` are drawn
    from the prior, and ``Q_t`` is the mean of the discriminator's probability "real" over completions that keep
    ``y_{1..t}`` with their latents and draw the later ones. Discriminator: that of [`ClassifierObjective`].

    Args:
        latent_gradient (`"reparametrized"` or `"score_function"`, *optional*, defaults to `"reparametrized"`):
            How the prior learns in the policy gradient. `"reparametrized"`: through ``z_t = mu_0 + s_0 noise_t``;
            given the noise, whose law has no parameters, the generator is an ordinary policy. `"score_function"`: the
            latents are actions as the tokens are, and ``Q_t log N(z_t; mu_0, s_0^2)`` is added; also unbiased, with
            more variance.
        kl_weight (`float`, *optional*, defaults to `1.0`):
            See [`VariationalBoundObjective`].
        kl_annealing (`int`, *optional*, defaults to `0`):
            See [`VariationalBoundObjective`].
        num_rollouts (`int`, *optional*, defaults to `16`):
            Completions per prefix.
        generator_steps (`int`, *optional*, defaults to `5`):
            Generator steps per iteration of adversarial training.
        discriminator_steps (`int`, *optional*, defaults to `3`):
            Discriminator steps per iteration, each of one batch of real and one of generated sequences.
        num_negatives (`int`, *optional*, defaults to `0`):
            See [`ClassifierObjective`].
        negative_epochs (`int`, *optional*, defaults to `3`):
            See [`ClassifierObjective`].
        l2_weight (`float`, *optional*, defaults to `0.0`):
            Weight of the penalty on the discriminator's output layer.
        reward (`"discriminator"`, `"bleu"` or `"constant"`, *optional*, defaults to `"discriminator"`):
            See [`SeqGANObjective`].
        bleu_order (`int`, *optional*, defaults to `3`):
            See [`SeqGANObjective`].
        constant_reward (`float`, *optional*, defaults to `1.0`):
            See [`SeqGANObjective`].
        bf16_rewards (`bool`, *optional*, defaults to `False`):
            See [`SeqGANObjective`].
        baseline (`str`, *optional*, defaults to `"none"`):
            See [`SeqGANObjective`].
        baseline_decay (`float`, *optional*, defaults to `0.99`):
            See [`SeqGANObjective`].
        scheduled_sampling (`float`, *optional*, defaults to `0.0`):
            Must be 0: the bound is that of the true tokens.

    Inputs:

    | player | batch |
    |---|---|
    | generator | in pre-training as the discriminator; then its size is the number of sampled sequences |
    | discriminator | `input_ids` of shape `(batch_size, length)` from BOS to EOS, `attention_mask` |

    Relations: without the latent variables it is [`SeqGANObjective`].

    Deviations from the paper: sequences end at EOS, and padding earns neither reward nor loss. The paper does not say
    how the latents are treated in the policy gradient.
    """

    latent_gradient: Literal["reparametrized", "score_function"] = "reparametrized"
    generator_steps: int = 5
    discriminator_steps: int = 3
    l2_weight: float = 0.0

    ranges = {**SeqGANObjective.ranges, **VariationalBoundObjective.ranges}
    panels = {**VariationalBoundObjective.panels, **SeqGANObjective.panels}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.latent_gradient not in ("reparametrized", "score_function"):
            raise ValueError(
                f"latent_gradient is {self.latent_gradient!r}; set it to 'reparametrized' or 'score_function'."
            )
        if self.scheduled_sampling != 0.0:
            raise ValueError(
                f"scheduled_sampling is {self.scheduled_sampling}, but VGAN is pre-trained by the bound of the true "
                "tokens; leave it out."
            )

    def updates(self) -> dict[str, tuple[Update, ...]]:
        return {**SeqGANObjective.updates(self), **VariationalBoundObjective.updates(self)}

    def _log_policy(
        self, players: Players, engine: RolloutEngine, samples: Samples
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self.latent_gradient == "reparametrized":
            return super()._log_policy(players, engine, samples)
        scorer = _LatentScorer(players["generator"])
        logps = engine.per_token_logps(scorer, samples)
        latents = torch.zeros_like(logps)
        latents[:, : scorer.latent_logps.shape[1]] = scorer.latent_logps
        return logps, logps + latents


class _LatentScorer:
    """Calls a generator that treats its latents as data, and keeps their log-densities."""

    step_inputs = ("noise",)

    def __init__(self, generator: Any):
        self.generator = generator

    def __call__(self, **inputs: Any) -> Any:
        output = self.generator(**inputs, detach_latents=True)
        self.latent_logps: torch.Tensor = output.latent_logps  # (B, L)
        return output


__all__ = ["VGANObjective"]
