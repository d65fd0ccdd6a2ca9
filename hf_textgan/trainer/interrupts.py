"""Interrupts: a first Ctrl-C or SIGTERM saves a checkpoint and ends the run, a second one ends it at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging


logger = logging.get_logger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptCallback(TrainerCallback):
    """
    Ends a training after the iteration in which the process is interrupted, with a checkpoint.

    Attributes:
        signal (`signal.Signals` or `None`):
            The signal that interrupted the training.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.stop_reason: str | None = None

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Handles the signals within the block; only the main thread of a process can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.getsignal(number) for number in _SIGNALS}
        for number in _SIGNALS:
            signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:  # the second time
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
        logger.warning(
            f"{self.signal.name}: the run ends with a checkpoint after this iteration; again, and it ends at once."
        )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        interrupted = self.signal is not None
        if PartialState().num_processes > 1:  # the processes must agree, or some would wait for others for ever
            interrupted = broadcast_object_list([interrupted])[0]
        if interrupted:
            name = self.signal.name if self.signal is not None else "another process"
            self.stop_reason = f"it was interrupted ({name}) after {state.global_step} of {state.max_steps} iterations"
            control.should_evaluate = False
            args.load_best_model_at_end = False  # the run is not over
            control.should_save = control.should_training_stop = True


__all__ = ["InterruptCallback"]
