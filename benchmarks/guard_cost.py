"""
Share of a training step that the guard of health takes: the check of the parameters, and the divergence guard.

    python benchmarks/guard_cost.py [--systems seqgan iwgan] [--steps 30]

Trains each system with its laptop preset on the caption grammar and adds up the seconds that the guard's functions
take within the iterations of the adversarial phase. Writes benchmarks/results/guard_cost.json.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import command_line, make_parser, run_arguments, write_result
from environment import describe

from hf_textgan.core import step
from hf_textgan.runs.build import build_trainer
from hf_textgan.trainer.health import DivergenceGuard


class Stopwatch:
    """Adds up the seconds in the calls of a function."""

    def __init__(self):
        self.seconds = 0.0

    def around(self, function: Callable) -> Callable:
        """Returns the function, timed."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        return timed


def measure(system: str, steps: int, seed: int) -> dict[str, float]:
    """Returns the seconds of the iterations of a run and of the guard within them."""
    guard, iterations = Stopwatch(), Stopwatch()
    largest, observe = step.largest_parameter, DivergenceGuard.observe
    options = {
        "preset": "laptop",
        "dataset_name": "grammar",
        "grammar_train_size": 2000,
        "pretrain_generator_steps": 0,
        "pretrain_discriminator_steps": 0,
        "max_steps": steps,
        "eval_strategy": "no",
        "save_strategy": "no",
        "load_best_model_at_end": False,
        "disable_tqdm": True,
        "seed": seed,
    }
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(run_arguments(system, Path(folder) / "run", **options))
        try:
            step.largest_parameter = guard.around(largest)
            DivergenceGuard.observe = guard.around(observe)
            trainer.training_step = iterations.around(trainer.training_step)
            trainer.train()
        finally:
            step.largest_parameter, DivergenceGuard.observe = largest, observe
    return {
        "iterations": steps,
        "seconds": iterations.seconds,
        "guard_seconds": guard.seconds,
        "share": guard.seconds / iterations.seconds,
    }


def main(argv: list[str] | None = None) -> None:
    """Measures each system and writes the result."""
    parser = make_parser(__doc__)
    parser.add_argument("--systems", nargs="+", default=["seqgan", "iwgan"])
    parser.add_argument("--steps", type=int, default=30, help="iterations of each run")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    results = {}
    for system in args.systems:
        results[system] = measure(system, args.steps, args.seed)
        print(f"{system}: {100 * results[system]['share']:.2f} % of {results[system]['seconds']:.1f} s in the guard")
    result = {"command": command_line("guard_cost.py", argv), "environment": describe(), "results": results}
    write_result(args.output_dir / "guard_cost.json", result)


if __name__ == "__main__":
    main()
