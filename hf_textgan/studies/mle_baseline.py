"""A system beside its maximum-likelihood baseline of equal budget."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..comparison.prepare import ComparisonArguments, run_comparison
from ..runs.arguments import TrainArguments
from ..runs.build import build_trainer
from ..runs.card import write_card
from ..runs.folder import BASELINE_FOLDER, PRETRAINED_FOLDER
from ..runs.mle_baseline import baseline_arguments, early_stopping
from ..trainer.adversarial_trainer import AdversarialTrainer
from ..trainer.model_card import update_card
from ..utils.files import strict_json, weights_digest, write_text


def build_baseline(
    arguments: TrainArguments, trainer: AdversarialTrainer, seconds: float, report: Callable[[str], Any] | None = None
) -> tuple[AdversarialTrainer, TrainArguments]:
    """
    Builds the trainer of the baseline of a trained run, which trains by maximum likelihood for at most as long as the
    run took.

    Args:
        arguments ([`TrainArguments`]):
            The arguments of the run.
        trainer ([`AdversarialTrainer`]):
            The trainer of the run.
        seconds (`float`):
            The wall-clock time of the run, which limits that of the baseline.
        report (`Callable[[str], Any]`, *optional*):
            Called with the description of data and models.

    Returns:
        [`AdversarialTrainer`] and [`TrainArguments`]: of the baseline, whose models belong in the folder
        `mle_baseline` of the run.
    """
    baseline = baseline_arguments(arguments, trainer.model)
    baseline.run.max_seconds = seconds
    baseline_trainer = build_trainer(baseline, report=report)
    baseline_trainer.add_callback(early_stopping())
    return baseline_trainer, baseline


def compare_with_baseline(output_dir: Path) -> dict[str, Any]:
    """
    Compares a run, the generator with which its adversarial training began, and its baseline; writes the report to
    the folder `report` of the run.
    """
    pretrained = output_dir / PRETRAINED_FOLDER
    sources = [output_dir, *([pretrained] if (pretrained / "config.json").is_file() else [])]
    sources.append(output_dir / BASELINE_FOLDER)
    result = run_comparison(
        ComparisonArguments([*map(str, sources)], output_dir=str(output_dir / "report"), overwrite=True)
    )
    # The card tells the verdicts of these weights alone.
    weights = {source.relative_to(output_dir).as_posix(): weights_digest(source) for source in sources}
    write_text(output_dir / "report" / "models.json", strict_json(weights))
    update_card(output_dir, write_card)
    return result


__all__ = ["build_baseline", "compare_with_baseline"]
