"""
Memory and time of the data path, from a text file to the batches, for growing files.

    python benchmarks/data_memory.py

For each size a fresh process reads the file, builds a word tokenizer, reports on the data, encodes it, and draws 200
iterations of batches. Records the seconds of each stage and its peak of anonymous memory; the memory of mapped files
is not counted, because the system takes it back at will. Writes benchmarks/results/data_memory.json.
"""

import argparse
import functools
import json
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from common import command_line, make_parser, write_result
from environment import describe

from hf_textgan.core.batches import AlternatingBatches
from hf_textgan.core.schedule import Phase, PhaseSchedule, Update
from hf_textgan.data.collator import collate
from hf_textgan.data.encoding import encode_text
from hf_textgan.data.lines import iterate_texts
from hf_textgan.data.loading import load_text
from hf_textgan.data.report import data_report
from hf_textgan.data.tokenizers import word_tokenizer


SIZES = (100_000, 1_000_000, 3_000_000)
ITERATIONS = 200


class AnonymousMemory:
    """The peak of RssAnon since the last call of `take`, in MiB."""

    def __init__(self):
        self.peak = 0.0
        threading.Thread(target=self._poll, daemon=True).start()

    def _poll(self) -> None:
        while True:
            self.peak = max(self.peak, anonymous_mib())
            time.sleep(0.01)

    def take(self) -> float:
        peak, self.peak = max(self.peak, anonymous_mib()), 0.0
        return round(peak, 1)


def anonymous_mib() -> float:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("RssAnon:"))


def measure(path: Path, cache: Path) -> dict:
    memory = AnonymousMemory()
    stages = {"imports": {"seconds": 0.0, "peak_anonymous_mib": memory.take()}}

    def stage(name, function):
        started = time.perf_counter()
        result = function()
        seconds = round(time.perf_counter() - started, 2)
        stages[name] = {"seconds": seconds, "peak_anonymous_mib": memory.take()}
        return result

    dataset = stage("load_text", lambda: load_text(path, cache_dir=cache, progress=False))
    tokenizer = stage("word_tokenizer", lambda: word_tokenizer(iterate_texts(dataset), vocab_size=5000))
    stage("data_report", lambda: data_report(dataset, None, tokenizer, progress=False))
    encoded = stage("encode_text", lambda: encode_text(dataset, tokenizer, cache_dir=cache, progress=False))
    updates = (Update("generator", "pg"), Update("discriminator", "d", repeat=2))
    schedule = PhaseSchedule([Phase("adversarial", ITERATIONS, updates)])
    batches = AlternatingBatches(encoded.dataset, schedule, 64, functools.partial(collate, pad_token_id=0), seed=0)
    stage("first iteration", lambda: batches[0])
    stage("other iterations", lambda: [batches[i] and None for i in range(1, ITERATIONS)])
    return {
        "lines": len(dataset),
        "stages": stages,
        "milliseconds_per_batch_of_64": round(
            stages["other iterations"]["seconds"] / (3 * (ITERATIONS - 1)) * 1000, 3
        ),
        "peak_anonymous_mib": max(entry["peak_anonymous_mib"] for entry in stages.values()),
        "max_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def write_lines(path: Path, number: int) -> None:
    """Writes lines of 5 to 20 words out of 5,000, the first ones most often."""
    generator = random.Random(0)
    words = [f"word{i}" for i in range(5000)]
    weights = [1 / (i + 2) for i in range(5000)]
    with path.open("w", encoding="utf-8") as file:
        for _ in range(0, number, 1000):
            drawn = iter(generator.choices(words, weights, k=20 * 1000))
            for _ in range(1000):
                file.write(" ".join(next(drawn) for _ in range(generator.randint(5, 20))) + "\n")


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of lines")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.measure:
        print(json.dumps(measure(*map(Path, options.measure))))
        return
    runs = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "text.txt"
            write_lines(path, size)
            command = [sys.executable, __file__, "--measure", str(path), str(Path(folder) / "cache")]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            runs.append({**json.loads(output), "file_mib": round(path.stat().st_size / 2**20, 1)})
            print(json.dumps(runs[-1], indent=1), flush=True)
    first, last = runs[0], runs[-1]
    growth = (last["peak_anonymous_mib"] - first["peak_anonymous_mib"]) * 2**20
    result = {
        "command": command_line("data_memory.py", argv),
        "environment": describe(),
        "anonymous_bytes_per_line": round(growth / max(1, last["lines"] - first["lines"]), 2),
        "runs": runs,
    }
    write_result(options.output_dir / "data_memory.json", result)
    print(f"{result['anonymous_bytes_per_line']} bytes of anonymous memory a line")


if __name__ == "__main__":
    main()
