"""`textgan train`."""

import functools
import shlex
from pathlib import Path

from huggingface_hub import constants

from ..runs.arguments import TrainArguments
from ..runs.build import build_trainer, checkpoint_to_resume
from ..runs.folder import BASELINE_FOLDER
from ..studies.mle_baseline import build_baseline, compare_with_baseline
from ..studies.seeds import compare_seeds, is_finished, seed_arguments, summarize_seeds
from ..systems import get_system
from ..trainer.adversarial_trainer import AdversarialTrainer
from ..trainer.interrupts import InterruptCallback
from ..trainer.wall_clock import WallClock
from ..utils.escaping import printable
from ..utils.hub import HubError
from .arguments import parse_train_arguments
from .compare import print_comparison
from .errors import Interrupted, UserError, user_errors
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
    output_dir, pushed = arguments.training.output_path, arguments.training.push_to_hub
    if pushed and trainer.is_world_process_zero():
        print(f"When the training is over, the models go to {_repository_url(trainer)}.\n", flush=True)
    _train_and_save(trainer, arguments, output_dir)
    if trainer.is_world_process_zero():
        print("\n" + "\n".join(trainer.summary()))
        _print_run(output_dir)
    if pushed:
        _push(trainer, output_dir)


def _train_and_save(trainer: AdversarialTrainer, arguments: TrainArguments, run: Path) -> None:
    """Trains from the start or a checkpoint and saves the models; an interruption says how to continue the run."""
    with user_errors():
        checkpoint = checkpoint_to_resume(trainer, arguments)
    interrupts = InterruptCallback()
    trainer.add_callback(interrupts)
    output_dir = arguments.training.output_path
    with training_errors(output_dir), interrupts.handling():
        trainer.train(resume_from_checkpoint=checkpoint)
        if interrupts.stop_reason is not None:
            what = interrupts.stop_reason.removeprefix("it ")
            raise Interrupted(interrupts.signal, f"the run {what}; add --resume to continue it in {run}.")
        trainer.save_model(_internal_call=True)  # a push that fails is told on its own


def _push(trainer: AdversarialTrainer, output_dir: Path) -> None:
    """Pushes the saved models to the Hub and prints where they are."""
    try:
        trainer.push_to_hub(commit_message="Model save", revision=trainer.args.hub_revision)
    except HubError as error:
        raise UserError(
            f"{str(error).rstrip('.')}; the models are in {output_dir}, and `textgan push {output_dir} "
            f"{trainer.hub_model_id}` pushes them."
        ) from error
    if trainer.is_world_process_zero():
        print(f"The models are on the Hub: {_repository_url(trainer)}")


def _repository_url(trainer: AdversarialTrainer) -> str:
    return f"{constants.ENDPOINT}/{trainer.hub_model_id}"


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
        baseline = build_baseline(arguments, trainer, clock.seconds, report=_report)
    _train_and_save(*baseline, arguments.training.output_path)
    if trainer.is_world_process_zero():
        print(f"\nThe MLE baseline is in {arguments.training.output_path / BASELINE_FOLDER}.\n", flush=True)


def _print_run(folder: Path) -> None:
    """Prints what lies in the folder of a run and what to do with it."""
    lines = [f"The trained models are in {folder}."]
    lines += [
        f"  {(folder / name).as_posix()}: {what}"
        for name, what in (
            ("curves.png", "the curves of these metrics and of the losses"),
            ("samples.txt", "the samples of the last evaluation, those of the others in samples/"),
            ("metrics.json", "the metrics of all evaluations"),
        )
        if (folder / name).is_file()
    ]
    lines += ["Next:", f"  textgan generate {shlex.quote(str(folder))} --num_samples 10"]
    lines += [f"  textgan evaluate {shlex.quote(str(folder))}"]
    print("\n" + "\n".join(map(printable, lines)), flush=True)
