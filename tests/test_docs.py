"""The documentation: its code runs, its commands parse, its pages follow the records, its links lead somewhere."""

import argparse
import ast
import functools
import importlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard

import hf_textgan
from hf_textgan.cli import compare, demo, evaluate, generate, metrics, push
from hf_textgan.cli.arguments import parse_train_arguments
from hf_textgan.cli.data import _parse as parse_data_arguments
from hf_textgan.cli.main import COMMANDS, main
from hf_textgan.runs.arguments import option_classes
from hf_textgan.runs.build import build_trainer
from hf_textgan.systems import SYSTEMS


ROOT = Path(__file__).parent.parent
PACKAGE = Path(hf_textgan.__file__).parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "model_cards").glob("*.md")),
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MAX_README_BYTES = 8 * 1024


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a page in a language; blocks of commands have none."""
    return [code for name, code in BLOCK.findall(path.read_text(encoding="utf-8")) if name == language]


def commands(path: Path) -> list[str]:
    return [line for code in blocks(path, "") for line in code.splitlines() if line.startswith("textgan ")]


def prose(path: Path) -> str:
    return BLOCK.sub("", path.read_text(encoding="utf-8"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory, as a reader would have one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- Code ----


def test_readme_is_short():
    assert (ROOT / "README.md").stat().st_size <= MAX_README_BYTES


def test_the_python_of_the_readme_runs(folder, one_thread, capsys):
    namespace: dict = {}
    code = blocks(ROOT / "README.md", "python")
    assert len(code) == 2
    for block in code:
        exec(compile(block, "README.md", "exec"), namespace)
    *samples, continued = capsys.readouterr().out.strip().splitlines()[-6:]
    assert len(samples) == 5 and continued.startswith("a man ")
    assert (folder / "runs/quick/config.json").is_file()
    assert namespace["generator"].num_parameters() == namespace["trainer"].model.num_parameters()
    assert namespace["discriminator"].config.model_type == "textgan_cnn_discriminator"


@pytest.mark.parametrize(
    "page",
    [
        *("concepts", "data", "metrics"),
        *(pytest.param(page, marks=pytest.mark.slow) for page in ("model_cards", "resume_and_distributed")),
    ],
)
def test_the_python_of_a_page_runs(page, folder, one_thread):
    code = blocks(ROOT / "docs" / f"{page}.md", "python")
    assert code
    namespace: dict = {}
    for block in code:
        exec(compile(block, page, "exec"), namespace)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_quick_start_runs(folder, one_thread):
    page = ROOT / "docs" / "quick_start.md"
    pretraining = ["--pretrain_generator_steps", "5", "--pretrain_discriminator_steps", "5"]
    for system, steps in (("seqgan", pretraining), ("iwgan", []), ("arae", [])):  # the folders that the page loads
        assert main(_short(["train", system, "--output_dir", f"runs/{system}", *steps])) == 0
    namespace: dict = {}
    for block in blocks(page, "python"):
        exec(compile(block, "quick_start.md", "exec"), namespace)
    assert (folder / "runs/python/config.json").is_file() and (folder / "runs/parts/config.json").is_file()


def _short(words: list[str]) -> list[str]:
    return [*words, "--dataset_name", "grammar", "--grammar_train_size", "200", "--grammar_eval_size", "100"] + [
        *("--max_steps", "2", "--preset", "laptop", "--eval_num_samples", "20", "--disable_tqdm", "true")
    ]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_three_commands_of_the_readme_run(folder):
    three = commands(ROOT / "README.md")
    assert [line.split()[1] for line in three] == ["train", "generate", "evaluate"]
    for line in three:
        assert main(shlex.split(line)[1:]) == 0, line


def test_the_system_of_the_tutorial_trains(tmp_path):
    """Writes the files of the page into a copy of the package, and trains the system for a step of each phase."""
    copy = tmp_path / "hf_textgan"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    written = []
    for block in blocks(ROOT / "docs" / "adding_a_system.md", "python"):
        head, _, code = block.partition("\n")
        path = tmp_path / head.removeprefix("# ")
        if path.name == "__init__.py":  # the lines join the imports that are there
            text = path.read_text(encoding="utf-8")
            last = list(re.finditer(r"^from \.\w+ import \*\n", text, re.MULTILINE))[-1].end()
            path.write_text(text[:last] + code + text[last:], encoding="utf-8")
        else:
            assert not path.exists()
            path.write_text(code, encoding="utf-8")
            written.append(path.name)
    assert {"mygan.py", "modeling_bag_discriminator.py", "configuration_bag_discriminator.py"} == set(written)

    words = [*("--pretrain_generator_steps", "1", "--pretrain_discriminator_steps", "1", "--max_steps", "1")]
    words += ["--grammar_train_size", "64", "--grammar_eval_size", "16", "--per_device_train_batch_size", "8"]
    words += ["--eval_num_samples", "8", "--temperature", "0.9", "--disable_tqdm", "true", "--output_dir", "run"]
    command = [sys.executable, "-m", "hf_textgan.cli.main", "train", "mygan", "--dataset_name", "grammar", *words]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "adversarial 1 iterations" in result.stdout
    assert (tmp_path / "run/discriminator/model.safetensors").is_file()


def test_the_code_of_the_pages_parses():
    for page in PAGES:
        for block in blocks(page, "python"):
            ast.parse(block)


# ---- Commands and names ----


def check_command(line: str) -> None:
    """Parses a command as `textgan` would; raises if it does not."""
    command, *words = shlex.split(line)[1:]
    if command == "train":
        parse_train_arguments(words)
    elif command == "data":
        assert words[0] == "report"
        parse_data_arguments(words[1:])
    elif command in PARSERS:
        PARSERS[command].parse_args(words)
    else:
        assert command in {"systems", "env"} & {"systems", *COMMANDS} and not words, line


PARSERS: dict[str, argparse.ArgumentParser] = {
    "generate": generate.make_parser(),
    "evaluate": evaluate.make_parser(),
    "compare": compare.make_parser(),
    "demo": demo.make_parser(),
    "metrics": metrics.make_parser(),
    "push": push.make_parser(),
}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_parse(page, folder):
    for code in blocks(page, "yaml"):
        head, _, content = code.partition("\n")
        Path(head.removeprefix("# ")).write_text(content, encoding="utf-8")
    for line in commands(page):
        if line.split()[:3] == ["textgan", "train", "mygan"]:  # of the tutorial, tested above
            continue
        try:
            check_command(line)
        except (SystemExit, ValueError) as error:
            pytest.fail(f"{line}: {error}")


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name_of)
def test_runs_of_a_page_can_be_built(page, folder):
    """Builds the trainer of each command on built-in data, in a folder of its own."""
    lines = [line for line in commands(page) if re.search(r"^textgan train .*--dataset_name (grammar|oracle) ", line)]
    for number, line in enumerate(lines):
        if " mygan " in line or "_name_or_path" in line:
            continue
        words = shlex.split(line.replace(" --resume", ""))[2:]
        words += ["--output_dir", f"{number}", "--oracle_train_size", "200", "--oracle_eval_size", "100"]
        trainer = build_trainer(parse_train_arguments(words))
        assert trainer.schedule.total > 0, line


def test_the_check_of_commands_sees_a_wrong_option(folder):
    with pytest.raises(ValueError, match="num_rollouts"):
        check_command("textgan train seqgan --num_rollout 3 --output_dir runs/x")
    with pytest.raises(SystemExit):
        check_command("textgan generate runs/x --num_sample 3")


@functools.cache
def known_options() -> set[str]:
    options = {f"--{f.name}" for system in SYSTEMS.values() for c in option_classes(system) for f in fields(c)}
    parsers = [*PARSERS.values(), *PARSERS["metrics"]._subparsers._group_actions[0].choices.values()]
    options |= {option for parser in parsers for action in parser._actions for option in action.option_strings}
    return options | {"--config", "--help", "--help-all", "--version", "--json", "--num_processes", "--check"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_options_in_the_text_exist(page):
    found = re.findall(r"`(--[a-z][\w-]*)[ =`]", prose(page))
    assert set(found) <= known_options()


@pytest.mark.parametrize("page", [p for p in PAGES if p.parent.name != "systems"], ids=name_of)
def test_classes_in_the_text_exist(page):
    names = set(re.findall(r"`([A-Z][a-z]+[A-Z]\w+|[A-Z][A-Z]+[a-z]\w+)(?:\(|`)", prose(page)))
    homes = [importlib.import_module(name) for name in ("hf_textgan", "hf_textgan.core.batches", "transformers")]
    known = {name for name in names if any(hasattr(module, name) for module in homes)}
    assert names - known <= {"MyGANObjective", "BagDiscriminator"}  # of the tutorial


# ---- Rendered pages and links ----


def load_renderer(name: str = "render_systems"):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_of_the_systems_are_those_of_their_records():
    renderer = load_renderer()
    pages = renderer.render_all()
    stale = [name_of(path) for path, text in pages.items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run `make docs`"
    assert {path.stem for path in (ROOT / "docs/systems").glob("*.md")} == set(SYSTEMS), "run `make docs`"


def test_a_page_follows_its_record():
    renderer = load_renderer()
    system = SYSTEMS["seqgan"]
    changed = replace(system, objective=("seqgan", {**system.objective[1], "num_rollouts": 7}))
    before, after = renderer.page(system).splitlines(), renderer.page(changed).splitlines()
    assert [line for line in after if line not in before] == ["| `num_rollouts` | `7` | Completions per prefix. |"]


def test_the_cards_of_the_systems_are_those_of_records_and_results(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    cards = load_renderer("render_cards").render_all()
    stale = [name_of(path) for path, text in cards.items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run `make cards`"
    assert {path.stem for path in (ROOT / "model_cards").glob("*.md")} == {*SYSTEMS, "README"}, "run `make cards`"


def test_a_card_follows_the_results(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    renderer = load_renderer("render_cards")
    text = (ROOT / "docs/results/on_text.md").read_text(encoding="utf-8")  # written by hand from the same file
    found = renderer.measurements()
    grammar = next(m for m in found if m.file == "mle_baseline_grammar.json")
    for metric, row in (("bleu_4", "BLEU-4"), ("reverse_nll", "reverse LM, nats per word")):
        values = [f"{values[grammar.columns.index(metric)]:.3f}" for values in grammar.rows.values()]
        assert f"| {row} | {' | '.join(values)} |" in text
    assert list(grammar.rows)[0] == "seqgan" and list(grammar.rows)[-1] == "real text"
    card = renderer.card(SYSTEMS["seqgan"], [])
    assert "Nothing was measured of this system yet." in card and "| model |" not in card
    data = ModelCard(renderer.card(SYSTEMS["iwgan"], found)).data
    assert data.pipeline_tag is None and data.tags == ["hf_textgan", "text-gan", "iwgan", "wgan-gp"]


def markdown_files() -> list[Path]:
    folders = [ROOT / name for name in ("docs", "model_cards", "hf_textgan", "benchmarks", "examples", ".github")]
    return [*sorted(ROOT.glob("*.md")), *(path for folder in folders for path in sorted(folder.rglob("*.md")))]


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(path: Path, text: str) -> list[str]:
    text = re.sub(r"`[^`\n]*`", "", BLOCK.sub("", text))
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):  # not relative
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("path", markdown_files(), ids=name_of)
def test_links_lead_somewhere(path):
    assert not broken_links(path, path.read_text(encoding="utf-8"))


def test_the_check_of_links_sees_a_broken_one():
    page = ROOT / "docs" / "index.md"
    text = "[a](cli.md#defaults) [b](nowhere.md) [c](cli.md#nowhere) [d](https://example.org) `[e](gone.md)`"
    assert broken_links(page, text) == ["nowhere.md", "cli.md#nowhere"]


def test_every_page_is_reachable_from_the_readme():
    def linked(path: Path) -> set[Path]:
        links = re.findall(r"\]\(([^)\s#]+)", path.read_text(encoding="utf-8"))
        found = {(path.parent / link).resolve() for link in links if not re.match(r"[a-z]+:", link)}
        return {link for link in found if link.suffix == ".md" and link.is_file()}

    reached, waiting = set(), {ROOT / "README.md"}
    while waiting:
        reached |= waiting
        waiting = set().union(*map(linked, waiting)) - reached
    missing = set(PAGES) - reached
    assert not missing


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
