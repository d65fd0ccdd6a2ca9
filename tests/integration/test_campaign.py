"""
A campaign of faults against the commands: bad inputs, signals, files of the user's, damaged files, a full disk.

Nothing of a user's is lost, nothing ends in a traceback, nothing wrong is silent. Each test prints its figures (`-s`
shows them). `test_kill.py` kills runs, `test_interrupts.py` runs two in one folder.
"""

import itertools
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hf_textgan.utils.files import file_digest
from tests.contracts.test_systems import options
from tests.integration.attacks import Commands, attacks, fault_of, with_data
from tests.toys import LINES


pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork"),
]
STEPS = {"pretrain_generator_steps": 6, "save_steps": 2, "eval_steps": 2}


@pytest.fixture(scope="module")
def commands(tmp_path_factory) -> Iterator[Commands]:
    commands = Commands(tmp_path_factory.mktemp("commands"))
    yield commands
    commands.close()


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("\n".join(LINES * 4) + "\n")
    return path


@pytest.fixture(scope="module")
def finished(commands, tmp_path_factory) -> Path:
    """A finished run; nothing writes to it."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    answer = commands.run(train(folder))
    assert answer["rc"] == 0, answer["err"]
    return folder


def train(folder: Path, *more: str, **values: object) -> list[str]:
    return [*options("rnnlm", folder, **{**STEPS, **values}), *more]


def weights(folder: Path) -> str:
    return file_digest(folder / "model.safetensors")


def report(what: str, faults: dict[str, str], number: int) -> None:
    """Prints the figures and fails if there are faults."""
    sys.stdout.write(f"\n{what}: {number} tried, {len(faults)} faults {dict(Counter(faults.values()))}\n")
    assert not faults


# ---- Bad inputs ---------------------------------------------------------------------------------------------------


def test_bad_inputs(commands, texts, tmp_path):
    found = attacks()
    impossible = [attack for attack in found if attack.impossible]
    extreme = [attack for attack in found if not attack.impossible][::4]
    assert len(impossible) >= 400
    faults, ends = {}, Counter()
    for number, attack in enumerate([*impossible, *extreme]):
        output_dir = tmp_path / f"{number}"
        answer = commands.run(attack.words(output_dir, texts))
        fault = fault_of(answer)
        if fault is None and attack.impossible and answer["rc"] == 0:
            fault = "silent"
        if fault is not None:
            faults[f"{attack.system} --{attack.option}={attack.value!r}"] = fault
        ends[answer.get("rc")] += 1
        shutil.rmtree(output_dir, ignore_errors=True)
    sys.stdout.write(f"\nexit status: {dict(ends)}\n")
    report("bad inputs", faults, len(impossible) + len(extreme))


# ---- Signals ------------------------------------------------------------------------------------------------------


def test_signals(commands, finished, tmp_path):
    faults, number = {}, 0
    saved = 0
    for name in (signal.SIGINT, signal.SIGTERM):
        for step in range(12):
            number += 1
            run = tmp_path / f"{name.name}-{step}"
            answer = commands.run(train(run), signals=[(0.15 * step, int(name))])
            # Before the training takes signals over, SIGTERM ends a process as it does any other.
            allowed = [{"rc": 128 + int(name)}, {"rc": 0}, {"signal": int(signal.SIGTERM)}]
            ended = {key: answer[key] for key in ("rc", "signal", "timeout") if key in answer}
            if ended not in allowed or "Traceback" in answer["err"]:
                faults[run.name] = f"{ended} {answer['err'][-300:]}"
                continue
            if ended == {"rc": 128 + int(name)} and "add --resume" in answer["err"]:
                saved += any(run.glob("checkpoint-*"))
            resumed = commands.run(train(run, "--resume"))
            if resumed["rc"] != 0 or weights(run) != weights(finished):
                faults[run.name] = f"resumed: {resumed['err'][-300:]}"
    assert saved >= 3, "signals reached the training itself"
    sys.stdout.write(f"\n{saved} of {number} signals came while a run trained; each saved a checkpoint\n")
    report("SIGINT and SIGTERM, resumed to the same weights", faults, number)


# ---- Files of the user's ------------------------------------------------------------------------------------------


def scenarios() -> dict[str, Callable[[Path, Path, Path], tuple[list[list[Any]], list[Path]]]]:
    """
    Returns scenarios: each takes a run, a folder of the user's and a text file, and returns commands and the paths
    whose content must stay.
    """
    found: dict[str, Callable] = {}

    def scenario(function: Callable) -> Callable:
        found[function.__name__] = function
        return function

    def own(folder: Path, name: str = "mine.txt") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("a line of mine\nanother line\n")
        return folder / name

    @scenario
    def samples_over_a_file(run, mine, text):
        return [["generate", run, "--num_samples", 4, "--output_file", own(mine)]], [mine / "mine.txt"]

    @scenario
    def measures_over_the_held_out_text(run, mine, text):
        own(mine)
        words = ["evaluate", run, "--eval_file", mine / "mine.txt", "--output_file", mine / "mine.txt"]
        return [[*words, "--num_samples", 8]], [mine / "mine.txt"]

    @scenario
    def a_report_over_a_report(run, mine, text):
        own(mine, "report.md")
        return [["compare", run, "--eval_file", text, "--output_dir", mine]], [mine / "report.md"]

    @scenario
    def a_link_with_the_name_of_a_half_written_file(run, mine, text):
        own(mine)
        (run / "_partial-evaluation.json").symlink_to(mine / "mine.txt")
        return [["evaluate", run, "--eval_file", text, "--num_samples", 8]], [mine / "mine.txt"]

    @scenario
    def a_link_with_a_random_name(run, mine, text):
        own(mine)
        (run / "_partial-0123abcd-x").symlink_to(mine)
        return [train(run, "--resume", pretrain_generator_steps=8)], [mine / "mine.txt"]

    @scenario
    def the_folder_of_the_best_models_is_a_link(run, mine, text):
        shutil.rmtree(run / "best")
        own(mine / "pretrain_generator")
        (run / "best").symlink_to(mine)
        return [train(run, "--resume", pretrain_generator_steps=8)], [mine / "pretrain_generator" / "mine.txt"]

    @scenario
    def best_models_of_a_phase_are_a_link(run, mine, text):
        shutil.rmtree(run / "best" / "pretrain_generator")
        (run / "best" / "pretrain_generator").symlink_to(own(mine).parent)
        return [train(run, "--resume", pretrain_generator_steps=8)], [mine / "mine.txt"]

    @scenario
    def the_folder_of_the_samples_is_a_link(run, mine, text):
        shutil.rmtree(run / "samples", ignore_errors=True)
        (run / "samples").symlink_to(own(mine).parent)
        return [train(run, "--resume", pretrain_generator_steps=8)], [mine / "mine.txt"]

    @scenario
    def notes_in_the_folder_of_a_run(run, mine, text):
        for name in ("notes.txt", "notes/draft.txt", "notes/_partial-draft.txt", "_partial-draft.txt"):
            own((run / name).parent, Path(name).name)
        kept = [run / "notes.txt", run / "notes", run / "_partial-draft.txt"]
        return [train(run, "--resume", pretrain_generator_steps=8)], kept

    @scenario
    def a_checkpoint_that_was_moved_and_linked(run, mine, text):
        newest = max(run.glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
        shutil.move(newest, mine / newest.name)
        newest.symlink_to(mine / newest.name)
        return [train(run, "--resume", pretrain_generator_steps=12)], [mine / newest.name]

    @scenario
    def a_checkpoint_kept_under_another_name(run, mine, text):
        newest = max(run.glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
        shutil.copytree(newest, run / "checkpoint-good")
        return [train(run, "--resume", pretrain_generator_steps=12)], [run / "checkpoint-good"]

    @scenario
    def results_that_are_links(run, mine, text):
        for name in ("metrics.json", "curves.png", "training_seconds.json", "config.json", "textgan.json"):
            if (run / name).exists():
                shutil.move(run / name, mine / name)
                (run / name).symlink_to(mine / name)
        return [train(run, "--resume", pretrain_generator_steps=8)], [mine]

    @scenario
    def a_run_into_a_folder_with_other_things(run, mine, text):
        own(mine, "model.safetensors")
        return [train(mine), train(mine, "--resume")], [mine]

    @scenario
    def a_run_into_a_link_to_a_folder_with_other_things(run, mine, text):
        own(mine, "config.json")
        (run.parent / "link").symlink_to(mine)
        return [train(run.parent / "link"), train(run.parent / "link", "--resume")], [mine]

    @scenario
    def another_system_into_the_folder_of_a_run(run, mine, text):
        return [options("seqgan", run, max_steps=2), [*options("seqgan", run), "--resume"]], [run]

    @scenario
    def a_run_again_without_resume(run, mine, text):
        return [train(run)], [run]

    @scenario
    def the_lock_is_a_link(run, mine, text):
        (run / ".lock").symlink_to(own(mine))
        return [train(run, "--resume", pretrain_generator_steps=8)], [mine / "mine.txt"]

    @scenario
    def metrics_exported_over_a_folder(run, mine, text):
        own(mine / "self_bleu", "README.md")
        return [["metrics", "export", "--output_dir", mine, "self_bleu"]], [mine / "self_bleu" / "README.md"]

    @scenario
    def samples_over_a_link(run, mine, text):
        (run.parent / "out.txt").symlink_to(own(mine))
        words = ["generate", run, "--num_samples", 4, "--output_file", run.parent / "out.txt"]
        return [words, [*words, "--overwrite"]], [mine / "mine.txt"]

    return found


def content(path: Path) -> dict[str, str]:
    """Returns the digest of a file, or of each file under a folder; what a run may write to its own folder is out."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and p.name[:5] != ".lock")
    return {str(file): file_digest(file) for file in files}


