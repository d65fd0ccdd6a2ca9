"""
Processor time of `textgan generate` and `textgan evaluate` on a run so small that nearly all of it is imports, against
that of importing torch and the modules of transformers that they need.

    python benchmarks/startup.py [--rounds 7]

The three take turns as processes of their own; a ratio is the median of those of the rounds, in user and system
seconds, which a busy machine disturbs less than the time on the clock.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import command_line, make_parser, write_result
from environment import describe

from hf_textgan import build_run


SEED = 42
IMPORTS = (
    "import torch; from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationMixin, "
    "PreTrainedModel, PreTrainedTokenizerFast"
)
LINES = [f"a {color} {animal} sleeps ." for color in ("red", "blue") for animal in ("dog", "cat", "hen")]


def train_tiny_run(folder: Path) -> Path:
    """Trains a generator of a few hundred parameters for one step; its text lies in files beside it."""
    for name in ("train", "eval"):
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in LINES))
    trainer = build_run(
        "rnnlm",
        dataset=str(folder / "train.txt"),
        eval_dataset=str(folder / "eval.txt"),
        output_dir=folder / "run",
        pretrain_generator_steps=1,
        per_device_train_batch_size=4,
        eval_num_samples=10,
        generator={"hidden_size": 8, "embedding_size": 8},
        seed=SEED,
        disable_tqdm=True,
    )
    trainer.train()
    trainer.save_model()
    return folder / "run"


def processor_seconds(words: list[str]) -> float:
    """Runs Python with these words and returns the user and system seconds of the process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *words], check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(run: Path, rounds: int) -> dict:
    command = ["-m", "hf_textgan.cli.main"]
    processes = {
        "imports": ["-c", IMPORTS],
        "generate": [*command, "generate", str(run), "--num_samples", "1"],
        "evaluate": [*command, "evaluate", str(run), "--num_samples", "2"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in processes}
    for words in processes.values():  # files in the cache of the disk, and compiled
        processor_seconds(words)
    for _ in range(rounds):
        for name, words in processes.items():
            seconds[name].append(processor_seconds(words))
    return {
        name: {
            "seconds": values,
            "median_seconds": statistics.median(values),
            "median_ratio": statistics.median(a / b for a, b in zip(values, seconds["imports"], strict=True)),
        }
        for name, values in seconds.items()
    }


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(train_tiny_run(Path(folder)), options.rounds)
    result = {
        "command": command_line("startup.py", argv),
        "environment": describe(),
        "seed": SEED,
        "imports": IMPORTS,
        "result": measured,
    }
    for name, row in measured.items():
        print(
            f"{name:10} {row['median_seconds']:6.2f} processor seconds, ratio to the imports {row['median_ratio']:.2f}"
        )
    write_result(options.output_dir / "startup.json", result)


if __name__ == "__main__":
    main()
