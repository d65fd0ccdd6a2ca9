"""Pretrained word vectors: the file, the embeddings that they fill, and what is refused."""

import json
import re

import pytest
import torch

from hf_textgan import build_run
from hf_textgan.data.errors import DataError
from hf_textgan.data.word_vectors import read_word_vectors
from hf_textgan.runs.arguments import resolve_arguments
from hf_textgan.runs.mle_baseline import baseline_arguments
from tests.runs.test_build import DISCRIMINATOR, OPTIONS


pytestmark = pytest.mark.usefixtures("one_thread")

LINES = ["a dog runs", "the cat sits", "a cat runs", "the dog sits here"] * 8
VECTORS = "dog 1 2 3\ncat -0.5 0 1e-1\nzebra 7 7 7\ndog 9 9 9\n<pad> 5 5 5\n. . . 4 4 4\n"


def write(path, text: str):
    path.write_bytes(text.encode())
    return path


def test_a_file_by_hand(tmp_path):
    for number, text in enumerate((VECTORS, "6 3\n" + VECTORS, VECTORS.replace("\n", " \r\n"))):
        vectors = read_word_vectors(write(tmp_path / str(number), text), {"dog", "cat", ". . .", "emu"})
        assert {word: vector.tolist() for word, vector in vectors.items()} == {
            "dog": [1, 2, 3],
            "cat": [-0.5, 0, pytest.approx(0.1)],
            ". . .": [4, 4, 4],
        }
    (tmp_path / "bytes").write_bytes(b"\xff\xfe 1 2\ndog 3 4\n")
    assert read_word_vectors(tmp_path / "bytes", {"dog"})["dog"].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dog 1 2\ncat 1\n", "Line 2 of .* has 1 values and the first has 2; give a word and its values in each"),
        ("dog 1 2\ncat 1 x\n", "Line 2 of .* has the value 'x', which is no finite number; correct"),
        ("dog 1 nan\n", "Line 1 of .* has the value 'nan', which is no finite number"),
        ("dog\n", "Line 1 of .* has 0 values and the first has 0"),
        ("emu 1 2\n", "has none of the 2 words of the tokenizer; give vectors of the same language"),
        ("", "has none of the 2 words of the tokenizer"),
    ],
)
def test_files_that_are_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_word_vectors(write(tmp_path / "vectors", text), {"dog", "cat"})


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="There is no file .*nothing'; give the path of a text file of word vectors"):
        read_word_vectors(tmp_path / "nothing", {"dog"})


def run(tmp_path, system: str = "maligan", **changes):
    path, said = write(tmp_path / "vectors.txt", VECTORS), []
    sizes = {"generator": {"hidden_size": 4, "embedding_size": 3}, **DISCRIMINATOR, "discriminator.embedding_size": 3}
    options = {**OPTIONS, **sizes, "num_rollouts": 0, "output_dir": tmp_path / "run", "word_vectors": str(path)}
    for option in ("grammar_train_size", "grammar_eval_size"):
        del options[option]
    options = {**options, **changes}
    trainer = build_run(system, LINES, LINES[:8], report=said.append, **options)
    return trainer, "\n".join(said)


def test_embeddings_begin_with_the_vectors_of_the_words(tmp_path):
    """Those of the named players and of their copies; other rows are as without vectors."""
    trainer, said = run(tmp_path, word_vector_players="generator, discriminator")
    assert f"word vectors: 2 of 7 words found in {tmp_path}/vectors.txt, for generator, discriminator" in said
    plain, nothing = run(tmp_path, output_dir=tmp_path / "plain", word_vectors=None)
    assert "word vectors" not in nothing
    ids = trainer.processing_class.get_vocab()
    for name in ("generator", "discriminator", "delayed"):
        model = trainer.model if name == "generator" else trainer.other_players[name]
        other = plain.model if name == "generator" else plain.other_players[name]
        found, before = (m.get_input_embeddings().weight.detach().clone() for m in (model, other))
        assert found[ids["dog"]].tolist() == [1, 2, 3]
        assert not torch.equal(found, before)
        for word in ("dog", "cat"):
            found[ids[word]] = before[ids[word]]
        assert torch.equal(found, before), "in a row of another word"
    record = json.loads((tmp_path / "run" / "textgan.json").read_text())
    assert record["word_vectors"].endswith("vectors.txt") and "discriminator" in record["word_vector_players"]
    assert "word_vectors" not in json.loads((tmp_path / "plain" / "textgan.json").read_text())


@pytest.mark.slow
def test_a_resumed_run_does_not_read_them_again(tmp_path):
    trainer, _ = run(tmp_path)
    trainer.train()
    (tmp_path / "vectors.txt").unlink()
    sizes = {"generator.hidden_size": 4, "generator.embedding_size": 3, **DISCRIMINATOR}
    sizes |= {"discriminator.embedding_size": 3, "num_rollouts": 0, "resume": True, "max_steps": 3}
    path = str(tmp_path / "vectors.txt")
    options = {**{k: v for k, v in OPTIONS.items() if "grammar" not in k}, **sizes, "word_vectors": path}
    resumed = build_run("maligan", LINES, LINES[:8], output_dir=tmp_path / "run", **options)
    resumed.train(resume_from_checkpoint=str(max(tmp_path.glob("run/checkpoint-*"))))
    assert resumed.state.global_step == trainer.state.global_step + 1
    with pytest.raises(DataError, match="There is no file"):
        build_run("maligan", LINES, LINES[:8], output_dir=tmp_path / "fresh", **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"generator": {"embedding_size": 5}},
            r"have 3 values and the embeddings of the generator 5; build the generator with embeddings of 3, as by "
            r"--generator\.embedding_size 3\.",
        ),
        ({"word_vector_players": "generater"}, "There is no player of maligan called 'generater'; did you mean 'gen"),
        (
            {"word_vector_players": "delayed"},
            "names the delayed, which is a copy of the generator; name the generator",
        ),
        (
            {"generator_name_or_path": "x"},
            "The generator comes from x with embeddings of its own, and word_vectors is",
        ),
    ],
)
def test_what_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, **changes)


def test_players_without_a_table_and_data_without_words_are_refused(tmp_path):
    path = str(write(tmp_path / "vectors.txt", VECTORS))
    with pytest.raises(
        ValueError, match="the discriminator, a ConvCritic, has no table of embeddings; leave the disc"
    ):
        build_run(
            "iwgan",
            LINES,
            output_dir=tmp_path / "iwgan",
            per_device_train_batch_size=8,
            word_vectors=path,
            word_vector_players="discriminator",
        )
    message = re.escape("vectors.txt', but --dataset_name oracle has no words; leave it out.")
    with pytest.raises(ValueError, match=message):
        build_run("seqgan", "oracle", output_dir=tmp_path / "oracle", word_vectors=path)


def test_the_baseline_of_likelihood_begins_with_them_too(tmp_path):
    for players, kept in (("generator,discriminator", "v.txt"), ("discriminator", None)):
        options = {"output_dir": "unused", "word_vectors": "v.txt", "word_vector_players": players}
        arguments = resolve_arguments("seqgan", (options, "the options"))
        generator = arguments.system.build_player(
            "generator", {"hidden_size": 4, "embedding_size": 3}, {"vocab_size": 9}
        )
        assert baseline_arguments(arguments, generator).run.word_vectors == kept
