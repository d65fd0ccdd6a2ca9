"""A pretrained classifier in the discriminator's seat."""

from pathlib import Path
from typing import TYPE_CHECKING

from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from ..data.retokenizer import set_tokenizer
from ..utils.names import is_hub_name
from .arguments import TrainArguments


if TYPE_CHECKING:
    from .tasks import Task


OPTION = "discriminator_name_or_path"


def check_discriminator_options(arguments: TrainArguments) -> None:
    """Raises `ValueError` if options contradict the pretrained discriminator that the arguments name."""
    path, system = arguments.run.discriminator_name_or_path, arguments.system
    if path is None:
        return
    system.check_replaceable("discriminator", OPTION)
    if "discriminator" in arguments.objective.unused_players:
        raise ValueError(f"{OPTION} is {path!r}, but the objective trains no discriminator; leave it out.")
    if arguments.run.discriminator is not None:
        raise ValueError(
            f"discriminator is {arguments.run.discriminator!r}, but the discriminator comes from {path}; leave one of "
            "the two out."
        )
    for name in arguments.configs["discriminator"]:
        if name != "num_labels":
            raise ValueError(
                f"discriminator.{name} is set, but the discriminator comes from {path}; leave one of the two out."
            )


def load_discriminator(arguments: TrainArguments, task: "Task", vocab_size: int) -> PreTrainedModel:
    """
    Loads the pretrained classifier that the arguments name, in float32 for training. It reads texts through its own
    tokenizer, unless that gives the tokens of the generator (see [`~data.retokenizer.set_tokenizer`]). The code of a
    repository is never run.

    Args:
        arguments ([`TrainArguments`]):
            `discriminator.num_labels` among the values of players replaces an output layer of another size.
        task ([`Task`]):
            Has the tokenizer of the generator.
        vocab_size (`int`):
            Number of tokens that the generator may draw.

    Raises:
        `ValueError`: If it cannot be loaded, or its tokens are not those of the generator and it has no tokenizer.
    """
    path = arguments.run.discriminator_name_or_path
    assert path is not None
    if not Path(path).is_dir() and not is_hub_name(path):
        raise ValueError(f"There is no folder {path}; --{OPTION} takes a folder or a repository org/name.")
    num_labels = arguments.configs["discriminator"].get("num_labels")
    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=False)
        if num_labels not in (None, config.num_labels):
            config.num_labels = num_labels
        model = AutoModelForSequenceClassification.from_pretrained(
            path,
            config=config,
            dtype="float32",
            ignore_mismatched_sizes=num_labels is not None,
            trust_remote_code=False,
        )
        has_text = task.tokenizer is not None
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False) if has_text else None
    except Exception as error:  # safetensors, huggingface_hub and json each raise their own
        reason = " ".join(str(error).split())
        raise ValueError(
            f"The discriminator {path} cannot be loaded ({type(error).__name__}: {reason[:300]})."
        ) from error
    if tokenizer is not None and task.tokenizer is not None:
        set_tokenizer(model, tokenizer, task.tokenizer)
    if getattr(model, "retokenizer", None) is None and model.config.vocab_size < vocab_size:
        raise ValueError(
            f"The discriminator {path} has vocab_size {model.config.vocab_size}, but the generator draws from "
            f"{vocab_size} tokens; use a discriminator of as many tokens."
        )
    if model.config.num_labels in (1, 2):  # what the labels mean from now on
        names = ("score",) if model.config.num_labels == 1 else ("fake", "real")
        model.config.id2label = dict(enumerate(names))
        model.config.label2id = {name: label for label, name in enumerate(names)}
        model.config.problem_type = "regression" if model.config.num_labels == 1 else None
    return model


__all__ = ["check_discriminator_options", "load_discriminator"]
