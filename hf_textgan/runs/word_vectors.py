"""Pretrained word vectors in the input embeddings of a run's players."""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..data.word_vectors import read_word_vectors
from ..systems.spec import Copy
from ..utils.names import unknown_name
from .arguments import TrainArguments


def check_word_vectors(arguments: TrainArguments) -> list[str]:
    """
    Returns the players whose embeddings begin with word vectors, none without `word_vectors`.

    Raises:
        `ValueError`: If the options name a player that is not there, has weights of its own already or is a copy, or
            the data have no words.
    """
    run, system = arguments.run, arguments.system
    if run.word_vectors is None:
        return []
    if arguments.data.dataset_name == "oracle":
        raise ValueError(
            f"word_vectors is {run.word_vectors!r}, but --dataset_name oracle has no words; leave it out."
        )
    names = [name.strip() for name in run.word_vector_players.split(",") if name.strip()]
    for name in names:
        if name not in system.players:
            raise ValueError(unknown_name(f"player of {system.name}", name, system.players))
        own = system.players[name]
        if isinstance(own, Copy):
            raise ValueError(
                f"word_vector_players names the {name}, which is a copy of the {own.player}; name the {own.player}."
            )
        if name == "generator" and run.generator_name_or_path is not None:
            raise ValueError(
                f"The generator comes from {run.generator_name_or_path} with embeddings of its own, and word_vectors "
                f"is {run.word_vectors!r}; leave one of the two out, or name other players in word_vector_players."
            )
    return names


@torch.no_grad()
def fill_embeddings(
    arguments: TrainArguments, players: Mapping[str, PreTrainedModel], tokenizer: PreTrainedTokenizerBase
) -> str | None:
    """
    Fills the input embeddings of the players that the arguments name, and of their copies, with the vectors of the
    tokenizer's words. The embeddings of other tokens, the special ones among them, stay as they are.

    Returns:
        `str`: How many words were found, in words; `None` without word vectors.

    Raises:
        `ValueError`: If a player has no embeddings, or of another size.
    """
    path, names = arguments.run.word_vectors, check_word_vectors(arguments)
    names = [name for name in names if name in players]  # some are not needed
    if path is None or not names:
        return None
    copies = [name for name, own in arguments.system.players.items() if isinstance(own, Copy) and own.player in names]
    filled = {name: _embeddings(players[name], name, path) for name in (*names, *copies) if name in players}
    special = set(tokenizer.all_special_tokens)
    ids = {word: index for word, index in tokenizer.get_vocab().items() if word not in special}
    vectors = read_word_vectors(path, ids)
    table = torch.stack([torch.from_numpy(vector) for vector in vectors.values()])
    rows = torch.tensor([ids[word] for word in vectors])
    for name, embeddings in filled.items():
        if embeddings.shape[1] != table.shape[1]:
            raise ValueError(
                f"The vectors of {path} have {table.shape[1]} values and the embeddings of the {name} "
                f"{embeddings.shape[1]}; build the {name} with embeddings of {table.shape[1]}, as by "
                f"--{name}.embedding_size {table.shape[1]}."
            )
    for embeddings in filled.values():
        embeddings[rows] = table.to(embeddings)
    return f"word vectors: {len(vectors):,} of {len(ids):,} words found in {path}, for {', '.join(names)}"


def _embeddings(player: PreTrainedModel, name: str, path: str) -> torch.Tensor:
    try:
        embeddings: Any = player.get_input_embeddings()
    except NotImplementedError:
        embeddings = None
    if not isinstance(embeddings, torch.nn.Embedding):
        raise ValueError(
            f"word_vectors is {path!r}, but the {name}, a {type(player).__name__}, has no table of embeddings; leave "
            f"the {name} out of word_vector_players."
        )
    return embeddings.weight


__all__ = ["check_word_vectors", "fill_embeddings"]
