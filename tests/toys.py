"""Tiny runs for the tests of the trainer: a real SeqGAN, and a system of three players with made-up losses."""

import gc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from hf_textgan.core.context import ObjectiveOutput, StepContext
from hf_textgan.core.players import Players
from hf_textgan.core.schedule import Update
from hf_textgan.data.encoding import encode_lines
from hf_textgan.data.tokenizers import word_tokenizer
from hf_textgan.models import (
    ConvCritic,
    ConvCriticConfig,
    ConvGenerator,
    ConvGeneratorConfig,
    LatentCritic,
    LatentCriticConfig,
    LatentGenerator,
    LatentGeneratorConfig,
    RecurrentAutoencoder,
    RecurrentAutoencoderConfig,
    StateNoiseGeneratorConfig,
    StateNoiseGeneratorForCausalLM,
)
from hf_textgan.objectives import Objective
from hf_textgan.objectives.arae import ARAEObjective
from hf_textgan.objectives.gumbel import GumbelObjective
from hf_textgan.objectives.mle import MLEObjective
from hf_textgan.objectives.seqgan import SeqGANObjective
from hf_textgan.objectives.textkd_gan import TextKDObjective
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.trainer.adversarial_config import AdversarialConfig
from hf_textgan.trainer.adversarial_trainer import AdversarialTrainer
from hf_textgan.trainer.callbacks import SamplesCallback
from tests.helpers import randomize, tiny_discriminator, tiny_lstm


# 17 lines: no multiple of the batch sizes below, so that batches cross the borders of epochs.
WORDS = ("a dog runs", "the cat sits here", "a bird", "dogs run fast today", "it rains", "the sun", "we see a cat")
LINES = [f"{line} {end}".strip() for end in ("", "now", "again") for line in WORDS][:17]


def text_data() -> tuple[Any, Any]:
    """The tokenizer and the encoded lines."""
    tokenizer = word_tokenizer(LINES)
    return tokenizer, encode_lines(LINES, tokenizer).dataset


