"""What `test_distributed.py` runs in each process."""

import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from transformers import TrainerCallback

from hf_textgan.core.context import ObjectiveOutput, StepContext
from hf_textgan.core.objective import Objective
from hf_textgan.core.players import Players
from hf_textgan.core.schedule import Update
from hf_textgan.core.step import PlayerOptimizer, take_step
from hf_textgan.evaluation.generators import sample_sequences
from hf_textgan.objectives.arae import ARAEObjective
from hf_textgan.objectives.gumbel import GumbelObjective
from hf_textgan.objectives.iwgan import IWGANObjective
from hf_textgan.objectives.mle import MLEObjective
from hf_textgan.objectives.seqgan import SeqGANObjective
from hf_textgan.objectives.textkd_gan import TextKDObjective
from hf_textgan.runs.build import build_run
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.trainer.gathering import gather_samples
from tests import systems_with_inputs
from tests.helpers import BOS, EOS, PAD, randomize, tiny_lstm
from tests.labelled import LabelledRecurrentLM, labelled
from tests.toys import (
    checkpoint_state,
    differences,
    length_metric,
    text_data,
    toy_players,
    toy_trainer,
    wasserstein_trainer,
)


def trainer(output_dir: Path, **changes: Any):
    changes = {
        "per_device_train_batch_size": 2,
        "eval_strategy": "steps",
        "eval_steps": 4,
        "eval_dataset": text_data()[1],
        "per_device_eval_batch_size": 3,
        "eval_num_samples": 600,
        "text_metrics": length_metric,
        **changes,
    }
    objective = SeqGANObjective(num_rollouts=2, discriminator_steps=2)
    # Without dropout, so that the first phase draws no random numbers and is the same for one process.
    models = {"model": toy_players(len(text_data()[0]), dropout=0.0)["generator"]}
    return toy_trainer(output_dir, objective, learning_rate=0.05, trainer_options=models, **changes)


def flat(models: dict[str, torch.nn.Module]) -> list[float]:
    return torch.cat([p.detach().flatten() for model in models.values() for p in model.parameters()]).tolist()


def sentences(batch: dict[str, torch.Tensor]) -> list[list[int]]:
    rows = zip(batch["input_ids"].tolist(), batch["attention_mask"].tolist(), strict=True)
    return [row[: sum(mask)] for row, mask in rows]


