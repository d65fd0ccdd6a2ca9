"""Saving a player, and loading its weights into the model that is there; of a player with an adapter, the adapter."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
from transformers.utils import logging

from ..data.tokenizers import discriminator_tokenizer


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


def has_adapter(model: Any) -> bool:
    """Returns whether a model has an adapter of peft, as a `PeftModel` or by `add_adapter`."""
    return bool(getattr(model, "peft_config", None))


def config_file(model: Any) -> str:
    """Returns the name of the file without which nobody loads a saved model."""
    return "adapter_config.json" if has_adapter(model) else "config.json"


def save_player(model: PreTrainedModel, folder: Path, state_dict: dict | None = None) -> None:
    """Saves a player; of one with an adapter the adapter alone, which names its base model, and how it generates."""
    with no_progress_bars():
        model.save_pretrained(folder, state_dict=state_dict)
        if has_adapter(model) and getattr(model, "generation_config", None) is not None:
            model.generation_config.save_pretrained(folder)
    card = folder / "README.md"
    if card.is_file():  # peft's, which says nothing and would replace a user's
        card.unlink()


def save_tokenizers(
    tokenizer: PreTrainedTokenizerFast, folder: Path, others: Mapping[str, Any], max_length: int
) -> None:
    """
    Saves the tokenizer of the generator, and with each classifier of sequences the one that gives for a text what the
    classifier read in training.
    """
    tokenizer.save_pretrained(folder)
    for name, player in others.items():
        retokenizer = getattr(player, "retokenizer", None)
        length = getattr(player.config, "sequence_length", None)
        if retokenizer is not None:
            retokenizer.tokenizer.save_pretrained(folder / name)
        elif length is not None or type(player).__name__ in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES.values():
            discriminator_tokenizer(tokenizer, length or max_length).save_pretrained(folder / name)


def load_weights(model: PreTrainedModel, folder: Path) -> None:
    """Loads the weights of a saved player into `model`; the base model of an adapter stays as it is."""
    with no_progress_bars():
        if has_adapter(model):
            _load_adapters(model, folder)
            return
        loaded = type(model).from_pretrained(folder, dtype=model.dtype)
    model.load_state_dict(loaded.state_dict())


def _load_adapters(model: Any, folder: Path) -> None:
    from peft import PeftModel, get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict

    wrapped = isinstance(model, PeftModel)
    for name in model.peft_config if wrapped else model.active_adapters():
        weights = load_peft_weights(str(folder / name if wrapped and name != "default" else folder), device="cpu")
        if not wrapped:  # saved as if it were wrapped
            weights = {key.removeprefix("base_model.model."): tensor for key, tensor in weights.items()}
        different = sorted(weights.keys() ^ get_peft_model_state_dict(model, adapter_name=name).keys())
        if different:
            raise ValueError(
                f"The adapter in {folder} and that of the model differ in the parameter {different[0]}; build the "
                "model with the adapter of the run."
            )
        set_peft_model_state_dict(model, weights, adapter_name=name)


def check_adapter(name: str, model: Any) -> None:
    """Raises `ValueError` if training would change parameters of the player `name` that are not saved."""
    if not has_adapter(model):
        return
    from peft import PeftModel, get_peft_model_state_dict

    names = model.peft_config if isinstance(model, PeftModel) else model.active_adapters()
    saved = {
        tensor.data_ptr()
        for adapter in names
        for tensor in get_peft_model_state_dict(model, adapter_name=adapter).values()
    }
    for parameter_name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.data_ptr() not in saved:
            raise ValueError(
                f"The parameter {parameter_name} of the {name} would be trained, but of a model with an adapter the "
                "adapter alone is saved; freeze it, or list its module in modules_to_save of the adapter."
            )


__all__ = [
    "check_adapter",
    "config_file",
    "has_adapter",
    "load_weights",
    "no_progress_bars",
    "save_player",
    "save_tokenizers",
]
