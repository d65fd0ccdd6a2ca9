"""The Frechet distance against closed forms, and the embeddings it is taken of."""

import math
import os
import random
import subprocess
import sys
from hashlib import blake2b

import numpy as np
import pytest
import torch

from hf_textgan.metrics import embeddings
from hf_textgan.metrics.embeddings import embed, embedding_name, hashed_ngram_embedding, model_embedding
from hf_textgan.metrics.export import export_metrics
from hf_textgan.metrics.frechet import frechet_distance
from tests.helpers import PAD, randomize, tiny_gpt2


def gaussian(seed, num_points, dimension):
    return np.random.default_rng(seed).normal(size=(num_points, dimension))


def test_equal_samples_are_at_no_distance():
    x = gaussian(0, 200, 20)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(x, np.random.default_rng(1).permutation(x)) == pytest.approx(0, abs=1e-6)
    flat = x[:10]  # fewer points than dimensions: the covariance is singular
    assert frechet_distance(flat, flat) == pytest.approx(0, abs=1e-6)


def test_a_shift_adds_its_squared_length():
    x, shift = gaussian(0, 100, 8), np.arange(8.0)
    assert frechet_distance(x, x + shift) == pytest.approx(140, rel=1e-12)  # 0 + 1 + 4 + ... + 49
    y = gaussian(1, 50, 8)
    y -= y.mean(0) - x.mean(0)
    assert frechet_distance(x, y + shift) == pytest.approx(frechet_distance(x, y) + 140, rel=1e-12)


def test_one_dimension_by_hand():
    # Means 1 and 5, variances 2 and 18: 16 + 2 + 18 - 2 * 6.
    assert frechet_distance([[0.0], [2.0]], [[2.0], [8.0]]) == pytest.approx(24, rel=1e-12)


def test_scaling():
    x = gaussian(0, 100, 6)
    # Covariances S and 9 S with equal means: tr(S + 9 S - 2 * 3 S) = 4 tr(S).
    x -= x.mean(0)
    assert frechet_distance(x, 3 * x) == pytest.approx(4 * np.trace(np.cov(x.T)), rel=1e-12)
    rotation = np.linalg.qr(gaussian(1, 6, 6))[0]
    y = gaussian(2, 80, 6) * np.arange(1, 7)
    assert frechet_distance(x @ rotation, y @ rotation) == pytest.approx(frechet_distance(x, y), rel=1e-10)
    assert frechet_distance(y, x) == pytest.approx(frechet_distance(x, y), rel=1e-10)


