"""The export of metrics as self-contained folders, and the command that does it."""

import ast
import importlib.util
import math
import runpy
import shutil
import sys
import types
from pathlib import Path

import evaluate
import pandas as pd
import pytest

import hf_textgan.metrics
from hf_textgan.cli.main import main
from hf_textgan.data.tokenizers import word_tokenizer
from hf_textgan.metrics import available
from hf_textgan.metrics.export import export_metrics
from tests.helpers import tiny_gpt2
from tests.metrics.texts import REAL_TEXT_LABEL, TEXTS


FOLDER = Path(hf_textgan.metrics.__file__).parent
ROOT = Path(__file__).parents[2]
TWO_COLUMNS = {
    "frechet_embedding_distance",
    "lm_score",
    "ms_jaccard",
    "ngram_jsd",
    "novelty",
    "textgan_bleu",
    "textgan_mauve",
}


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spaces")
    assert export_metrics(folder) == [folder / name for name in available()]
    return folder


def skip_without_mauve(name):
    if name == "textgan_mauve" and importlib.util.find_spec("mauve") is None:
        pytest.skip("mauve-text is not installed")


def test_files_of_a_space(spaces):
    always = {"README.md", "app.py", "requirements.txt", "module_inputs.py", "sentences.py"}
    ngrams = always | {"bootstrap.py", "divergence.py", "ngrams.py"}
    expected = {
        "distinct_n": ngrams | {"distinct_n.py"},
        "ngram_jsd": ngrams | {"ngram_jsd.py", "variants.py"},
        "lm_score": always | {"bootstrap.py", "language_model.py", "lm_score.py"},
        "frechet_embedding_distance": always | {"embeddings.py", "frechet.py", "frechet_embedding_distance.py"},
    }
    for name, files in expected.items():
        assert {path.name for path in (spaces / name).iterdir()} == files
    assert (spaces / "distinct_n" / "requirements.txt").read_text() == "evaluate>=0.4.6\ndatasets>=4.0\nnumpy\n"
    mauve = (spaces / "textgan_mauve" / "requirements.txt").read_text().split()
    assert mauve == ["evaluate>=0.4.6", "datasets>=4.0", "mauve-text", "numpy", "torch", "transformers"]
    project = (ROOT / "pyproject.toml").read_text()
    assert '"evaluate>=0.4.6"' in project and '"datasets>=4.0"' in project


@pytest.mark.parametrize("name", available())
def test_imports_of_a_space(spaces, name):
    folder = spaces / name
    own = {path.stem for path in folder.glob("*.py")} - {"app", name}
    for path in folder.iterdir():
        assert path.is_file() and not path.is_symlink()
        if path.suffix != ".py":
            continue
        nodes = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom | ast.Import)
        ]
        modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 1}
        assert modules <= own
        assert not any("hf_textgan" in ast.unparse(node) for node in nodes)
        if path.stem == name:
            assert modules == own, "evaluate copies only the files that the script imports"
        elif path.stem in own:
            assert path.read_bytes() == (FOLDER / path.name).read_bytes()
    assert (folder / "README.md").read_bytes() == (FOLDER / name / "README.md").read_bytes()


def arguments(name, tmp_path):
    """Arguments with which every metric has a value."""
    if name == "textgan_nll":
        tokenizer = word_tokenizer(REAL_TEXT_LABEL)
        tiny_gpt2(vocab_size=len(tokenizer)).save_pretrained(tmp_path / "model")
        tokenizer.save_pretrained(tmp_path / "model")
        return {"model": str(tmp_path / "model")}
    if name == "category_accuracy":
        labels = {"requested": [0, 1, 0, 1], "train_labels": [0, 0, 0, 1, 1], "test_labels": [0, 0, 0, 1, 1]}
        return {"train": REAL_TEXT_LABEL, "test": REAL_TEXT_LABEL, **labels}
    return {"references": REAL_TEXT_LABEL} if name in TWO_COLUMNS else {}


@pytest.mark.parametrize("name", available())
def test_a_space_needs_no_package(spaces, name, tmp_path, monkeypatch, modules):
    skip_without_mauve(name)
    options = arguments(name, tmp_path)
    expected = modules[name].compute(predictions=TEXTS, **options)
    shutil.copytree(spaces / name, tmp_path / name)
    with open(tmp_path / name / f"{name}.py", "a") as script:
        script.write("# not a script that is imported already\n")
    for module in [key for key in sys.modules if key.partition(".")[0] == "hf_textgan"]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.chdir(tmp_path)
    assert evaluate.load(f"./{name}", keep_in_memory=True).compute(predictions=TEXTS, **options) == expected