@dataclass
class ThreePlayers(Objective):
    """
    A toy in the manner of TextKD-GAN: an autoencoder, a discriminator and a generator that each draw random numbers,
    count their steps and lower a loss of their own parameters, of the batch and of the other players.
    """

    updates_: tuple[Update, ...] = (
        Update("autoencoder", "autoencoder_loss"),
        Update("discriminator", "discriminator_loss", repeat=5),
        Update("generator", "generator_loss"),
    )
    reduction: str = "mean"
    nan_iterations: tuple[int, ...] = ()
    average: float = 0.0  # its own state: an average of the generator's losses
    calls: list[str] = field(default_factory=list)

    def updates(self) -> dict[str, tuple[Update, ...]]:
        return {
            "pretrain_generator": (Update("generator", "generator_loss"),),
            "pretrain_discriminator": (Update("discriminator", "discriminator_loss"),),
            "adversarial": self.updates_,
        }

    def hyperparameters(self) -> dict[str, Any]:
        return {"reduction": self.reduction}

    def state_dict(self) -> dict[str, Any]:
        return {"average": self.average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.average = state["average"]

    def _loss(self, players: Players, engine: RolloutEngine, batch: dict, context: StepContext, name: str):
        self.calls.append(name)
        noise = torch.rand(())
        other = players["generator" if name == "discriminator" else "discriminator"]
        pull = sum(parameter.sum() for parameter in other.parameters())
        own = sum(((parameter - noise) ** 2).sum() for parameter in players[name].parameters())
        loss = own * (1 + batch["input_ids"].double().mean().float() / 10) + 0.01 * pull
        if context.iteration in self.nan_iterations and name == "generator":
            loss = loss * float("nan")
        weight = 1.0 if self.reduction == "sum" else float(batch["attention_mask"].sum())
        return ObjectiveOutput(loss, {f"{name}/noise": noise}, weight=weight, reduction=self.reduction)

    def autoencoder_loss(self, players, engine, batch, context) -> ObjectiveOutput:
        return self._loss(players, engine, batch, context, "autoencoder")

    def discriminator_loss(self, players, engine, batch, context) -> ObjectiveOutput:
        return self._loss(players, engine, batch, context, "discriminator")

    def generator_loss(self, players, engine, batch, context) -> ObjectiveOutput:
        output = self._loss(players, engine, batch, context, "generator")
        self.average = 0.9 * self.average + 0.1 * float(output.loss.detach())
        return output


def arguments(output_dir: str | Path, **changes: Any) -> AdversarialConfig:
    values: dict[str, Any] = {
        "output_dir": str(output_dir),
        "max_steps": 3,
        "pretrain_generator_steps": 3,
        "pretrain_discriminator_steps": 2,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": 1,
        "eval_num_samples": 20,
        "use_cpu": True,
        "disable_tqdm": True,
        "report_to": "none",
        **changes,
    }
    return AdversarialConfig(**values)


def toy_players(vocab_size: int, three: bool = False, dropout: float = 0.2) -> dict[str, PreTrainedModel]:
    torch.manual_seed(0)
    players = {
        "generator": tiny_lstm(vocab_size, dropout=dropout),
        "discriminator": tiny_discriminator(vocab_size, 8),
    }
    if three:
        players["autoencoder"] = tiny_lstm(vocab_size, hidden_size=3)
    return players


def toy_trainer(
    output_dir: str | Path,
    objective: Objective | None = None,
    callbacks: list | None = None,
    eval_dataset: Any = None,
    text_metrics: Any = None,
    trainer_options: dict[str, Any] | None = None,
    files: bool = False,
    **changes: Any,
) -> AdversarialTrainer:
    """A trainer that is the same at every call; `files` keeps the callback that writes samples and curves (slow)."""
    gc.freeze()  # the Trainer collects garbage at each start: what is there already need not be looked through
    tokenizer, dataset = text_data()
    objective = objective if objective is not None else SeqGANObjective(num_rollouts=2, discriminator_steps=2)
    players = toy_players(len(tokenizer), three=isinstance(objective, ThreePlayers))
    if type(objective) is MLEObjective:
        del players["discriminator"]
        changes = {"max_steps": 0, "pretrain_discriminator_steps": 0, **changes}
    options = {
        "model": players.pop("generator"),
        "args": arguments(output_dir, **changes),
        "objective": objective,
        "train_dataset": dataset,
        "eval_dataset": eval_dataset,
        "processing_class": tokenizer,
        "players": players,
        "text_metrics": text_metrics,
        "callbacks": callbacks,
        **(trainer_options or {}),
    }
    trainer = AdversarialTrainer(**options)
    if not files:
        trainer.remove_callback(SamplesCallback)
    return trainer


def wasserstein_players(
    objective: Objective, vocab_size: int, length: int, **generator_options: Any
) -> dict[str, PreTrainedModel]:
    """Tiny players of IWGAN, TextKD-GAN, ARAE or a GAN on relaxed samples, the same at every call."""
    sizes = {"vocab_size": vocab_size, "sequence_length": length}
    decoder = {"embedding_size": 3, "hidden_size": 4}
    models: dict[str, PreTrainedModel]
    if isinstance(objective, ARAEObjective):
        generator_options = {"layer_sizes": [5, 6], "code_size": 4, **generator_options}
        reading = {"padding": "masked", "decoder_input": "teacher_forcing", "normalize_code": True}
        models = {
            "generator": LatentGenerator(
                LatentGeneratorConfig(**sizes, **decoder, latent_size=3, **generator_options)
            ),
            "discriminator": LatentCritic(LatentCriticConfig(code_size=4, layer_sizes=[6, 5])),
            "autoencoder": RecurrentAutoencoder(RecurrentAutoencoderConfig(**sizes, **decoder, **reading)),
        }
    elif isinstance(objective, GumbelObjective):
        config = StateNoiseGeneratorConfig(vocab_size=vocab_size, **decoder, **generator_options)
        models = {
            "generator": StateNoiseGeneratorForCausalLM(config),
            "discriminator": tiny_discriminator(vocab_size, length, dropout=0.0),
        }
    else:
        blocks = {"hidden_size": 4, "num_blocks": 1, "kernel_size": 3}
        models = {
            "generator": ConvGenerator(ConvGeneratorConfig(**sizes, latent_size=3, **{**blocks, **generator_options})),
            "discriminator": ConvCritic(ConvCriticConfig(**sizes, **blocks)),
        }
        if isinstance(objective, TextKDObjective):
            models["autoencoder"] = RecurrentAutoencoder(RecurrentAutoencoderConfig(**sizes, **decoder))
    return {name: randomize(model, seed) for seed, (name, model) in enumerate(models.items())}


def wasserstein_trainer(
    output_dir: str | Path,
    objective: Objective,
    generator_options: dict[str, Any] | None = None,
    trainer_options: dict[str, Any] | None = None,
    **changes: Any,
) -> AdversarialTrainer:
    """A `toy_trainer` of one of these objectives."""
    tokenizer, dataset = text_data()
    length = max(len(ids) for ids in dataset["input_ids"]) - 1
    players = wasserstein_players(objective, len(tokenizer), length, **(generator_options or {}))
    options = {"model": players.pop("generator"), "players": players, **(trainer_options or {})}
    changes = {"pretrain_generator_steps": 0, "pretrain_discriminator_steps": 0, **changes}
    return toy_trainer(output_dir, objective, trainer_options=options, **changes)


def length_metric(texts: list[str]) -> dict[str, float]:
    return {"mean_words": sum(len(text.split()) for text in texts) / len(texts)}


def checkpoint_state(checkpoint: Path) -> dict[str, Any]:
    """Everything in a checkpoint that a resumed run must reproduce, flattened to tensors and plain values by name."""
    flat: dict[str, Any] = {}

    def visit(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                visit(f"{name}/{key}", item)
        elif isinstance(value, list | tuple):
            for number, item in enumerate(value):
                visit(f"{name}/{number}", item)
        else:
            flat[name] = value

    weights = sorted(checkpoint.rglob("*.safetensors"))
    assert weights, f"{checkpoint} holds no weights"
    for path in weights:
        visit(str(path.relative_to(checkpoint)), load_file(path))
    visit("players", torch.load(checkpoint / "players.pt", weights_only=True))
    return flat


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Names whose values are not bit-identical."""

    def equal(a: Any, b: Any) -> bool:
        if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
            return a.dtype == b.dtype and torch.equal(a, b)
        return type(a) is type(b) and a == b

    names = first.keys() | second.keys()
    return sorted(n for n in names if n not in first or n not in second or not equal(first[n], second[n]))
