"""Names that were given up are not used again, except where the change log maps them to the new ones."""

import re
import subprocess
from pathlib import Path

import pytest


ROOT = Path(__file__).parent.parent

# Identifiers, options and logged keys; raw results of the past keep the keys of their time.
REMOVED = (
    "Timetable",
    "timetable",
    "Rounds",
    "Turn",
    "turns_at",
    "turn_of",
    "take_turn",
    "tick_in_phase",
    "seed_tick",
    "survey",
    "batches_of_ids",
    "last_shown",
    "own_randomness",
    "mixed_seed",
    "mle_twin",
    "twin_of",
    "check_twin",
    "KeepStart",
    "mle_start",
    "yardstick",
    "yardsticks",
    "real_rows",
    "fake_rows",
    "interpolated_rows",
    "row_entropy",
    "real_row_entropy",
    "generator_row_entropy",
    "squared_error_of_symbols",
    "wasserstein_gap",
    "discriminator/gap",
    "told_apart_by_entropy",
    "generator/own_inputs",
    "reconstructed_exactly",
    "has_likelihood",
    "load_generator_model",
    "OneShotGeneratorMixin",
    "OneShotGeneratorOutput",
    "LatentGenerationMixin",
    "RecurrentCausalLMOutput",
    "cache_params",
    "SymbolDivergence",
    "LEAST_HELD_OUT",
    "EXCHANGEABLE",
    "why_incomplete",
    "finish_folder",
    "partial_folder",
    "module_helpers",
    "ngram_options",
    "check_token_lists",
    "cut_after_eos",
    "SEQUENCES_AT_ONCE",
    "SYMBOLS_AT_ONCE",
    "ROWS_AT_ONCE",
    "STATES_AT_ONCE",
    "modeling_one_shot",
    "rollout_engine",
)
PATTERN = re.compile(r"(?<![\w/])(" + "|".join(map(re.escape, REMOVED)) + r")(?![\w])")
ALLOWED = ("CHANGELOG.md", "tests/test_words.py")


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [
        name for name in listed.stdout.split("\0") if name.endswith((".py", ".md", ".toml", ".yml", ".yaml", ".txt"))
    ]


def test_no_removed_name_is_left():
    left = []
    for name in tracked():
        path = ROOT / name
        if name in ALLOWED or name.startswith("benchmarks/results/") or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            left += [f"{name}:{number} {word}" for word in PATTERN.findall(line)]
    assert left == []


def test_the_pattern_finds_a_removed_name():
    assert PATTERN.findall("from x import Timetable, TurnTable, own_randomness  # discriminator/gap") == [
        "Timetable",
        "own_randomness",
        "discriminator/gap",
    ]


BEGINNING = re.compile(r"^ *\"\"\"(What|Who|Whose|Where|Of|Whether|Whoever|How)\b", re.M)


def test_docstrings_begin_with_a_verb_or_a_noun():
    for path in sorted((ROOT / "hf_textgan").rglob("*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            # A boolean property says what it tells: "Whether its draws depend on a temperature."
            assert not BEGINNING.match(line) or line.strip().startswith('"""Whether'), f"{path.name}: {line.strip()}"