@pytest.fixture
def pages(monkeypatch):
    """The pages that an app launches; gradio, which is not installed, is replaced."""
    launched = []

    class Interface:
        def __init__(self, fn, inputs, **options):
            self.fn, self.headers, self.options = fn, inputs["headers"], options

        def launch(self):
            launched.append(self)

    gradio = types.ModuleType("gradio")
    gradio.Interface = Interface
    gradio.inputs = types.SimpleNamespace(Dataframe=lambda **options: options)
    gradio.outputs = types.SimpleNamespace(Textbox=lambda **options: options)
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    return launched


@pytest.mark.filterwarnings("ignore:.*inplace keyword")
@pytest.mark.parametrize("name", [name for name in available() if name != "textgan_nll"])
def test_web_form(spaces, name, pages, monkeypatch):
    """The columns of the page reach the module."""
    skip_without_mauve(name)
    monkeypatch.setattr(sys, "path", [str(spaces / name), *sys.path])  # as `python app.py` has it
    runpy.run_path(str(spaces / name / "app.py"))
    (page,) = pages
    columns = {"predictions": TEXTS, "references": REAL_TEXT_LABEL[: len(TEXTS)]}
    assert list(page.headers) == (["predictions", "references"] if name in TWO_COLUMNS else ["predictions"])
    result = page.fn(pd.DataFrame({name: [f'"{text}"' for text in columns[name]] for name in page.headers}))
    assert any(isinstance(value, float) and math.isfinite(value) for value in result.values())
    assert page.options["article"].lstrip().startswith("# ")


def test_web_form_of_a_language_model(spaces, tmp_path, monkeypatch):
    launched = []
    monkeypatch.setattr(evaluate.utils, "launch_gradio_widget", launched.append)
    runpy.run_path(str(spaces / "textgan_nll" / "app.py"))
    assert list(launched[0].features) == ["predictions"]
    result = launched[0].compute(predictions=TEXTS, **arguments("textgan_nll", tmp_path))  # in place of GPT-2
    assert result["num_sequences"] == len(TEXTS)


def test_web_form_of_categories(modules):
    """The tiny classifier of the form calls what has the words of its positive texts positive."""
    predictions = ["a great story", "so boring"]
    module = modules["category_accuracy"]
    assert module.compute(predictions=predictions, **module.form_arguments(predictions))["accuracy"] == 0.5


def test_existing_folders(tmp_path):
    folder = tmp_path / "out" / "distinct_n"
    folder.mkdir(parents=True)
    assert export_metrics(tmp_path / "out", ["distinct_n", "distinct_n"]) == [folder], "empty folders are used"
    (folder / "app.py").write_text("mine")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"distinct_n exists and is not empty; use another folder, or overwrite it.$"):
        export_metrics(tmp_path / "out", ["novelty", "distinct_n"])
    assert not (tmp_path / "out" / "novelty").exists() and (folder / "app.py").read_text() == "mine"
    export_metrics(tmp_path / "out", ["distinct_n"], overwrite=True)
    assert "evaluate.load" in (folder / "app.py").read_text() and (folder / "notes.txt").read_text() == "mine"
    with pytest.raises(ValueError, match="^There is no metric 'bleu'; use one of category_accuracy, "):
        export_metrics(tmp_path / "out", ["bleu"])
    (tmp_path / "out" / "novelty").write_text("")
    with pytest.raises(NotADirectoryError, match="novelty is a file; use another folder.$"):
        export_metrics(tmp_path / "out", ["novelty"])


def test_command(tmp_path, capsys):
    assert main(["metrics", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == available()
    assert any(
        line.endswith("  Mean sentence BLEU of generated sentences against a whole set of real ones.")
        for line in lines
    )
    command = ["metrics", "export", str(tmp_path), "novelty", "self_bleu"]
    assert main(command) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "novelty"), str(tmp_path / "self_bleu")]
    assert main(command) == 2
    error = f"textgan metrics: {tmp_path / 'novelty'} exists and is not empty; use another folder, or overwrite it.\n"
    assert capsys.readouterr().err == error
    assert main([*command, "--overwrite"]) == 0
    assert main(["metrics", "export", str(tmp_path), "bleu"]) == 2
    assert "There is no metric 'bleu'" in capsys.readouterr().err
    assert main(["metrics"]) == 0
    assert "usage: textgan metrics" in capsys.readouterr().out
