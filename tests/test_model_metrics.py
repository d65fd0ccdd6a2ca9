"""Likelihoods, MAUVE, categories, and the modules of the evaluate library around the metrics that need a model."""

import doctest
import importlib.util
import math
import os
import random
import runpy
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import evaluate
import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

import hf_textgan.metrics
from hf_textgan.data.collator import collate
from hf_textgan.data.tokenizers import word_tokenizer
from hf_textgan.evaluation.generators import corpus_nll, nll_metrics, sample_nll
from hf_textgan.metrics import likelihood_scores
from hf_textgan.metrics.category import NgramClassifier, category_accuracy
from hf_textgan.metrics.embeddings import hashed_ngram_embedding
from hf_textgan.metrics.frechet import frechet_distance
from hf_textgan.metrics.language_model import forward_nll, reverse_nll
from hf_textgan.metrics.likelihood_scores import cut_after_eos, draw_sequences, nll_div, nll_scores, sequence_nll
from hf_textgan.metrics.mauve_scores import mauve_score
from hf_textgan.sampling.engine import RolloutEngine
from tests.helpers import (
    BOS,
    EOS,
    PAD,
    all_sequences,
    chi_square_p,
    exact_logps,
    randomize,
    tiny_gpt2,
    tiny_lstm,
    tiny_stateless,
)


FOLDER = Path(hf_textgan.metrics.__file__).parent
MODULES = ["category_accuracy", "frechet_embedding_distance", "lm_score", "textgan_mauve", "textgan_nll"]
REAL = ["a dog runs .", "a cat runs .", "a dog sleeps .", "two cats sleep here .", "a dog and a cat sleep ."]
TEXTS = ["a cat sleeps .", "runs cat", "two dogs run .", "a dog runs ."]

has_mauve = importlib.util.find_spec("mauve") is not None


def load(name):
    return evaluate.load(str(FOLDER / name))


# Likelihoods


@pytest.mark.parametrize("make", [tiny_lstm, tiny_gpt2, partial(tiny_stateless, dropout=0.5)])
def test_nll_of_all_sequences_by_hand(one_thread, monkeypatch, make):
    model = randomize(make(vocab_size=4)).train()
    samples = all_sequences(4, 3, EOS)
    rows = [
        row[:length]
        for row, length in zip(samples.sequences.tolist(), samples.attention_mask.sum(1).tolist(), strict=True)
    ]
    with torch.no_grad():
        expected = -exact_logps(model.eval(), samples).double().sum(1).numpy()
    model.train()
    for at_once in (1, 40, 2**24):
        monkeypatch.setattr(likelihood_scores, "_LOGITS_AT_ONCE", at_once)
        np.testing.assert_allclose(sequence_nll(model, rows), expected, rtol=0, atol=1e-5)
    assert model.training
    # The probabilities of all sequences sum to one.
    assert np.exp(-sequence_nll(model, rows)).sum() == pytest.approx(1, abs=1e-5)


def test_nll_by_hand(one_thread):
    model = randomize(tiny_stateless(vocab_size=5))
    torch.nn.init.zeros_(model.lm_head.weight)
    with torch.no_grad():
        model.lm_head.bias.copy_(torch.tensor([0.1, 0.2, 0.3, 0.2, 0.2]).log())
    # The EOS is 2; what follows it does not count. 3 has the probability .2, EOS .3, 0 (which is also padding) .1.
    scores = nll_scores(model, [[3, 2, 0, 0], [0, 3, 2, 3], [0, 0]])
    total = -math.log(0.2 * 0.3) - math.log(0.1 * 0.2 * 0.3) - math.log(0.1 * 0.1)
    assert (scores["num_tokens"], scores["num_sequences"]) == (7, 3)
    assert scores["nll_per_token"] == pytest.approx(total / 7, rel=1e-6)
    assert scores["nll_per_sequence"] == pytest.approx(total / 3, rel=1e-6)
    assert scores["perplexity"] == pytest.approx(math.exp(total / 7), rel=1e-6)
    # Another EOS: nothing is cut at 2.
    assert nll_scores(model, [[3, 2, 0, 4]], eos_token_id=4)["num_tokens"] == 4


