"""GANs on relaxed one-hot samples: GSGAN and RelGAN."""

import copy
import inspect
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from ..core.context import ObjectiveOutput, StepContext
from ..core.players import Players
from ..core.schedule import Update
from ..losses.adversarial import adversarial_loss
from ..losses.likelihood import token_entropy
from ..losses.regularization import gradient_penalty, input_gradient, interpolate
from ..sampling.engine import RolloutEngine
from ..sampling.inputs import draw_inputs
from ..sampling.relaxed import Feed, RelaxedSamples, check_relaxation, check_relaxed
from ..utils.numbers import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, PROBABILITY
from .annealing import Annealing, annealed_temperature, check_annealing
from .mle import MLEObjective


@dataclass
class GumbelObjective(MLEObjective):
    """
    A GAN whose discriminator reads relaxed one-hot vectors, so that its gradient flows into the generator: GSGAN
    (Kusner and Hernandez-Lobato 2016, arXiv 1611.04051) and RelGAN (Nie, Narodytska, Patel, ICLR 2019, OpenReview
    rJedV3R5tm).

    A generated sequence is ``y_t = softmax((l_t + g_t) / tau)`` with Gumbel noise ``g_t``, a real one is one-hot.
    Discriminator: ``L_D(a, b)`` of the scores ``a`` of real and ``b`` of generated sequences. Generator:
    ``L_G(a, b)``. Both are those of `loss`, by default ``- E log s(a) - E log(1 - s(b))`` and ``- E log s(b)``. The
    scores of a discriminator with two classes are its log-odds, and one with several scores per sequence counts them
    all.

    Args:
        loss (`str`, *optional*, defaults to `"standard"`):
            `"standard"`, `"js"`, `"kl"`, `"hinge"`, `"tv"`, `"wasserstein"`, `"least_squares"`, `"rsgan"` or `"ragan"`
            (see [`~losses.ADVERSARIAL_LOSSES`]).
        feed (`"soft"`, `"hard"` or `"straight-through"`, *optional*, defaults to `"soft"`):
            What the generator reads after a token: the mixture of embeddings (GSGAN), the embedding of the token
            without gradient (RelGAN), or the token with the gradient of the mixture, which the discriminator then
            reads as well.
        generator_steps (`int`, *optional*, defaults to `1`):
            Generator steps per iteration of adversarial training.
        discriminator_steps (`int`, *optional*, defaults to `1`):
            Discriminator steps per iteration, each of one batch of real and one of generated sequences.
        start_relaxation (`float`, *optional*, defaults to `1.0`):
            The temperature ``tau`` of the relaxation at the start of adversarial training.
        end_relaxation (`float`, *optional*, defaults to `1.0`):
            The temperature at its end.
        annealing (`str`, *optional*, defaults to `"exponential"`):
            The way from one to the other: `"none"` (always the end), `"exponential"`, `"linear"`, `"logarithmic"`,
            `"sigmoid"`, `"quadratic"` or `"square_root"` (see [`~objectives.annealing.annealed_temperature`]).
        annealing_share (`float`, *optional*, defaults to `1.0`):
            The part of adversarial training after which the temperature is that of the end.
        annealing_iterations (`int`, *optional*, defaults to `0`):
            A fixed number of iterations for the whole way, whatever the length of the run; 0 for `annealing_share`.
        gradient_penalty (`float`, *optional*, defaults to `0.0`):
            Weight of ``E (||grad f(xhat)||_2 - 1)^2`` in the discriminator's loss, where ``f`` is the mean of its
            scores and ``xhat`` is on the line between the i-th real and the i-th generated matrix (IWGAN, arXiv
            1704.00028, equation 3), as `loss="wasserstein"` needs it.
        scheduled_sampling (`float`, *optional*, defaults to `0.0`):
            See [`MLEObjective`].

    Inputs:

    | player | batch |
    |---|---|
    | generator | as many sequences are sampled; `input_ids` and `attention_mask` for a relativistic loss |
    | discriminator | `input_ids` of shape `(batch_size, length)` from BOS to EOS, `attention_mask` |

    Deviations from the papers: after EOS real and generated sequences are one-hot padding, through which no gradient
    flows. The dropout of the discriminator is off while the generator is updated.
    """

    loss: str = "standard"
    feed: Feed = "soft"
    generator_steps: int = 1
    discriminator_steps: int = 1
    start_relaxation: float = 1.0
    end_relaxation: float = 1.0
    annealing: Annealing = "exponential"
    annealing_share: float = 1.0
    annealing_iterations: int = 0
    gradient_penalty: float = 0.0

    several_processes = True  # the scores are gathered
    noise_keys = ("generator_noise", "generator_inputs", "discriminator_noise", "discriminator_inputs", "alpha")
    ranges = {
        **MLEObjective.ranges,
        "generator_steps": AT_LEAST_ONE,
        "discriminator_steps": AT_LEAST_ONE,
        "start_relaxation": POSITIVE,
        "end_relaxation": POSITIVE,
        "annealing_share": PROBABILITY,
        "annealing_iterations": NOT_NEGATIVE,
        "gradient_penalty": NOT_NEGATIVE,
    }
    panels = {
        **MLEObjective.panels,
        "share of pairs in which the real sequence has the higher score (0.5 is chance)": ("discriminator/accuracy",),
        "entropy of the relaxed tokens (nats)": ("generator/token_entropy",),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self._loss = adversarial_loss(self.loss)
        check_annealing(self.annealing)
        check_relaxation(self.start_relaxation, self.feed)

    @property
    def couples_batch(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Returns whether the loss of a sequence depends on the others of its batch."""
        return self._loss.couples_batch

    def updates(self) -> dict[str, tuple[Update, ...]]:
        return {
            **super().updates(),
            "adversarial": (
                Update("generator", "generator_loss", repeat=self.generator_steps),
                Update("discriminator", "discriminator_loss", repeat=self.discriminator_steps),
            ),
        }

    def check_players(self, models: dict[str, PreTrainedModel], engine: RolloutEngine) -> None:
        generator, discriminator = models["generator"], models["discriminator"]
        check_relaxed(generator, self.feed)
        if "inputs_onehot" not in inspect.signature(discriminator.forward).parameters:
            raise ValueError(
                f"A {type(discriminator).__name__} reads no inputs_onehot, so no gradient flows through the tokens "
                "that it judges; use a discriminator that does, such as CNNDiscriminator."
            )
        if generator.config.vocab_size != discriminator.config.vocab_size:
            raise ValueError(
                f"The generator has vocab_size {generator.config.vocab_size} and the discriminator "
                f"{discriminator.config.vocab_size}; build both with the same vocabulary."
            )
        if self.gradient_penalty:
            trial = copy.deepcopy(discriminator)  # which may get gradients
            onehots = torch.zeros(1, engine.max_length, trial.config.vocab_size, device=trial.device)
            try:
                score_gradient(trial, onehots).sum().backward()
            except RuntimeError as error:
                raise ValueError(
                    f"gradient_penalty is {self.gradient_penalty}, but a {type(discriminator).__name__} cannot be "
                    f"differentiated twice ({error}); set it to 0, or use another discriminator."
                ) from error

    def relaxation(self, context: StepContext) -> float:
        """Returns the temperature ``tau`` of the relaxation in an iteration."""
        iteration = round(context.progress * context.num_iterations)
        length = self.annealing_iterations or self.annealing_share * context.num_iterations
        return annealed_temperature(self.annealing, self.start_relaxation, self.end_relaxation, iteration, length)

    # ---- The losses -----------------------------------------------------------------------------------------------

    def generator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        real = engine.real_sequences(batch)
        fake = self.fake_samples(players, engine, len(real), context, "generator")
        discriminator = players["discriminator"]
        b = scores_of(discriminator(inputs_onehot=fake.onehots))
        if self._loss.generator_reads_real:
            with torch.no_grad():
                a = scores_of(discriminator(input_ids=real))
        else:
            a = b.detach()
        loss = self._loss.generator(*self._of_all(players, context, a, b))
        mask = fake.samples.attention_mask
        with torch.no_grad():
            entropy = (token_entropy(fake.onehots) * mask).sum() / mask.sum()
        metrics = {
            "generator/relaxation": self.relaxation(context),
            "generator/token_entropy": entropy,
            "generator/length": mask.sum(1).float().mean(),
        }
        return ObjectiveOutput(loss, metrics, weight=float(len(real)))

    def discriminator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        real = engine.real_sequences(batch)
        with torch.no_grad():
            fake = self.fake_samples(players, engine, len(real), context, "discriminator")
        discriminator = players["discriminator"]
        # One-hot vectors of real tokens would take as much memory as all scores of the generator.
        a = scores_of(discriminator(input_ids=real))
        b = scores_of(discriminator(inputs_onehot=fake.onehots))
        loss = self._loss.discriminator(*self._of_all(players, context, a, b))
        metrics = {
            "discriminator/accuracy": (a > b).float().mean(),
            "discriminator/score_gap": (a - b).detach().float().mean(),
        }
        if self.gradient_penalty:
            alpha = context.rand("alpha", len(real)).to(real.device)
            onehots = F.one_hot(real, fake.onehots.shape[2]).to(fake.onehots)
            between = interpolate(onehots, fake.onehots, alpha)
            penalty, norms = gradient_penalty(score_gradient(players.unwrap("discriminator"), between))
            loss = loss + self.gradient_penalty * penalty
            metrics["discriminator/input_gradient_norm"] = norms.mean()
        return ObjectiveOutput(loss, metrics, weight=float(len(real)))

    def fake_samples(
        self, players: Players, engine: RolloutEngine, num_rows: int, context: StepContext, key: str
    ) -> RelaxedSamples:
        """Draws relaxed samples of the generator, the same for any number of micro-batches and processes."""
        generator = players.unwrap("generator")
        inputs = context.draw_rows(
            f"{key}_inputs", num_rows, lambda number: draw_inputs(generator, number, engine.max_length)
        )
        noise = context.uniform(f"{key}_noise", generator.device)
        return engine.relaxed_sample(
            players["generator"], num_rows, self.relaxation(context), self.feed, inputs, noise
        )

    def _of_all(self, players: Players, context: StepContext, *scores: torch.Tensor) -> list[torch.Tensor]:
        """
        Returns the scores of all processes if a loss compares them. Every process then has the loss of the whole
        batch, and the gradient of its own scores is multiplied by their number, because gradients are averaged.
        """
        if not self.couples_batch or context.num_shards == 1:
            return list(scores)
        gathered = []
        for own in scores:
            parts = list(players.gather(own).chunk(context.num_shards))
            parts[context.shard] = parts[context.shard] + context.num_shards * (own - own.detach())
            gathered.append(torch.cat(parts))
        return gathered


def score_gradient(discriminator: PreTrainedModel, onehots: torch.Tensor) -> torch.Tensor:
    """
    Returns the gradient of the mean score of each sequence with respect to its one-hot vectors
    `(batch_size, length, vocab_size)`, differentiable with respect to the parameters.
    """
    recurrent = any(isinstance(module, nn.RNNBase) for module in discriminator.modules())
    # The recurrences of cuDNN have no second derivative.
    with torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext():
        return input_gradient(lambda inputs: scores_of(discriminator(inputs_onehot=inputs)).mean(1), onehots)


def scores_of(output: Any) -> torch.Tensor:
    """
    Returns the scores of a discriminator's output, `(batch_size, num_scores)`: all its scores, or the log-odds of its
    two classes.
    """
    if output.get("scores") is not None:
        return output.scores
    logits = output.logits
    return logits[:, 1:] - logits[:, :1] if logits.shape[1] == 2 else logits


__all__ = ["GumbelObjective"]
