"""Bad inputs of `textgan train`, generated from the types of its options, and the client of the command server."""

import dataclasses
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from transformers import PreTrainedConfig

from hf_textgan import SYSTEMS, models
from hf_textgan.core.optimizer_arguments import OPTIMIZER_ARGUMENTS
from hf_textgan.runs.arguments import OracleArguments, option_classes
from hf_textgan.runs.data import DataArguments
from hf_textgan.systems.spec import Copy, config_fields
from tests.contracts.test_systems import options


ROOT = Path(__file__).parents[2]

# Values that no option of a type can mean: each must be refused.
IMPOSSIBLE: dict[type, list[str]] = {
    bool: ["maybe"],
    int: ["nan", "1.5", "many"],
    float: ["nan", "fast", "1e"],
    dict: ["{", "5"],
}
HUGE = str(10**12)
# A run of so many steps is what it says it is.
ENDLESS = {"max_steps", "pretrain_generator_steps", "pretrain_discriminator_steps", "pretrain_autoencoder_steps"}
# Values that some options take and others refuse; an option that takes one must do what it says.
EXTREME: dict[type, list[str]] = {
    int: ["-7", "0", HUGE],
    float: ["-0.5", "inf", "1e300"],
    dict: ['{"no_such_name": 1}'],
    str: ["", "no/such\x1b[2J\nthing"],
}


@dataclasses.dataclass(frozen=True)
class Attack:
    """One bad input."""

    system: str
    option: str
    value: str
    impossible: bool

    def words(self, output_dir: Path, text_file: Path) -> list[str]:
        given = options(self.system, output_dir, eval_steps=2, save_steps=2)
        if self.option in TEXT_FIELDS:
            given = with_data(given, train_file=text_file, eval_file=text_file)
        elif self.option in ORACLE_FIELDS:
            sizes = {"oracle_train_size": 32, "oracle_eval_size": 16, "oracle_vocab_size": 20, "oracle_hidden_size": 4}
            given = with_data(given, dataset_name="oracle", max_length=5, **sizes)
        if f"--{self.option}" in given:
            given[given.index(f"--{self.option}") + 1] = self.value
            return given
        return [*given, f"--{self.option}={self.value}"]


ORACLE_FIELDS = {f.name for f in dataclasses.fields(OracleArguments)}
TEXT_FIELDS = {f.name for f in dataclasses.fields(DataArguments) if not f.name.startswith(("grammar", "dataset"))}


def with_data(words: list[str], **data: Any) -> list[str]:
    """Replaces the grammar in the words of a command by other data."""
    pairs = zip(words[2::2], words[3::2], strict=True)
    kept = [word for pair in pairs if not pair[0].startswith(("--dataset", "--grammar")) for word in pair]
    return [*words[:2], *kept, *(word for name, value in data.items() for word in (f"--{name}", str(value)))]


def kinds(hint: Any) -> set[Any]:
    """Returns the plain types of an annotation."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return {kind for part in get_args(hint) for kind in kinds(part)} - {NoneType}
    if origin is Literal:
        return {"choice"}
    return {origin or hint}


def values(hint: Any, table: dict[type, list[str]]) -> Iterator[str]:
    """Yields the values of a table for an annotation; a word is always possible where one type of several is `str`."""
    found = kinds(hint)
    choices = [kind for kind in found if kind == "choice" or issubclass(kind, Enum)]
    if choices and str not in found:
        if table is IMPOSSIBLE:
            yield "no_such_choice"
        elif choices != ["choice"]:  # some need a package that is not there
            yield from (member.value for kind in choices for member in kind)
        return
    if str in found:
        found = found & {dict, str}
    for kind in (bool, int, float, dict, str):
        if kind in found:
            yield from table.get(kind, [])
            return


def attacks(output_dir: str = "output_dir") -> list[Attack]:
    """Returns the bad inputs of all options of all systems, each option once."""
    found: dict[tuple[str, str], Attack] = {}
    for name, spec in SYSTEMS.items():
        hints: dict[str, Any] = {}
        for option_class in option_classes(spec):
            types = get_type_hints(option_class)
            hints.update({f.name: types[f.name] for f in dataclasses.fields(option_class)})
        for player, (kind, *_) in ((p, values) for p, values in spec.players.items() if not isinstance(values, Copy)):
            config = getattr(models, kind)
            types = {}
            for base in reversed(config.__mro__[: config.__mro__.index(PreTrainedConfig)]):
                types.update(inspect.get_annotations(base, eval_str=True))
            hints.update({f"{player}.{option}": types[option] for option in sorted(config_fields(config))})
        training = get_type_hints(option_classes(spec)[3])
        hints.update({f"generator.{option}": training[option] for option in OPTIMIZER_ARGUMENTS})
        for option, hint in hints.items():
            for table in (IMPOSSIBLE, EXTREME):
                for value in values(hint, table):
                    if option not in ENDLESS or value != HUGE:
                        found.setdefault((option, value), Attack(name, option, value, table is IMPOSSIBLE))
    return list(found.values())


class Commands:
    """The client of the command server."""

    def __init__(self, folder: Path):
        self.folder = folder  # the working directory of the commands
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.integration.command_server"]
        self.log = open(folder / "server.log", "w")
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True
        )

    def run(self, words: list[Any], **more: Any) -> dict[str, Any]:
        """Runs a command; returns `rc`, `signal` or `timeout`, and `out`, `err` and `seconds`."""
        assert self.process.stdin is not None and self.process.stdout is not None
        request = {"words": [str(word) for word in words], "folder": str(self.folder), **more}
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.log.close()


def fault_of(answer: dict[str, Any]) -> str | None:
    """Returns what is wrong with the end of a command that was given a bad input, or `None`."""
    if "timeout" in answer:
        return "hang"
    if "signal" in answer:
        return "crash"
    if "Traceback" in answer["err"]:
        return "traceback"
    if answer["rc"] not in (0, 2):
        return f"status {answer['rc']}"
    sentences = [line for line in answer["err"].splitlines() if line.startswith("textgan ")]
    if answer["rc"] == 2 and len(sentences) != 1:
        return "no sentence"
    return None
