"""The model card: its numbers are those of the JSON files, no text can break it, and a changed card is kept."""

import json
import math
import re

import pytest
from huggingface_hub import ModelCard

from hf_textgan.objectives.mle import MLEObjective
from hf_textgan.trainer.card_facts import CardFacts, DatasetFacts, SystemFacts, read_facts
from hf_textgan.trainer.model_card import RENDERED_FILE, is_rendered, render_card, write_model_card
from hf_textgan.utils.files import strict_json, weights_digest
from tests.toys import length_metric, text_data, toy_trainer


EVIL = (
    "a\r\n---\nlicense: evil\n---\n# h | `x` ``` ```` <script>alert(1)</script> {{ 7*7 }} {% x %} \x00 [l](http://y)"
)


def facts(**changes) -> CardFacts:
    """Facts of a run of two phases, of which the models of step 8 are saved and not the last ones."""
    run = {
        "seed": 42,
        "world_size": 1,
        "num_train_examples": 1234,
        "train_data_checksum": 0xDEADBEEF,
        "max_length": 9,
        "objective": "SomeObjective",
        "hyperparameters": {"num_rollouts": 2},
        "phases": [
            {"name": "first", "iterations": 5, "updates": [{"player": "generator", "loss": "a_loss"}]},
            {"name": "second", "iterations": 5, "updates": [{"player": "generator", "loss": "b_loss", "repeat": 3}]},
        ],
        "saved": {
            "step": 8,
            "evaluated_at": 8,
            "generator": {
                "sampling": "autoregressive",
                "likelihood": "exact",
                "prompts": True,
                "temperature": True,
                "row_inputs": [],
                "has_text": True,
                "base_model": None,
                "adapter": False,
            },
            "players": {
                "generator": {
                    "class": "SomeGenerator",
                    "model_type": "textgan_recurrent",
                    "auto_class": "AutoModelForCausalLM",
                    "num_parameters": 5678,
                }
            },
            "num_eval_examples": 77,
            "commit": "c0ffee",
            "environment": {"CPU": "a processor", "GPU": "none", "hf_textgan": "1", "torch": "2"},
        },
    }
    evaluations = [
        {"phase": "first", "step": 5, "eval_nll_per_token": 3.25, "eval_bleu_4": 0.125, "eval_runtime": 1.0},
        {"phase": "second", "step": 8, "eval_nll_per_token": 3.5, "eval_bleu_4": 0.25, "eval_loss": 3.5},
        {"phase": "second", "step": 10, "eval_nll_per_token": 4.75, "eval_bleu_4": None},
    ]
    values = {
        "name": "folder",
        "run": run,
        "arguments": {"eval_num_samples": 1000, "eval_seed": 3, "temperature": 0.5, "output_dir": "runs/folder"},
        "metrics": {"steps": 10, "evaluations": evaluations, "warnings": []},
        "samples": ["one text", "another"],
    }
    return CardFacts(**{**values, **changes})


def system(**changes) -> SystemFacts:
    dataset = DatasetFacts("captions.txt", "file", "the file `captions.txt`")
    values = {
        "name": "somegan",
        "mode": "policy gradient",
        "title": "Some Paper",
        "bibtex": "@misc{x}",
        "url": None,
        "deviations": ("A deviation.",),
        "by_likelihood": False,
        "command": "textgan train somegan",
        "changed": [("num_rollouts", 2, 16)],
        "dataset": dataset,
    }
    return SystemFacts(**{**values, **changes})


def body(text: str) -> str:
    return ModelCard(text).text


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", body(text), re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[1]


def table_numbers(text: str) -> set[str]:
    """The numbers in the cells of the tables of a text, without the first and the last column."""
    cells = [row.strip("|").split("|")[1:-1] for row in text.splitlines() if re.match(r"\| `", row)]
    return {number for row in cells for cell in row for number in re.findall(r"-?\d[\d.e+-]*", cell)}


def json_numbers(value) -> set[str]:
    """All numbers of JSON, as a card writes them."""
    if isinstance(value, dict):
        return set().union(*map(json_numbers, value.values()))
    if isinstance(value, list):
        return set().union(*map(json_numbers, value))
    return {f"{value:.4g}"} if isinstance(value, int | float) and not isinstance(value, bool) else set()