def record(output_dir: Path, **changes: Any) -> dict[str, Any]:
    """A run, and what its process read, drew and measured."""
    run = trainer(output_dir, **changes)
    read, drawn = [], []
    collate, sample = run._collate, run.engine.sample

    def recorded_sample(*args, **kwargs):
        samples = sample(*args, **kwargs)
        if run.is_in_train and len(samples.sequences) <= 4:
            drawn.append(samples.sequences.tolist())
        return samples

    class Reading(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            for update in zip(*run._micro_batches, strict=True):  # of each micro-step
                for batches in zip(*update, strict=True):  # of each repetition
                    read.append([sentences(batch) for batch in batches])

    run.engine.sample = recorded_sample
    assert run._collate is collate
    run.add_callback(Reading())
    run.train()
    losses = [e["generator/loss"] for e in run.state.log_history if "generator/loss" in e and e["step"] <= 3]
    metrics = {k: v for k, v in run.evaluate().items() if not k.endswith("runtime")}
    return {
        "weights": flat({"generator": run.model, **run.other_players}),
        "global_step": run.state.global_step,
        "world_size": run.args.world_size,
        "read": read,
        "drawn": drawn,
        "mle_losses": losses,
        "metrics": metrics,
        "samples": run.last_samples,
        "best": run.best,
    }


def one_step(rank: int, world_size: int) -> dict[str, Any]:
    """A step of maximum likelihood on 8 sentences, split over the processes."""
    rows = [[BOS, *([3, 4, 5, 3][: n - 1]), EOS] for n in (2, 3, 5, 2, 4, 5, 5, 5)]
    mine = rows[rank * 8 // world_size : (rank + 1) * 8 // world_size]
    ids = torch.tensor([row + [PAD] * (6 - len(row)) for row in mine])
    mask = torch.tensor([[1] * len(row) + [0] * (6 - len(row)) for row in mine])
    accelerator = Accelerator(cpu=True)
    model = randomize(tiny_lstm(600))  # so many that one process computes no scores, and two do
    players = Players({"generator": accelerator.prepare_model(model)}, accelerator.unwrap_model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    result = take_step(
        accelerator,
        players,
        PlayerOptimizer(optimizer, schedule),
        Update("generator", "mle_loss"),
        [{"input_ids": part, "attention_mask": m} for part, m in zip(ids.chunk(2), mask.chunk(2), strict=True)],
        MLEObjective(),
        RolloutEngine(5, BOS, PAD, EOS),
        StepContext(),
    )
    return {
        "loss": result.loss,
        "grad_norm": result.grad_norm,
        "weights": flat({"generator": model}),
        "tokens": int(mask[:, 1:].sum()),
    }


@dataclass
class Gathering(Objective):
    """Gathers rows, and keeps in `after_step` the sum of all of them."""

    gathered: list = field(default_factory=list)
    total: list = field(default_factory=list)

    def generator_loss(self, players, engine, batch, context):
        self.gathered.append(players.gather(batch["x"]).tolist())
        return ObjectiveOutput(players["generator"](batch["x"]).mean(), statistics={"sum": batch["x"].sum(0)})

    def after_step(self, update, statistics, context):
        self.total.append(statistics["sum"].tolist())


def couple(rank: int, accelerator: Accelerator) -> dict[str, Any]:
    """A step of 4 rows: two micro-batches of a row in each of two processes."""
    model = accelerator.prepare_model(torch.nn.Linear(1, 1))
    players = Players({"generator": model}, accelerator.unwrap_model, gather=accelerator.gather)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer = PlayerOptimizer(sgd, torch.optim.lr_scheduler.LambdaLR(sgd, lambda step: 1.0))
    batches = [{"x": torch.tensor([[1.0 + rank]])}, {"x": torch.tensor([[10.0 + rank]])}]
    objective = Gathering()
    update = Update("generator", "generator_loss")
    engine = RolloutEngine(5, BOS, PAD, EOS)
    take_step(accelerator, players, optimizer, update, batches, objective, engine, StepContext())
    return {"gathered": objective.gathered, "total": objective.total}


def resume(tmp_path: Path, accelerator: Accelerator) -> dict[str, Any]:
    trainer(tmp_path / "whole").train()
    whole = checkpoint_state(tmp_path / "whole" / "checkpoint-8")
    found = {}
    for step in (2, 4, 6, 7):
        output_dir = tmp_path / f"from-{step}"
        if accelerator.is_main_process:
            shutil.copytree(tmp_path / "whole" / f"checkpoint-{step}", output_dir / f"checkpoint-{step}")
        accelerator.wait_for_everyone()
        trainer(output_dir).train(resume_from_checkpoint=True)
        found[str(step)] = differences(checkpoint_state(output_dir / "checkpoint-8"), whole)
    other = trainer(tmp_path / "from-2")
    describe = other._describe_run
    other._describe_run = lambda: {**describe(), "world_size": 3}
    try:
        other.train(resume_from_checkpoint=True)
        refused = "not at all"
    except ValueError as error:
        refused = str(error)
    return {"differences": found, "refused": refused}


WASSERSTEIN = {
    "iwgan": (IWGANObjective(discriminator_steps=2), {}),
    "textkd": (TextKDObjective(discriminator_steps=2), {}),
    "textkd, policy gradient": (TextKDObjective(discriminator_steps=2, policy_gradient=0.3), {}),
    "gumbel": (GumbelObjective(discriminator_steps=2, feed="straight-through"), {}),
    "gumbel, penalty": (GumbelObjective(loss="wasserstein", gradient_penalty=1.0), {}),
    "gumbel, ragan": (GumbelObjective(discriminator_steps=2, loss="ragan"), {}),
    "arae, layer": (ARAEObjective(discriminator_steps=2), {"normalization": "layer"}),
    "arae, batch": (ARAEObjective(discriminator_steps=2, penalize_batch_mean=True), {"normalization": "batch"}),
}


def wasserstein(output_dir: Path, name: str, world_size: int) -> dict[str, Any]:
    """Three rounds in batches of 64, split over the processes, and over micro-batches where that is allowed."""
    objective, options = WASSERSTEIN[name]
    parts = 1 if world_size == 1 or name.startswith("arae") or objective.couples_batch else 2
    run = wasserstein_trainer(
        output_dir,
        objective,
        options,
        {"train_dataset": [row for _ in range(5) for row in text_data()[1]]},
        max_steps=3,
        save_strategy="no",
        per_device_train_batch_size=64 // world_size // parts,
        gradient_accumulation_steps=parts,
        optim="sgd",
        learning_rate=0.1,
    )
    run.train()
    logs = [entry for entry in run.state.log_history if "generator/loss" in entry]
    return {
        "weights": flat({"generator": run.model, **run.other_players}),
        "logs": [{key: value for key, value in entry.items() if "/" in key} for entry in logs],
    }


def gathered(accelerator: Accelerator) -> dict[str, list]:
    """The samples of a generator that reads labels and noise, of numbers that do and do not fill the processes."""
    model, engine, rows = labelled(LabelledRecurrentLM), RolloutEngine(4, BOS, PAD, EOS), [{"input_ids": [BOS, EOS]}]
    rows = [{**rows[0], "labels": label} for label in (1, 0, 1)]
    report = {}
    for number in (200, 300, 600):
        own = sample_sequences(model, engine, number, 1, accelerator.process_index, accelerator.num_processes, rows)
        samples = gather_samples(accelerator, own, engine, number)
        values = {"sequences": samples.sequences, "mask": samples.attention_mask, **samples.inputs}
        report[str(number)] = {name: value.tolist() for name, value in values.items()}
    return report


def with_classes(folder: Path, name: str, batch_size: int) -> dict[str, Any]:
    """A run of a system that reads labels, on the file `labels.csv` of a folder."""
    file = folder / "labels.csv"
    with pytest.MonkeyPatch.context() as monkeypatch:
        systems_with_inputs.register(monkeypatch)
        options = {"per_device_train_batch_size": batch_size, "optim": "sgd", "learning_rate": 0.1, "use_cpu": True}
        options |= {"eval_num_samples": 300, "disable_tqdm": True, "save_strategy": "no"}
        run = build_run(name, file, file, output_dir=folder / f"{name}-{batch_size}", **options)
        run.train()
        metrics = {key: value for key, value in run.evaluate().items() if not key.endswith("runtime")}
    return {
        "weights": flat({"generator": run.model, **run.other_players}),
        "metrics": metrics,
        "samples": run.last_samples,
        "inputs": run.last_inputs,
    }


def main(scenario: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    rank = accelerator.process_index
    assert accelerator.num_processes == 2
    if scenario == "train":
        parts = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2}
        others = {name: wasserstein(tmp_path / name, name, 2) for name in WASSERSTEIN}
        report = {**record(tmp_path / "run", **parts), "step": one_step(rank, 2), "wasserstein": others}
        report["gathered"] = gathered(accelerator)
    elif scenario == "classes":
        report = {name: with_classes(tmp_path, name, 2) for name in ("classlm", "classgan")}
    elif scenario == "couple":
        report = couple(rank, accelerator)
    else:
        report = resume(tmp_path, accelerator)
    (tmp_path / f"rank-{rank}.json").write_text(json.dumps(report))
    accelerator.end_training()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
