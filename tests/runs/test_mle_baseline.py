"""The system and the arguments of the maximum-likelihood baseline of a run."""

from dataclasses import replace

import pytest

from hf_textgan.cli.arguments import parse_train_arguments
from hf_textgan.models import RecurrentGeneratorForCausalLM, VariationalGeneratorForCausalLM
from hf_textgan.objectives import MLEObjective, VariationalBoundObjective
from hf_textgan.runs.mle_baseline import baseline_arguments
from hf_textgan.systems import get_system
from hf_textgan.systems.spec import Of


SIZES = {"vocab_size": 30, "sequence_length": 8, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def baseline_of(system: str, *words: object):
    arguments = parse_train_arguments([system, "--output_dir", "run", "--use_cpu", *map(str, words)])
    built = arguments.system.build_players(arguments.configs, SIZES)
    return baseline_arguments(arguments, built["generator"]), built["generator"]


@pytest.mark.parametrize("name", ["seqgan", "maligan", "jsdgan"])
def test_systems_with_the_generator_of_rnnlm_have_it_as_baseline(name):
    assert get_system(name).mle_baseline() == get_system("rnnlm")
    baseline, _ = baseline_of(name, "--generator.hidden_size", 8)
    assert baseline.system == get_system("rnnlm") and baseline.objective == MLEObjective()
    assert baseline.configs == {"generator": {"hidden_size": 8}}


def test_the_baseline_has_the_generator_of_the_system():
    vgan, plain = get_system("vgan"), get_system("vgan_pre")
    assert vgan.mle_baseline() == replace(plain, players={"generator": vgan.players["generator"]})
    seqgan = get_system("seqgan")
    wide = replace(seqgan, players={**seqgan.players, "generator": ("RecurrentGeneratorConfig", {"hidden_size": 77})})
    baseline = wide.mle_baseline()
    assert baseline.name == "rnnlm" and list(baseline.players) == ["generator"]
    model = baseline.build_player("generator", {}, SIZES)
    assert type(model) is RecurrentGeneratorForCausalLM and model.config.hidden_size == 77


def test_values_of_other_players_are_those_of_the_run():
    seqgan = get_system("seqgan")
    sized = ("RecurrentGeneratorConfig", {"hidden_size": Of("discriminator", "embedding_size"), "embedding_size": 5})
    system = replace(seqgan, players={**seqgan.players, "generator": sized})
    assert system.mle_baseline().players["generator"][1] == {"hidden_size": 64, "embedding_size": 5}
    overrides = {"discriminator": {"embedding_size": 9}}
    assert system.mle_baseline(overrides).players["generator"][1] == {"hidden_size": 9, "embedding_size": 5}


def test_the_baseline_of_a_latent_variable_generator_is_trained_by_its_bound():
    words = ("--preset", "laptop", "--generator.latent_size", 3, "--kl_annealing", 7, "--generator.learning_rate", 0.5)
    baseline, generator = baseline_of("vgan", *words)
    assert baseline.objective == VariationalBoundObjective(kl_weight=1.0, kl_annealing=7)
    assert list(baseline.objective.updates()) == ["pretrain_generator"]
    built = baseline.system.build_players(baseline.configs, SIZES)
    assert list(built) == ["generator"] and type(built["generator"]) is VariationalGeneratorForCausalLM
    assert built["generator"].config.to_dict() == generator.config.to_dict()
    assert generator.config.latent_size == 3 and generator.config.hidden_size == 32
    training = baseline.training
    assert (training.max_steps, training.pretrain_discriminator_steps) == (0, 0)
    assert training.pretrain_generator_steps == 20_000 and training.metric_for_best_model == "loss"
    assert training.player_optimizers == {"generator": {"learning_rate": 0.5}} and training.learning_rate == 1e-2
