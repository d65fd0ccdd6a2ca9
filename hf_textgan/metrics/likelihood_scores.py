"""
Negative log-likelihoods of sequences under a causal language model: held-out text under the generator, generated text
under an oracle, and the samples of a generator under itself.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from .bootstrap import Bootstrap, ratio_measure


_MAX_LOGITS = 2**24


def sequence_nll(
    model: PreTrainedModel, sequences: Sequence[Sequence[int]], bos_token_id: int | None = None
) -> np.ndarray:
    """
    Returns the negative log-likelihood of sequences, ``-sum_t log p(y_t | BOS, y_1, ..., y_{t-1})``, at temperature 1
    and without dropout.

    Args:
        model (`PreTrainedModel`):
            A causal language model.
        sequences (`Sequence[Sequence[int]]`):
            Token ids without BOS and padding. All of them count, including an EOS.
        bos_token_id (`int`, *optional*):
            The first input; by default that of the model.

    Returns:
        `numpy.ndarray` of shape `(num_sequences,)`: In nats, in double precision.

    Raises:
        `ValueError`: If there are no sequences, one is empty, has ids outside the vocabulary or more tokens than the
            model has positions, or if there is no BOS.
        `TypeError`: If a sequence is a string.
    """
    bos = _first_input(model, bos_token_id)
    if len(sequences) == 0:
        raise ValueError("There are 0 sequences; pass at least 1.")
    vocab_size = model.config.vocab_size
    positions = getattr(model.config, "max_position_embeddings", None)  # recurrent models have no limit
    for index, sequence in enumerate(sequences):
        if isinstance(sequence, str):
            raise TypeError(f"Sequence {index} is a string ({sequence[:20]!r}); pass token ids, or texts as texts.")
        if len(sequence) == 0:
            raise ValueError(f"Sequence {index} has no tokens; end sequences with an EOS or remove it.")
        if min(sequence) < 0 or max(sequence) >= vocab_size:
            outside = min(sequence) if min(sequence) < 0 else max(sequence)
            raise ValueError(f"Sequence {index} has the id {outside}; the ids of the model are 0 to {vocab_size - 1}.")
        if positions is not None and len(sequence) > positions:
            raise ValueError(
                f"Sequence {index} has {len(sequence)} tokens and the model {positions} positions; shorten it."
            )
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))  # little padding in a batch
    nlls = np.zeros(len(sequences))
    was_training = model.training
    model.eval()
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop - start + 1) * len(sequences[order[stop]]) * vocab_size <= _MAX_LOGITS:
            stop += 1
        rows = [list(sequences[index]) for index in order[start:stop]]
        width = len(rows[-1])
        targets = torch.tensor([row + [-100] * (width - len(row)) for row in rows], device=model.device)
        inputs = torch.tensor([[bos, *row, *[0] * (width - len(row))][:width] for row in rows], device=model.device)
        # The padding is on the right and the model is causal, so no mask is needed.
        with torch.no_grad():
            logits = model(input_ids=inputs, use_cache=False).logits.float()  # (B, T, V)
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=-100)
        nlls[order[start:stop]] = losses.view_as(targets).double().sum(1).cpu().numpy()
        start = stop
    model.train(was_training)
    return nlls


def nll_scores(
    model: str | PreTrainedModel,
    predictions: Sequence[str] | Sequence[Sequence[int]],
    tokenizer: Any = None,
    bos_token_id: int | None = None,
    eos_token_id: int | None = None,
    num_bootstrap: int = 0,
    confidence: float = 0.95,
    seed: int = 0,
    trust_remote_code: bool = False,
) -> dict[str, Any]:
    """
    Returns the negative log-likelihood of texts or token ids under a causal language model. It measures

    - quality and diversity, for held-out text under the generator (`nll_test`): lower is better;
    - quality only, for generated sequences under the oracle that wrote the training data (`nll_oracle`);
    - the entropy of the generator, for its samples under itself (`nll_div`): best near that of the data.

    The model reads BOS first. The EOS counts as a token, padding does not.

    Args:
        model (`str` or `PreTrainedModel`):
            A causal language model, or the folder or repository to load it from.
        predictions (`Sequence[str]` or `Sequence[Sequence[int]]`):
            Texts, which are encoded without special tokens and followed by EOS; or token ids without BOS, which are
            truncated after their first EOS, so padding may follow it.
        tokenizer (`str` or `PreTrainedTokenizerBase`, *optional*):
            The tokenizer for texts; by default the one beside the model.
        bos_token_id, eos_token_id (`int`, *optional*):
            The special tokens; by default those of the model.
        num_bootstrap (`int`, *optional*, defaults to 0):
            The number of bootstrap samples of the sequences for an interval, 0 for none.
        confidence (`float`, *optional*, defaults to 0.95):
            The confidence of the interval.
        seed (`int`, *optional*, defaults to 0):
            The seed of the bootstrap.
        trust_remote_code (`bool`, *optional*, defaults to `False`):
            Whether the code of a repository may run.

    Returns:
        `dict[str, Any]`: `nll_per_token` and `nll_per_sequence` in nats, `perplexity` per token, `num_tokens` with
        EOS, `num_sequences`; with `num_bootstrap` also `nll_per_token_interval`, two numbers, `num_bootstrap`,
        `confidence` and `seed`.

    Raises:
        `ValueError`: See [`sequence_nll`]; also if an argument of the bootstrap is out of its range or texts
            come without a tokenizer.
        `TypeError`: If `predictions` is one string or mixes texts and ids.
    """
    bootstrap = Bootstrap(num_bootstrap, confidence, seed)
    if isinstance(predictions, str):
        raise TypeError(f"The predictions are one string ({predictions[:20]!r}); pass a list of strings instead.")
    if len(predictions) == 0:
        raise ValueError("There are 0 predictions; pass at least 1 text or sequence.")
    source = model if isinstance(model, str) else None
    if isinstance(model, str):
        model = _load_model(model, trust_remote_code)
    ends = _ends(model) if eos_token_id is None else [eos_token_id]
    texts = [prediction for prediction in predictions if isinstance(prediction, str)]
    rows = [prediction for prediction in predictions if not isinstance(prediction, str)]
    if texts and rows:
        raise TypeError("The predictions mix texts and token ids; pass either only strings or only lists of ids.")
    if texts:
        if tokenizer is None and source is None:
            raise ValueError("A loaded model does not name its tokenizer; pass tokenizer, or token ids.")
        if tokenizer is None or isinstance(tokenizer, str):
            tokenizer = AutoTokenizer.from_pretrained(tokenizer or source, trust_remote_code=trust_remote_code)
        encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
        sequences = [[*ids, *ends[:1]] for ids in encoded]
    else:
        sequences = [truncate_at_eos(ids, ends) for ids in rows]
    nlls = sequence_nll(model, sequences, bos_token_id)
    tokens = np.array([len(sequence) for sequence in sequences])
    name = "nll_per_token"
    report = bootstrap.report(ratio_measure(name, nlls, tokens), len(nlls), unbounded=[name])
    return {
        name: report[name],
        "nll_per_sequence": math.fsum(nlls) / len(sequences),
        "perplexity": math.exp(report[name]) if report[name] < 700 else math.inf,
        "num_tokens": int(tokens.sum()),
        "num_sequences": len(sequences),
        **report,
    }


def truncate_at_eos(ids: Sequence[int], eos_token_ids: Sequence[int]) -> list[int]:
    """Returns the token ids up to and including the first EOS, or all of them if there is none."""
    ids = [int(token) for token in ids]
    return ids[: next((end for end, token in enumerate(ids, start=1) if token in eos_token_ids), len(ids))]


def draw_sequences(
    model: PreTrainedModel,
    num_sequences: int,
    max_length: int,
    seed: int = 0,
    bos_token_id: int | None = None,
    batch_size: int = 256,
) -> list[list[int]]:
    """
    Returns samples of a causal language model from its whole distribution at temperature 1, for [`nll_div`].

    Args:
        model (`PreTrainedModel`):
            A causal language model.
        num_sequences (`int`):
            The number of samples.
        max_length (`int`):
            The maximum number of tokens, EOS included, BOS excluded.
        seed (`int`, *optional*, defaults to 0):
            The seed of the draws. The state of torch's default generator does not change.
        bos_token_id (`int`, *optional*):
            The first input; by default that of the model.
        batch_size (`int`, *optional*, defaults to 256):
            The number of sequences that are drawn together. The draws depend on it.

    Returns:
        `list[list[int]]`: The token ids without BOS, up to and including EOS where it was drawn.

    Raises:
        `ValueError`: If `num_sequences` or `max_length` is less than 1 or there is no BOS.
    """
    if num_sequences < 1 or max_length < 1:
        raise ValueError(f"num_sequences={num_sequences} and max_length={max_length} must both be 1 or more.")
    bos = _first_input(model, bos_token_id)
    ends = _ends(model)
    sequences: list[list[int]] = []
    was_training = model.training
    model.eval()
    source = torch.Generator(device=model.device).manual_seed(seed)
    while len(sequences) < num_sequences:
        rows = min(batch_size, num_sequences - len(sequences))
        inputs = torch.full((rows, 1), bos, device=model.device)
        ended = torch.zeros(rows, dtype=torch.bool, device=model.device)
        with torch.no_grad():
            for _ in range(max_length):
                # The whole prefix is read again at each step: slow, but correct for every causal model.
                logits = model(input_ids=inputs, use_cache=False).logits[:, -1].float()
                drawn = torch.multinomial(logits.softmax(-1), 1, generator=source)
                inputs = torch.cat([inputs, drawn], dim=1)
                ended |= torch.isin(drawn[:, 0], torch.tensor(ends, dtype=torch.long, device=model.device))
                if bool(ended.all()):
                    break
        sequences += [truncate_at_eos(row, ends) for row in inputs[:, 1:].tolist()]
    model.train(was_training)
    return sequences


def nll_div(model: PreTrainedModel, num_sequences: int, max_length: int, seed: int = 0, **options) -> dict[str, Any]:
    """
    Returns the negative log-likelihood of samples of a model under itself, an estimate of its entropy. See
    [`draw_sequences`] for the arguments and [`nll_scores`] for the result, which also has the `seed` of the samples.
    """
    sequences = draw_sequences(model, num_sequences, max_length, seed, **options)
    return {**nll_scores(model, sequences, bos_token_id=options.get("bos_token_id")), "seed": seed}


def _first_input(model: PreTrainedModel, bos_token_id: int | None) -> int:
    bos = getattr(model.config, "bos_token_id", None) if bos_token_id is None else bos_token_id
    if bos is None:
        raise ValueError("The model has no bos_token_id; pass bos_token_id, the id of its first input.")
    return bos


def _load_model(name_or_path: str, trust_remote_code: bool) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(name_or_path, dtype=torch.float32, trust_remote_code=trust_remote_code)


def _ends(model: PreTrainedModel) -> list[int]:
    """Returns the ids that end a sequence: none, one, or for some models several."""
    eos = getattr(model.config, "eos_token_id", None)
    return [] if eos is None else list(eos) if isinstance(eos, list | tuple) else [eos]


__all__ = ["draw_sequences", "nll_div", "nll_scores", "sequence_nll", "truncate_at_eos"]
