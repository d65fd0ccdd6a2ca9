"""The variational bound on the likelihood: VGAN-pre, and the pre-training of VGAN."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from ..core.context import ObjectiveOutput, ObjectiveReport, StepContext
from ..core.objective import Objective
from ..core.players import Players
from ..core.schedule import Update
from ..sampling.capabilities import capabilities_of
from ..sampling.engine import RolloutEngine
from ..utils.numbers import NOT_NEGATIVE


@dataclass
class VariationalBoundObjective(Objective):
    """
    Maximum likelihood of a generator with latent variables, by its bound: stochastic gradient variational Bayes (VGAN,
    Wang, Qin, Wan, PAKDD 2018, arXiv 1712.00170, equations 6 and 10, with the sign of a bound).

    ``L = sum_t KL(q(z_t | x_t, h_t) || p(z_t | h_{t-1})) - log p(x_{t+1} | x_{1..t}, z_{1..t}) >= - log p(x)``, with
    one draw ``z_t = mu_1 + s_1 noise_t`` of the posterior, per token; EOS counts, padding does not. A step over
    several micro-batches or processes divides by all their tokens.

    Args:
        kl_weight (`float`, *optional*, defaults to `1.0`):
            Weight of the KL divergence; with 1 the loss is a bound.
        kl_annealing (`int`, *optional*, defaults to `0`):
            Number of steps over which this weight rises linearly from 0 (Bowman et al. 2016, arXiv 1511.06349).

    Inputs:

    | player | batch |
    |---|---|
    | generator | `input_ids` of shape `(batch_size, length)` from BOS to EOS, `attention_mask` |
    """

    kl_weight: float = 1.0
    kl_annealing: int = 0

    noise_keys = ("latents",)
    ranges = {"kl_weight": NOT_NEGATIVE, "kl_annealing": NOT_NEGATIVE}
    panels = {
        "bound on the NLL of the training text, nats per token (lower is better)": ("generator/nll_bound_per_token",),
        "KL of posterior and prior, nats per token (0 means that the posterior knows nothing more)": (
            "generator/kl_per_token",
            "eval_kl_per_token",
        ),
    }

    def updates(self) -> dict[str, tuple[Update, ...]]:
        return {"pretrain_generator": (Update("generator", "bound_loss"),)}

    def likelihood_objective(self) -> tuple[str, dict[str, Any]]:
        return "variational_bound", {"kl_weight": self.kl_weight, "kl_annealing": self.kl_annealing}

    def check_players(self, models: dict[str, PreTrainedModel], engine: RolloutEngine) -> None:
        super().check_players(models, engine)
        generator = models["generator"]
        known = capabilities_of(generator)
        if known.likelihood != "bound" or known.step_inputs != ("noise",):
            raise ValueError(
                f"The generator is a {type(generator).__name__}, which has no latent variable at each step; build it "
                "from a VariationalGeneratorConfig."
            )

    def bound_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        generator, input_ids = players.unwrap("generator"), batch["input_ids"]
        # Drawn for the longest text, so that the numbers do not depend on how a step is split.
        noise = context.randn("latents", len(input_ids), engine.max_length + 1, generator.config.latent_size)
        noise = noise[:, : input_ids.shape[1]].to(input_ids.device)
        nll, kl, num_tokens = bound_terms(players["generator"], batch, noise)
        weight = self.kl_weight * (min(1.0, context.step / self.kl_annealing) if self.kl_annealing else 1.0)
        loss = (nll + weight * kl) / num_tokens
        metrics = {
            "generator/nll_bound_per_token": float((nll + kl).detach() / num_tokens),
            "generator/kl_per_token": float(kl.detach() / num_tokens),
            "generator/kl_weight": weight,
        }
        return ObjectiveOutput(loss, metrics, weight=float(num_tokens))

    def report(self, players: Players, engine: RolloutEngine, batch: dict) -> ObjectiveReport:
        report = super().report(players, engine, batch)
        _, kl, num_tokens = bound_terms(players.unwrap("generator"), batch)
        report.metrics["kl_per_token"] = float(kl / num_tokens)
        return report


def bound_terms(
    generator: Any, batch: dict[str, torch.Tensor], noise: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """
    Returns the sums over a batch of the two terms of the bound, ``- log p(x | z)`` and the KL divergence, with
    gradient, and the number of tokens, EOS counted, padding and BOS not.

    Args:
        generator (`torch.nn.Module`):
            The generator, wrapped if it is trained under data parallelism.
        batch (`dict[str, torch.Tensor]`):
            `input_ids` and `attention_mask` of shape `(batch_size, length)`, with padding at the end.
        noise (`torch.FloatTensor` of shape `(batch_size, length, latent_size)`, *optional*):
            What the latents are made of; drawn by default.
    """
    input_ids, mask = batch["input_ids"], batch["attention_mask"]
    # The padding is on the right and the model is causal, so it needs no mask.
    labels = input_ids.masked_fill(mask == 0, -100)
    output = generator(input_ids=input_ids, labels=labels, noise=noise, use_cache=False)
    return output.nll.sum(), output.kl.sum(), mask[:, 1:].sum()


__all__ = ["VariationalBoundObjective"]
