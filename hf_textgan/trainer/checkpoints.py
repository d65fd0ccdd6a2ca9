"""
Checkpoints that are complete or absent.

A checkpoint is written to a folder with a temporary name, listed in a manifest, forced to disk and renamed. A process
that is killed leaves either the finished folder or a temporary one, which is cleared at the next start.
"""

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers import PreTrainedModel
from transformers.trainer_callback import ExportableState, TrainerState

from ..core.objective import Objective
from ..core.schedule import PhaseSchedule, phases_before
from ..sampling.engine import RolloutEngine
from ..utils.files import MANIFEST_FILE, file_digest, read_object, remove_folder
from .adversarial_config import AdversarialConfig
from .card_facts import RUN_DESCRIPTION_FILE


PLAYERS_STATE_FILE = "players.pt"
TRAINER_STATE_FILE = "trainer_state.json"


def checkpoint_problem(checkpoint: Path) -> str | None:
    """Returns what is wrong with a checkpoint, or `None`."""
    if not checkpoint.is_dir():
        return "it is not a folder"
    if not (checkpoint / MANIFEST_FILE).is_file():
        return f"it has no {MANIFEST_FILE}, so it was not written to the end"
    try:
        manifest = json.loads((checkpoint / MANIFEST_FILE).read_text())
        files = [(name, entry["size"], entry["sha256"]) for name, entry in manifest.items()]
    except (ValueError, AttributeError, KeyError, TypeError):
        files = []
    if not files or any(Path(name).is_absolute() or ".." in Path(name).parts for name, _, _ in files):
        return f"its {MANIFEST_FILE} is damaged"
    for name, size, sha256 in files:
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes instead of {size}"
        if file_digest(path) != sha256:
            return f"{name} is damaged (its checksum differs)"
        if path.suffix == ".safetensors" and not _is_finite(path):
            return f"{name} has parameters that are not finite"
    return None


def _is_finite(weights: Path) -> bool:
    """Returns whether all parameters in a file of the manifest are finite."""
    with safe_open(str(weights), framework="pt") as file:
        tensors = (file.get_tensor(name) for name in file.keys())
        return all(bool(tensor.isfinite().all()) for tensor in tensors if tensor.is_floating_point())