def test_the_table_has_the_phases_the_saved_models_and_the_end():
    rows = [line for line in section(render_card(facts()), "Metrics").splitlines() if line.startswith("|")]
    assert rows[0].split(" | ")[1:4] == [
        "end of `first` (step 5)",
        "**this model** (step 8)",
        "end of the training (step 10)",
    ]
    assert rows[2].startswith("| `nll_per_token` | 3.25 | 3.5 | 4.75 | NLL of held-out text")
    assert rows[3].startswith("| `bleu_4` | 0.125 | 0.25 |  | BLEU-4")
    assert len(rows) == 4, "neither the loss nor the seconds are metrics"


def test_the_model_index_is_of_the_saved_models():
    data = ModelCard(render_card(facts(), system())).data
    results = {result.metric_type: result for result in data.eval_results}
    assert {key: result.metric_value for key, result in results.items()} == {"nll_per_token": 3.5, "bleu_4": 0.25}
    assert results["nll_per_token"].metric_name.endswith("nats per token (77 held-out texts)")
    assert results["bleu_4"].metric_name.endswith("(1,000 samples, 77 held-out texts, temperature 0.5)")
    assert results["bleu_4"].metric_args == {
        "num_samples": 1000,
        "num_references": 77,
        "temperature": 0.5,
        "seed": 3,
    }
    assert data.model_name == "folder" and results["bleu_4"].dataset_name == "captions.txt"


def test_an_evaluation_of_these_weights_replaces_that_of_the_training():
    evaluation = {
        "metrics": {"bleu_4": 0.375},
        "intervals": {"confidence": 0.95, "bleu_4": [0.3125, 0.4375]},
        "num_samples": 2000,
        "num_references": 70,
        "temperature": 1.0,
        "seed": 0,
    }
    card = render_card(facts(evaluation=evaluation))
    (result,) = ModelCard(card).data.eval_results
    assert result.metric_value == 0.375
    assert "(2,000 samples, 70 held-out texts, temperature 1, 95% interval 0.3125 to 0.4375)" in result.metric_name
    assert "| 0.375 (0.3125 to 0.4375) |" in section(card, "Metrics")


def test_models_without_an_evaluation_have_no_metrics():
    bare = facts(metrics={}, samples=[])
    card = render_card(bare)
    assert section(card, "Metrics").strip() == "The saved models were not evaluated."
    assert "## Samples" not in card and ModelCard(card).data.get("eval_results") is None


def test_without_a_baseline_the_card_says_so():
    assert "No MLE baseline was trained beside this model" in section(render_card(facts(), system()), "Metrics")
    with_baseline = render_card(facts(baseline={"step": 9, "eval_nll_per_token": 3.125}), system())
    assert "| 3.125 | NLL" in section(with_baseline, "Metrics")
    assert "No MLE baseline" not in with_baseline
    by_likelihood = render_card(facts(), system(by_likelihood=True))
    assert "itself trained by maximum likelihood" in section(by_likelihood, "Metrics")


def _with_generator(**changes) -> CardFacts:
    own = facts()
    own.saved["generator"].update(changes)
    return own


@pytest.mark.parametrize(
    ("changes", "library", "pipeline", "base", "relation"),
    [
        ({}, "transformers", "text-generation", None, None),
        ({"sampling": "one-shot", "prompts": False}, "transformers", None, None, None),
        ({"has_text": False}, "transformers", None, None, None),
        ({"sampling": "encoder-decoder"}, "transformers", None, None, None),
        ({"base_model": "org/lm"}, "transformers", "text-generation", "org/lm", "finetune"),
        ({"base_model": "org/lm", "adapter": True}, "peft", "text-generation", "org/lm", "adapter"),
        ({"base_model": "my-folder"}, "transformers", "text-generation", None, None),
    ],
)
def test_the_metadata_that_the_hub_reads(changes, library, pipeline, base, relation):
    data = ModelCard(render_card(_with_generator(**changes), system())).data
    assert (data.library_name, data.pipeline_tag) == (library, pipeline)
    assert (data.base_model, data.get("base_model_relation")) == (base, relation)
    assert data.tags == ["hf_textgan", "text-gan", "somegan", "policy-gradient"]
    assert data.license is None and data.datasets is None


