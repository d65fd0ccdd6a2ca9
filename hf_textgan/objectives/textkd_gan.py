"""TextKD-GAN: the critic compares generated lines with an autoencoder's soft reconstructions of real ones."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from ..core.context import ObjectiveOutput, ObjectiveReport, StepContext
from ..core.players import Players
from ..core.schedule import Phase, Update
from ..losses.likelihood import squared_error, token_entropy
from ..sampling.engine import RolloutEngine
from ..utils.numbers import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE
from .iwgan import IWGANObjective


@dataclass
class TextKDObjective(IWGANObjective):
    """
    TextKD-GAN (Haidar, Rezagholizadeh, Canadian AI 2019, arXiv 1905.01976).

    IWGAN's critic can tell one-hot vectors from softmax vectors by their form alone. Here it reads
    ``xt = softmax(dec(enc(x)))`` in place of the real line ``x``, from an autoencoder that learns at the same time
    (the teacher), and the generator is the student. Each iteration is that of the paper's algorithm 1: a step of the
    autoencoder on ``||x - xt||^2``, `discriminator_steps` steps of the critic on ``E f(g) - E f(xt)`` with gradient
    penalty, a step of the generator on ``- E f(G(z))``. In the critic's steps the teacher is in evaluation mode, its
    outputs are constants, and they are computed anew from the batch of the step.

    Args:
        discriminator_steps (`int`, *optional*, defaults to `5`):
            Critic steps per iteration.
        gradient_penalty (`float`, *optional*, defaults to `10.0`):
            Weight of the penalty; the paper gives no number, this is IWGAN's.
        autoencoder_steps (`int`, *optional*, defaults to `1`):
            Autoencoder steps per iteration.
        pretrain_autoencoder_steps (`int`, *optional*, defaults to `0`):
            Autoencoder steps before the first iteration; the paper has none, and its teacher is at first a blur.
        teacher_temperature (`float`, *optional*, defaults to `1.0`):
            Divides the teacher's scores before the softmax that the critic sees; above 1 softens. Near-perfect
            reconstructions are near one-hot, and the method is then IWGAN.
        interpolate_from (`"teacher"` or `"data"`, *optional*, defaults to `"teacher"`):
            The real ends of the lines on which the gradient is penalized: the teacher's output, or the one-hot
            vectors. The paper writes the latter and follows IWGAN, where both are the same.
        policy_gradient (`float`, *optional*, defaults to `0.0`):
            Weight of a policy-gradient term of the generator, the paper's proposal for long texts (experimental): the
            score of drawn tokens less that of the probabilities they are drawn from, times the log-probability of the
            draw.

    Inputs:

    | player | batch |
    |---|---|
    | autoencoder, discriminator | `input_ids` of shape `(batch_size, length)` from BOS, `attention_mask` |
    | generator | its size is the number of generated sequences |

    The decoder's input at each position is an option of the autoencoder, `decoder_input`.

    Relations: [`IWGANObjective`] is its limit for one-hot reconstructions, step by step.
    """

    discriminator_steps: int = 5
    autoencoder_steps: int = 1
    pretrain_autoencoder_steps: int = 0
    teacher_temperature: float = 1.0
    interpolate_from: Literal["teacher", "data"] = "teacher"
    policy_gradient: float = 0.0

    ranges = {
        **IWGANObjective.ranges,
        "autoencoder_steps": AT_LEAST_ONE,
        "pretrain_autoencoder_steps": NOT_NEGATIVE,
        "teacher_temperature": POSITIVE,
        "policy_gradient": NOT_NEGATIVE,
    }
    noise_keys = (*IWGANObjective.noise_keys, "generator_tokens")
    panels = {
        **IWGANObjective.panels,
        "reconstruction accuracy": ("autoencoder/accuracy", "eval_reconstruction_accuracy"),
        "reward": ("reward/*",),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interpolate_from not in ("teacher", "data"):
            raise ValueError(f"interpolate_from is {self.interpolate_from!r}; set it to 'teacher' or 'data'.")

    def updates(self) -> dict[str, tuple[Update, ...]]:
        first = Update("autoencoder", "autoencoder_loss", repeat=self.autoencoder_steps)
        return {"adversarial": (first, *super().updates()["adversarial"])}

    def phases(self, pretrain_generator: int, pretrain_discriminator: int, adversarial: int) -> list[Phase]:
        # One optimizer for both phases: the pre-training is a head start and not another task.
        update = Update("autoencoder", "autoencoder_loss", optimizer="adversarial")
        phases = super().phases(pretrain_generator, pretrain_discriminator, adversarial)
        return [Phase("pretrain_autoencoder", self.pretrain_autoencoder_steps, (update,)), *phases]

    def check_players(self, models: dict[str, PreTrainedModel], engine: RolloutEngine) -> None:
        super().check_players(models, engine)
        padding = models["autoencoder"].config.padding
        if padding != "token":
            raise ValueError(
                f"The autoencoder has padding {padding!r}, but the critic reads all positions; build it with "
                "padding='token'."
            )

    def _teacher(self, players: Players, sequences: torch.Tensor) -> torch.Tensor:
        """Returns the teacher's scores, `(batch_size, length, vocab_size)`."""
        return players["autoencoder"](input_ids=sequences).logits.float()

    def real_probs(self, players: Players, sequences: torch.Tensor) -> torch.Tensor:
        return (self._teacher(players, sequences) / self.teacher_temperature).softmax(-1)

    def interpolated_probs(self, players: Players, sequences: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        return real if self.interpolate_from == "teacher" else super().real_probs(players, sequences)

    def autoencoder_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        sequences = engine.real_sequences(batch)
        probs = self._teacher(players, sequences).softmax(-1)
        loss = squared_error(probs, sequences)
        with torch.no_grad():
            metrics = {
                "autoencoder/accuracy": (probs.argmax(-1) == sequences).float().mean(),
                "autoencoder/token_entropy": token_entropy(probs).mean(),
            }
        return ObjectiveOutput(loss, metrics, weight=float(len(sequences)))

    def generator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        if self.policy_gradient == 0.0:
            return super().generator_loss(players, engine, batch, context)
        fake = self.fake_probs(players, len(batch["input_ids"]), context, "generator_latents")
        critic = players["discriminator"]
        scores = critic(inputs_onehot=fake).logits.squeeze(1).float()
        # Given z the tokens are independent. The score of their probabilities does not depend on the draw: a baseline.
        cumulative = fake.detach().cumsum(2)
        uniform = context.rand("generator_tokens", *fake.shape[:2], 1).to(fake.device) * cumulative[..., -1:]
        drawn = torch.searchsorted(cumulative, uniform, right=True).squeeze(2).clamp(max=fake.shape[2] - 1)  # (B, L)
        with torch.no_grad():
            rewards = critic(inputs_onehot=F.one_hot(drawn, fake.shape[2]).float()).logits.squeeze(1).float() - scores
        logps = fake.gather(2, drawn[..., None]).squeeze(2).clamp(min=1e-30).log().sum(1)
        loss = -scores.mean() - self.policy_gradient * (rewards * logps).mean()
        return ObjectiveOutput(loss, {"reward/mean": rewards.mean()}, weight=float(len(fake)))

    def report(self, players: Players, engine: RolloutEngine, batch: dict) -> ObjectiveReport:
        report = super().report(players, engine, batch)
        sequences = engine.real_sequences(batch)
        probs = self._teacher(players, sequences).softmax(-1)
        written = probs.argmax(-1)
        report.metrics["reconstruction_accuracy"] = float((written == sequences).double().mean())
        report.metrics["reconstruction_error"] = float(squared_error(probs, sequences))
        # Each line above its reconstruction.
        pairs = torch.stack([sequences, engine.truncate_at_eos(written)], dim=1).flatten(0, 1)
        report.sequences["reconstructions"] = pairs[:20]
        return report


__all__ = ["TextKDObjective"]
