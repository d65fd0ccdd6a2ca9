"""SentiGAN: a generator for each class, one discriminator, and a penalty in the place of a reward."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from ..core.context import ObjectiveOutput, StepContext
from ..core.players import Players
from ..core.schedule import Update
from ..data.rows import Rows
from ..data.statistics import labels_of
from ..losses.adversarial import class_cross_entropy, penalty_loss
from ..sampling.capabilities import capabilities_of
from ..sampling.engine import RolloutEngine
from ..sampling.inputs import inputs_of_columns
from ..sampling.samples import Samples
from ..utils.numbers import AT_LEAST_ONE
from .classifier import ClassifierObjective
from .judging import JUDGED_INPUTS
from .rewards import class_probabilities, rollout_rewards


@dataclass
class SentiGANObjective(ClassifierObjective):
    """
    SentiGAN (Wang and Wan, IJCAI 2018): `k` generators, one for each class of text, and a discriminator of `k + 1`
    classes, those of real text and fake.

    Generator of class ``i`` (equations 1 to 3): ``sum_b sum_t G_i(y_t | y_<t) V(y_<t, y_t)``, minimized, where the
    penalty ``V`` is the mean of ``1 - D_i`` over `num_rollouts` completions of ``y_1..y_t`` by ``G_i``, and that of
    the sequence itself at its last token. Sequences and penalties are constants; the gradient is that of the
    probability of each token given those before it. Discriminator (equation 5): ``- sum_i E_{real_i} log D_i - E_fake
    log D_fake``, the fake text being that of all generators (see [`~losses.adversarial.class_cross_entropy`]), plus
    `l2_weight` times the L2 norm of its output layer.

    The generators are one model that reads `class_labels`. Each step of the generator samples a batch, in which
    classes are drawn as the model draws them; generators whose class does not occur in it stay as they are. With a
    generator that reads no labels there is one class (`k = 1`), and the discriminator is that of
    [`ClassifierObjective`].

    Args:
        num_rollouts (`int`, *optional*, defaults to `15`):
            Completions per prefix.
        generator_steps (`int`, *optional*, defaults to `5`):
            Generator steps per iteration of adversarial training.
        discriminator_steps (`int`, *optional*, defaults to `1`):
            Discriminator steps per iteration, each of one batch of real and one of generated sequences.
        shifted (`bool`, *optional*, defaults to `False`):
            Reproduces the published code, in which the penalty of each token falls on the probability of the token
            before it (of BOS at the first): ``sum_b sum_t G_i(y_{t-1} | y_<t) V(y_<t, y_t)``. It lowers the
            probability of repeated tokens, whatever the discriminator says.
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
    | discriminator | `input_ids` of shape `(batch_size, length)` from BOS to EOS, `attention_mask`, `labels` |

    Relations: [`MLEObjective`] is its pre-training.

    Deviations from the paper: sequences end at EOS, and padding has neither penalty nor loss. A step updates all
    generators together, whose gradients share one bound on the norm.
    """

    num_rollouts: int = 15
    generator_steps: int = 5
    discriminator_steps: int = 1
    shifted: bool = False

    ranges = {
        **ClassifierObjective.ranges,
        "num_rollouts": AT_LEAST_ONE,
        "generator_steps": AT_LEAST_ONE,
    }
    panels = {
        **ClassifierObjective.panels,
        "penalty: probability that samples are fake or of another class (lower is better for the generator)": (
            "penalty/*",
        ),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self._class_weights = torch.ones(1)

    def updates(self) -> dict[str, tuple[Update, ...]]:
        generator = Update("generator", "generator_loss", repeat=self.generator_steps)
        discriminator = Update("discriminator", "discriminator_loss", repeat=self.discriminator_steps)
        return {**super().updates(), "adversarial": (generator, discriminator)}

    def check_labels(self, models: dict[str, PreTrainedModel]) -> None:
        num_labels, num_classes = models["discriminator"].config.num_labels, number_of_classes(models["generator"])
        # With one class, one score will do.
        if num_labels != num_classes + 1 and (num_labels, num_classes) != (1, 1):
            classes = "1 class" if num_classes == 1 else f"{num_classes} classes"
            raise ValueError(
                f"The discriminator has {num_labels} labels, and the generator has {classes}; build the "
                f"discriminator with one label for each, and one for fake text (num_real_classes={num_classes})."
            )

    def prepare(self, train_dataset: Rows, engine: RolloutEngine, models: dict[str, PreTrainedModel]) -> None:
        super().prepare(train_dataset, engine, models)
        num_classes = number_of_classes(models["generator"])
        self._class_weights = torch.ones(1) if num_classes == 1 else class_weights(train_dataset, num_classes)

    def generator_loss(
        self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext
    ) -> ObjectiveOutput:
        samples = engine.sample(players.unwrap("generator"), len(batch["input_ids"]))
        penalties = self.penalties(players, engine, samples)
        if self.shifted:
            logps = shifted_logps(engine, players["generator"], samples)
        else:
            logps = engine.per_token_logps(players["generator"], samples)
        mask = samples.attention_mask
        loss = penalty_loss(logps, penalties, mask)

        num_tokens = mask.sum()
        metrics = {
            "generator/loss_per_token": float(loss.detach() / num_tokens),
            "generator/length": float(num_tokens / len(mask)),
            "penalty/mean": float(penalties.sum() / num_tokens),
            "penalty/std": float(penalties[mask == 1].std(unbiased=False)),
        }
        return ObjectiveOutput(loss, metrics, reduction="sum")

    def penalties(self, players: Players, engine: RolloutEngine, samples: Samples) -> torch.Tensor:
        """Returns the penalty of each token, of shape `(batch_size, max_length)`; 0 at padding."""
        discriminator = players["discriminator"]

        def score(completed: Samples) -> torch.Tensor:
            return penalty(class_probabilities(discriminator, completed), completed.inputs.get("class_labels"))

        policy = players.unwrap("generator")
        return rollout_rewards(
            engine, policy, samples, score, self.num_rollouts, None, ("class_labels", *JUDGED_INPUTS)
        )

    def classification_loss(
        self, players: Players, real_logits: torch.Tensor, fake_logits: torch.Tensor, batch: dict
    ) -> torch.Tensor:
        none = torch.zeros(len(real_logits), dtype=torch.long, device=real_logits.device)
        labels = inputs_of_columns(players.unwrap("generator"), batch).get("class_labels", none)
        return class_cross_entropy(real_logits, fake_logits, labels, self._class_weights.to(real_logits.device))


def number_of_classes(generator: PreTrainedModel) -> int:
    """Returns the number of classes of a generator; 1, if it reads no labels."""
    return generator.config.num_classes if "class_labels" in capabilities_of(generator).row_inputs else 1


def class_weights(dataset: Rows, num_classes: int) -> torch.Tensor:
    """
    Returns one over the share of each class in the rows of a data set, of shape `(num_classes,)`.

    Raises:
        `ValueError`: If the rows have no labels or others than the classes, or a class has no rows.
    """
    if "labels" not in dataset[0]:
        raise ValueError(
            f"The training data have no labels, and the generator has {num_classes} classes; add a column of labels, "
            "or build the generator with num_classes=1."
        )
    labels = labels_of(dataset)
    if labels.min() < 0 or labels.max() >= num_classes:
        wrong = int(labels.min() if labels.min() < 0 else labels.max())
        raise ValueError(
            f"The training data have the label {wrong}, and the generator has {num_classes} classes; number the "
            f"classes from 0 to {num_classes - 1}, or build it with more."
        )
    counts = np.bincount(labels, minlength=num_classes)
    if not counts.all():
        raise ValueError(
            f"No training text has the label {int(counts.argmin())}, and the generator has {num_classes} classes; add "
            "text of it, or build the generator for the others."
        )
    return torch.from_numpy(len(labels) / counts).float()


def penalty(probabilities: torch.Tensor, class_labels: torch.Tensor | None) -> torch.Tensor:
    """
    Returns ``1 - D_i`` of sequences, as the sum of the other classes: exact where ``D_i`` would round to 1.

    Args:
        probabilities (`torch.FloatTensor` of shape `(num_sequences, k + 1)`):
            Of the classes of the discriminator: 0 is fake, ``i + 1`` real text of class ``i``.
        class_labels (`torch.LongTensor` of shape `(num_sequences,)`, *optional*):
            The class ``i`` with which each was drawn; by default the first.
    """
    if class_labels is None:
        class_labels = torch.zeros(len(probabilities), dtype=torch.long, device=probabilities.device)
    return probabilities.scatter(1, class_labels[:, None] + 1, 0.0).sum(1)


def shifted_logps(engine: RolloutEngine, model: torch.nn.Module, samples: Samples) -> torch.Tensor:
    """Returns ``log G(y_{t-1} | y_<t)``, of shape `(batch_size, max_length)`, where ``y_0`` is BOS; 0 at padding."""
    before = F.pad(samples.sequences[:, :-1], (1, 0), value=engine.bos_token_id)
    read = before[:, : max(1, int(samples.attention_mask.sum(1).max()))]
    return engine.per_token_logps(model, Samples(before, samples.attention_mask, samples.inputs), read)


__all__ = ["SentiGANObjective"]
