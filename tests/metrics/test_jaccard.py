"""Novelty and diversity by the overlap of sets of words, against values by hand."""

import random

import pytest

from hf_textgan.metrics import jaccard
from hf_textgan.metrics.jaccard import jaccard_diversity, jaccard_novelty


TRAIN = [text.split() for text in ("a good film .", "a bad film .", "dull")]


LINES = ("a good film .", "film a . good good")  # of the same words


def test_novelty_is_0_for_a_copy_and_1_without_a_common_word():
    generated = [
        text.split() for text in ("a good film .", "film a . good good", "so it goes", "a good , good cast .")
    ]
    # The last has the words a, good, "," , cast, "." of which a, good and "." are in the first line: 3 / (5 + 4 - 3).
    assert jaccard_novelty(generated, TRAIN).tolist() == pytest.approx([0, 0, 1, 0.5])


def test_diversity_leaves_a_sentence_itself_out():
    generated = [text.split() for text in ("a b", "a b", "a c", "d")]
    assert jaccard_diversity(generated).tolist() == pytest.approx([0, 0, 1 - 1 / 3, 1])


@pytest.mark.parametrize("cells", (1, 40, 2**24))
def test_values_do_not_depend_on_the_parts(cells, monkeypatch):
    monkeypatch.setattr(jaccard, "_MAX_CELLS", cells)
    draw = random.Random(0)
    texts = [[draw.choice("abcdefgh") for _ in range(draw.randint(1, 5))] for _ in range(23)]

    def overlap(one, other):
        return len(set(one) & set(other)) / len(set(one) | set(other))

    novelty = [1 - max(overlap(text, other) for other in TRAIN + texts[:9]) for text in texts]
    assert jaccard_novelty(texts, TRAIN + texts[:9]).tolist() == pytest.approx(novelty)
    others = [[other for number, other in enumerate(texts) if number != index] for index in range(23)]
    diversity = [1 - max(overlap(text, other) for other in rest) for text, rest in zip(texts, others, strict=True)]
    assert jaccard_diversity(texts).tolist() == pytest.approx(diversity)


def test_too_few_sentences_are_refused():
    with pytest.raises(ValueError, match="There is 1 generated sentence, which has no others to differ from; pass 2"):
        jaccard_diversity([["a"]])
    with pytest.raises(ValueError, match="train"):
        jaccard_novelty([["a"]], [])