@pytest.mark.parametrize("name", scenarios())
def test_files_of_the_user_stay(commands, finished, texts, tmp_path, name):
    run, mine = tmp_path / "run", tmp_path / "mine"
    shutil.copytree(finished, run)
    mine.mkdir()
    lines, kept = scenarios()[name](run, mine, texts)
    before = [content(path) for path in kept]
    assert all(before), "there is something to lose"
    for words in lines:
        answer = commands.run(words)
        assert fault_of(answer) is None, answer["err"]
        for old, path in zip(before, kept, strict=True):
            now = content(path)
            assert {file: now.get(file) for file in old} == old


# ---- Damaged files ------------------------------------------------------------------------------------------------

DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "gone": lambda data: None,
    "empty": lambda data: b"",
    "cut short": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "an object": lambda data: b"{}",
    "a list": lambda data: b"[]",
    "one byte altered": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 64]) + data[len(data) // 2 + 1 :]
    ),
}


def damage(path: Path, how: str) -> None:
    damaged = DAMAGES[how](path.read_bytes())
    path.unlink() if damaged is None else path.write_bytes(damaged)


def test_damaged_files_of_a_run(commands, finished, texts, tmp_path):
    """A command says what is wrong, or does not need the file; the commands take turns."""
    faults, number, ends = {}, 0, Counter()
    files = sorted(path.relative_to(finished) for path in finished.iterdir() if path.is_file())
    assert {"config.json", "textgan.json", "model.safetensors", "tokenizer.json"} <= {str(path) for path in files}
    run = tmp_path / "run"
    turns = itertools.cycle(
        [
            ["generate", run, "--num_samples", 4],
            ["evaluate", run, "--eval_file", texts, "--num_samples", 8, "--overwrite"],
            ["compare", run, "--eval_file", texts, "--num_samples", 16, "--output_dir", tmp_path / "report"],
            train(run, "--resume", pretrain_generator_steps=8),
            ["compare", run / "best" / "pretrain_generator", "--eval_file", texts, "--num_samples", 16],
        ]
    )
    for file, how in itertools.product(files, DAMAGES):
        shutil.copytree(finished, run)
        damage(run / file, how)
        words = next(turns)
        number += 1
        answer = commands.run(words)
        ends[answer.get("rc")] += 1
        if fault_of(answer) is not None:
            faults[f"{file} {how}, {words[0]}"] = f"{fault_of(answer)}: {answer['err'][-200:]}"
        shutil.rmtree(run)
        shutil.rmtree(tmp_path / "report", ignore_errors=True)
    sys.stdout.write(f"\nexit status: {dict(ends)}\n")
    report("commands on damaged runs", faults, number)


