"""Loading the weights of a player into the model that is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars
from transformers import PreTrainedModel
from transformers.utils import logging


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Hides the bars of `save_pretrained` and `from_pretrained`, which would break up the one of the training."""
    shown, hub_hidden = logging.is_progress_bar_enabled(), are_progress_bars_disabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
            if hub_hidden:
                disable_progress_bars()


def load_weights(model: PreTrainedModel, folder: Path) -> None:
    """Loads the weights of a saved player into `model`."""
    with no_progress_bars():
        loaded = type(model).from_pretrained(folder, dtype=model.dtype)
    model.load_state_dict(loaded.state_dict())


__all__ = ["load_weights", "no_progress_bars"]