@pytest.mark.parametrize("make", [tiny_lstm, tiny_gpt2])
def test_nll_agrees_with_evaluation(one_thread, make):
    model = randomize(make(vocab_size=9))
    engine = RolloutEngine(6, BOS, PAD, EOS)
    source = random.Random(0)
    rows = [[BOS, *source.choices(range(3, 9), k=source.randint(0, 5)), EOS] for _ in range(30)]
    dataset = [{"input_ids": row} for row in rows]
    sums = corpus_nll(model, engine, dataset, lambda part: collate(part, pad_token_id=PAD), batch_size=7)
    scores = nll_scores(model, [row[1:] for row in rows])
    for name, value in nll_metrics(sums).items():
        assert scores[name] == pytest.approx(value, rel=1e-6)
    samples = engine.sample(model, 40)  # padded
    expected = nll_metrics(sample_nll(model, engine, samples))
    scores = nll_scores(model, samples.sequences.tolist())
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, rel=1e-6)
    assert scores["num_tokens"] == int(samples.attention_mask.sum())


def test_first_input_matters(one_thread):
    model = randomize(tiny_gpt2(vocab_size=6))
    rows = [[3, 4], [5]]
    assert not np.allclose(sequence_nll(model, rows), sequence_nll(model, rows, bos_token_id=4))
    model.config.bos_token_id = 4
    np.testing.assert_array_equal(sequence_nll(model, rows), sequence_nll(model, rows, bos_token_id=4))


