"""The folder of a run: its record, and loading what was trained."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from . import models as models  # registers them
from .data.tokenizers import special_token_ids
from .models.modeling_one_shot import OneShotGeneratorMixin
from .sampling import RolloutEngine
from .trainer.checkpoints import newest_complete, write_text


RECORD = "textgan.json"
ORACLE = "oracle"  # folder of the oracle of a run on synthetic data


@dataclass
class Run:
    """A trained generator with what is needed to sample from it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase | None
    engine: RolloutEngine
    record: dict[str, Any]
    root: Path | None = None  # the folder of the run, for a model that lies in one


def run_folder(folder: Path) -> Path | None:
    """The folder of the run that `folder`, for example one of its checkpoints, belongs to."""
    return next((place for place in (folder, *folder.parents[:2]) if (place / RECORD).is_file()), None)


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of the run that `folder`, or the run around a checkpoint, belongs to."""
    place = run_folder(folder)
    return json.loads((place / RECORD).read_text(encoding="utf-8")) if place is not None else None


def write_record(folder: Path, record: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / RECORD, json.dumps(record, indent=2) + "\n")


def check_output_dir(folder: Path, system: str, resume: bool) -> None:
    """Refuses a folder in which a run of `system` would destroy something."""
    if folder.is_file():
        raise ValueError(f"{folder} is a file; name a folder for the output.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    record = read_record(folder) if (folder / RECORD).is_file() else None
    if record is None:
        raise ValueError(f"{folder} is not empty and holds no run; name another output folder.")
    if record["system"] != system:
        raise ValueError(f"{folder} holds a run of {record['system']}, not of {system}; name another output folder.")
    if not resume:
        raise ValueError(f"{folder} already holds a run of {system}; add --resume to go on, or name another folder.")


def load_generator_model(path: str, **options: Any) -> PreTrainedModel:
    """A causal language model, or a generator of whole sequences, which is none."""
    ours = {model_class.config_class: model_class for model_class in models.MODELS}
    known = ours.get(type(AutoConfig.from_pretrained(path)))
    one_shot = known is not None and issubclass(known, OneShotGeneratorMixin)
    return (AutoModel if one_shot else AutoModelForCausalLM).from_pretrained(path, **options)


def load_run(path: str, max_length: int | None = None) -> Run:
    """
    Loads a trained generator from a folder (a finished run, a checkpoint or any causal language model) or the Hub.

    Args:
        path (`str`):
            Folder or repository.
        max_length (`int`, *optional*):
            Generated tokens, EOS included; defaults to what the model was trained for.
    """
    folder = Path(path)
    if folder.is_dir() and not (folder / "config.json").is_file():
        newest, _ = newest_complete(folder)
        hint = f"its newest checkpoint is {newest}" if newest else "train one with `textgan train`"
        raise ValueError(f"{folder} holds no finished model (no config.json); {hint}.")
    if not folder.exists() and (path.count("/") != 1 or path.startswith((".", "/"))):
        raise ValueError(f"There is no folder {path}; name the output folder of a run, or a repository as org/name.")
    try:
        model = load_generator_model(path)
        # A generator of sequences of one length, without EOS, writes ids and no text.
        has_text = model.config.eos_token_id is not None or model.config.bos_token_id is None
        tokenizer = AutoTokenizer.from_pretrained(path) if has_text else None
    except Exception as error:  # safetensors, huggingface_hub and json each raise their own
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} cannot be loaded ({type(error).__name__}: {reason[:300]}).") from error
    model.eval()
    if isinstance(model, OneShotGeneratorMixin):
        length = model.config.sequence_length
        if max_length not in (None, length):
            raise ValueError(f"max_length is {max_length}, but {path} makes {length} symbols at once; leave it out.")
        max_length = length
    if max_length is None:
        max_length = model.generation_config.max_new_tokens or getattr(model.config, "max_position_embeddings", None)
    if max_length is None:
        raise ValueError(f"{path} does not say how long its texts are; set max_length.")
    if tokenizer is None:
        bos, eos, pad = model.config.bos_token_id, None, model.config.bos_token_id
    else:
        bos, eos, pad = special_token_ids(tokenizer)
    root = run_folder(folder) if folder.is_dir() else None
    record = read_record(folder) if root is not None else {}
    return Run(model, tokenizer, RolloutEngine(max_length, bos, pad, eos), record, root)


__all__ = [
    "ORACLE",
    "RECORD",
    "Run",
    "check_output_dir",
    "load_generator_model",
    "load_run",
    "read_record",
    "run_folder",
    "write_record",
]
