"""`textgan train`."""

import functools
from pathlib import Path

from ..runs.arguments import TrainArguments
from ..runs.build import build_trainer, checkpoint_to_resume
from ..runs.mle_baseline import BASELINE_FOLDER
from ..systems import get_system
from ..trainer.adversarial_trainer import AdversarialTrainer
from ..trainer.interrupts import InterruptCallback
from ..trainer.wall_clock import WallClock
from .arguments import parse_train_arguments
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
        trainer = build_trainer(arguments, report=_report)
    train(trainer, arguments)
    if arguments.run.mle_baseline:
        train_and_compare_baseline(trainer, arguments)
    return 0


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


def train_and_compare_baseline(trainer: AdversarialTrainer, arguments: TrainArguments) -> None:
    """Trains the maximum-likelihood baseline of the run for as long, and prints how the two compare."""
    from ..studies.mle_baseline import compare_with_baseline, train_baseline
    from .compare import print_comparison

    output_dir = arguments.training.output_path
    clock = next(c for c in trainer.callback_handler.callbacks if isinstance(c, WallClock))
    with user_errors():
        train_baseline(arguments, trainer, clock.seconds, report=_report)
    if trainer.is_world_process_zero():
        _print_folder(output_dir / BASELINE_FOLDER)
        with user_errors():
            print_comparison(compare_with_baseline(output_dir), output_dir / "report")


def _print_folder(folder: Path) -> None:
    print(f"\nThe trained models are in {folder}; try")
    print(f"    textgan generate {folder} --num_samples 10")
