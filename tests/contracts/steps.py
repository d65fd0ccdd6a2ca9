"""A step of each update of a system, in one batch or in parts; `test_steps.py` runs it in two processes too."""

import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from hf_textgan import AdversarialTrainer
from hf_textgan.cli.arguments import parse_train_arguments
from hf_textgan.core.context import StepContext
from hf_textgan.core.players import Players
from hf_textgan.core.step import PlayerOptimizer, take_step
from hf_textgan.runs.build import build_trainer
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.sampling.samples import RolloutChunk, Samples, concatenate_samples
from hf_textgan.systems import SYSTEMS
from hf_textgan.systems.spec import Copy
from hf_textgan.utils.random import seed_iteration
from tests.contracts.test_systems import options


ROWS = 8  # of a whole batch

# Each system, and variants that couple examples in another way.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in SYSTEMS},
    "seqgan, moving average": ("seqgan", {"baseline": "ema"}),
    "maligan, samples": ("maligan", {"num_rollouts": 0}),
    "maligan, mixed": ("maligan", {"num_rollouts": 0, "num_completions": 3}),
    "jsdgan, min-max": ("jsdgan", {"density": "min-max"}),
}


def build(case: str, folder: Path) -> AdversarialTrainer:
    """
    The trainer of a case. Its models draw no random numbers of their own and normalize no batch: as usual under data
    parallelism, each process has its own dropout, and statistics of its own rows.
    """
    system, changes = CASES[case]
    words = options(system, folder)
    for name, own in SYSTEMS[system].players.items():
        config = None if isinstance(own, Copy) else SYSTEMS[system].build_player(name, None, {"vocab_size": 9}).config
        for option, value in vars(config or object).items():
            if "dropout" in option and isinstance(value, float):
                words += [f"--{name}.{option}", "0.0"]
            elif option == "normalization" and value == "batch":
                words += [f"--{name}.{option}", "layer"]
    words += [word for name, value in changes.items() for word in (f"--{name}", str(value))]
    return build_trainer(parse_train_arguments(words[1:]))


class Recording(RolloutEngine):
    """An engine that keeps all that it draws."""

    def __init__(self, engine: RolloutEngine, draws: list):
        super().__init__(
            engine.max_length, engine.bos_token_id, engine.pad_token_id, engine.eos_token_id, engine.chunk_size
        )
        self.draws = draws

    def _keep(self, drawn: Any) -> Any:
        self.draws.append(drawn)
        return drawn

    def sample(self, *args, **kwargs) -> Samples:
        return self._keep(super().sample(*args, **kwargs))

    def complete(self, *args, **kwargs) -> Samples:
        return self._keep(super().complete(*args, **kwargs))

    def inputs_of(self, *args, **kwargs) -> dict[str, torch.Tensor]:
        return self._keep(super().inputs_of(*args, **kwargs))

    def rollout(self, *args, **kwargs) -> Iterator[RolloutChunk]:
        return iter(self._keep(list(super().rollout(*args, **kwargs))))


class Replaying(Recording):
    """An engine that returns what the parts of a step drew, as the draws of the whole."""

    def __init__(self, engine: RolloutEngine, parts: list[list]):
        super().__init__(engine, list(zip(*parts, strict=True)))

    def sample(self, *args, **kwargs) -> Samples:
        return concatenate_samples(self.draws.pop(0))

    complete = sample

    def inputs_of(self, *args, **kwargs) -> dict[str, torch.Tensor]:
        drawn = self.draws.pop(0)
        return {name: torch.cat([part[name] for part in drawn]) for name in drawn[0]}

    def rollout(self, *args, **kwargs) -> Iterator[RolloutChunk]:
        parts = self.draws.pop(0)
        rows = ROWS // len(parts)
        for number, chunks in enumerate(parts):
            for chunk in chunks:
                yield RolloutChunk(chunk.row + number * rows, chunk.prefix_length, chunk.samples)