def test_draws_follow_the_model(one_thread):
    model = randomize(tiny_lstm(vocab_size=3))
    samples = all_sequences(3, 3, EOS)
    rows = [
        row[:length]
        for row, length in zip(samples.sequences.tolist(), samples.attention_mask.sum(1).tolist(), strict=True)
    ]
    probabilities = torch.tensor(np.exp(-sequence_nll(model, rows)))
    drawn = draw_sequences(model, 4000, 3, seed=1)
    observed = torch.tensor([drawn.count(row) for row in rows])
    assert observed.sum() == 4000
    assert chi_square_p(observed, probabilities) > 1e-3
    state = torch.get_rng_state()
    assert draw_sequences(model, 300, 3, seed=1) == draw_sequences(model, 300, 3, seed=1)
    assert draw_sequences(model, 300, 3, seed=1) != draw_sequences(model, 300, 3, seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    # The entropy per sequence, by enumeration.
    entropy = float(-(probabilities * probabilities.log()).sum())
    scores = nll_div(model, 4000, 3, seed=5)
    assert scores["nll_per_sequence"] == pytest.approx(entropy, rel=0.05)
    assert (scores["num_sequences"], scores["seed"]) == (4000, 5)


def test_cut_after_eos():
    assert cut_after_eos([5, 2, 7, 2], [2]) == [5, 2]
    assert cut_after_eos([5, 2, 7, 3], [7, 3]) == [5, 2, 7]
    assert cut_after_eos([5, 2], []) == cut_after_eos([5, 2], [9]) == [5, 2]


def test_nll_of_texts_and_of_a_folder(one_thread, tmp_path):
    tokenizer = word_tokenizer(REAL)
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    model = randomize(tiny_gpt2(vocab_size=len(tokenizer), **special))
    ids = [
        [tokenizer.convert_tokens_to_ids(word) for word in text.split()] + [tokenizer.eos_token_id] for text in TEXTS
    ]
    expected = nll_scores(model, ids)
    assert expected["num_tokens"] == sum(len(text.split()) + 1 for text in TEXTS)
    assert nll_scores(model, TEXTS, tokenizer) == expected
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    for predictions in (TEXTS, ids):
        assert nll_scores(str(tmp_path), predictions) == expected
        assert load("textgan_nll").compute(predictions=predictions, model=str(tmp_path)) == expected
    # An empty text costs its EOS.
    assert nll_scores(model, ["", "a"], tokenizer)["num_tokens"] == 3


def test_interval_of_the_nll(one_thread):
    model = randomize(tiny_gpt2(vocab_size=6))
    source = random.Random(0)
    rows = [[*source.choices(range(3, 6), k=source.randint(1, 8)), EOS] for _ in range(100)]
    scores = nll_scores(model, rows, num_bootstrap=400, seed=2)
    tokens = np.array([len(row) for row in rows])
    error = np.std(sequence_nll(model, rows) - scores["nll_per_token"] * tokens) / tokens.mean() / 10
    low, high = scores["nll_per_token_interval"]
    assert low < scores["nll_per_token"] < high
    width = high - low
    assert width == pytest.approx(2 * 1.96 * error, rel=0.2)
    assert (scores["num_bootstrap"], scores["confidence"], scores["seed"]) == (400, 0.95, 2)


@pytest.mark.parametrize(
    ("predictions", "options", "error", "message"),
    [
        ([], {}, ValueError, "0 predictions"),
        ("abc", {}, TypeError, r"one string \('abc'\)"),
        (["a", [1]], {}, TypeError, "mix texts and token ids"),
        (["a"], {}, ValueError, "pass tokenizer, or token ids"),
        ([[3], []], {}, ValueError, "Sequence 1 has no tokens"),
        ([[3, 6]], {}, ValueError, "Sequence 0 has the id 6; the ids of the model are 0 to 5"),
        ([[-1, 3]], {}, ValueError, "Sequence 0 has the id -1"),
        ([[3] * 33], {}, ValueError, "33 tokens and the model 32 positions"),
        ([[3]], {"num_bootstrap": -2}, ValueError, "num_bootstrap=-2"),
    ],
)
def test_errors_of_the_nll(predictions, options, error, message):
    with pytest.raises(error, match=message):
        nll_scores(tiny_gpt2(vocab_size=6), predictions, **options)


def test_more_errors_of_the_nll():
    model = tiny_gpt2(vocab_size=6, bos_token_id=None)
    with pytest.raises(ValueError, match="no bos_token_id"):
        nll_scores(model, [[3]])
    with pytest.raises(ValueError, match="no bos_token_id"):
        draw_sequences(model, 2, 3)
    with pytest.raises(ValueError, match="max_length=0"):
        draw_sequences(tiny_gpt2(), 2, 0)
    with pytest.raises(TypeError, match="is a string"):
        sequence_nll(tiny_gpt2(), ["ab"])
    with pytest.raises(TypeError, match="model is missing"):
        load("textgan_nll").compute(predictions=[[1]])


# MAUVE


def test_mauve_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "mauve", None)
    with pytest.raises(ImportError, match="MAUVE needs the package mauve-text .*; run `pip install mauve-text`."):
        mauve_score(np.zeros((4, 2)), np.zeros((4, 2)))
    with pytest.raises(ImportError, match="pip install mauve-text"):
        load("textgan_mauve").compute(predictions=TEXTS, references=REAL)


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


# Categories


def labelled(seed, num_sentences, share=0.8):
    """Sentences of which most have words of their category."""
    source = random.Random(seed)
    sentences, labels = [], []
    for index in range(num_sentences):
        label = index % 3
        own = source.random() < share
        kind = label if own else source.randrange(3)
        sentences.append([f"w{source.randrange(5) + (5 * kind if source.random() < 0.5 else 20)}" for _ in range(6)])
        labels.append(label)
    return sentences, labels


