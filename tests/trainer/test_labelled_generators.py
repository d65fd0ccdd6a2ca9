"""Runs of generators that read labels."""

import pytest
import torch

from hf_textgan import AdversarialTrainer, MLEObjective
from hf_textgan.trainer import validation
from tests.evaluation.test_generators import Bounded, LabelsOnly
from tests.helpers import randomize
from tests.labelled import LabelledConfig
from tests.toys import arguments, text_data, toy_trainer


torch.set_num_threads(1)


def with_labels(dataset) -> list[dict]:
    return [{"input_ids": dataset[i]["input_ids"], "labels": i % 2} for i in range(len(dataset))]


def labelled_trainer(output_dir, kind, **options):
    tokenizer, dataset = text_data()
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    model = randomize(kind(LabelledConfig(len(tokenizer), **special)), std=0.3)
    settings = {"max_steps": 0, "pretrain_discriminator_steps": 0, "eval_num_samples": 300}
    return AdversarialTrainer(
        model=model,
        args=arguments(output_dir, **settings),
        objective=MLEObjective(),
        train_dataset=with_labels(dataset),
        eval_dataset=with_labels(dataset)[:5],
        processing_class=tokenizer,
        **options,
    )


def test_labels_reach_the_loss_the_samples_and_the_metrics(tmp_path):
    seen = {}

    def text_metrics(texts, rows):
        seen["rows"] = [row["labels"] for row in rows]
        return {"texts": len(texts)}

    def sequence_metrics(samples):
        seen["labels"] = samples.inputs["class_labels"].tolist()
        return {}

    trainer = labelled_trainer(tmp_path, LabelsOnly, text_metrics=text_metrics, sequence_metrics=sequence_metrics)
    before = trainer.model.embed_labels.weight.detach().clone()
    trainer.train()
    assert (trainer.model.embed_labels.weight != before).any(1).all(), "both labels were trained"
    metrics = trainer.evaluate()
    assert seen["labels"] == seen["rows"] == [(number % 5) % 2 for number in range(300)]
    assert {"eval_nll_per_token", "eval_nll_div", "eval_texts"} <= set(metrics)
    assert trainer.evaluate()["eval_nll_per_token"] == metrics["eval_nll_per_token"]


def test_a_bound_has_a_name_of_its_own_and_selects_the_best_models(tmp_path):
    trainer = labelled_trainer(tmp_path, Bounded)
    metrics = trainer.evaluate()
    assert metrics["eval_loss"] == metrics["eval_nll_bound_per_token"]
    assert not {"eval_nll_per_token", "eval_perplexity", "eval_nll_div"} & set(metrics)
    assert trainer.evaluate()["eval_nll_bound_per_token"] == metrics["eval_nll_bound_per_token"]
    assert trainer._determine_best_metric(metrics, None)
    assert trainer.best["pretrain_generator"]["metric"] == "eval_nll_bound_per_token"


@pytest.mark.parametrize("labels", (True, False))
def test_labels_that_nobody_reads_are_told_once(tmp_path, monkeypatch, labels):
    told = []
    monkeypatch.setattr(validation.logger, "warning_once", told.append)
    _, dataset = text_data()
    rows = with_labels(dataset) if labels else dataset
    toy_trainer(tmp_path, MLEObjective(), trainer_options={"train_dataset": rows})
    expected = "The training data have labels, which a RecurrentGeneratorForCausalLM does not read"
    assert [text.startswith(expected) for text in told] == [True] * labels
