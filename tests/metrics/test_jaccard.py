"""Novelty and diversity by the Jaccard similarity of words."""

import numpy as np
import pytest

from hf_textgan.metrics import jaccard
from hf_textgan.metrics.jaccard import jaccard_diversity, jaccard_novelty


def split(*texts: str) -> list[list[str]]:
    return [text.split() for text in texts]


def test_values_by_hand():
    references = split("a b c", "c d")
    assert jaccard_novelty(split("c b a"), references) == 0.0, "a copy, in whatever order"
    assert jaccard_novelty(split("x y"), references) == 1.0
    # {a, b} and {a, b, c}: 2 / 3. {c, e}: 1 / 4 with the first, 1 / 3 with the second. Repetitions do not count.
    assert jaccard_novelty(split("a b a", "c e"), references) == pytest.approx((1 / 3 + 2 / 3) / 2)
    # The nearest other of `a b` is `a b c` (2 / 3), of `a b c` it is `a b`, and `d` has none.
    assert jaccard_diversity(split("a b", "a b c", "d")) == pytest.approx((1 / 3 + 1 / 3 + 1) / 3)
    assert jaccard_diversity(split("a b", "b a")) == 0.0
    assert jaccard_novelty([[]], split("a")) == 1.0 and jaccard_diversity([[], []]) == 0.0


def test_against_sets_of_words_in_parts(monkeypatch):
    rng = np.random.default_rng(0)
    sentences, others = ([list(rng.choice(list("abcdefgh"), rng.integers(0, 6))) for _ in range(n)] for n in (23, 17))

    def similarity(first, second):
        first, second = set(first), set(second)
        return len(first & second) / len(first | second) if first | second else 1.0

    novelty = np.mean([1 - max(similarity(s, o) for o in others) for s in sentences])
    pairs = [[similarity(s, o) for j, o in enumerate(sentences) if j != i] for i, s in enumerate(sentences)]
    for cells in (1, 40, 1 << 21):  # sentence by sentence, a few at once, all at once
        monkeypatch.setattr(jaccard, "_CELLS", cells)
        assert jaccard_novelty(sentences, others) == pytest.approx(novelty, abs=1e-6)
        assert jaccard_diversity(sentences) == pytest.approx(np.mean([1 - max(p) for p in pairs]), abs=1e-6)


def test_what_is_refused():
    with pytest.raises(ValueError, match="There is 1 sentence to compare with others; pass at least 2."):
        jaccard_diversity(split("a b"))
    with pytest.raises(TypeError, match="is not a list of tokens"):
        jaccard_novelty(["a b"], split("a b"))