def test_classifier_is_at_the_minimum_of_its_loss():
    sentences, labels = labelled(0, 90)
    classifier = NgramClassifier(l2=0.7).fit(sentences, labels)

    # The loss written out sentence by sentence, with dictionaries.
    weights = {ngram: classifier._weights[place].numpy() for ngram, place in classifier._places.items()}

    def loss(weights, biases):
        total = 0.35 * sum((row**2).sum() for row in weights.values())
        for sentence, label in zip(sentences, labels, strict=True):
            ngrams = [(word,) for word in sentence] + list(zip(sentence, sentence[1:], strict=False))
            scores = biases + sum(weights[ngram] for ngram in ngrams) / math.sqrt(len(ngrams))
            total += math.log(np.exp(scores).sum()) - scores[label]
        return total

    biases = classifier._biases.numpy()
    lowest = loss(weights, biases)
    source = np.random.default_rng(0)
    for size in (1e-1, 1e-2):
        for _ in range(20):
            moved = {ngram: row + size * source.normal(size=3) for ngram, row in weights.items()}
            assert loss(moved, biases + size * source.normal(size=3)) > lowest
    for place in range(3):  # a minimum is flat
        step = 1e-4 * np.eye(3)[place]
        assert abs(loss(weights, biases + step) - loss(weights, biases - step)) / 2e-4 < 1e-4
        ngram = ("w0",)
        up, down = ({**weights, ngram: weights[ngram] + sign * step} for sign in (1, -1))
        assert abs(loss(up, biases) - loss(down, biases)) / 2e-4 < 1e-4


def test_category_accuracy_of_real_and_of_wrong_labels():
    train, train_labels = labelled(1, 300)
    test, test_labels = labelled(2, 150)
    generated, requested = labelled(3, 150)
    scores = category_accuracy(generated, requested, train, train_labels, test, test_labels)
    assert 0.6 < scores["real_accuracy"] < 0.95
    assert abs(scores["accuracy"] - scores["real_accuracy"]) < 0.12
    # Sentences with all words of their category: a caricature.
    perfect = category_accuracy(*labelled(4, 150, share=1.0), train, train_labels, test, test_labels)
    assert perfect["accuracy"] > scores["real_accuracy"] + 0.05
    wrong = [(label + 1) % 3 for label in requested]
    assert category_accuracy(generated, wrong, train, train_labels, test, test_labels)["accuracy"] < 0.3
    # Totals are means over the labels, which are equally frequent here.
    assert scores["accuracy"] == pytest.approx(np.mean([scores[f"accuracy_{label}"] for label in range(3)]))
    assert [scores[f"num_{part}"] for part in ("generated", "test", "train")] == [150, 150, 300]


@pytest.mark.invariant
def test_category_accuracy_does_not_depend_on_the_order():
    train, test, generated = labelled(1, 90), labelled(2, 60), labelled(3, 60)
    expected = category_accuracy(*generated, *train, *test, num_bootstrap=30)
    source = random.Random(0)

    def mixed(sentences, labels):
        order = source.sample(range(len(labels)), len(labels))
        return [sentences[i] for i in order], [labels[i] for i in order]

    assert category_accuracy(*mixed(*generated), *mixed(*train), *mixed(*test), num_bootstrap=30) == expected


def test_category_accuracy_by_hand():
    train = [["good"], ["good", "film"], ["bad"], ["bad", "film"]]
    generated, requested = [["good"], ["bad"], ["good", "day"], ["good"]], ["p", "p", "p", "n"]
    options = {"train": train, "train_labels": list("ppnn"), "test": [["good"]], "test_labels": ["p"]}
    scores = category_accuracy(generated, requested, **options, num_bootstrap=200)
    assert scores["accuracy"] == 0.5
    assert scores["accuracy_p"] == pytest.approx(2 / 3)
    assert (scores["accuracy_n"], scores["real_accuracy"], scores["real_accuracy_p"]) == (0.0, 1.0, 1.0)
    assert math.isnan(scores["real_accuracy_n"])
    low, high = scores["accuracy_interval"]
    assert 0 <= low < 0.5 < high <= 1


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"generated": []}, ValueError, "0 generated sentences"),
        ({"requested": ["p"]}, ValueError, "2 generated sentences and 1 labels"),
        ({"requested": ["p", "x"]}, ValueError, "requested has the label 'x' and train_labels only"),
        ({"test_labels": ["y"]}, ValueError, "test_labels has the label 'y'"),
        ({"train_labels": ["p", "p"]}, ValueError, "All training sentences have the label 'p'"),
        ({"test": ["a b"]}, TypeError, "Sentence 0 of the test sentences is a string"),
        ({"l2": 0}, ValueError, "l2=0 is not positive"),
        ({"num_bootstrap": -1}, ValueError, "num_bootstrap=-1"),
    ],
)
def test_errors_of_category_accuracy(changes, error, message):
    options = {
        "generated": [["a"], ["b"]],
        "requested": ["p", "n"],
        "train": [["a"], ["b"]],
        "train_labels": ["p", "n"],
        "test": [["a"]],
        "test_labels": ["p"],
    }
    assert category_accuracy(**options)["accuracy"] == 1
    with pytest.raises(error, match=message):
        category_accuracy(**{**options, **changes})


