"""The forms in which users of the Trainer pass models, data and objectives."""

import pytest
from datasets import Dataset, DatasetDict
from transformers import TrainingArguments

from hf_textgan import AdversarialTrainer, SeqGANObjective
from hf_textgan.data import encode_lines, encode_text, load_text, word_tokenizer
from hf_textgan.models import CNNDiscriminator
from hf_textgan.trainer.inputs import as_encoded
from tests.toys import LINES, arguments, toy_players


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def tokenizer():
    return word_tokenizer(LINES)


def build(tmp_path, tokenizer, args=None, **changes) -> AdversarialTrainer:
    players = toy_players(len(tokenizer))
    values = {
        "model": players.pop("generator"),
        "players": players,
        "objective": SeqGANObjective(num_rollouts=1, discriminator_steps=1),
        "train_dataset": encode_lines(LINES, tokenizer).dataset,
        "processing_class": tokenizer,
        **changes,
    }
    return AdversarialTrainer(args=arguments(tmp_path / "run", save_strategy="no") if args is None else args, **values)


def rows(dataset) -> list[list[int]]:
    return [list(dataset[i]["input_ids"]) for i in range(len(dataset))]


def test_text_in_every_form_gives_the_same_rows(tmp_path, tokenizer):
    file = tmp_path / "lines.txt"
    file.write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    table = Dataset.from_dict({"text": list(LINES)})
    renamed = Dataset.from_dict({"caption": list(LINES)})
    encoded = encode_text(load_text(table), tokenizer)
    expected = rows(encode_lines(LINES, tokenizer).dataset)
    for data in (str(file), file, list(LINES), tuple(LINES), table, renamed, encoded, encoded.dataset):
        assert rows(as_encoded(data, "train_dataset", tokenizer)) == expected


def test_a_run_on_text_by_name_of_objective_and_folder_of_the_generator(tmp_path, tokenizer):
    players = toy_players(len(tokenizer))
    players["generator"].save_pretrained(tmp_path / "generator")
    table = Dataset.from_dict({"text": list(LINES)})
    trainer = build(
        tmp_path,
        tokenizer,
        model=str(tmp_path / "generator"),
        objective="seqgan",
        train_dataset=table,
        eval_dataset=table,
        args=arguments(tmp_path / "run", save_strategy="no", max_steps=1, pretrain_discriminator_steps=1),
    )
    assert type(trainer.objective) is SeqGANObjective and trainer.objective.num_rollouts == 16
    assert trainer.train().global_step == 5
    assert trainer.evaluate(table)["eval_nll_per_token"] == trainer.evaluate()["eval_nll_per_token"]


def test_longer_texts_are_left_out_of_training_and_kept_for_evaluation(tokenizer):
    longest = max(len(row) for row in rows(encode_lines(LINES, tokenizer).dataset)) - 1
    kept = as_encoded(list(LINES), "train_dataset", tokenizer, longest - 1)
    assert 0 < len(kept) < len(LINES) == len(as_encoded(list(LINES), "eval_dataset", tokenizer))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "seqgam"}, r"There is no objective called 'seqgam'; did you mean 'seqgan'\?"),
        (
            {"train_dataset": DatasetDict(train=Dataset.from_dict({"text": ["a"]}))},
            r"train_dataset is a DatasetDict with the splits train; pass one of them, as in train_dataset=d",
        ),
        (
            {"train_dataset": Dataset.from_dict({"text": ["a"]}).to_iterable_dataset()},
            "train_dataset is an IterableDataset, but training reads its rows in random order; save them",
        ),
        (
            {"train_dataset": list(LINES), "processing_class": None},
            "train_dataset holds text and processing_class is None; pass the tokenizer that encodes it",
        ),
        (
            {"players": {"discriminator": CNNDiscriminator}},
            r"players\['discriminator'\] is the class CNNDiscriminator and not a model; build one, as in "
            r"CNNDiscriminator\(CNNDiscriminatorConfig\(...\)\).",
        ),
        ({"players": [CNNDiscriminator]}, "players is a list; pass the models by name"),
        (
            {"compute_metrics": print},
            "compute_metrics is set, but a generator has no predictions .* pass text",
        ),
        (
            {"optimizers": (1, 2)},
            "optimizers is set, but each player has an optimizer for each phase; set",
        ),
        ({"data_collator": print}, "data_collator is set, but real batches are padded by the trainer; leave it out."),
    ],
)
def test_what_cannot_work_says_what_to_do_instead(tmp_path, tokenizer, changes, message):
    with pytest.raises(ValueError, match=message):
        build(tmp_path, tokenizer, **changes)


def test_arguments_of_another_kind(tmp_path, tokenizer):
    with pytest.raises(ValueError, match="args is a TrainingArguments, which has no .* build an AdversarialConfig"):
        build(tmp_path, tokenizer, args=TrainingArguments(output_dir=str(tmp_path), use_cpu=True))
    with pytest.raises(TypeError, match=r"no argument of AdversarialTrainer called 'trian_dataset'; did you mean"):
        build(tmp_path, tokenizer, trian_dataset=[])


def test_predict_says_what_to_do_instead(tmp_path, tokenizer):
    with pytest.raises(ValueError, match="a generator has no predictions of labels; sample with evaluation"):
        build(tmp_path, tokenizer).predict(None)
