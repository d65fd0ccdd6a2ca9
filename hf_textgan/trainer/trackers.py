"""Samples, with the scores that the discriminators give them, as a table of the experiment trackers of a run."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import TensorBoardCallback, TrackioCallback, WandbCallback

from ..data.tokenizers import discriminator_tokenizer
from ..evaluation.discriminators import score_name, score_texts
from ..utils.escaping import code_span, markdown_table


class ScoredTrainer(Protocol):
    """The attributes of the trainer that [`TrackerCallback`] reads."""

    last_samples: list[str]
    other_players: Any
    processing_class: Any
    callback_handler: Any


class TrackerCallback(TrainerCallback):
    """
    Logs the first samples of each evaluation to TensorBoard, Weights & Biases and Trackio, where `report_to` has them:
    a row for each sample, with a column for each discriminator that scores texts.
    """

    num_shown = 20

    def __init__(self, trainer: ScoredTrainer):
        self.trainer = trainer

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        texts = self.trainer.last_samples[: self.num_shown]
        trackers = [c for c in self.trainer.callback_handler.callbacks if isinstance(c, tuple(_LOGS))]
        if not state.is_world_process_zero or not texts or not trackers:
            return
        columns, rows = sample_table(texts, self.trainer.other_players, self.trainer.processing_class)
        for tracker in trackers:
            log = next(log for kind, log in _LOGS.items() if isinstance(tracker, kind))
            log(tracker, columns, rows, state.global_step)


def sample_table(
    texts: Sequence[str], players: Mapping[str, Any], tokenizer: Any
) -> tuple[list[str], list[list[Any]]]:
    """Returns the columns and the rows of a table of texts and the scores that players give them."""
    columns: list[str] = ["text"]
    rows: list[list[Any]] = [[text] for text in texts]
    for name, player in players.items():
        meaning = score_name(player)
        if meaning is None or tokenizer is None:
            continue
        own = discriminator_tokenizer(tokenizer, getattr(player.config, "sequence_length", None))
        columns.append(f"{name}: {meaning}")
        rows = [[*row, score] for row, score in zip(rows, score_texts(player, own, texts), strict=True)]
    return columns, rows


def _to_tensorboard(tracker: Any, columns: list[str], rows: list[list], step: int) -> None:
    if tracker.tb_writer is not None:  # it is there from the start of training
        cells = [[code_span(str(row[0])), *(f"{score:.4g}" for score in row[1:])] for row in rows]
        tracker.tb_writer.add_text("samples", markdown_table(columns, cells), step)


def _to_wandb(tracker: Any, columns: list[str], rows: list[list], step: int) -> None:
    if tracker._initialized:
        table = tracker._wandb.Table(columns=columns, data=rows)
        tracker._wandb.log({"samples": table, "train/global_step": step})


def _to_trackio(tracker: Any, columns: list[str], rows: list[list], step: int) -> None:
    if tracker._initialized:
        import pandas as pd

        cells = [[code_span(str(row[0])), *row[1:]] for row in rows]  # its tables read Markdown
        table = tracker._trackio.Table(dataframe=pd.DataFrame(cells, columns=pd.Index(columns)))
        tracker._trackio.log({"samples": table, "train/global_step": step})


_LOGS = {TensorBoardCallback: _to_tensorboard, WandbCallback: _to_wandb, TrackioCallback: _to_trackio}

__all__ = ["TrackerCallback", "sample_table"]
