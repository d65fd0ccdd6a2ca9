"""ARAE: a GAN in the code space of an autoencoder of sentences."""

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from ..core.context import ObjectiveOutput, ObjectiveReport, StepContext
from ..core.objective import Objective
from ..core.players import Players
from ..core.schedule import Update
from ..losses.adversarial import score_gap
from ..losses.regularization import gradient_penalty, input_gradient, interpolate
from ..sampling.engine import RolloutEngine
from ..utils.numbers import AT_LEAST_ONE, NOT_NEGATIVE


_INTERPOLATIONS = 3  # pairs of sentences


@dataclass
class ARAEObjective(Objective):
    """
    Adversarially regularized autoencoder (Zhao, Kim, Zhang, Rush, LeCun, ICML 2018, arXiv 1706.04223).

    An autoencoder maps a sentence to a code ``c`` of norm 1 and writes it again; a generator makes codes ``g = G(z)``
    of noise, and a critic ``f`` compares the two. Each iteration is that of the official code: a reconstruction step
    of the autoencoder (cross-entropy per token of the sentence given the code plus noise), `discriminator_steps` steps
    of the critic on ``E f(g) - E f(c)`` with gradient penalty, a step of the encoder that lowers ``E f(c)``, a step of
    the generator that raises ``E f(g)``. The generator carries a copy of the decoder, brought up to date before its
    step, so that it writes text by itself.

    Args:
        discriminator_steps (`int`, *optional*, defaults to `5`):
            Critic steps per iteration.
        gradient_penalty (`float`, *optional*, defaults to `1.0`):
            Weight of the penalty, at points on the lines between the codes of a batch and generated ones.
        penalize_batch_mean (`bool`, *optional*, defaults to `False`):
            As in the official code, whose critic returns the mean of its scores over the batch: the penalty then draws
            the norm of each gradient to the number of examples of the step and not to 1.
        encoder_weight (`float`, *optional*, defaults to `0.1`):
            Weight of the encoder's adversarial loss, the code's `grad_lambda`.
        code_noise (`float`, *optional*, defaults to `0.05`):
            Standard deviation of the noise on codes that are reconstructed.
        noise_decay (`float`, *optional*, defaults to `0.9995`):
            Multiplies `code_noise` every `noise_decay_every` iterations.
        noise_decay_every (`int`, *optional*, defaults to `100`):
            See `noise_decay`.

    Inputs:

    | player | batch |
    |---|---|
    | autoencoder, discriminator | `input_ids` of shape `(batch_size, length)` from BOS, `attention_mask` |
    | generator | its size is the number of generated codes |

    Deviations from the official code: the norm of each example's gradient is drawn to 1 (`penalize_batch_mean`). The
    ICLR submission clips weights instead of penalizing gradients.
    """

    discriminator_steps: int = 5
    gradient_penalty: float = 1.0
    penalize_batch_mean: bool = False
    encoder_weight: float = 0.1
    code_noise: float = 0.05
    noise_decay: float = 0.9995
    noise_decay_every: int = 100

    ranges = {
        "discriminator_steps": AT_LEAST_ONE,
        "gradient_penalty": NOT_NEGATIVE,
        "encoder_weight": NOT_NEGATIVE,
        "code_noise": NOT_NEGATIVE,
        "noise_decay": (0.0, 1.0, False),
        "noise_decay_every": AT_LEAST_ONE,
    }
    noise_keys = ("code_noise", "discriminator_latents", "generator_latents", "alpha")
    panels = {
        "critic's score gap": ("discriminator/score_gap",),
        "critic's gradient norm": ("discriminator/input_gradient_norm",),
        "norm of the codes": ("generator/code_norm",),
        "reconstruction accuracy": ("autoencoder/accuracy", "eval_reconstruction_accuracy"),
    }

    # The generator's batch normalization: its statistics are those of one micro-batch.
    couples_batch = True
    several_processes = True  # as usual under data parallelism, each process has statistics of its own

    def updates(self) -> dict[str, tuple[Update, ...]]:
        updates = [
            Update("autoencoder", "reconstruction_loss"),
            Update("discriminator", "discriminator_loss", repeat=self.discriminator_steps),
            Update("autoencoder", "encoder_loss"),
            Update("generator", "generator_loss"),
        ]
        if self.encoder_weight == 0.0:  # some optimizers change parameters even without a gradient
            del updates[2]
        return {"adversarial": tuple(updates)}

    def check_players(self, models: dict[str, PreTrainedModel], engine: RolloutEngine) -> None:
        generator, autoencoder = models["generator"], models["autoencoder"]
        pairs = {
            "code_size": "hidden_size",
            "hidden_size": "hidden_size",
            "embedding_size": "embedding_size",
            "vocab_size": "vocab_size",
            "bos_token_id": "bos_token_id",
        }
        for name, source_name in pairs.items():
            value, source_value = getattr(generator.config, name, None), getattr(autoencoder.config, source_name)
            if value != source_value:
                raise ValueError(
                    f"The generator has {name} {value} and the autoencoder {source_name} {source_value}, but it "
                    f"carries its decoder; set --generator.{name} {source_value}."
                )
        if getattr(models["discriminator"].config, "code_size", None) is None:
            raise ValueError(
                f"A {type(models['discriminator']).__name__} cannot be trained by {type(self).__name__}, which needs "
                "a critic of codes, such as LatentCritic."
            )
        if models["discriminator"].config.code_size != autoencoder.config.hidden_size:
            raise ValueError(
                f"The discriminator has code_size {models['discriminator'].config.code_size} and codes have "
                f"{autoencoder.config.hidden_size} numbers; set --discriminator.code_size "
                f"{autoencoder.config.hidden_size}."
            )

    def noise_std(self, iteration: int) -> float:
        """Returns the standard deviation of the noise on codes in an iteration."""
        return self.code_noise * self.noise_decay ** (iteration // self.noise_decay_every)

    def reconstruction_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        sequences, mask = batch["input_ids"][:, 1:], batch["attention_mask"][:, 1:]
        size = players.unwrap("autoencoder").config.hidden_size
        std = self.noise_std(context.iteration)
        noise = std * context.randn("code_noise", len(sequences), size).to(sequences.device)
        output = players["autoencoder"](
            input_ids=sequences, attention_mask=mask, code_noise=noise, labels=sequences.masked_fill(mask == 0, -100)
        )
        metrics = {
            "autoencoder/nll_per_token": output.loss.detach(),
            "autoencoder/accuracy": _accuracy(output.logits, sequences, mask),
            "autoencoder/code_noise": std,
        }
        return ObjectiveOutput(output.loss, metrics, weight=float(mask.sum()))

    def discriminator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        critic = players.unwrap("discriminator")
        with torch.no_grad():
            real = players["autoencoder"](**_inputs(batch), decode=False).codes
            fake = self._codes(players, len(real), context, "discriminator_latents", batch_statistics=True)
            alpha = context.rand("alpha", len(real)).to(real.device)
            between = interpolate(fake, real, alpha)
        scores = players["discriminator"](codes=torch.cat([real, fake])).logits.squeeze(1)
        gap = score_gap(*scores.chunk(2))
        gradients = input_gradient(lambda codes: critic(codes=codes).logits.squeeze(1), between)
        num_examples = len(real) * context.num_shards if self.penalize_batch_mean else 1
        penalty, norms = gradient_penalty(gradients, num_examples)
        metrics = {
            "discriminator/score_gap": gap.detach(),
            "discriminator/penalty": penalty.detach(),
            "discriminator/input_gradient_norm": norms.mean(),
            "generator/code_norm": fake.norm(dim=1).mean(),
        }
        return ObjectiveOutput(self.gradient_penalty * penalty - gap, metrics, weight=float(len(real)))

    def encoder_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        codes = players["autoencoder"](**_inputs(batch), decode=False).codes
        score = players["discriminator"](codes=codes).logits.float().mean()
        return ObjectiveOutput(self.encoder_weight * score, {}, weight=float(len(codes)))

    def generator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        players.carry("autoencoder", "generator", "decoder")  # it writes text with a copy
        codes = self._codes(players, len(batch["input_ids"]), context, "generator_latents")
        score = players["discriminator"](codes=codes).logits.float().mean()
        return ObjectiveOutput(-score, {}, weight=float(len(codes)))

    def _codes(self, players: Players, num_rows: int, context: StepContext, noise_key: str, **options) -> torch.Tensor:
        """Returns ``G(z)``."""
        generator = players.unwrap("generator")
        latents = context.randn(noise_key, num_rows, generator.config.latent_size)
        return players["generator"](latents=latents.to(generator.device), decode=False, **options).codes

    def report(self, players: Players, engine: RolloutEngine, batch: dict) -> ObjectiveReport:
        autoencoder, generator = players.unwrap("autoencoder"), players.unwrap("generator")
        sequences, mask = batch["input_ids"][:, 1:], batch["attention_mask"][:, 1:]
        output = autoencoder(input_ids=sequences, attention_mask=mask, labels=sequences.masked_fill(mask == 0, -100))
        written = autoencoder.decode(output.codes)
        width = sequences.shape[1]
        exact = (written[:, :width] == sequences.masked_fill(mask == 0, autoencoder.config.pad_token_id)).all(1)
        codes = generator.codes(generator.sample_latents(len(sequences)))
        metrics = {
            "reconstruction_nll_per_token": float(output.loss),
            "reconstruction_accuracy": float(_accuracy(output.logits, sequences, mask)),
            "exact_match": float(exact.double().mean()),
            # Norms apart are the critic's easiest cue; a collapse shows as a much smaller variance.
            "generator_code_norm": float(codes.norm(dim=1).mean()),
            "generator_code_variance": float(codes.var(0, unbiased=False).sum()),
            "real_code_variance": float(output.codes.var(0, unbiased=False).sum()),
        }
        report = ObjectiveReport(metrics)
        lengths = mask.sum(1).tolist()
        pairs = [(2 * k, 2 * k + 1) for k in range(min(_INTERPOLATIONS, len(sequences) // 2))]
        between = [autoencoder.interpolate(sequences[i, : lengths[i]], sequences[j, : lengths[j]]) for i, j in pairs]
        if between:
            report.sequences["interpolations"] = torch.cat(between)
        return report


def _inputs(batch: dict) -> dict[str, torch.Tensor]:
    return {"input_ids": batch["input_ids"][:, 1:], "attention_mask": batch["attention_mask"][:, 1:]}


@torch.no_grad()
def _accuracy(logits: torch.Tensor, sequences: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Returns the fraction of tokens, EOS included, that are the most probable ones; `logits` may be longer."""
    correct = logits[:, : sequences.shape[1]].argmax(-1) == sequences
    return (correct * mask).sum() / mask.sum()


__all__ = ["ARAEObjective"]
