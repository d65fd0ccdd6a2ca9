"""The description of saved models, which their card reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from ..core.schedule import PhaseSchedule
from ..sampling.capabilities import capabilities_of
from ..utils.environment import environment, source_commit
from ..utils.names import is_hub_name
from .weights import has_adapter


_AUTO_CLASSES = (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)


class SavingTrainer(Protocol):
    """The attributes of the trainer that [`describe_saved`] reads."""

    schedule: PhaseSchedule
    state: Any
    loaded_step: int | None
    processing_class: Any
    eval_dataset: Any


def describe_saved(trainer: SavingTrainer, models: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a card says of the models that a trainer saves and no other file of the run has."""
    step = trainer.state.global_step if trainer.loaded_step is None else trainer.loaded_step
    generator = models["generator"]
    known = capabilities_of(generator)
    base = str(getattr(generator, "name_or_path", "") or "")
    if has_adapter(generator):
        adapter = next(iter(generator.peft_config.values()))
        base = str(getattr(adapter, "base_model_name_or_path", None) or base)
    if base and not is_hub_name(base):
        base = Path(base).name  # the folders of one machine mean nothing elsewhere
    return {
        "step": step,
        "evaluated_at": _evaluated_at(trainer.schedule, step, trainer.state.log_history),
        "generator": {
            "sampling": known.sampling,
            "likelihood": known.likelihood,
            "prompts": known.prompts,
            "temperature": known.temperature,
            "row_inputs": list(known.row_inputs),
            "has_text": trainer.processing_class is not None,
            "base_model": base or None,
            "adapter": has_adapter(generator),
        },
        "players": {
            name: {
                "class": type(player).__name__,
                "model_type": str(getattr(player.config, "model_type", "")),
                "auto_class": auto_class(player),
                "num_parameters": player.num_parameters(),
            }
            for name, player in models.items()
        },
        "num_eval_examples": 0 if trainer.eval_dataset is None else len(trainer.eval_dataset),
        "commit": source_commit(),
        "environment": environment(),
    }


def _evaluated_at(schedule: PhaseSchedule, step: int, log_history: list[dict]) -> int | None:
    """Returns the step of the last evaluation up to `step`, unless the generator was updated since."""
    steps = [int(e["step"]) for e in log_history if e["step"] <= step and any(key.startswith("eval_") for key in e)]
    if not steps:
        return None
    before, now = (schedule.steps_before(n, "generator") for n in (max(steps), step))
    return max(steps) if before == now else None


def auto_class(model: Any) -> str:
    """Returns the name of the Auto class that says most about a model."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return auto_class_name(type(base), type(base.config))


def auto_class_name(model_class: type, config_class: type) -> str:
    """Returns the name of the Auto class that says most about models of a class."""
    own = getattr(model_class, "auto_classes", ())
    if own:
        return own[0]
    for auto in _AUTO_CLASSES:
        known = auto._model_mapping.get(config_class, ())
        if model_class in (known if isinstance(known, tuple) else (known,)):
            return auto.__name__
    return "AutoModel"


__all__ = ["auto_class", "auto_class_name", "describe_saved"]
