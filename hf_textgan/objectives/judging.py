"""Calls of a discriminator of sequences, which only this module makes: what it reads, and what it answers."""

import inspect
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples, concatenate_samples


# The inputs of a generator that its discriminator reads as well.
JUDGED_INPUTS = ("condition_ids", "condition_mask")
_BATCH_SIZE = 512


def judge(discriminator: Any, samples: Samples) -> torch.Tensor:
    """
    Returns the logits of a discriminator, with gradient: whether each sequence, after its condition if there is one,
    is real.

    A classifier of transformers gets an attention mask, so that padding is not read. The discriminators of this
    package, which declare `finds_ends`, find the end of a text themselves. A classifier with a `retokenizer` (see
    [`~data.retokenizer.set_tokenizer`]) reads the texts through its own tokenizer.

    Args:
        discriminator (`torch.nn.Module`):
            A classifier of sequences, wrapped if it is trained under data parallelism.
        samples ([`Samples`]):
            `batch_size` sequences.

    Returns:
        `torch.FloatTensor` of shape `(batch_size, num_labels)`: fake is class 0, real class 1, or the classes from 1
        on where there are several. A single score is the log-odds of real, and becomes the two logits `(0, score)`.
    """
    model = discriminator.module if isinstance(discriminator, DistributedDataParallel) else discriminator
    return _as_classes(discriminator(**_read(model, samples)).logits)


def judge_many(discriminator: Any, samples: Samples) -> torch.Tensor:
    """
    Returns the logits of [`judge`] for any number of samples: by the method `classify` of a discriminator that has
    one, else a few at a time. For use without gradient.
    """
    classify = getattr(discriminator, "classify", None)
    if classify is not None:
        return _as_classes(classify(_read(discriminator, samples)["input_ids"]))
    starts = range(0, max(1, len(samples)), _BATCH_SIZE)
    return torch.cat([judge(discriminator, samples[start : start + _BATCH_SIZE]) for start in starts])


def real_and_fake(engine: RolloutEngine, batch: dict[str, torch.Tensor], fake: Samples) -> Samples:
    """
    Returns the real sequences of a batch and then the generated ones, of `max_length` positions, with the conditions
    of both if the generator has read conditions.
    """
    real = engine.real_sequences(batch)
    mask = batch["attention_mask"][:, 1:]
    names = [name for name in JUDGED_INPUTS if name in fake.inputs]
    parts = (
        Samples(real, F.pad(mask, (0, real.shape[1] - mask.shape[1])), {name: batch[name] for name in names}),
        Samples(fake.sequences, fake.attention_mask, {name: fake.inputs[name] for name in names}),
    )
    return concatenate_samples(parts)


def _as_classes(logits: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.zeros_like(logits), logits], dim=1) if logits.shape[1] == 1 else logits


def _read(model: Any, samples: Samples) -> dict[str, torch.Tensor]:
    """Returns the arguments with which a bare discriminator reads samples."""
    retokenizer = getattr(model, "retokenizer", None)
    if retokenizer is not None:
        encoded = retokenizer(samples)
    else:
        finds_ends = getattr(model, "finds_ends", False) or hasattr(model, "classify")
        if finds_ends and "condition_ids" not in samples.inputs:
            return {"input_ids": samples.sequences}
        # What finds ends would stop at that of a condition.
        ids, mask = join_conditions(samples, model.config.eos_token_id if finds_ends else None)
        pad = model.config.pad_token_id
        # Without a mask, or by the id of the padding, some classifiers find the last token.
        encoded = {"input_ids": ids if pad is None else ids.masked_fill(mask == 0, pad), "attention_mask": mask}
    known = inspect.signature(model.forward).parameters
    return {name: value for name, value in encoded.items() if name in known}


def join_conditions(samples: Samples, left_out: int | list[int] | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Returns token ids and mask, each of shape `(batch_size, length)`, of the conditions of samples without the tokens
    `left_out`, each followed by its sequence; padding comes last.
    """
    ids, mask = samples.sequences, samples.attention_mask
    if "condition_ids" not in samples.inputs:
        return ids, mask
    condition_ids, condition_mask = (samples.inputs[name] for name in JUDGED_INPUTS)
    if left_out is not None:
        condition_mask = condition_mask * ~torch.isin(condition_ids, torch.tensor(left_out, device=ids.device))
    ids, mask = torch.cat([condition_ids, ids], dim=1), torch.cat([condition_mask, mask], dim=1)
    order = mask.argsort(dim=1, descending=True, stable=True)[:, : int(mask.sum(1).max())]
    return ids.gather(1, order), mask.gather(1, order)


def output_layer(model: nn.Module) -> nn.Linear | None:
    """Returns the output layer of a classifier: its last linear layer with an output for each label."""
    config: Any = getattr(model, "config", None)
    found = [
        module
        for module in model.modules()
        if isinstance(module, nn.Linear) and module.out_features == getattr(config, "num_labels", None)
    ]
    return found[-1] if found else None


def check_real_or_fake(discriminator: Any) -> None:
    """Raises `ValueError` if a discriminator has not the one score or the two labels that tell real from fake."""
    name, num_labels = type(discriminator).__name__, discriminator.config.num_labels
    if num_labels not in (1, 2):
        raise ValueError(
            f"The discriminator is a {name} of {num_labels} labels, but it tells real from fake; load it with "
            "num_labels=2, which replaces its output layer (--discriminator.num_labels 2), or with 1 for one score."
        )


def check_discriminator(discriminator: Any, l2_weight: float) -> None:
    """Raises `ValueError` if the batches of a discriminator cannot be padded, or it has no layer for a penalty."""
    name, config = type(discriminator).__name__, discriminator.config
    own_tokens = getattr(discriminator, "retokenizer", None) is not None
    if config.pad_token_id is None and not getattr(discriminator, "finds_ends", False):
        raise ValueError(
            f"The discriminator is a {name} without pad_token_id, which it needs to find the ends of texts; set "
            "config.pad_token_id to the id of the padding."
        )
    if getattr(config, "is_encoder_decoder", False) and not own_tokens:
        raise ValueError(
            f"The discriminator is a {name}, which needs the end of every text, and a sample of max_length tokens has "
            "none; give it its own tokenizer by set_tokenizer(discriminator, tokenizer, generator_tokenizer)."
        )
    if l2_weight and output_layer(discriminator) is None:
        raise ValueError(
            f"l2_weight is {l2_weight}, but a {name} has no linear layer with an output for each label; set it to 0."
        )


__all__ = [
    "JUDGED_INPUTS",
    "check_discriminator",
    "check_real_or_fake",
    "join_conditions",
    "judge",
    "judge_many",
    "output_layer",
    "real_and_fake",
]
