"""Maximum likelihood: the baseline, and the pre-training of the autoregressive systems."""

from dataclasses import dataclass

from ..core.context import ObjectiveOutput, StepContext
from ..core.objective import Objective
from ..core.players import Players
from ..core.schedule import Update
from ..losses.likelihood import token_nll
from ..sampling.engine import RolloutEngine
from ..utils.numbers import PROBABILITY


@dataclass
class MLEObjective(Objective):
    """
    Next-token cross-entropy with teacher forcing: ``L = - sum_b sum_t log G(x_t | x_<t) / (number of tokens)``, EOS
    counted, padding not. A step over several micro-batches or processes divides by all their tokens.

    Args:
        scheduled_sampling (`float`, *optional*, defaults to `0.0`):
            Probability at the end of the phase that an input is the model's own draw instead of the true token. It
            rises linearly from 0 (scheduled sampling, Bengio et al. 2015, arXiv 1506.03099). The targets stay the
            true tokens.

    Inputs:

    | player | batch |
    |---|---|
    | generator | `input_ids` of shape `(batch_size, length)` from BOS to EOS, `attention_mask` |
    """

    scheduled_sampling: float = 0.0

    ranges = {"scheduled_sampling": PROBABILITY}
    panels = {"NLL of the training text, nats per token (lower is better)": ("generator/nll_per_token",)}

    def updates(self) -> dict[str, tuple[Update, ...]]:
        return {"pretrain_generator": (Update("generator", "mle_loss"),)}

    def mle_loss(self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext) -> ObjectiveOutput:
        engine = engine.at(1.0)  # likelihood is that of the model's own distribution
        real = engine.real_samples(players.unwrap("generator"), batch)
        if self.scheduled_sampling == 0.0:
            logps = engine.per_token_logps(players["generator"], real)
        else:
            probability = self.scheduled_sampling * context.progress
            input_ids = engine.mix_inputs(players.unwrap("generator"), real, probability)
            logps = engine.per_token_logps(players["generator"], real, input_ids)
        loss, num_tokens = token_nll(logps, real.attention_mask)
        if self.scheduled_sampling == 0.0:
            metrics = {"generator/nll_per_token": float(loss.detach())}
        else:  # the loss is not the likelihood of the text
            metrics = {"generator/scheduled_sampling_prob": probability}
        return ObjectiveOutput(loss, metrics, weight=float(num_tokens))


__all__ = ["MLEObjective"]
