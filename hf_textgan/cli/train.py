"""`textgan train`."""

import functools
from pathlib import Path

from ..runs.arguments import TrainArguments
from ..runs.build import build_trainer, checkpoint_to_resume
from ..runs.folder import BASELINE_FOLDER
from ..studies.mle_baseline import compare_with_baseline, train_baseline
from ..studies.seeds import compare_seeds, is_finished, seed_arguments, summarize_seeds
from ..systems import get_system
from ..trainer.adversarial_trainer import AdversarialTrainer
from ..trainer.interrupts import InterruptCallback
from ..trainer.wall_clock import WallClock
from .arguments import parse_train_arguments
from .compare import print_comparison
from .errors import Interrupted, user_errors
from .help import train_help
from .training_errors import training_errors


_report = functools.partial(print, flush=True)


def main(argv: list[str]) -> int:
    """Trains a system; see `textgan train --help`."""
    if {"-h", "--help", "--help-all"} & set(argv):
        with user_errors():
            print(train_help(get_system(argv[0]), all_options="--help-all" in argv))
        return 0
    with user_errors():
        arguments = parse_train_arguments(argv)
    if arguments.run.num_seeds > 1:
        train_seeds(arguments)
        return 0
    with user_errors():
        trainer = build_trainer(arguments, report=_report)
    train(trainer, arguments)
    if arguments.run.mle_baseline:
        train_mle_baseline(trainer, arguments)
        if trainer.is_world_process_zero():
            output_dir = arguments.training.output_path
            with user_errors():
                print_comparison(compare_with_baseline(output_dir), output_dir / "report")
    return 0


def train_seeds(arguments: TrainArguments) -> None:
    """Trains the run of each seed, those that are finished excepted, and prints the metrics over the seeds."""
    with user_errors():
        runs = seed_arguments(arguments)
    is_main_process = True
    for number, run in enumerate(runs, 1):
        folder = run.training.output_path
        with user_errors():
            trainer = build_trainer(run, report=_report if number == 1 else None)
        is_main_process = trainer.is_world_process_zero()
        if is_main_process:
            print(f"\n==== seed {run.training.seed}, run {number} of {len(runs)}: {folder} ====\n", flush=True)
        finished = is_finished(run)
        if not finished:
            train(trainer, run)
        elif is_main_process:
            print(f"{folder} is finished; nothing is left to train.")
        if run.run.mle_baseline and not (finished and (folder / BASELINE_FOLDER / "config.json").is_file()):
            train_mle_baseline(trainer, run)
    if not is_main_process:
        return
    output_dir = arguments.training.output_path
    seeds = ", ".join(str(run.training.seed) for run in runs)
    print(f"\n{arguments.system.name} over the seeds {seeds}, mean ± standard deviation at the end of the runs:")
    print("\n".join(summarize_seeds([run.training.output_path for run in runs])))
    if arguments.run.mle_baseline:
        with user_errors():
            print_comparison(compare_seeds(output_dir), output_dir / "report")
    else:
        print(f"\nThe runs are in {output_dir}; `textgan compare {output_dir} OTHER` takes them as one system.")


def train(trainer: AdversarialTrainer, arguments: TrainArguments) -> None:
    """Trains from the start or a checkpoint, saves the models and prints their folder."""
    with user_errors():
        checkpoint = checkpoint_to_resume(trainer, arguments)
    interrupts = InterruptCallback()
    trainer.add_callback(interrupts)
    output_dir = arguments.training.output_path
    with training_errors(output_dir), interrupts.handling():
        trainer.train(resume_from_checkpoint=checkpoint)
        if interrupts.stop_reason is not None:
            what = interrupts.stop_reason.removeprefix("it ")
            raise Interrupted(interrupts.signal, f"the run {what}; add --resume to continue it in {output_dir}.")
        trainer.save_model()
    if trainer.is_world_process_zero():
        print("\n" + "\n".join(trainer.summary()))
        _print_folder(arguments.training.output_path)


def train_mle_baseline(trainer: AdversarialTrainer, arguments: TrainArguments) -> None:
    """Trains the maximum-likelihood baseline of the run for as long, and prints its folder."""
    clock = next(c for c in trainer.callback_handler.callbacks if isinstance(c, WallClock))
    if trainer.is_world_process_zero():
        print(
            f"\nNow the MLE baseline: the same generator trained by maximum likelihood alone, for at most the "
            f"{clock.seconds:.0f} seconds of the run.\n",
            flush=True,
        )
    with user_errors():
        train_baseline(arguments, trainer, clock.seconds, report=_report)
    if trainer.is_world_process_zero():
        _print_folder(arguments.training.output_path / BASELINE_FOLDER)


def _print_folder(folder: Path) -> None:
    print(f"\nThe trained models are in {folder}; try")
    print(f"    textgan generate {folder} --num_samples 10")
