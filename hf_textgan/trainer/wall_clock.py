"""The wall-clock time of a training."""

import json
import logging
import time
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..utils.files import read_object, write_text


logger = logging.getLogger(__name__)


class WallClock(TrainerCallback):
    """
    Writes the seconds that a run has trained, all interrupted parts together, to its folder: in total and at each
    evaluation.
    """

    clock = staticmethod(time.monotonic)

    def __init__(self, output_dir: Path):
        self.path = output_dir / "training_seconds.json"
        self.started: float | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        kept = self._recorded() if state.global_step > 0 else {}
        self.before, self.evaluations = kept.get("seconds", 0.0), kept.get("evaluations", {})
        self.started = self.clock()

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.evaluations[str(state.global_step)] = self.seconds

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            write_text(self.path, json.dumps({"seconds": self.seconds, "evaluations": self.evaluations}))

    on_train_end = on_save

    @property
    def seconds(self) -> float:
        """The seconds of training so far; before its begin those that the folder records."""
        if self.started is None:
            return self._recorded().get("seconds", 0.0)
        return self.before + self.clock() - self.started

    def _recorded(self) -> dict[str, Any]:
        if not self.path.is_file():
            return {}
        try:
            return read_object(self.path, seconds=(int, float), evaluations=dict)
        except ValueError as error:
            logger.warning("%s The time of this run counts from here.", error)
            return {}


class TimeLimit(WallClock):
    """Ends a training after so many seconds, those before an interruption counted."""

    def __init__(self, output_dir: Path, limit: float):
        super().__init__(output_dir)
        self.limit = limit
        self.stop_reason: str | None = None

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        over = self.seconds > self.limit
        if PartialState().num_processes > 1:  # the processes must agree, or some would wait for others for ever
            over = broadcast_object_list([over])[0]
        if over and state.global_step < state.max_steps:
            self.stop_reason = f"its {self.limit:g} seconds (max_seconds) were over"
        if over:
            control.should_evaluate = control.should_save = control.should_training_stop = True


__all__ = ["TimeLimit", "WallClock"]