def test_damaged_checkpoints(commands, finished, tmp_path):
    """A damaged checkpoint is passed over for the one before it, and the run ends with the same weights."""
    faults, number = {}, 0
    newest = max(finished.glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
    for file in sorted(path.relative_to(finished) for path in newest.rglob("*") if path.is_file()):
        for how in ("gone", "cut short", "one byte altered", "zeros"):
            number += 1
            run = tmp_path / "run"
            shutil.copytree(finished, run)
            (run / "config.json").unlink()
            damage(run / file, how)
            answer = commands.run(train(run, "--resume"))
            told = newest.name in answer["err"]
            if answer.get("rc") != 0 or weights(run) != weights(finished) or not told:
                faults[f"{file} {how}"] = f"{answer.get('rc')} told={told} {answer['err'][-200:]}"
            shutil.rmtree(run)
    report("damaged checkpoints, resumed to the same weights", faults, number)


def test_a_damaged_cache(commands, texts, tmp_path):
    """A damaged cache is rebuilt; the run is that of a fresh cache."""
    cache = tmp_path / "cache"
    faults, number = {}, 0

    def run(name: str) -> Path:
        words = with_data(train(tmp_path / name), train_file=texts, eval_file=texts)
        answer = commands.run(words, environment={"HF_DATASETS_CACHE": str(cache)})
        assert answer.get("rc") == 0, answer["err"]
        return tmp_path / name

    first = run("first")
    files = sorted(path for path in cache.rglob("*") if path.is_file())
    assert files, "the commands use this cache"
    whole = {path: path.read_bytes() for path in files}
    for file in files:
        for how in ("gone", "empty", "cut short", "zeros"):
            number += 1
            for path, data in whole.items():
                path.write_bytes(data)
            damage(file, how)
            if weights(run(f"run{number}")) != weights(first):
                faults[f"{file.name} {how}"] = "other weights"
    report("damaged caches, trained to the same weights", faults, number)


# ---- A full disk --------------------------------------------------------------------------------------------------


def test_a_full_disk(commands, finished, tmp_path):
    """What a full disk ends says so, and goes on to the same weights when there is room."""
    faults, number, full = {}, 0, 0
    largest = max(path.stat().st_size for path in finished.rglob("*") if path.is_file())
    for size in [largest * part // 16 for part in range(3, 16)]:  # what is printed must fit, too
        number += 1
        run = tmp_path / f"{number}"
        answer = commands.run(train(run), file_size=size)
        if fault_of(answer) is not None:
            faults[f"{size} bytes"] = f"{fault_of(answer)}: {answer['err'][-300:]}"
            continue
        full += answer["rc"] == 2
        resumed = commands.run(train(run, "--resume"))
        if resumed["rc"] != 0 or weights(run) != weights(finished):
            faults[f"{size} bytes"] = f"resumed: {resumed['err'][-300:]}"
    assert full >= 5, "the disk was full"
    report("full disks, resumed to the same weights", faults, number)


def test_damages_differ():
    data = json.dumps({"a": list(range(20))}).encode()
    assert len({how(data) for how in DAMAGES.values()}) == len(DAMAGES)