def test_a_data_set_on_the_hub_is_named_and_a_file_has_its_hash():
    hub = DatasetFacts("org/data", "org/data", "`org/data` on the Hub", hub_name="org/data", eval_split="test")
    data = ModelCard(render_card(facts(), system(dataset=hub))).data
    assert data.datasets == ["org/data"]
    assert {(r.dataset_type, r.dataset_split) for r in data.eval_results} == {("org/data", "test")}
    file = {"name": "captions.txt", "bytes": 1024, "sha256": "ab" * 32}
    local = DatasetFacts("captions.txt", "file", "the file `captions.txt`", files={"train_file": file})
    card = render_card(facts(), system(dataset=local))
    assert f"| `train_file` | `captions.txt`, 1,024 bytes, SHA-256 `{'ab' * 32}` |" in section(card, "Training data")
    assert ModelCard(card).data.eval_results[0].dataset_args["sha256 of captions.txt"] == "ab" * 32
    assert "CRC-32 `deadbeef`" in card


# ---- Texts of others ----


def visible(text: str) -> str:
    """A card without what is shown as code."""
    blocks = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", body(text), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", "", blocks)


def test_no_text_breaks_a_card():
    own = facts(name=EVIL, samples=[EVIL, "`" * 9, "---", "", "x" * 3000], arguments={"output_dir": EVIL})
    own.metrics["warnings"] = [{"step": 1, "warning": EVIL}]
    own.metrics["stopped"] = {"reason": EVIL}
    own.metrics["evaluations"][1]["phase"] = EVIL
    own.metrics["evaluations"][1]["eval_" + EVIL] = 1.0
    own.saved["players"][EVIL] = {**own.saved["players"]["generator"], "class": EVIL, "model_type": EVIL}
    own.saved["environment"]["CPU"] = EVIL
    file = {"name": EVIL, "bytes": 1, "sha256": EVIL}
    dataset = DatasetFacts(EVIL, EVIL, "a file", config=EVIL, train_split=EVIL, files={EVIL: file})
    text = render_card(
        own,
        system(dataset=dataset, changed=[(EVIL, EVIL, EVIL)], command=f"textgan {EVIL}"),
        tags=[EVIL],
        repository=None,
    )
    assert "\r" not in text and "\x00" not in text
    card = ModelCard(text)
    assert str(card) == text, "the card is as huggingface_hub writes it"
    assert card.data.license is None and card.data.library_name == "transformers"
    shown = visible(text)
    assert re.findall(r"<(?!/?(?:details|summary)>)\w+", shown) == [], "no HTML of others"
    for active in ("<script", "[l](", "\n---\n", "\n# h"):
        assert active not in shown, active
    for line in shown.splitlines():
        if line.startswith("|"):  # as many cells as the head of its table
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4, 6), line
    assert "<details><summary>All hyperparameters</summary>" in text
    assert "x" * 501 not in text
    assert "{{ 7*7 }}" in text, "nothing is a template"


def test_a_fence_is_longer_than_any_run_of_backticks_in_the_samples():
    samples = section(render_card(facts(samples=["``````", "a"])), "Samples")
    assert "\n```````text\n``````\na\n```````\n" in samples


