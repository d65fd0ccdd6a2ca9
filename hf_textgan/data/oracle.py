"""
The synthetic task of the field (SeqGAN, arXiv 1609.05473, section 4): a randomly initialised LSTM is the true
distribution, so the samples of a generator can be scored exactly.

The oracle is an ordinary generator of this library, with N(0, 1) parameters and without EOS: all its sequences have
the same length, and its BOS, id 0, is a token like the others, which it may draw.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedModel

from ..models import RecurrentGeneratorConfig, RecurrentGeneratorForCausalLM
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples
from ..utils.random import fork_rng
from .errors import DataError


BOS_TOKEN_ID = 0
_BLOCK_SIZE = 256  # sequences drawn at once, each block under a seed of its own
_GATES = ("input", "forget", "output", "candidate")  # the order of the released arrays


def _config(vocab_size: int, embedding_size: int, hidden_size: int) -> RecurrentGeneratorConfig:
    return RecurrentGeneratorConfig(
        vocab_size=vocab_size,
        embedding_size=embedding_size,
        hidden_size=hidden_size,
        initializer_range=1.0,
        bos_token_id=BOS_TOKEN_ID,
        eos_token_id=None,
        pad_token_id=BOS_TOKEN_ID,  # nothing is ever padded
    )


def build_oracle(
    seed: int = 0, vocab_size: int = 5000, embedding_size: int = 32, hidden_size: int = 32
) -> RecurrentGeneratorForCausalLM:
    """
    Builds a fresh oracle: every parameter is drawn from N(0, 1) (SeqGAN, arXiv 1609.05473, section 4.1).

    The defaults are those of the sequences of 20 tokens; the published results on 40 tokens belong to an oracle with
    `embedding_size=64, hidden_size=64`. Results on different oracles cannot be compared.

    Args:
        seed (`int`, *optional*, defaults to `0`):
            The seed of the parameters; the random state of the caller does not change.
        vocab_size, embedding_size, hidden_size (`int`, *optional*, default to `5000`, `32` and `32`):
            The sizes of the model.
    """
    with fork_rng("oracle", seed):
        return RecurrentGeneratorForCausalLM(_config(vocab_size, embedding_size, hidden_size)).eval()


def load_oracle(path: str | Path) -> PreTrainedModel:
    """
    Loads an oracle from a model folder, or from an `.npz` file with the 15 arrays of SeqGAN's released parameters in
    their order: the embedding; for the input, forget and output gates and the candidate the matrices of the input and
    of the state and the bias (row-vector convention); the matrix and the bias of the output. No pickle is read.

    Raises:
        [`DataError`]: If there is no such file, or it does not hold such parameters.
    """
    path = Path(path)
    if path.is_dir():
        model = AutoModelForCausalLM.from_pretrained(path, trust_remote_code=False)
        if model.config.eos_token_id is not None or model.config.bos_token_id is None:
            raise DataError(
                f"The model in {path} has the eos_token_id {model.config.eos_token_id} and the bos_token_id "
                f"{model.config.bos_token_id}; an oracle has a BOS and no EOS, because its sequences have one length."
            )
        return model.eval()
    if path.suffix != ".npz":
        raise DataError(f"The oracle {path} is neither a model folder nor an .npz file; name one of these.")
    if not path.is_file():
        raise DataError(f"There is no file {path}; name the .npz file of an oracle's parameters.")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = [torch.from_numpy(file[name].astype(np.float32)) for name in sorted(file.files)]
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as an .npz file ({error}); give one written by numpy.savez.") from None
    return _from_arrays(arrays, path)


def _from_arrays(arrays: list[torch.Tensor], path: Path) -> RecurrentGeneratorForCausalLM:
    if len(arrays) != 15 or any(array.ndim != 2 for array in (arrays[0], arrays[-2])):
        shapes = ", ".join(str(tuple(array.shape)) for array in arrays)
        raise DataError(f"{path} holds {len(arrays)} arrays ({shapes}); an oracle has 15, the embedding first.")
    vocab_size, embedding_size = arrays[0].shape
    hidden_size = len(arrays[-2])
    gate = [(embedding_size, hidden_size), (hidden_size, hidden_size), (hidden_size,)]
    expected = [(vocab_size, embedding_size), *gate * 4, (hidden_size, vocab_size), (vocab_size,)]
    for number, (array, shape) in enumerate(zip(arrays, expected, strict=True)):
        if tuple(array.shape) != shape:
            raise DataError(f"Array {number} of {path} has the shape {tuple(array.shape)}; an oracle has {shape}.")
    gates = {name: arrays[1 + 3 * index : 4 + 3 * index] for index, name in enumerate(_GATES)}
    ordered = [gates[name] for name in ("input", "forget", "candidate", "output")]  # PyTorch's order
    model = RecurrentGeneratorForCausalLM(_config(vocab_size, embedding_size, hidden_size))
    model.load_state_dict(
        {
            "embed_tokens.weight": arrays[0],
            "rnn.weight_ih_l0": torch.cat([w.T for w, _, _ in ordered]),
            "rnn.weight_hh_l0": torch.cat([u.T for _, u, _ in ordered]),
            "rnn.bias_ih_l0": torch.cat([b for _, _, b in ordered]),
            "rnn.bias_hh_l0": torch.zeros(4 * hidden_size),
            "lm_head.weight": arrays[13].T.contiguous(),
            "lm_head.bias": arrays[14],
        }
    )
    return model.eval()


def make_oracle(
    path: str | None = None, seed: int = 0, vocab_size: int | None = None, hidden_size: int | None = None
) -> PreTrainedModel:
    """Returns the oracle of [`load_oracle`] if there is a path, else that of [`build_oracle`] with these sizes."""
    if path is None:
        size = 32 if hidden_size is None else hidden_size
        return build_oracle(seed, 5000 if vocab_size is None else vocab_size, size, size)
    for name, value in (("oracle_vocab_size", vocab_size), ("oracle_hidden_size", hidden_size)):
        if value is not None:
            raise DataError(f"{name} is {value}, but the oracle is read from {path}; leave one of the two out.")
    return load_oracle(path)


def sample_oracle(
    oracle: PreTrainedModel, num_samples: int, length: int = 20, seed: int = 0, split: str = "train"
) -> Dataset:
    """
    Draws a corpus: `num_samples` sequences of `length` tokens by ancestral sampling.

    Returns:
        `datasets.Dataset`: The column `input_ids`, BOS and then `length` tokens. A larger corpus of the same seed and
        split begins with the same sequences; the splits are independent.
    """
    if num_samples < 2:
        raise DataError(f"The {split} split of the oracle has {num_samples} sequences; use 2 or more.")
    bos = oracle.config.bos_token_id
    engine = RolloutEngine(length, bos, bos)
    blocks = []
    for block in range(-(-num_samples // _BLOCK_SIZE)):
        with fork_rng("oracle samples", split, seed, block):
            blocks.append(engine.sample(oracle, _BLOCK_SIZE).sequences)
    rows = torch.nn.functional.pad(torch.cat(blocks)[:num_samples], (1, 0), value=bos)
    return Dataset.from_dict({"input_ids": rows.cpu().numpy()})


def dataset_samples(dataset: Dataset) -> Samples:
    """Returns the sequences of a corpus of [`sample_oracle`], without BOS."""
    sequences = torch.as_tensor(dataset.with_format("numpy")["input_ids"][:])[:, 1:]
    return Samples(sequences, torch.ones_like(sequences))


def oracle_sizes(oracle: PreTrainedModel) -> dict[str, Any]:
    """Returns the vocabulary size and the special tokens that the players of a run on the oracle must have."""
    return {
        "vocab_size": oracle.config.vocab_size,
        "bos_token_id": oracle.config.bos_token_id,
        "eos_token_id": None,
        "pad_token_id": oracle.config.bos_token_id,
    }


__all__ = [
    "BOS_TOKEN_ID",
    "build_oracle",
    "dataset_samples",
    "load_oracle",
    "make_oracle",
    "oracle_sizes",
    "sample_oracle",
]
