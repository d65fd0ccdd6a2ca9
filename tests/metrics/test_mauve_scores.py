"""MAUVE, computed by the package mauve-text."""

import sys

import numpy as np
import pytest

from hf_textgan.metrics.mauve_scores import mauve_score
from tests.metrics.texts import REAL_TEXT_LABEL, TEXTS


def test_mauve_needs_its_package(modules, monkeypatch):
    monkeypatch.setitem(sys.modules, "mauve", None)
    with pytest.raises(ImportError, match="MAUVE needs the package mauve-text .*; run `pip install mauve-text`."):
        mauve_score(np.zeros((4, 2)), np.zeros((4, 2)))
    with pytest.raises(ImportError, match="pip install mauve-text"):
        modules["textgan_mauve"].compute(predictions=TEXTS, references=REAL_TEXT_LABEL)


def test_mauve_of_equal_and_of_disjoint_texts():
    pytest.importorskip("mauve")
    source = np.random.default_rng(0)
    x = source.normal(size=(200, 8)) + 5 * np.repeat([[1] * 8, [-1] * 8], 100, axis=0)
    equal = mauve_score(x, source.permutation(x))
    assert (equal["mauve"], equal["mauve_star"]) == (1.0, 1.0)
    assert equal["frontier_integral"] == pytest.approx(0, abs=1e-9)
    assert (equal["num_clusters"], equal["seed"], equal["scaling"]) == (20, 0, 5.0)
    # Disjoint clusters: c B(c + 1, c) = 5 * 5! 4! / 10!, up to the 25 points of the curve.
    apart = mauve_score(x[:100], x[100:])
    assert apart["mauve"] == pytest.approx(0.00397, abs=5e-4)
    near = mauve_score(x, x + 0.5)
    assert apart["mauve"] < near["mauve"] < 1
    shuffled = mauve_score(source.permutation(x), source.permutation(x + 0.5))
    assert shuffled == near
    with pytest.raises(ValueError, match="20 clusters of 10 real"):
        mauve_score(x[:10], x, num_clusters=20)
    with pytest.raises(ValueError, match=r"shapes \(200, 8\) and \(200, 7\)"):
        mauve_score(x, x[:, :7])


def test_textgan_mauve_names_its_embedding(modules):
    pytest.importorskip("mauve")
    scores = modules["textgan_mauve"].compute(
        predictions=REAL_TEXT_LABEL, references=REAL_TEXT_LABEL, num_clusters=2, dimension=32
    )
    assert (scores["mauve"], scores["embedding"], scores["num_references"]) == (1.0, "hashed-ngrams-32", 5)