def steps(
    trainer: AdversarialTrainer, accelerator: Accelerator, num_parts: int, replay: dict[str, list] | None = None
) -> dict[str, dict[str, Any]]:
    """
    Takes a step of plain gradient descent of each update, from the same models, on the first rows of the data.

    Args:
        num_parts (`int`):
            Number of the parts of a step, over micro-batches and processes.
        replay (`dict[str, list]`, *optional*):
            The draws of each part, by update, in the place of new ones.

    Returns:
        By update: the loss, the norm of the gradient, the change of each parameter and what was drawn.
    """
    models: dict[str, Any] = {"generator": trainer.model, **trainer.other_players}
    start = {name: copy.deepcopy(model.state_dict()) for name, model in models.items()}
    updates = {
        f"{phase} {update.player} {update.loss} {update.part}": (phase, update)
        for phase, updates in trainer.objective.updates().items()
        for update in updates
    }
    accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=True)
    updated = {update.player for _, update in updates.values()}
    modules = {name: accelerator.prepare_model(m) if name in updated else m for name, m in models.items()}
    players = Players(modules, accelerator.unwrap_model, lambda x: accelerator.reduce(x, "mean"), accelerator.gather)
    whole = trainer._collate([trainer.train_dataset[i] for i in range(ROWS)])
    chunks = [value.chunk(num_parts) for value in whole.values()]
    parts = [dict(zip(whole, values, strict=True)) for values in zip(*chunks, strict=True)]
    own = parts[accelerator.process_index :: accelerator.num_processes]

    taken = {}
    for key, (phase, update) in updates.items():
        for name, model in models.items():
            model.load_state_dict(start[name])
        module, draws = players.unwrap(update.player), []
        sgd = torch.optim.SGD(module.parameters(), lr=1.0)
        optimizer = PlayerOptimizer(sgd, torch.optim.lr_scheduler.ConstantLR(sgd, 1.0))
        engine = Recording(trainer.engine, draws) if replay is None else Replaying(trainer.engine, replay[key])
        seed_iteration(1, 0, accelerator.process_index)
        objective, context = copy.deepcopy(trainer.objective), StepContext(phase=phase, progress=0.4)
        result = take_step(accelerator, players, optimizer, update, own, objective, engine, context)
        change = {name: value - start[update.player][name] for name, value in module.state_dict().items()}
        assert replay is None or not engine.draws, "the whole draws as often as its parts"
        taken[key] = {
            "loss": result.loss,
            "grad_norm": result.grad_norm,
            "change": change,
            "draws": draws,
        }
    for name, model in models.items():
        model.load_state_dict(start[name])
    return taken


def compare(parts: dict[str, dict[str, Any]], whole: dict[str, dict[str, Any]]) -> None:
    """Fails unless the steps have equal losses and gradients, up to rounding."""
    assert parts.keys() == whole.keys()
    for key, step in parts.items():
        largest = max(float(value.abs().max()) for value in whole[key]["change"].values())
        assert largest > 1e-7, f"{key} has no gradient, so the comparison could not fail"
        tolerance = {"rtol": 1e-3, "atol": 1e-4 * max(largest, 1e-3)}
        for name, expected in whole[key]["change"].items():
            torch.testing.assert_close(step["change"][name], expected, **tolerance, msg=lambda m, k=key: f"{k}: {m}")
        found = torch.tensor([step["loss"], step["grad_norm"]])
        expected = torch.tensor([whole[key]["loss"], whole[key]["grad_norm"]])
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5, msg=lambda m, k=key: f"{k}: {m}")


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    report = {}
    for case in CASES:
        trainer = build(case, folder / case)
        objective = trainer.objective
        if objective.couples_batch and not objective.several_processes:
            continue
        report[case] = steps(trainer, accelerator, accelerator.num_processes)
    torch.save(report, folder / f"rank-{accelerator.process_index}.pt")
    accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
