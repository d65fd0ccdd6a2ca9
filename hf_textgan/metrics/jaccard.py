"""Novelty and diversity by the Jaccard similarity of the words of sentences."""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import sparse

from .sentences import check_sentences


_CELLS = 1 << 21  # similarities at once


def jaccard_novelty(sentences: Sequence[Sequence[str]], references: Iterable[Sequence[str]]) -> float:
    """
    Returns the mean over the sentences of ``1 - max_j |S & R_j| / |S | R_j|`` with the sets of words of a sentence and
    of a training sentence (SentiGAN, Wang and Wan, IJCAI 2018, section 4.4). A copy has novelty 0, a sentence without
    a word of the training sentences 1. Two empty sentences are equal.

    Args:
        sentences (`Sequence[Sequence[str]]`):
            The generated sentences as lists of tokens.
        references (`Iterable[Sequence[str]]`):
            The training sentences.

    Raises:
        `ValueError`: If there are no sentences of a kind.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    check_sentences(sentences, "sentences", form="tokens")
    references = check_sentences(references, "references", form="tokens")
    distinct = [list(words) for words in {frozenset(reference) for reference in references}]
    return float(1 - _largest_similarity(sentences, distinct, None).mean())


def jaccard_diversity(sentences: Sequence[Sequence[str]]) -> float:
    """
    Returns the mean over the sentences of ``1 - max_j |S & S_j| / |S | S_j|`` with the sets of words of a sentence and
    of another one of them (SentiGAN, section 4.4). A repeated sentence has diversity 0.

    Args:
        sentences (`Sequence[Sequence[str]]`):
            The generated sentences as lists of tokens, at least 2.

    Raises:
        `ValueError`: If there are fewer than 2 sentences.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    check_sentences(sentences, "sentences", form="tokens")
    if len(sentences) < 2:
        raise ValueError(f"There is {len(sentences)} sentence to compare with others; pass at least 2.")
    return float(1 - _largest_similarity(sentences, sentences, np.arange(len(sentences))).mean())


def _largest_similarity(
    sentences: Sequence[Sequence[str]], others: Sequence[Sequence[str]], own: np.ndarray | None
) -> np.ndarray:
    """Returns the largest similarity of each sentence to one of the others; `own` are its rows, which do not count."""
    numbers: dict[str, int] = {}
    for sentence in (*sentences, *others):
        for word in sentence:
            numbers.setdefault(word, len(numbers))
    left, right = (_word_sets(part, numbers) for part in (sentences, others))
    left_sizes, right_sizes = (np.asarray(matrix.sum(1)).ravel() for matrix in (left, right))
    columns = right.T.tocsc()
    largest = np.empty(len(sentences))
    step = max(1, _CELLS // len(others))
    for start in range(0, len(sentences), step):
        rows = slice(start, start + step)
        common = np.asarray((left[rows] @ columns).todense())
        total = left_sizes[rows, None] + right_sizes[None] - common
        similarity = np.where(total > 0, common / np.maximum(total, 1), 1.0)
        if own is not None:
            similarity[np.arange(len(similarity)), own[rows]] = -1.0
        largest[rows] = similarity.max(1)
    return largest


def _word_sets(sentences: Sequence[Sequence[str]], numbers: dict[str, int]) -> sparse.csr_matrix:
    sets = [[numbers[word] for word in dict.fromkeys(sentence)] for sentence in sentences]
    starts = np.cumsum([0, *map(len, sets)])
    values = np.ones(int(starts[-1]), np.float32)
    indices = np.fromiter((number for row in sets for number in row), np.int64, int(starts[-1]))
    return sparse.csr_matrix((values, indices, starts), shape=(len(sets), max(len(numbers), 1)))


__all__ = ["jaccard_diversity", "jaccard_novelty"]