def test_against_matrix_root():
    linalg = pytest.importorskip("scipy.linalg")
    for seed in range(3):
        x = gaussian(seed, 90, 12) @ gaussian(seed + 10, 12, 12)
        y = gaussian(seed + 20, 70, 12) @ gaussian(seed + 30, 12, 12) + 1
        x_covariance, y_covariance = np.cov(x.T), np.cov(y.T)
        root = linalg.sqrtm(x_covariance @ y_covariance).real
        expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(x_covariance + y_covariance - 2 * root)
        assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("dimension", "num_points", "expected"),
    [(64, 1000, 0.036), (64, 5000, 0.007), pytest.param(512, 2000, 0.129, marks=pytest.mark.slow)],
)
def test_bias_of_two_samples_of_one_distribution(dimension, num_points, expected):
    # Covariance I / d. The expected values were measured once; about d tr(S) / (2 n).
    x, y = (gaussian(seed, num_points, dimension) / math.sqrt(dimension) for seed in (0, 1))
    assert frechet_distance(x, y) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((1, 2)), np.zeros((5, 2)), "x has 1 points"),
        (np.zeros((5, 2)), np.zeros((0, 2)), "y has 0 points"),
        (np.zeros((5, 2)), np.zeros((5, 3)), "x has 2 dimensions and y has 3"),
        (np.zeros(5), np.zeros((5, 3)), r"x has the shape \(5,\)"),
        (np.zeros((5, 2)), np.full((5, 2), np.nan), "y has values that are not finite"),
    ],
)
def test_errors_of_the_distance(x, y, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(x, y)


def signs_of(text, dimension):
    """One bit at a time, the highest of a byte first."""
    bits = "".join(
        f"{byte:08b}"
        for block in range(math.ceil(dimension / 512))
        for byte in blake2b(text, salt=block.to_bytes(8, "little")).digest()
    )
    return np.array([1 if bit == "1" else -1 for bit in bits[:dimension]])


@pytest.mark.parametrize("dimension", [5, 64, 700])
def test_hashed_embedding_is_a_sum_of_signs(dimension):
    found = hashed_ngram_embedding([["a", "dog", "a"], ["dog"]], dimension)
    ngrams = [b"1a", b"1dog", b"1a", b"2 1 adog", b"2 3 doga"]
    first = sum(signs_of(text, dimension) for text in ngrams) / math.sqrt(5 * dimension)
    np.testing.assert_allclose(found, [first, signs_of(b"1dog", dimension) / math.sqrt(dimension)], rtol=1e-14)
    assert (found[1] ** 2).sum() == pytest.approx(1)


def test_hashed_embedding_sees_words_and_their_order():
    same, swapped, moved = hashed_ngram_embedding([["a", "b", "c"], ["a", "c", "b"], ["ab", "c"]])[:3]
    assert not np.allclose(same, swapped) and not np.allclose(same, moved)
    # Different words are about at right angles, whatever they look like.
    words = hashed_ngram_embedding([[f"word{i}"] for i in range(200)], 512)
    products = words @ words.T - np.eye(200)
    assert abs(products).max() < 6 / math.sqrt(512)
    assert (products**2).sum() / (200 * 199) == pytest.approx(1 / 512, rel=0.05)


def test_hashed_embedding_does_not_depend_on_batch_process_or_neighbours(monkeypatch, tmp_path):
    source = random.Random(0)
    sentences = [[f"w{source.randrange(30)}" for _ in range(source.randint(1, 9))] for _ in range(50)]
    expected = hashed_ngram_embedding(sentences)
    np.testing.assert_array_equal(hashed_ngram_embedding(sentences[::-1])[::-1], expected)
    monkeypatch.setattr(embeddings, "_BATCH_SIZE", 7)
    np.testing.assert_array_equal(hashed_ngram_embedding(sentences), expected)
    export_metrics(tmp_path, ["frechet_embedding_distance"])  # imported without the package, which takes longer
    code = (
        "from frechet_embedding_distance.embeddings import hashed_ngram_embedding;"
        "print(hashed_ngram_embedding([['a', 'dog'], ['\\u00fc']], 8).tolist())"
    )
    results = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert results == {f"{hashed_ngram_embedding([['a', 'dog'], ['ü']], 8).tolist()}\n"}


@pytest.mark.invariant
def test_distance_of_real_and_damaged_text():
    source = random.Random(0)

    def sentence():
        word, result = source.randrange(40), []
        for _ in range(source.randint(4, 9)):
            result.append(f"w{word}")
            word = (word + source.choice([1, 1, 2])) % 40
        return result

    def damaged(sentences, share):
        return [[f"w{source.randrange(40)}" if source.random() < share else word for word in s] for s in sentences]

    real, other = ([sentence() for _ in range(1500)] for _ in range(2))
    target = hashed_ngram_embedding(real)
    distances = [
        frechet_distance(hashed_ngram_embedding(damaged(other, share)), target) for share in (0, 0.1, 0.2, 0.5)
    ]
    assert distances == sorted(distances) and distances[0] < distances[1] / 1.2
    shuffled = [source.sample(s, len(s)) for s in other]
    assert frechet_distance(hashed_ngram_embedding(shuffled), target) > 2 * distances[0]


class CharacterTokenizer:
    """Ids of letters; a text of letters has one more id in front, like a [CLS]."""

    def __init__(self, pad_token_id):
        self.pad_token_id = pad_token_id

    def __call__(self, texts, truncation=False, max_length=None):
        ids = [[1, *(3 + ord(letter) - ord("a") for letter in text if letter.isalpha())] for text in texts]
        return {"input_ids": [row[: max_length if truncation else None] for row in ids]}


@pytest.mark.parametrize("pad_token_id", [PAD, None])
def test_model_embedding_is_the_mean_over_real_tokens(one_thread, monkeypatch, pad_token_id):
    model = randomize(tiny_gpt2(vocab_size=20)).train()
    texts = ["abc", "a", "hgfedcba", "cab", "ab"]
    tokenizer = CharacterTokenizer(pad_token_id)
    expected = []
    with torch.no_grad():
        for row in tokenizer(texts)["input_ids"]:
            expected.append(model.transformer(torch.tensor([row])).last_hidden_state[0].double().mean(0).numpy())
    for max_tokens in (1, 10, 2**14):
        monkeypatch.setattr(embeddings, "_MAX_TOKENS", max_tokens)
        found = model_embedding(model, tokenizer, texts)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert model.training
    short = model_embedding(model, tokenizer, texts, max_length=2)
    np.testing.assert_allclose(short[0], short[4], atol=1e-6)  # both begin with "a"
    np.testing.assert_array_equal(embed(texts, model, tokenizer), found)


def test_names_of_embeddings():
    assert embedding_name("hashed-ngrams", 64) == "hashed-ngrams-64"
    assert embedding_name("some/model", 64) == "some/model"
    assert embedding_name(tiny_gpt2(), 64) == "GPT2LMHeadModel"
    np.testing.assert_array_equal(embed(["a b"], dimension=16), hashed_ngram_embedding([["a", "b"]], 16))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: hashed_ngram_embedding([]), ValueError, "sentences has 0 sentences"),
        (
            lambda: hashed_ngram_embedding([["a"], []]),
            ValueError,
            r"sentences has sentences without tokens \(1 of 2, the first at index 1\); drop",
        ),
        (lambda: hashed_ngram_embedding(["a b"]), TypeError, r"sentences\[0\]='a b' is not a list of tokens"),
        (lambda: hashed_ngram_embedding("a b"), TypeError, "sentences='a b' is not a list"),
        (lambda: hashed_ngram_embedding([["a"]], 0), ValueError, "dimension=0"),
        (lambda: embed([]), ValueError, "texts has 0 sentences"),
        (
            lambda: embed(["a", " "]),
            ValueError,
            r"texts has sentences without tokens \(1 of 2, the first at index 1\)",
        ),
        (lambda: embed(["a", 3]), TypeError, r"texts\[1\]=3 is not a string"),
        (lambda: embed("a b"), TypeError, "texts='a b' is not a list"),
        (lambda: embed(["a"], tiny_gpt2()), ValueError, "pass tokenizer"),
    ],
)
def test_errors_of_embeddings(call, error, message):
    with pytest.raises(error, match=message):
        call()
