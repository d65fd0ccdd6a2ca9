"""The metrics as modules of evaluate: what holds for all of them, and the modules around functions."""

import doctest
import importlib.util
import inspect
import json
import random
import re
from pathlib import Path

import evaluate
import pytest
import yaml

import hf_textgan.metrics
from hf_textgan.data.tokenizers import word_tokenizer
from hf_textgan.metrics import available, describe, load
from hf_textgan.metrics.embeddings import hashed_ngram_embedding
from hf_textgan.metrics.frechet import frechet_distance
from hf_textgan.metrics.language_model import forward_nll, reverse_nll
from hf_textgan.metrics.variants import BLEU_VARIANTS, JSD_VARIANTS, SELF_BLEU_VARIANTS
from tests.helpers import randomize, tiny_gpt2
from tests.metrics.texts import (
    NGRAM_METRICS,
    REAL_TEXT_LABEL,
    REFERENCES,
    TEXTS,
    WITH_REFERENCES,
    compute,
    random_texts,
)


FOLDER = Path(hf_textgan.metrics.__file__).parent
ROOT = Path(__file__).parents[2]
NAMES = [
    "category_accuracy",
    "distinct_n",
    "frechet_embedding_distance",
    "lm_score",
    "ms_jaccard",
    "ngram_jsd",
    "novelty",
    "self_bleu",
    "textgan_bleu",
    "textgan_mauve",
    "textgan_nll",
]

# ---- Loading --------------------------------------------------------------------------------------------------------


def test_available():
    assert available() == NAMES
    with pytest.raises(ValueError, match="^There is no metric 'bleu'; use one of .*distinct_n, .*, textgan_bleu"):
        load("bleu")


@pytest.mark.parametrize("name", NAMES)
def test_load_by_path_from_another_folder(name, tmp_path, monkeypatch):
    folder = FOLDER / name
    files = {path.name for path in folder.iterdir() if path.name != "__pycache__"}
    assert files == {f"{name}.py", "README.md"} and not any(path.is_symlink() for path in folder.iterdir())
    monkeypatch.chdir(tmp_path)
    copy = Path(inspect.getfile(type(evaluate.load(str(folder)))))
    assert copy != folder / f"{name}.py" and copy.read_text() == (folder / f"{name}.py").read_text()
    assert {path.name for path in copy.parent.glob("*.py")} == {f"{name}.py", "__init__.py"}  # the rest is imported


