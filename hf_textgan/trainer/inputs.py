"""The arguments of AdversarialTrainer in every form that users of the Trainer know."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments

from ..core.objective import Objective
from ..data.encoding import EncodedText, encode_text, encode_training_text
from ..data.loading import load_text
from ..data.rows import Rows
from ..objectives import OBJECTIVES
from ..sampling.loading import load_generator
from ..utils.names import unknown_name
from .adversarial_config import AdversarialConfig


# Arguments of Trainer that several players leave without a meaning, and what to use instead.
_INSTEAD = {
    "compute_metrics": "a generator has no predictions to compare with labels; pass text_metrics, which gets the "
    "texts sampled at an evaluation, or sequence_metrics, which gets their token ids",
    "compute_loss_func": "each player has its own loss; write an Objective",
    "preprocess_logits_for_metrics": "a generator has no predictions to compare with labels; pass text_metrics",
    "data_collator": "real batches are padded by the trainer; leave it out",
    "model_init": "the players must fit each other; build them and pass model and players",
    "optimizers": "each player has an optimizer for each phase; set player_optimizers in the AdversarialConfig",
    "optimizer_cls_and_kwargs": "each player has an optimizer for each phase; set optim and player_optimizers in the "
    "AdversarialConfig",
    "tokenizer": "transformers 5 calls it processing_class; pass it under this name",
}


def check_unsupported(options: dict[str, Any]) -> None:
    """Refuses arguments of the Trainer that adversarial training has no use for."""
    for name, value in options.items():
        if name not in _INSTEAD:
            raise TypeError(unknown_name("argument of AdversarialTrainer", name, _parameters()))
        if value is not None:
            raise ValueError(f"{name} is set, but {_INSTEAD[name]}.")


def _parameters() -> list[str]:
    own = ("objective", "players", "text_metrics", "sequence_metrics")
    return [*own, *(name for name in Trainer.__init__.__annotations__ if name not in _INSTEAD)]


def as_config(args: Any) -> AdversarialConfig:
    """Returns `args` if they are an [`AdversarialConfig`]; anything else is an error."""
    if isinstance(args, AdversarialConfig):
        return args
    if isinstance(args, TrainingArguments):
        raise ValueError(
            "args is a TrainingArguments, which has no steps of pre-training and no max_length; build an "
            "AdversarialConfig with the same arguments instead: it is a TrainingArguments, too."
        )
    raise ValueError(f"args is {args!r}; build an AdversarialConfig(output_dir=...).")


def as_objective(objective: Objective | str | type[Objective]) -> Objective:
    """Returns an objective from an instance, or its defaults from a name or a class."""
    if isinstance(objective, str):
        if objective not in OBJECTIVES:
            raise ValueError(unknown_name("objective", objective, OBJECTIVES))
        return OBJECTIVES[objective]()
    return objective() if isinstance(objective, type) else objective


def as_generator(model: PreTrainedModel | str | Path) -> PreTrainedModel:
    """Returns the generator, loaded in float32 from a folder or the Hub if a name is given."""
    return load_generator(str(model), dtype="float32") if isinstance(model, str | Path) else model


def check_instances(players: dict[str, Any] | None) -> dict[str, PreTrainedModel]:
    """Returns the players by name; a class in the place of a model is an error."""
    if players is None:
        return {}
    if not isinstance(players, dict):
        raise ValueError(
            f"players is a {type(players).__name__}; pass the models by name, as in "
            "players={'discriminator': model}."
        )
    for name, player in players.items():
        if isinstance(player, type):
            config_class = getattr(player, "config_class", None)
            config = "config" if config_class is None else f"{config_class.__name__}(...)"
            raise ValueError(
                f"players[{name!r}] is the class {player.__name__} and not a model; build one, as in "
                f"{player.__name__}({config})."
            )
    return dict(players)


def as_encoded(
    dataset: Any, name: str, tokenizer: PreTrainedTokenizerBase | None, max_length: int | None = None
) -> Rows:
    """
    Returns rows of token ids from a data set in any form.

    Args:
        dataset:
            Rows with `input_ids`; [`EncodedText`]; or text, which the tokenizer encodes: a `datasets.Dataset` with a
            column of text, a list of sentences, or the path of a file.
        name (`str`):
            The argument that holds it, for messages.
        tokenizer (`PreTrainedTokenizerBase`, *optional*):
            Encodes text.
        max_length (`int`, *optional*):
            Largest number of tokens of a text, EOS included; longer texts are left out.
    """
    if isinstance(dataset, EncodedText):
        return dataset.dataset
    if isinstance(dataset, DatasetDict | IterableDatasetDict):
        raise ValueError(
            f"{name} is a {type(dataset).__name__} with the splits {', '.join(map(str, dataset))}; pass one of them, "
            f"as in {name}=data[{next(iter(dataset), 'train')!r}]."
        )
    if isinstance(dataset, IterableDataset):
        raise ValueError(
            f"{name} is an IterableDataset, but training reads its rows in random order; save them first with "
            "load_text(name, streaming=True), which reads the stream once to disk."
        )
    is_text = (
        isinstance(dataset, str | Path)
        or (isinstance(dataset, Dataset) and "input_ids" not in dataset.column_names)
        or (isinstance(dataset, Sequence) and len(dataset) > 0 and isinstance(dataset[0], str))
    )
    if not is_text:
        return cast(Rows, dataset)
    if tokenizer is None:
        raise ValueError(
            f"{name} holds text and processing_class is None; pass the tokenizer that encodes it, for example "
            "word_tokenizer(texts)."
        )
    if isinstance(dataset, Sequence) and not isinstance(dataset, str | Dataset):
        dataset = Dataset.from_dict({"text": list(dataset)})
    encode = encode_training_text if name == "train_dataset" else encode_text
    return encode(load_text(dataset), tokenizer, max_length).dataset


__all__ = ["as_config", "as_encoded", "as_generator", "as_objective", "check_instances", "check_unsupported"]
