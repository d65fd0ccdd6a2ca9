"""Players that depend on players."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hf_textgan.core.players import Players
from hf_textgan.runs import arguments as run_arguments
from hf_textgan.systems import get_system
from hf_textgan.systems.spec import Copy
from tests.helpers import tiny_lstm


SIZES = {"vocab_size": 11, "sequence_length": 7}
DELAYED = replace(get_system("seqgan"), players={**get_system("seqgan").players, "delayed": Copy("generator")})


def weights(model: torch.nn.Module) -> list[float]:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).tolist()


def test_a_copy_follows_the_options_of_its_source():
    players = DELAYED.build_players({"generator": {"hidden_size": 8}}, SIZES)
    assert list(players) == ["generator", "discriminator", "delayed"]
    assert players["delayed"] is not players["generator"]
    assert players["delayed"].config.hidden_size == 8
    assert weights(players["delayed"]) == weights(players["generator"])
    assert players["delayed"].lm_head.weight is not players["generator"].lm_head.weight


def test_a_given_generator_is_copied_too():
    given = tiny_lstm()
    players = DELAYED.build_players({}, SIZES, {"generator": given}, leave_out={"discriminator"})
    assert list(players) == ["generator", "delayed"] and players["generator"] is given
    assert weights(players["delayed"]) == weights(given)


def test_options_of_a_copy_are_refused(monkeypatch, tmp_path):
    message = re.escape(
        "delayed.hidden_size is set, but the delayed of seqgan is a copy of the generator; set generator.hidden_size "
        "in its place."
    )
    with pytest.raises(ValueError, match=message):
        DELAYED.build_players({"delayed": {"hidden_size": 8}}, SIZES)
    monkeypatch.setattr(run_arguments, "get_system", lambda name: DELAYED)
    options = {"output_dir": str(Path(tmp_path)), "delayed.hidden_size": 8}
    with pytest.raises(ValueError, match=message):
        run_arguments.resolve_arguments("seqgan", (options, "the options"))


def test_a_copy_stands_after_its_source():
    players = {"delayed": Copy("generator"), **get_system("seqgan").players}
    with pytest.raises(ValueError, match="is a copy of the generator, which is not built before it; place it after"):
        replace(DELAYED, players=players).build_players({}, SIZES)


def test_values_of_other_players_are_taken_over():
    arae = get_system("arae")
    sizes = {"autoencoder": {"hidden_size": 6, "embedding_size": 4}, "generator": {"layer_sizes": [5]}}
    players = arae.build_players(sizes, SIZES)
    generator = players["generator"].config
    assert (generator.code_size, generator.hidden_size, generator.embedding_size) == (6, 6, 4)
    assert players["discriminator"].config.code_size == 6
    # An option of its own comes first.
    assert arae.build_players({"discriminator": {"code_size": 9}}, SIZES)["discriminator"].config.code_size == 9


def test_carry_copies_parameters_and_buffers():
    models = DELAYED.build_players({"generator": {"hidden_size": 8}}, SIZES)
    with torch.no_grad():
        for parameter in models["generator"].parameters():
            parameter.add_(1.0)
    for name, value in (("generator", 3.0), ("delayed", 5.0)):
        models[name].register_buffer("average", torch.tensor(value))
    players = Players(models)
    players.carry("generator", "delayed")
    assert weights(models["delayed"]) == weights(models["generator"])
    assert dict(models["delayed"].named_buffers())["average"] == 3.0
    with pytest.raises(ValueError, match="generator cannot be copied to discriminator, because they differ in "):
        players.carry("generator", "discriminator")