# ---- Files ----


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a short run of the trainer, without a system."""
    folder = tmp_path_factory.mktemp("card") / "run"
    trainer = toy_trainer(
        folder,
        eval_dataset=text_data()[1],
        text_metrics=length_metric,
        files=True,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="no",
    )
    trainer.train()
    trainer.save_model()
    return folder, trainer


def test_every_save_writes_a_card(run):
    folder, _ = run
    card = (folder / "README.md").read_text()
    assert is_rendered(card)
    assert "trained from scratch with the objective `SeqGANObjective`" in card
    assert "| `pretrain_generator` | 3 | `generator` by `mle_loss` |" in card
    first = (folder / "samples.txt").read_text().splitlines()[0]
    assert section(card, "Samples").split("```text\n")[1].splitlines()[0] == first
    assert "![metrics and losses over the iterations](curves.png)" in card and (folder / "curves.png").is_file()


def test_every_number_of_the_metrics_stands_in_a_json_file(run):
    folder, _ = run
    numbers = table_numbers(section((folder / "README.md").read_text(), "Metrics"))
    assert len(numbers) >= 8
    files = [json.loads(path.read_text()) for path in folder.glob("*.json") if path.name != "tokenizer.json"]
    known = json_numbers(json.loads((folder / "metrics.json").read_text()))
    assert numbers <= known, numbers - known
    for result in ModelCard.load(folder / "README.md").data.eval_results:
        assert f"{result.metric_value:.4g}" in known
    text = re.sub(r"^\|.*", "", section((folder / "README.md").read_text(), "Metrics"), flags=re.MULTILINE)
    stated = {number.replace(",", "") for number in re.findall(r"\b\d[\d,.]*\d\b|\b\d\b", text)}
    assert stated <= json_numbers(files) | {"17"}, stated


def test_the_python_of_a_card_runs(run, monkeypatch, capsys):
    folder, _ = run
    monkeypatch.chdir(folder.parent)
    code = re.findall(r"^```python\n(.*?)^```$", (folder / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(code) == 2
    for block in code:
        exec(compile(block, "README.md", "exec"), {})
    assert "'real'" in capsys.readouterr().out


def test_a_changed_card_is_kept_and_the_new_one_lies_beside_it(run, caplog):
    folder, trainer = run
    path = folder / "README.md"
    rendered = path.read_text()
    changed = rendered.replace("## Limits", "## My limits")
    path.write_text(changed)
    trainer.save_model()
    assert path.read_text() == changed
    assert "is not as it was rendered, so it is kept" in caplog.text
    assert is_rendered((folder / RENDERED_FILE).read_text())
    (folder / RENDERED_FILE).write_text("mine, too")
    trainer.save_model()
    assert (path.read_text(), (folder / RENDERED_FILE).read_text()) == (changed, "mine, too")
    path.write_text("no card of ours")
    write_model_card(folder)
    assert path.read_text() == "no card of ours"
    (folder / RENDERED_FILE).unlink()
    path.unlink()
    trainer.save_model()
    assert path.read_text() == rendered


def test_given_metadata_stay_at_the_next_save(run):
    folder, trainer = run
    trainer.create_model_card(license="mit", language="en", tags="captions")
    trainer.save_model()
    data = ModelCard.load(folder / "README.md").data
    assert (data.license, data.language) == ("mit", "en")
    assert data.tags == ["hf_textgan", "text-gan", "captions"]
    trainer.create_model_card(license="apache-2.0")
    assert ModelCard.load(folder / "README.md").data.license == "apache-2.0"
    with pytest.raises(ValueError, match="create_model_card was given tasks='x', but a card takes it from the run"):
        trainer.create_model_card(tasks="x")


def test_an_evaluation_of_other_weights_is_left_out(run):
    folder, _ = run
    path = folder / "evaluation.json"
    path.write_text(strict_json({"metrics": {"bleu_4": 0.5}, "weights_sha256": weights_digest(folder)}))
    assert read_facts(folder).evaluation["metrics"] == {"bleu_4": 0.5}
    path.write_text(strict_json({"metrics": {"bleu_4": 0.5}, "weights_sha256": "0" * 64}))
    assert read_facts(folder).evaluation == {}
    path.write_text("{damaged")
    assert read_facts(folder).evaluation == {}
    path.unlink()


def test_a_damaged_file_costs_the_card_and_not_the_save(run, caplog):
    folder, trainer = run
    good = (folder / "metrics.json").read_text()
    before = weights_digest(folder)
    (folder / "metrics.json").write_text('{"evaluations": [7]}')
    trainer.save_model()
    assert f"The model card of {folder} was not written (AttributeError: " in caplog.text
    assert weights_digest(folder) == before and (folder / "config.json").is_file()
    (folder / "metrics.json").write_text(good)
    trainer.save_model()


def test_the_saved_step_is_that_of_the_best_models(tmp_path):
    trainer = toy_trainer(
        tmp_path / "run",
        MLEObjective(),
        eval_dataset=text_data()[1],
        text_metrics=length_metric,
        files=True,
        pretrain_generator_steps=4,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        load_best_model_at_end=True,
        metric_for_best_model="nll_per_token",
        greater_is_better=True,  # the worst, which is not the last
        learning_rate=0.05,
    )
    trainer.train()
    trainer.save_model()
    saved = json.loads((tmp_path / "run" / "run.json").read_text())["saved"]
    evaluations = json.loads((tmp_path / "run" / "metrics.json").read_text())["evaluations"]
    worst = max(evaluations, key=lambda entry: entry["eval_nll_per_token"])
    assert saved["step"] == saved["evaluated_at"] == worst["step"] < evaluations[-1]["step"]
    facts_ = read_facts(tmp_path / "run")
    assert facts_.own_evaluation == worst
    sampled = (tmp_path / "run" / "samples" / f"step-{worst['step']:07d}.txt").read_text().splitlines()
    assert facts_.samples == sampled[:10]
    # The likelihood of the weights that are saved, and not that of the last step.
    assert math.isclose(trainer.evaluate()["eval_nll_per_token"], worst["eval_nll_per_token"], rel_tol=1e-6)