# Modules


@pytest.mark.parametrize("name", MODULES)
def test_doctests_of_a_module_run(name):
    if name == "textgan_mauve" and not has_mauve:
        pytest.skip("mauve-text is not installed")
    module = load(name)
    test = doctest.DocTestParser().get_doctest(module.inputs_description, {}, name, None, 0)
    assert len(test.examples) > 3
    runner = doctest.DocTestRunner()
    runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_what_a_space_needs(name):
    folder = FOLDER / name
    front, card = (folder / "README.md").read_text().split("---\n")[1:3]
    lines = front.splitlines()
    assert {"sdk: gradio", "app_file: app.py", "- evaluate", "- metric"} <= set(lines)
    assert any(line.startswith("title: ") for line in lines)
    for heading in ("Metric description", "How to use", "Output values", "Limitations and bias", "Citation"):
        assert f"## {heading}\n" in card
    assert {"evaluate", "datasets", "numpy"} <= set((folder / "requirements.txt").read_text().split())
    helpers = [path for path in folder.glob("*.py") if path.name not in (f"{name}.py", "app.py")]
    assert helpers
    for path in helpers:
        assert path.is_symlink() and path.readlink() == Path("..", path.name)
        assert (folder / f"{name}.py").read_text().count(f"from .{path.stem} import")


@pytest.mark.parametrize("name", MODULES)
def test_the_form_of_a_space_computes(name, monkeypatch, tmp_path):
    if name == "textgan_mauve" and not has_mauve:
        pytest.skip("mauve-text is not installed")
    launched = []
    monkeypatch.setattr(evaluate.utils, "launch_gradio_widget", launched.append)
    runpy.run_path(str(FOLDER / name / "app.py"))
    options = {}
    if "references" in launched[0].features:
        assert list(launched[0].features) == ["predictions", "references"]  # columns of equal length
        options["references"] = REAL[: len(TEXTS)]
    if name == "textgan_nll":  # a small model in place of GPT-2
        tokenizer = word_tokenizer(REAL)
        tiny_gpt2(vocab_size=len(tokenizer)).save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        options["model"] = str(tmp_path)
        assert list(launched[0].features) == ["predictions"]
    results = launched[0].compute(predictions=TEXTS, **options)
    assert any(isinstance(value, float) and math.isfinite(value) for value in results.values())


@pytest.mark.slow
def test_modules_work_without_the_library_and_the_network(tmp_path):
    for name in MODULES:
        shutil.copytree(FOLDER / name, tmp_path / "copies" / name)  # files in place of links, as in a Space
    code = """
import sys
sys.modules["hf_textgan"] = None  # importing it fails
import evaluate
real = ["a dog runs .", "a cat runs .", "a dog sleeps ."]
for name in sys.argv[1:]:
    module = evaluate.load(f"copies/{name}")
    if name == "lm_score":
        print(module.compute(predictions=real, references=real)["num_tokens"])
    if name == "frechet_embedding_distance":
        print(module.compute(predictions=real, references=real)["num_references"])
"""
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code, *MODULES],
        cwd=tmp_path,
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["3", "15"]