def test_load_through_the_class():
    from hf_textgan.metrics.textgan_bleu.textgan_bleu import TextganBleu

    assert TextganBleu().compute(predictions=["dog"], references=REFERENCES, variant="vgan")["bleu_2"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_examples_of_the_documentation_run(modules, name):
    if name == "textgan_mauve" and importlib.util.find_spec("mauve") is None:
        pytest.skip("mauve-text is not installed")
    module = inspect.getmodule(type(modules[name]))
    examples = doctest.DocTestParser().get_doctest(module._KWARGS_DESCRIPTION, {}, name, name, 0)
    assert len(examples.examples) >= 2
    assert doctest.DocTestRunner().run(examples).failed == 0
    # evaluate appends the description of the arguments, and the card has the citation.
    assert module._KWARGS_DESCRIPTION in modules[name].compute.__doc__
    assert modules[name].citation == module._CITATION


# ---- Cards ----------------------------------------------------------------------------------------------------------


def numbers_of(node, names):
    """All values that these metrics have anywhere in the record, as a card shows them."""
    for key, value in node.items():
        if key in names:
            yield from (f"{x:.3f}" for x in all_floats(value))
        elif isinstance(value, dict):
            yield from numbers_of(value, names)


def all_floats(node):
    if isinstance(node, float):
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from all_floats(value)


@pytest.mark.parametrize("name", NAMES)
def test_cards(modules, name):
    _, front, body = (FOLDER / name / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(front)
    assert front["sdk"] == "gradio" and front["app_file"] == "app.py" and front["tags"] == ["evaluate", "metric"]
    assert front["title"] and describe(name) == front["description"].strip() and "\n" not in describe(name)
    headings = ("How to use", "Values", "Limits", "Calibration")
    if name not in NGRAM_METRICS:
        headings = ("Metric description", "How to use", "Output values", "Limitations and bias")
    for heading in (*headings, "Citation"):
        assert f"\n## {heading}\n" in body
    assert modules[name].citation in body
    assert f"`textgan metrics export OUT {name}`" in body


@pytest.mark.parametrize("name", NGRAM_METRICS)
def test_numbers_and_variants_of_cards(name):
    body = (FOLDER / name / "README.md").read_text()
    variants = {"textgan_bleu": BLEU_VARIANTS, "self_bleu": SELF_BLEU_VARIANTS, "ngram_jsd": JSD_VARIANTS}
    for variant in variants.get(name, []):
        assert f"`{variant}`" in body
    measured = json.loads((ROOT / "benchmarks" / "results" / "metric_calibration_ngrams.json").read_text())
    known = set(numbers_of(measured["values"], (name, f"{name}_iwgan")))
    figures = re.findall(r"(?<![\w.])\d+\.\d+", body.split("## Calibration")[1].split("\n## ")[0])
    assert len(figures) >= 40 and set(figures) <= known


# ---- Batches and the order of sentences -----------------------------------------------------------------------------


@pytest.mark.invariant
@pytest.mark.parametrize("name", NGRAM_METRICS)
def test_the_order_of_sentences_does_not_matter(modules, name):
    predictions, references = random_texts(1, 80), random_texts(2, 90)
    given = references if name in WITH_REFERENCES else None
    result = compute(modules, name, predictions, given, num_bootstrap=10)
    assert sum(key.endswith("_interval") for key in result) >= 4
    rng = random.Random(0)
    for _ in range(2):
        rng.shuffle(predictions)
        rng.shuffle(references)
        given = references if name in WITH_REFERENCES else None
        assert compute(modules, name, predictions, given, num_bootstrap=10) == result


@pytest.mark.parametrize("name", NGRAM_METRICS)
def test_lists_of_tokens_and_added_batches(modules, name):
    predictions, references = random_texts(3, 20), random_texts(4, 30)
    given = references if name in WITH_REFERENCES else None
    result = compute(modules, name, predictions, given)
    split = [text.split() for text in references] if given else None
    assert compute(modules, name, [text.split() for text in predictions], split) == result
    assert compute(modules, name, tuple(predictions), given and tuple(given)) == result
    modules[name].add_batch(predictions=predictions[:7])
    modules[name].add_batch(predictions=predictions[7:])
    assert modules[name].compute(references=given) == result
    assert json.loads(json.dumps(result)) == result  # plain numbers


def test_a_module_with_cache_files():
    """By default evaluate keeps predictions in files of its own."""
    module = load("distinct_n")
    for text in ("a b", "a"):
        module.add_batch(predictions=[text])
    assert module.compute(max_order=1) == {"distinct_1": 2 / 3, "num_predictions": 2}
    assert module.compute(predictions=["a"], max_order=1) == {"distinct_1": 1.0, "num_predictions": 1}


def test_batches_and_references_of_other_numbers(modules):
    module = modules["lm_score"]
    expected = module.compute(predictions=TEXTS, references=REAL_TEXT_LABEL)
    module.add_batch(predictions=TEXTS[:1])
    module.add_batch(predictions=TEXTS[1:])
    assert module.compute(references=REAL_TEXT_LABEL) == expected


def test_a_module_works_after_an_error(modules):
    with pytest.raises(ValueError, match="sentences without tokens"):
        compute(modules, "distinct_n", ["a", ""])
    assert compute(modules, "distinct_n", ["a"], max_order=1) == {"distinct_1": 1.0, "num_predictions": 1}


@pytest.mark.parametrize("name", NAMES)
def test_batches_have_no_references(modules, name):
    with pytest.raises(ValueError, match="^add_batch takes predictions only.*; leave references= out.$"):
        modules[name].add_batch(predictions=TEXTS, references=REAL_TEXT_LABEL)


def test_errors_of_batches(modules):
    with pytest.raises(ValueError, match="^add_batch takes predictions only, references go to compute; leave refer"):
        modules["textgan_bleu"].add_batch(predictions=["a"], references=["a"])
    message = r"^predictions\[1\]=3 is not a string; pass only strings or only lists of tokens.$"
    with pytest.raises(TypeError, match=message):
        modules["textgan_bleu"].add_batch(predictions=["a", 3])


# ---- Modules around functions ---------------------------------------------------------------------------------------


def test_lm_score_is_that_of_the_functions(modules):
    split = [text.split() for text in REAL_TEXT_LABEL]
    generated = [text.split() for text in TEXTS]
    module = modules["lm_score"]
    forward = module.compute(predictions=TEXTS, references=REAL_TEXT_LABEL, order=3, num_bootstrap=10, seed=4)
    assert forward.pop("direction") == "forward"
    assert forward == forward_nll(split, generated, order=3, num_bootstrap=10, seed=4)
    words = ["a", "dog", "cat"]
    reverse = module.compute(predictions=TEXTS, references=REAL_TEXT_LABEL[:2], direction="reverse", vocabulary=words)
    assert reverse.pop("direction") == "reverse"
    assert reverse == reverse_nll(generated, split[:2], words)
    # The words that occur twice in REAL_TEXT_LABEL.
    words = ["a", "dog", "cat", "runs", "sleep", "."]
    expected = reverse_nll(generated, split[:2], words)["nll_per_token"]
    reverse = module.compute(
        predictions=TEXTS, references=REAL_TEXT_LABEL[:2], direction="reverse", train=REAL_TEXT_LABEL
    )
    assert reverse["nll_per_token"] == expected


def test_frechet_embedding_distance_is_that_of_the_functions(modules):
    scores = modules["frechet_embedding_distance"].compute(predictions=TEXTS, references=REAL_TEXT_LABEL, dimension=16)
    points = [hashed_ngram_embedding([text.split() for text in texts], 16) for texts in (TEXTS, REAL_TEXT_LABEL)]
    assert scores == {
        "frechet_embedding_distance": frechet_distance(*points),
        "embedding": "hashed-ngrams-16",
        "dimension": 16,
        "num_predictions": 4,
        "num_references": 5,
    }


def test_frechet_embedding_distance_of_a_model(modules, one_thread, tmp_path):
    tokenizer = word_tokenizer(REAL_TEXT_LABEL)
    randomize(tiny_gpt2(vocab_size=len(tokenizer))).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    module = modules["frechet_embedding_distance"]
    scores = module.compute(predictions=TEXTS, references=REAL_TEXT_LABEL, embedding=str(tmp_path))
    assert (scores["embedding"], scores["dimension"]) == (str(tmp_path), 16)
    assert scores["frechet_embedding_distance"] > 0.01
    same = module.compute(predictions=REAL_TEXT_LABEL, references=REAL_TEXT_LABEL[::-1], embedding=str(tmp_path))
    assert same["frechet_embedding_distance"] == pytest.approx(0, abs=1e-6)


# ---- Errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("lm_score", {}, TypeError, "references is missing"),
        ("lm_score", {"references": "a b"}, TypeError, "references='a b' is not a list"),
        ("lm_score", {"references": ["a", 1]}, TypeError, r"references\[1\]=1 is not a string"),
        ("lm_score", {"references": REAL_TEXT_LABEL, "direction": "both"}, ValueError, "direction='both' is unknown"),
        (
            "lm_score",
            {"references": REAL_TEXT_LABEL, "direction": "reverse"},
            ValueError,
            "pass train, the real training texts",
        ),
        ("frechet_embedding_distance", {}, TypeError, "references is missing"),
        ("frechet_embedding_distance", {"references": ["a"]}, ValueError, "y has 1 points"),
        ("textgan_mauve", {}, TypeError, "references is missing"),
        ("lm_score", {"predictions": [], "references": REAL_TEXT_LABEL}, ValueError, "predictions has 0 sentences"),
        ("textgan_nll", {"predictions": []}, ValueError, "0 predictions"),
        ("textgan_nll", {"predictions": [3, 4]}, TypeError, r"predictions\[0\] is 3"),
        ("category_accuracy", {}, TypeError, "requested is missing"),
    ],
)
def test_errors_of_modules(modules, name, options, error, message):
    with pytest.raises(error, match=message):
        modules[name].compute(**{"predictions": TEXTS, **options})


