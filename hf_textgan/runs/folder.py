"""The folder of a run: its record, and loading the trained generator."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ..data.tokenizers import special_token_ids
from ..sampling.capabilities import capabilities_of
from ..sampling.checks import check_generator
from ..sampling.download import model_folder
from ..sampling.engine import RolloutEngine
from ..sampling.loading import load_generator
from ..utils.files import read_object, write_text
from ..utils.hub import HubError
from ..utils.lock import LOCK_FILE
from ..utils.names import is_hub_name


RUN_RECORD_FILE = "textgan.json"
ORACLE_FOLDER = "oracle"  # folder of the oracle of a run on synthetic data
BASELINE_FOLDER = "mle_baseline"  # folder of the MLE baseline of a run
PRETRAINED_FOLDER = "pretrained_generator"  # folder of the generator with which adversarial training began


@dataclass
class Run:
    """A trained generator, with its tokenizer and the engine to sample from it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase | None
    engine: RolloutEngine
    record: dict[str, Any]
    root: Path | None = None  # the folder of the run, for a model that lies in one


def run_folder(folder: Path) -> Path | None:
    """Returns the folder of the run to which `folder`, for example one of its checkpoints, belongs."""
    return next((path for path in (folder, *folder.parents[:2]) if (path / RUN_RECORD_FILE).is_file()), None)


def read_record(folder: Path) -> dict[str, Any] | None:
    """
    Returns the record of the run to which `folder`, for example a checkpoint, belongs.

    Raises:
        `ValueError`: If the record is damaged.
    """
    root = run_folder(folder)
    return read_object(root / RUN_RECORD_FILE, system=str) if root is not None else None


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Writes the record of a run to its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / RUN_RECORD_FILE, json.dumps(record, indent=2) + "\n")


def seed_folder(folder: Path, seed: int) -> Path:
    """Returns the folder of the run with this seed among the runs of several seeds in `folder`."""
    return folder / f"seed-{seed}"


def seed_folders(folder: Path) -> list[Path]:
    """Returns the folders of the runs of several seeds in `folder`, in the order of the seeds."""
    numbered = [(path, re.fullmatch(r"seed-(\d+)", path.name)) for path in folder.glob("seed-*")]
    return [path for _, path in sorted((int(match[1]), path) for path, match in numbered if match)]


def check_output_dir(folder: Path, system: str, resume: bool) -> None:
    """Raises `ValueError` if a run of `system` would destroy something in `folder`."""
    if folder.is_file():
        raise ValueError(f"{folder} is a file; name a folder for the output.")
    if not folder.is_dir() or all(path.name.startswith(LOCK_FILE) for path in folder.iterdir()):
        return
    record = read_record(folder) if (folder / RUN_RECORD_FILE).is_file() else None
    if record is None:
        raise ValueError(f"{folder} is not empty and holds no run; name another output folder.")
    if record["system"] != system:
        raise ValueError(f"{folder} holds a run of {record['system']}, not of {system}; name another output folder.")
    if not resume:
        raise ValueError(
            f"{folder} already holds a run of {system}; add --resume to continue it, or name another folder."
        )


def load_run(path: str, max_length: int | None = None, revision: str | None = None) -> Run:
    """
    Loads a trained generator from a folder (a finished run, a checkpoint or any causal language model) or the Hub.

    Args:
        path (`str`):
            Folder or repository.
        max_length (`int`, *optional*):
            Number of generated tokens, EOS included; by default that of the training.
        revision (`str`, *optional*):
            A branch, a tag or a commit of a repository.
    """
    folder = Path(path)
    if folder.is_dir() and not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
        from ..trainer.checkpoints import newest_complete  # loads the Trainer, which a finished model does not need

        newest, _ = newest_complete(folder)
        hint = f"its newest checkpoint is {newest}" if newest else "train one with `textgan train`"
        raise ValueError(f"{folder} holds no finished model (no config.json); {hint}.")
    if not folder.exists() and not is_hub_name(path):
        raise ValueError(f"There is no folder {path}; name the output folder of a run, or a repository as org/name.")
    source = str(model_folder(path, revision))
    try:
        model = load_generator(source)
        # A generator of sequences of one length, without EOS, writes ids and no text.
        has_text = model.config.eos_token_id is not None or model.config.bos_token_id is None
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False) if has_text else None
    except HubError:
        raise
    except Exception as error:  # safetensors, huggingface_hub and json each raise their own
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} cannot be loaded ({type(error).__name__}: {reason[:300]}).") from error
    model.eval()
    check_generator(model)
    if capabilities_of(model).sampling == "one-shot":
        length = model.config.sequence_length
        if max_length not in (None, length):
            raise ValueError(f"max_length is {max_length}, but {path} makes {length} tokens at once; leave it out.")
        max_length = length
    if max_length is None:
        max_length = model.generation_config.max_new_tokens or getattr(model.config, "max_position_embeddings", None)
    if max_length is None:
        raise ValueError(f"{path} does not say how long its texts are; set max_length.")
    if tokenizer is None:
        bos = int(model.config.bos_token_id or 0)
        eos, pad = None, bos
    else:
        bos, eos, pad = special_token_ids(tokenizer)
    root = run_folder(folder) if folder.is_dir() else None
    record = (read_record(folder) if root is not None else None) or {}
    return Run(model, tokenizer, RolloutEngine(max_length, bos, pad, eos), record, root)


__all__ = [
    "BASELINE_FOLDER",
    "ORACLE_FOLDER",
    "PRETRAINED_FOLDER",
    "RUN_RECORD_FILE",
    "Run",
    "check_output_dir",
    "load_run",
    "read_record",
    "run_folder",
    "seed_folder",
    "seed_folders",
    "write_record",
]