def test_lm_score_is_that_of_the_functions():
    split = [text.split() for text in REAL]
    generated = [text.split() for text in TEXTS]
    module = load("lm_score")
    forward = module.compute(predictions=TEXTS, references=REAL, order=3, num_bootstrap=10, seed=4)
    assert forward.pop("direction") == "forward"
    assert forward == forward_nll(split, generated, order=3, num_bootstrap=10, seed=4)
    words = ["a", "dog", "cat"]
    reverse = module.compute(predictions=TEXTS, references=REAL[:2], direction="reverse", vocabulary=words)
    assert reverse.pop("direction") == "reverse"
    assert reverse == reverse_nll(generated, split[:2], words)
    # The words that occur twice in REAL.
    words = ["a", "dog", "cat", "runs", "sleep", "."]
    expected = reverse_nll(generated, split[:2], words)["nll_per_token"]
    reverse = module.compute(predictions=TEXTS, references=REAL[:2], direction="reverse", train=REAL)
    assert reverse["nll_per_token"] == expected


def test_frechet_embedding_distance_is_that_of_the_functions():
    scores = load("frechet_embedding_distance").compute(predictions=TEXTS, references=REAL, dimension=16)
    points = [hashed_ngram_embedding([text.split() for text in texts], 16) for texts in (TEXTS, REAL)]
    assert scores == {
        "frechet_embedding_distance": frechet_distance(*points),
        "embedding": "hashed-ngrams-16",
        "dimension": 16,
        "num_predictions": 4,
        "num_references": 5,
    }


def test_frechet_embedding_distance_of_a_model(one_thread, tmp_path):
    tokenizer = word_tokenizer(REAL)
    randomize(tiny_gpt2(vocab_size=len(tokenizer))).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    module = load("frechet_embedding_distance")
    scores = module.compute(predictions=TEXTS, references=REAL, embedding=str(tmp_path))
    assert (scores["embedding"], scores["dimension"]) == (str(tmp_path), 16)
    assert scores["frechet_embedding_distance"] > 0.01
    same = module.compute(predictions=REAL, references=REAL[::-1], embedding=str(tmp_path))
    assert same["frechet_embedding_distance"] == pytest.approx(0, abs=1e-6)


def test_textgan_mauve_names_its_embedding():
    pytest.importorskip("mauve")
    scores = load("textgan_mauve").compute(predictions=REAL, references=REAL, num_clusters=2, dimension=32)
    assert (scores["mauve"], scores["embedding"], scores["num_references"]) == (1.0, "hashed-ngrams-32", 5)


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("lm_score", {}, TypeError, "references is missing"),
        ("lm_score", {"references": "a b"}, TypeError, "references is one string"),
        ("lm_score", {"references": ["a", 1]}, TypeError, "Text 1 of references is 1"),
        ("lm_score", {"references": REAL, "direction": "both"}, ValueError, "direction='both' is unknown"),
        ("lm_score", {"references": REAL, "direction": "reverse"}, ValueError, "pass train, the real training texts"),
        ("frechet_embedding_distance", {}, TypeError, "references is missing"),
        ("frechet_embedding_distance", {"references": ["a"]}, ValueError, "y has 1 points"),
        ("textgan_mauve", {}, TypeError, "references is missing"),
        ("lm_score", {"predictions": [], "references": REAL}, ValueError, "0 generated sentences"),
        ("textgan_nll", {"predictions": []}, ValueError, "0 predictions"),
        ("textgan_nll", {"predictions": [3, 4]}, TypeError, r"predictions\[0\] is 3"),
        ("category_accuracy", {}, TypeError, "requested is missing"),
    ],
)
def test_errors_of_modules(name, options, error, message):
    with pytest.raises(error, match=message):
        load(name).compute(**{"predictions": TEXTS, **options})


@pytest.mark.parametrize("name", MODULES)
def test_added_batches_have_no_references(name):
    with pytest.raises(ValueError, match="^add_batch takes predictions only.*; leave references= out.$"):
        load(name).add_batch(predictions=TEXTS, references=REAL)


def test_batches_and_references_of_other_numbers():
    module = load("lm_score")
    expected = module.compute(predictions=TEXTS, references=REAL)
    module.add_batch(predictions=TEXTS[:1])
    module.add_batch(predictions=TEXTS[1:])
    assert module.compute(references=REAL) == expected