def checkpoints(output_dir: Path) -> list[Path]:
    """Returns the folders `checkpoint-N`, complete or not, newest first."""
    found = [path for path in output_dir.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    return sorted(found, key=_step, reverse=True)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def rotate(written: Path, limit: int) -> None:
    """
    Keeps `limit` checkpoints: the one just written and the newest before it. Those of later steps were left by an
    earlier run in this folder and go first.
    """
    step = _step(written)
    others = sorted((path for path in checkpoints(written.parent) if path != written), key=lambda p: _step(p) > step)
    for path in others[limit - 1 :]:
        remove_folder(path)


def newest_complete(output_dir: Path) -> tuple[Path | None, list[tuple[Path, str]]]:
    """The newest complete checkpoint, and the newer ones that were skipped, each with the reason."""
    skipped = []
    for checkpoint in checkpoints(output_dir):
        reason = checkpoint_problem(checkpoint)
        if reason is None:
            return checkpoint, skipped
        skipped.append((checkpoint, reason))
    return None, skipped


def find(output_dir: Path, checkpoint: str | bool) -> tuple[Path, list[tuple[Path, str]]]:
    """
    Returns a complete checkpoint, the named one or the newest for `True`, and the newer ones that were skipped.

    Raises:
        `ValueError`: If there is none, or the named one is not complete.
    """
    if checkpoint is not True:
        path = Path(str(checkpoint))
        reason = checkpoint_problem(path)
        if reason is not None:
            raise ValueError(
                f"{path} cannot be resumed: {reason}; name a complete checkpoint, or pass True for the newest."
            )
        return path, []
    newest, skipped = newest_complete(output_dir)
    if newest is None:
        reasons = "".join(f" ({path.name}: {reason})" for path, reason in skipped)
        raise ValueError(
            f"{output_dir} holds no complete checkpoint{reasons}; start it without resume_from_checkpoint."
        )
    return newest, skipped


def export_callback_states(state: TrainerState, callbacks: Sequence[Any]) -> None:
    """Writes the states of callbacks into the state of the Trainer, with which they are saved."""
    exported: dict[str, Any] = {}
    for callback in callbacks:
        if isinstance(callback, ExportableState):
            exported.setdefault(type(callback).__name__, []).append(callback.state())
    state.stateful_callbacks = {  # pyright: ignore[reportAttributeAccessIssue]
        name: states if len(states) > 1 else states[0] for name, states in exported.items()
    }


def describe_run(
    args: AdversarialConfig,
    engine: RolloutEngine,
    objective: Objective,
    models: Mapping[str, PreTrainedModel],
    schedule: PhaseSchedule,
    num_train_examples: int,
    train_data_checksum: int,
) -> dict[str, Any]:
    """Returns the arguments that must match on resume, or the resumed run would make other steps."""
    return {
        "seed": args.seed,
        "data_seed": args.data_seed,
        "world_size": args.world_size,
        "gradient_accumulation_steps": args.gradient_accumulation_steps,
        "per_device_train_batch_size": args.per_device_train_batch_size,
        "num_train_examples": num_train_examples,
        "train_data_checksum": train_data_checksum,
        "max_length": engine.max_length,
        "temperature": args.temperature,
        "objective": type(objective).__name__,
        "hyperparameters": objective.hyperparameters(),
        "players": {
            name: f"{type(player).__name__} of {player.num_parameters():,} parameters"
            for name, player in models.items()
        },
        "optimizers": {
            f"{player}/{name}": args.optimizer_arguments(player, name) for player, name in schedule.optimizers()
        },
        "phases": schedule.describe(),
    }


def check_same_run(checkpoint: Path, description: dict[str, Any]) -> list[str]:
    """
    Checks that a checkpoint was written by a run with the [`describe_run`] of this one.

    Returns:
        `list[str]`: A sentence for each argument of an optimizer that differs and takes over.

    Raises:
        `ValueError`: If anything else differs, or the checkpoint has no optimizers.
    """
    if not (checkpoint / PLAYERS_STATE_FILE).is_file():
        raise ValueError(
            f"{checkpoint} was written with save_only_model, so it has no optimizers to resume; start from its "
            "models instead."
        )
    for name in (RUN_DESCRIPTION_FILE, TRAINER_STATE_FILE):
        if not (checkpoint / name).is_file():
            raise ValueError(f"{checkpoint} has no {name}, so it is no checkpoint of a run; name another one.")
    saved = read_object(checkpoint / RUN_DESCRIPTION_FILE, phases=list)
    current = json.loads(json.dumps(description))
    saved_phases, current_phases = saved.pop("phases"), current.pop("phases")
    changes = _optimizer_changes(checkpoint, saved.pop("optimizers", {}), current.pop("optimizers"))
    for key in current:
        if saved.get(key) != current[key]:
            raise ValueError(
                f"{checkpoint} was written with {key}={saved.get(key)!r} and this run has {current[key]!r}; a resumed "
                "run must keep it, or it would see other data and make other steps."
            )
    # Only the iterations ahead may change: the phase of the checkpoint may end later, and phases may follow.
    step = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_FILE)).global_step
    for old, new in itertools.zip_longest(phases_before(step, saved_phases), phases_before(step, current_phases)):
        if old != new:
            raise ValueError(
                f"Up to its step {step}, {checkpoint} was written in a run with the phase {old} where this one has "
                f"{new}; a resumed run may only change what lies ahead of the checkpoint."
            )
    return changes


def _optimizer_changes(checkpoint: Path, saved: dict[str, dict], current: dict[str, dict]) -> list[str]:
    """Returns what a run changes of the optimizers; raises `ValueError` if their state does not fit any longer."""
    changed: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for optimizer, arguments in current.items():
        for name, value in arguments.items():
            old = saved.get(optimizer, arguments).get(name)  # a run extended by a phase has an optimizer more
            if old != value:
                changed[name, repr(value), repr(old)].append(optimizer)
    sentences = []
    for (name, value, old), optimizers in changed.items():
        of = "" if len(optimizers) == len(current) else f" of {', '.join(optimizers)}"
        if name in ("optim", "optim_args"):
            raise ValueError(
                f"{checkpoint} was written with {name}={old}{of} and this run has {value}; keep it, because the state "
                "of one optimizer does not fit another."
            )
        sentences.append(f"From this checkpoint on, {name}{of} is {value} in place of {old}.")
    return sentences


__all__ = [
    "PLAYERS_STATE_FILE",
    "RUN_DESCRIPTION_FILE",
    "TRAINER_STATE_FILE",
    "check_same_run",
    "checkpoint_problem",
    "checkpoints",
    "describe_run",
    "export_callback_states",
    "find",
    "newest_complete",
    "rotate",
]