@pytest.mark.parametrize(
    ("name", "predictions", "references", "options", "error", "message"),
    [
        (
            "textgan_bleu",
            None,
            ["a"],
            {},
            TypeError,
            "predictions is missing; pass predictions=[...], a list of sentences.",
        ),
        (
            "textgan_bleu",
            ["a"],
            None,
            {},
            TypeError,
            "references is missing; pass references=[...], a list of sentences.",
        ),
        ("distinct_n", [], None, {}, ValueError, "predictions has 0 sentences; pass at least 1."),
        ("novelty", ["a"], [], {}, ValueError, "references has 0 sentences; pass at least 1."),
        ("distinct_n", "a dog", None, {}, TypeError, "predictions='a dog' is not a list; pass a list of sentences."),
        ("novelty", ["a"], 3, {}, TypeError, "references=3 is not a list; pass a list of sentences."),
        (
            "distinct_n",
            ["a", 5],
            None,
            {},
            TypeError,
            "predictions[1]=5 is not a string; pass only strings or only lists of tokens.",
        ),
        (
            "distinct_n",
            [None, "a"],
            None,
            {},
            TypeError,
            "predictions[0]=None is not a list of tokens; pass only strings or only lists of tokens.",
        ),
        (
            "ms_jaccard",
            ["a"],
            [["a"], "b"],
            {},
            TypeError,
            "references[1]='b' is not a list of tokens; pass only strings or only lists of tokens.",
        ),
        (
            "distinct_n",
            [["a"], ["b", 7]],
            None,
            {},
            TypeError,
            "predictions[1] has the token 7; pass tokens as strings.",
        ),
        (
            "distinct_n",
            ["a", "", "b", " "],
            None,
            {},
            ValueError,
            "predictions has sentences without tokens (2 of 4, the first at index 1); drop them and report how "
            "many there were.",
        ),
        (
            "textgan_bleu",
            ["a"],
            ["a", "b", ""],
            {},
            ValueError,
            "references has sentences without tokens (1 of 3, the first at index 2); drop them and report how "
            "many there were.",
        ),
        (
            "textgan_bleu",
            ["a"],
            ["a"],
            {"variant": "seqgan"},
            ValueError,
            "There is no variant 'seqgan'; use one of standard, texygen, textgan-pytorch, relgan, textbox, vgan, "
            "textkd-gan.",
        ),
        (
            "self_bleu",
            ["a", "b"],
            None,
            {"variant": "vgan"},
            ValueError,
            "There is no variant 'vgan'; use one of standard, texygen, textgan-pytorch, relgan, textbox.",
        ),
        (
            "self_bleu",
            ["a", "b"],
            None,
            {"variant": "textgan-pytorch"},
            TypeError,
            "references is missing; pass references=[...], a list of sentences.",
        ),
        (
            "self_bleu",
            ["a", "b"],
            ["c"],
            {},
            ValueError,
            "The variant 'standard' compares the predictions with each other; leave references= out.",
        ),
        (
            "self_bleu",
            ["a"],
            None,
            {},
            ValueError,
            "There is only 1 sentence to compare; Self-BLEU needs at least 2.",
        ),
        (
            "distinct_n",
            ["a"],
            ["a"],
            {},
            ValueError,
            "distinct_n uses the predictions only; leave references= out.",
        ),
        ("distinct_n", ["a"], None, {"max_order": 0}, ValueError, "max_order=0 is too small; use 1 or more."),
        ("novelty", ["a"], ["a"], {"max_order": 0}, ValueError, "max_order=0 is too small; use 1 or more."),
        ("ms_jaccard", ["a"], ["a"], {"max_order": -1}, ValueError, "max_order=-1 is too small; use 1 or more."),
        (
            "ngram_jsd",
            ["a"],
            ["a"],
            {"level": "byte"},
            ValueError,
            "There is no level 'byte'; use one of word, character.",
        ),
        (
            "ngram_jsd",
            ["a"],
            ["a"],
            {"level": "word", "variant": "iwgan"},
            ValueError,
            "level='word' contradicts the variant, which has 'character'; leave the level out.",
        ),
        (
            "ngram_jsd",
            [["a"]],
            ["a"],
            {"level": "character"},
            TypeError,
            "predictions[0]=['a'] is not a string; pass strings to count characters.",
        ),
        (
            "distinct_n",
            ["a"],
            None,
            {"num_bootstrap": 5},
            ValueError,
            "There is only 1 sentence to draw from; pass at least 2 or num_bootstrap=0.",
        ),
        (
            "distinct_n",
            ["a"],
            None,
            {"num_bootstrap": -1},
            ValueError,
            "num_bootstrap=-1 is negative; use 0 or more.",
        ),
        (
            "distinct_n",
            ["a"],
            None,
            {"num_bootstrap": "5"},
            TypeError,
            "num_bootstrap='5' is not a whole number; use 0 or more.",
        ),
        ("distinct_n", ["a"], None, {"seed": 0.5}, TypeError, "seed=0.5 is not a whole number; use 0 or more."),
        (
            "distinct_n",
            ["a"],
            None,
            {"confidence": 95},
            ValueError,
            "confidence=95 is not between 0 and 1; use for example 0.95.",
        ),
    ],
)
def test_errors_name_the_value_and_the_fix(modules, name, predictions, references, options, error, message):
    with pytest.raises(error) as caught:
        compute(modules, name, predictions, references, **options)
    assert str(caught.value) == message
