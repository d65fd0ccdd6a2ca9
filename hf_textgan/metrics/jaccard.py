"""Novelty and diversity of sentences by the overlap of their sets of words (SentiGAN, Wang and Wan, IJCAI 2018)."""

from collections.abc import Sequence

import numpy as np

from .sentences import check_sentences


_MAX_CELLS = 2**24  # numbers of the matrices in memory


def jaccard_novelty(generated: Sequence[Sequence[str]], train: Sequence[Sequence[str]]) -> np.ndarray:
    """
    Returns the novelty of each generated sentence: ``1 - max_j |S intersect C_j| / |S union C_j|`` over the training
    sentences ``C_j``, as sets of words. 0 if a training sentence has the same words, 1 if none shares a word.

    Args:
        generated (`Sequence[Sequence[str]]`):
            The generated sentences as lists of tokens.
        train (`Sequence[Sequence[str]]`):
            The training sentences.

    Returns:
        `np.ndarray` of shape `(num_generated,)`.

    Raises:
        `ValueError`: If there are no sentences of a kind.
    """
    check_sentences(generated, "generated", form="tokens")
    check_sentences(train, "train", form="tokens")
    return 1 - _largest_overlaps(generated, train, same=False)


def jaccard_diversity(generated: Sequence[Sequence[str]]) -> np.ndarray:
    """
    Returns the diversity of each generated sentence: as [`jaccard_novelty`], over the other generated sentences. It
    falls with their number, so compare equal numbers.

    Args:
        generated (`Sequence[Sequence[str]]`):
            At least 2 generated sentences as lists of tokens.

    Returns:
        `np.ndarray` of shape `(num_generated,)`.

    Raises:
        `ValueError`: If there are fewer than 2 sentences.
    """
    check_sentences(generated, "generated", form="tokens")
    if len(generated) < 2:
        raise ValueError("There is 1 generated sentence, which has no others to differ from; pass 2 or more.")
    return 1 - _largest_overlaps(generated, generated, same=True)


def _largest_overlaps(
    sentences: Sequence[Sequence[str]], references: Sequence[Sequence[str]], same: bool
) -> np.ndarray:
    """Returns the largest Jaccard index of each sentence with a reference, the one of its own number left out."""
    words: dict[str, int] = {}
    for sentence in references:
        for word in sentence:
            words.setdefault(word, len(words))
    rows = [[words[word] for word in set(sentence) if word in words] for sentence in sentences]
    sizes = np.array([len(set(sentence)) for sentence in sentences])
    columns = [[words[word] for word in set(sentence)] for sentence in references]
    reference_sizes = np.array([len(column) for column in columns])
    largest = np.zeros(len(sentences))
    width = max(1, len(words))
    step = max(1, _MAX_CELLS // width)
    for first in range(0, len(references), step):
        matrix = _incidence(columns[first : first + step], width)
        for start in range(0, len(sentences), step):
            part = slice(start, start + step)
            common = _incidence(rows[part], width) @ matrix.T
            union = sizes[part, None] + reference_sizes[None, first : first + step] - common
            # Two empty sentences are equal.
            overlap = np.divide(common, union, out=np.ones_like(common), where=union > 0)
            if same:
                own = np.arange(len(overlap)) + start - first
                inside = (own >= 0) & (own < overlap.shape[1])
                overlap[np.flatnonzero(inside), own[inside]] = 0.0
            largest[part] = np.maximum(largest[part], overlap.max(1))
    return largest


def _incidence(rows: Sequence[Sequence[int]], width: int) -> np.ndarray:
    matrix = np.zeros((len(rows), width), np.float32)
    for number, indices in enumerate(rows):
        matrix[number, indices] = 1.0
    return matrix


__all__ = ["jaccard_diversity", "jaccard_novelty"]
