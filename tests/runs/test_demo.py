"""The page of a trained generator: the texts that `textgan generate` gives, with scores; and its export as a Space."""

import importlib.util
import sys

import pytest
import torch
from huggingface_hub import SpaceCard

from hf_textgan.cli.demo import main
from hf_textgan.cli.errors import UserError
from hf_textgan.data.tokenizers import discriminator_tokenizer
from hf_textgan.evaluation.discriminators import score_texts
from hf_textgan.runs.demo import Demo, build_page, write_space
from hf_textgan.runs.folder import Run
from hf_textgan.runs.generate import generate_texts
from hf_textgan.sampling.capabilities import capabilities_of
from hf_textgan.sampling.engine import RolloutEngine
from tests.evaluation.test_generators import LabelsOnly
from tests.labelled import LabelledConfig
from tests.toys import text_data, toy_trainer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a run with a discriminator, without its training."""
    folder = tmp_path_factory.mktemp("demo") / "run"
    trainer = toy_trainer(folder)
    trainer.save_model()
    return folder, trainer


def test_the_page_draws_what_generate_prints_with_the_scores(folder):
    path, trainer = folder
    demo = Demo(str(path))
    rows = demo.draw(4, temperature=0.7, seed=3, prompt="a")
    assert [row[0] for row in rows] == generate_texts(str(path), 4, temperature=0.7, seed=3, prompt="a")
    assert demo.columns == ["text", "discriminator: probability of real"]
    tokenizer = discriminator_tokenizer(text_data()[0], 8)
    scores = score_texts(trainer.other_players["discriminator"], tokenizer, [row[0] for row in rows])
    assert [row[1] for row in rows] == pytest.approx(scores, abs=5e-5 + 1e-6)
    assert demo.draw(4, seed=3) != demo.draw(4, seed=4) and demo.draw(4, seed=3) == demo.draw(4, seed=3)
    assert demo.labels == [] and demo.curves() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_samples": 51}, "num_samples is 51; set it to a number from 1 to 50"),
        ({"num_samples": 0}, "num_samples is 0"),
        ({"temperature": 0.0}, "temperature is 0"),
        ({"seed": -1}, "seed is -1; set it to 0 or more"),
        ({"prompt": "unheard of"}, "has tokens that the model does not know"),
        ({"label": "news"}, "label is 'news'; choose one of \\(none\\)"),
    ],
)
def test_a_wrong_field_is_told_in_a_sentence(arguments, message, folder):
    with pytest.raises(ValueError, match=message):
        Demo(str(folder[0])).draw(**arguments)


def test_a_label_is_that_of_all_texts(folder):
    """A generator of two classes, of which each can write one token alone."""
    demo = Demo(str(folder[0]))
    tokenizer, _ = text_data()
    model = LabelsOnly(LabelledConfig(len(tokenizer), id2label={0: "dogs", 1: "cats"}, pad_token_id=0, bos_token_id=1))
    words = [tokenizer.convert_tokens_to_ids(word) for word in ("dogs", "cat")]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for label, word in enumerate(words):
            model.embed_labels.weight[label, label] = 100.0
            model.lm_head.weight[word, label] = 100.0
    special = (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id)
    demo.run = Run(model.eval(), tokenizer, RolloutEngine(2, *special), {})
    demo.capabilities = capabilities_of(model)
    assert demo.labels == ["dogs", "cats"]
    assert {row[0] for row in demo.draw(9, label="cats")} == {"cat cat"}
    assert {row[0] for row in demo.draw(9, label="dogs")} == {"dogs dogs"}
    assert {row[0] for row in demo.draw(9)} == {"cat cat", "dogs dogs"}
    with pytest.raises(ValueError, match="label is 'birds'; choose one of dogs, cats"):
        demo.draw(label="birds")


def test_without_gradio_the_command_says_how_to_install_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match="The page needs gradio, which is not installed; run pip install 'hf_textgan"):
        main([str(folder[0])])


def test_a_space_loads_the_generator_of_the_hub(tmp_path, capsys):
    assert main(["runs/seqgan", "--space", str(tmp_path / "space"), "--repository", "org/seqgan-coco"]) == 0
    assert "hf upload org/seqgan-coco-demo" in capsys.readouterr().out
    code = (tmp_path / "space" / "app.py").read_text()
    compile(code, "app.py", "exec")
    assert 'build_page("org/seqgan-coco").launch()' in code
    data = SpaceCard.load(tmp_path / "space" / "README.md").data
    assert (data.sdk, data.app_file, data.models) == ("gradio", "app.py", ["org/seqgan-coco"])
    assert (tmp_path / "space" / "requirements.txt").read_text().startswith("hf_textgan[demo]")
    write_space(tmp_path / "space", "org/other")  # its own files are written again
    (tmp_path / "space" / "mine.py").write_text("")
    with pytest.raises(ValueError, match="holds mine.py, which is no file of a Space; name an empty folder"):
        write_space(tmp_path / "space", "org/other")
    assert "org/other" in (tmp_path / "space" / "app.py").read_text()


@pytest.mark.parametrize("name", ["seqgan", "runs/seqgan", 'org/x"); import os; ("', "org/x\nhf: true"])
def test_a_space_of_no_repository_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="a Space loads a generator from the Hub, so give org/name"):
        write_space(tmp_path / "space", name)
    assert not (tmp_path / "space").exists()


def test_a_repository_belongs_to_a_space():
    with pytest.raises(
        UserError, match="--repository is 'org/x' and belongs to --space DIR; add --space, or leave it out"
    ):
        main(["runs/x", "--repository", "org/x"])
    with pytest.raises(UserError, match="runs/x is no repository of the Hub; add --repository org/name"):
        main(["runs/x", "--space", "space"])


@pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="gradio is not installed")
def test_the_page_answers(folder):
    from gradio_client import Client

    path, _ = folder
    page = build_page(str(path))
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True)
    try:
        client = Client(url, verbose=False)
        shown = client.predict(3, 0.7, 5, "a", "", api_name="/draw")
        with pytest.raises(Exception, match="&lt;b&gt;x"):  # an error is shown as HTML
            client.predict(3, 0.7, 5, "<b>x", "", api_name="/draw")
    finally:
        page.close()
    assert shown["headers"] == ["text", "discriminator: probability of real"]
    assert shown["data"] == Demo(str(path)).draw(3, 0.7, 5, "a")
