"""Maximum likelihood: the baseline, and the pre-training of the autoregressive systems."""

from dataclasses import dataclass

from ..losses import token_nll
from ..sampling import RolloutEngine, Samples
from ..trainer.players import Players
from ..trainer.timetable import Turn
from .base import Objective, ObjectiveOutput, StepContext


@dataclass
class MLEObjective(Objective):
    """
    Next-token cross-entropy with teacher forcing: ``L = - sum_b sum_t log G(x_t | x_<t) / (number of tokens)``, EOS
    counted, padding not. A step over several micro-batches or processes divides by all their tokens.

    Inputs:

    | player | batch |
    |---|---|
    | generator | `input_ids` of shape `(batch_size, length)` from BOS to EOS, `attention_mask` |
    """

    def turns(self) -> dict[str, tuple[Turn, ...]]:
        return {"pretrain_generator": (Turn("generator", "mle_loss"),)}

    def mle_loss(self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext) -> ObjectiveOutput:
        real = Samples(batch["input_ids"][:, 1:], batch["attention_mask"][:, 1:])
        loss, num_tokens = token_nll(engine.per_token_logps(players["generator"], real), real.attention_mask)
        return ObjectiveOutput(loss, {"generator/nll_per_token": float(loss.detach())}, weight=float(num_tokens))


__all__ = ["MLEObjective"]
