"""The model card of a run, with what its system's record and its arguments add; and the command that repeats it."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..systems import SYSTEMS
from ..systems.spec import MODES
from ..trainer.card_facts import DatasetFacts, SystemFacts
from ..trainer.model_card import write_model_card
from ..utils.escaping import code_span
from ..utils.files import file_digest, read_object
from ..utils.names import is_hub_name
from .arguments import TrainArguments, replace_players, resolve_arguments
from .data import DataArguments
from .folder import BASELINE_FOLDER, read_record


# Options that say where and how a run is executed, not what it computes.
_NOT_OF_THE_RUN = {
    "output_dir",
    "logging_dir",
    "run_name",
    "disable_tqdm",
    "resume_from_checkpoint",
    "push_to_hub",
    "local_rank",
    "use_cpu",
    "report_to",
    "project",
    "trackio_space_id",
    "log_level",
    "log_level_replica",
    "ddp_backend",
    "ddp_timeout",
    "save_total_limit",
}
_FILES = ("train_file", "eval_file")


def write_card(folder: str | Path, **metadata: Any) -> Path:
    """
    Writes the model card, README.md, of a saved run from the files of its folder.

    Args:
        folder (`str` or `Path`):
            The folder of a run, or a copy of its files.
        metadata:
            `repository` (its name on the Hub), `license`, `language`, `tags`, `model_name`; see
            [`~trainer.model_card.write_model_card`].

    Returns:
        `Path`: the file that was written; not README.md if that was changed by hand.
    """
    folder = Path(folder)
    return write_model_card(folder, system_facts(folder), **metadata)


def system_facts(folder: Path) -> SystemFacts | None:
    """Returns what the record of a system and the arguments of a run say; `None` for a run of no system."""
    record = read_record(folder)
    if record is None or record["system"] not in SYSTEMS or not (folder / "training_args.json").is_file():
        return None
    kinds = {player: record.get(player) for player in ("discriminator", "generator")}
    system = replace_players(SYSTEMS[record["system"]], kinds)
    options = changed_options(folder, record)
    return SystemFacts(
        name=system.name,
        mode=MODES[system.mode],
        title=system.paper.title,
        bibtex=system.paper.bibtex,
        url=system.paper.url,
        deviations=system.deviations,
        by_likelihood=system.mode == "mle",
        command=command(record, options, folder),
        changed=[(name, own, default) for name, (own, default) in options.items() if name not in _FILES],
        dataset=_dataset(record),
    )


def describe_files(data: DataArguments) -> dict[str, dict[str, Any]]:
    """Returns name, size and SHA-256 of the files of text that arguments name."""
    paths = {name: Path(getattr(data, name)) for name in _FILES if getattr(data, name) is not None}
    return {
        name: {"name": path.name, "bytes": path.stat().st_size, "sha256": file_digest(path)}
        for name, path in paths.items()
        if path.is_file()
    }


# ---- The command ----------------------------------------------------------------------------------------------------


def changed_options(folder: Path, record: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """
    Returns the options of a run that differ from those of its system, its preset and its data: for each the value and
    that of the record.
    """
    training = read_object(folder / "training_args.json")
    given = _naming_options(record, training["output_dir"])
    plain = resolve_arguments(record["system"], (given, "the run"))
    options: dict[str, tuple[Any, Any]] = {}
    parts = [
        (record["data"], asdict(plain.data)),
        (record.get("oracle") or {}, asdict(plain.oracle)),
        (record["objective"], plain.objective.hyperparameters()),
        (training, plain.training.to_dict()),
    ]
    for own, default in parts:
        own, default = (json.loads(json.dumps(values, default=str)) for values in (own, default))
        for name, value in own.items():
            if name in given or name in _NOT_OF_THE_RUN or name.startswith("hub_") or name == "player_optimizers":
                continue
            if name in default and value != default[name]:
                options[name] = (value, default[name])
    players = {**_flat(record["configs"]), **_flat(training.get("player_optimizers") or {})}
    defaults = {**_flat(plain.configs), **_flat(plain.training.optimizer_options)}
    for name, value in players.items():
        if value != defaults.get(name):
            options[name] = (value, defaults.get(name, _default_of_player(plain, name)))
    return options


def _naming_options(record: dict[str, Any], output_dir: str) -> dict[str, Any]:
    """Returns the options that name what is trained, by which all others have their defaults."""
    names = ("preset", "discriminator", "generator", "generator_name_or_path", "max_seconds")
    given = {name: record[name] for name in names if record.get(name) is not None}
    if record["data"].get("dataset_name") is not None:
        given["dataset_name"] = record["data"]["dataset_name"]
    if record["data"].get("tokenizer_name_or_path") is not None:
        given["tokenizer_name_or_path"] = record["data"]["tokenizer_name_or_path"]
    return {**given, "output_dir": output_dir}


def _flat(options: dict[str, dict[str, Any]]) -> dict[str, Any]:
    plain = json.loads(json.dumps(options, default=str))
    return {f"{player}.{name}": value for player, values in plain.items() for name, value in values.items()}


def _default_of_player(plain: TrainArguments, name: str) -> Any:
    """Returns the value that a player has without an option: that of its record, of its class or of the run."""
    from .. import models

    player, _, option = name.partition(".")
    base = player.partition("/")[0]
    class_name, values = plain.system.player(base)
    if option in values:
        value = values[option]
        return value if isinstance(value, int | float | str | list | bool) else None
    if hasattr(models, class_name) and hasattr(getattr(models, class_name), option):
        return getattr(getattr(models, class_name), option)
    return getattr(plain.training, option, None)


def command(record: dict[str, Any], options: dict[str, tuple[Any, Any]], folder: Path) -> str | None:
    """
    Returns the command that repeats a run, with files by their names alone; `None` if its text came from Python, or it
    is the MLE baseline of another run.
    """
    data = record["data"]
    if data.get("train_file") is None and data.get("dataset_name") is None:
        return None
    if folder.name == BASELINE_FOLDER:  # the options of another run, and its time, made it
        return None
    training = read_object(folder / "training_args.json")
    named = _naming_options(record, _without_folder(training["output_dir"]))
    words = ["textgan", "train", record["system"]]
    for name, value in {**named, **{name: own for name, (own, _) in options.items()}}.items():
        if value is None:
            continue
        if name in (*_FILES, "generator_name_or_path", "tokenizer_name_or_path", "dataset_name", "oracle_path"):
            value = _without_folder(str(value))
        words += [f"--{name}", _word(value)]
    if (folder / BASELINE_FOLDER).is_dir():
        words.append("--mle_baseline")
    return shlex.join(words)


def _without_folder(path: str) -> str:
    """Returns a path that tells nothing of one machine: a relative one as it is, of another its name."""
    given = Path(path)
    return path if is_hub_name(path) or (not given.is_absolute() and ".." not in given.parts) else given.name


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


# ---- The data -------------------------------------------------------------------------------------------------------


def _dataset(record: dict[str, Any]) -> DatasetFacts:
    data = DataArguments(**record["data"])
    files = record.get("files") or {}
    name = data.dataset_name
    if name == "grammar":
        description = (
            "the caption grammar of `hf_textgan`, which writes English captions: "
            f"{data.grammar_train_size:,} training and {data.grammar_eval_size:,} held-out captions of seed "
            f"{data.grammar_seed}"
        )
        free = None if record.get("generator_name_or_path") else "apache-2.0"
        return DatasetFacts("grammar", "grammar", description, language="en", license=free)
    if name == "oracle":
        oracle = record.get("oracle") or {}
        source = (
            "given parameters" if oracle.get("oracle_path") else f"random parameters of seed {oracle['oracle_seed']}"
        )
        description = f"sequences of numbers of an LSTM with {source}, the field's synthetic task"
        return DatasetFacts("oracle", "oracle", description, license="apache-2.0")
    if name is not None and is_hub_name(name):
        config = f", configuration {code_span(data.dataset_config)}" if data.dataset_config else ""
        return DatasetFacts(
            name=name,
            kind=name,
            description=f"{code_span(name)} on the Hub{config}",
            hub_name=name,
            config=data.dataset_config,
            train_split=data.dataset_train_split,
            eval_split=data.dataset_eval_split,
            files=files,
        )
    if name is not None:
        label = Path(name).name
        return DatasetFacts(label, "folder", f"the data set in a folder {code_span(label)}", files=files)
    if data.train_file is not None:
        label = Path(data.train_file).name
        return DatasetFacts(label, "file", f"the file {code_span(label)}", files=files)
    return DatasetFacts("text", "text", "text that was given in Python")


__all__ = ["changed_options", "command", "describe_files", "system_facts", "write_card"]
