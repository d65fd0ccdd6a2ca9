"""Rewards of sequences and of their prefixes."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from transformers import PreTrainedModel

from ..data.rows import Rows
from ..metrics.ngrams import ReferenceTable
from ..models.modeling_resnet_utils import computes_bf16
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples
from .judging import judge_many


_SCORING_BATCH_SIZE = 512


def score_distinct(
    score: Callable[[Samples], torch.Tensor],
    samples: Samples,
    batch_size: int | None = _SCORING_BATCH_SIZE,
) -> torch.Tensor:
    """
    Applies `score` to the distinct samples, which differ in a token or in an input, because a trained generator
    completes a long prefix in few ways. At most `batch_size` are scored at once, which bounds the memory, or all
    (`None`).
    """
    rows = _bytes(samples.sequences)
    if samples.inputs:
        rows = [b"".join(parts) for parts in zip(rows, *map(_bytes, samples.inputs.values()), strict=True)]
    first: dict[bytes, int] = {}
    for index, row in enumerate(rows):
        first.setdefault(row, index)
    numbers = {row: number for number, row in enumerate(first)}
    distinct = samples[torch.tensor(list(first.values()), dtype=torch.long, device=samples.sequences.device)]
    size = batch_size or len(distinct) or 1
    parts = [distinct[start : start + size] for start in range(0, max(1, len(distinct)), size)]
    scores = torch.cat([score(part).float() for part in parts])
    return scores[[numbers[row] for row in rows]]


def _bytes(values: torch.Tensor) -> list[bytes]:
    """Returns the bytes of each row."""
    rows = values.detach().cpu().reshape(len(values), -1).contiguous()
    if rows.dtype == torch.bfloat16:  # which NumPy does not have
        rows = rows.view(torch.int16)
    rows = rows.numpy()
    return rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel().tolist()


@torch.no_grad()
def class_probabilities(discriminator: PreTrainedModel, samples: Samples, bf16: bool = False) -> torch.Tensor:
    """
    Returns the discriminator's probabilities of the classes of samples (see [`~objectives.judging.judge`]).

    Args:
        discriminator (`PreTrainedModel`):
            A classifier of sequences, in evaluation mode; its method `classify` is used where it has one.
        samples ([`Samples`]):
            `num_sequences` sequences.
        bf16 (`bool`, *optional*, defaults to `False`):
            Compute in bfloat16 where autocast does; ignored on CPUs without instructions for it, where it takes
            several times as long.

    Returns:
        `torch.FloatTensor` of shape `(num_sequences, num_labels)`.
    """
    device = samples.sequences.device
    with torch.autocast(device.type, torch.bfloat16) if bf16 and _computes_bf16(device) else nullcontext():
        logits = judge_many(discriminator, samples)
    return logits.float().softmax(-1)


def probability_of_real(discriminator: PreTrainedModel, samples: Samples, bf16: bool = False) -> torch.Tensor:
    """
    Returns the discriminator's probability that samples are real, of shape `(num_sequences,)`: that of class 1 (see
    [`class_probabilities`]).
    """
    return class_probabilities(discriminator, samples, bf16)[:, 1]


def _computes_bf16(device: torch.device) -> bool:
    return device.type != "cpu" or computes_bf16()


@torch.no_grad()
def rollout_rewards(
    engine: RolloutEngine,
    model: PreTrainedModel,
    samples: Samples,
    score: Callable[[Samples], torch.Tensor],
    num_rollouts: int,
    batch_size: int | None = _SCORING_BATCH_SIZE,
    inputs: Sequence[str] | None = None,
) -> torch.Tensor:
    """
    Returns action values by Monte-Carlo search (SeqGAN, arXiv 1609.05473, equation 4): ``Q_t`` is the mean score of
    `num_rollouts` completions of ``y_1..y_t`` drawn from the current policy, and the score itself at the last token.

    Args:
        engine ([`RolloutEngine`]):
            Draws the completions, at its temperature.
        model (`PreTrainedModel`):
            The bare generator.
        samples ([`Samples`]):
            `batch_size` sequences of `engine.max_length` positions.
        score (`Callable`):
            Maps [`Samples`] of `n` sequences, with what the generator read beside their tokens, to `n` scores.
        num_rollouts (`int`):
            Completions per prefix.
        batch_size (`int`, *optional*, defaults to `512`):
            How many sequences `score` gets at once; `None` for all, if it bounds its own memory.
        inputs (`Sequence[str]`, *optional*):
            The inputs of the generator that `score` depends on, by default all; it gets no others. Equal sequences
            with equal inputs are scored once, so leave out the noise that it does not read.

    Returns:
        `torch.FloatTensor` of shape `(batch_size, max_length)`: 0 at padding.
    """

    def judge(drawn: Samples) -> torch.Tensor:
        kept = {name: value for name, value in drawn.inputs.items() if inputs is None or name in inputs}
        return score_distinct(score, Samples(drawn.sequences, drawn.attention_mask, kept), batch_size)

    lengths = samples.attention_mask.sum(1)
    final = judge(samples)  # (B,)
    rewards = torch.zeros(samples.sequences.shape, device=samples.sequences.device)
    rewards[torch.arange(len(lengths), device=lengths.device), lengths - 1] = final
    for chunk in engine.rollout(model, samples, num_rollouts):
        if len(chunk.row):
            scores = judge(chunk.samples) / num_rollouts
            rewards.index_put_((chunk.row, chunk.prefix_length - 1), scores, accumulate=True)
    return rewards


class BleuScore:
    """
    BLEU of sequences against real ones, as a score for [`rollout_rewards`] (PG-BLEU, the baseline of SeqGAN, arXiv
    1609.05473, section 4). Counts of 0 are smoothed; EOS and padding are left out.

    Args:
        dataset (sequence of `dict`):
            Encoded real text, BOS first.
        engine ([`RolloutEngine`]):
            Tells the EOS.
        order (`int`, *optional*, defaults to `3`):
            The longest n-grams.
        num_references (`int`, *optional*, defaults to `10000`):
            Number of rows to compare with, evenly spaced in `dataset`.
    """

    def __init__(
        self,
        dataset: Rows,
        engine: RolloutEngine,
        order: int = 3,
        num_references: int = 10_000,
    ):
        self.eos_token_id = engine.eos_token_id
        self.order = order
        indices = np.unique(np.linspace(0, len(dataset) - 1, min(num_references, len(dataset))).astype(int))
        rows = (np.asarray(dataset[int(index)]["input_ids"]) for index in indices)  # lists or tensors
        references = [self._tokens(row[1:].tolist()) for row in rows]
        self.table = ReferenceTable(references, order)

    def __call__(self, sequences: torch.Tensor) -> torch.Tensor:
        """Returns the scores of sequences `(n, sequence_length)` without BOS, from 0 to 1."""
        tokens = [self._tokens(row) for row in sequences.tolist()]
        return torch.tensor(self.table.sentence_scores(tokens, self.order), device=sequences.device)

    def _tokens(self, row: list[int]) -> list[int]:
        return row[: row.index(self.eos_token_id)] if self.eos_token_id in row else row


__all__ = ["BleuScore", "class_probabilities", "probability_of_real", "rollout_rewards", "score_distinct"]
