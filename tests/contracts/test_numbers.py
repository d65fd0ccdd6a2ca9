"""Every number that a user can set is checked: NaN and infinity are refused, and so is what its range excludes."""

import math
import re
from dataclasses import fields

import pytest
import torch
from transformers import AutoModel

from hf_textgan.evaluation.generators import check_samples
from hf_textgan.objectives import OBJECTIVES
from hf_textgan.systems import get_system
from hf_textgan.trainer.adversarial_config import _RANGES, UNSUPPORTED, AdversarialConfig
from hf_textgan.utils.numbers import check_memory, check_number


OBJECTIVE_FIELDS = [
    (name, f.name)
    for name, objective in OBJECTIVES.items()
    for f in fields(objective)
    if isinstance(f.default, int | float) and not isinstance(f.default, bool)
]
CONFIG_FIELDS = [
    f.name
    for f in fields(AdversarialConfig)
    if f.name not in UNSUPPORTED and isinstance(f.default, int | float) and not isinstance(f.default, bool)
]


@pytest.mark.parametrize(("objective", "name"), OBJECTIVE_FIELDS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_hyperparameters_are_finite(objective, name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}; set it to a finite number."):
        OBJECTIVES[objective](**{name: value})


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_hyperparameters_lie_in_their_ranges(objective):
    for name, (low, high, with_low) in OBJECTIVES[objective].ranges.items():
        for value in [low - 1, *([low] if not with_low else []), *([high + 1] if math.isfinite(high) else [])]:
            with pytest.raises(ValueError, match=f"{name} is {value}; set it"):
                OBJECTIVES[objective](**{name: value})
        if with_low:
            OBJECTIVES[objective](**{name: type(getattr(OBJECTIVES[objective](), name))(low)})


@pytest.mark.parametrize("name", CONFIG_FIELDS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_arguments_of_training_are_finite(name, value, tmp_path):
    with pytest.raises(ValueError, match=f"{name} is {value}; set it to a finite number."):
        AdversarialConfig(output_dir=str(tmp_path), use_cpu=True, **{name: value})


@pytest.mark.parametrize("name", _RANGES)
def test_arguments_of_training_lie_in_their_ranges(name, tmp_path):
    low, _, with_low = _RANGES[name]
    with pytest.raises(ValueError, match=f"{name} is {low - 1:g}|{name} is {low - 1}"):
        AdversarialConfig(output_dir=str(tmp_path), use_cpu=True, **{name: low - 1})


@pytest.mark.parametrize(
    ("value", "message"),
    [("abc", "is 'abc'; set it to a number"), ("nan", "is nan; set it to a finite number")],
)
def test_arguments_of_a_player_are_numbers(value, message, tmp_path):
    options = {"generator": {"learning_rate": value}}
    with pytest.raises(ValueError, match=f"generator.learning_rate {message}"):
        AdversarialConfig(output_dir=str(tmp_path), use_cpu=True, player_optimizers=options)


@pytest.mark.parametrize(
    ("options", "message"),
    [(5, "player_optimizers is 5; give arguments"), ({"generator": 5}, "['generator'] is 5; give arguments")],
)
def test_arguments_of_players_are_a_mapping(options, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        AdversarialConfig(output_dir=str(tmp_path), use_cpu=True, player_optimizers=options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"logging_steps": -1}, "logging_steps is -1; set it to 0 or more."),
        ({"save_total_limit": -7}, "save_total_limit is -7; set it to 0 or more."),
        ({"dataloader_num_workers": 10**6}, "dataloader_num_workers is 1000000; set it to a value from 0 to 1024."),
        ({"lr_scheduler_kwargs": "5"}, "lr_scheduler_kwargs is '5'; give a mapping, such as"),
        ({"lr_scheduler_kwargs": {"foo": 1}}, "lr_scheduler_kwargs has the name 'foo', which the constant schedule"),
        (
            {"lr_scheduler_type": "greedy", "eval_strategy": "steps"},
            "lr_scheduler_type is 'greedy'; use one of constant, constant_with_warmup",
        ),
        ({"optim_args": "fast"}, "optim_args is 'fast'; write it as name=value,name=value."),
        ({"accelerator_config": {"foo": 1}}, "unexpected keyword argument 'foo'); correct that name or leave it out."),
        ({"player_optimizers": {"generator": {"optim": "x"}}}, "generator.optim is 'x'; use one of adamw_torch"),
        (
            {"lr_scheduler_type": "cosine_with_min_lr"},
            "of which the cosine_with_min_lr schedule cannot be made (One of min_lr or min_lr_rate should be set",
        ),
        (
            {"player_optimizers": {"generator": {"lr_scheduler_kwargs": 5}}},
            "generator.lr_scheduler_kwargs is 5; give a mapping",
        ),
    ],
)
def test_arguments_without_a_meaning_are_refused(options, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        AdversarialConfig(output_dir=str(tmp_path), use_cpu=True, **options)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_size": 10**12}, "generator.hidden_size is 1000000000000; set it to 16,777,216 or less."),
        ({"num_hidden_layers": 10**9}, "generator.num_hidden_layers is 1000000000; set it to 10,000 or less."),
        ({"hidden_size": 10**6}, r"parameters would take about .* GiB, and this machine has .*hidden_size=1000000\)"),
        ({"initializer_range": -0.5}, "The generator cannot be built .*; change its values"),
        ({"eos_token_id": 7}, "generator.eos_token_id is 7 and the data have 2; leave it out."),
    ],
)
def test_sizes_of_players_have_bounds(values, message):
    with pytest.raises(ValueError, match=message):
        get_system("rnnlm").build_player("generator", values, {"vocab_size": 10, "eos_token_id": 2})


def test_shapes_are_found_without_memory_and_without_random_numbers():
    torch.manual_seed(3)
    built = get_system("rnnlm").build_player("generator", {"hidden_size": 8}, {"vocab_size": 10})
    torch.manual_seed(3)
    plain = AutoModel.from_config(built.config)
    assert all(torch.equal(a, b) for a, b in zip(built.parameters(), plain.parameters(), strict=True))


def test_what_memory_cannot_hold_is_refused_before_it_is_tried():
    check_memory("nothing", 0, "do nothing")
    message = r"eval_num_samples=9 would take about [\d,]+ GiB, and this machine has [\d,]+ GiB; lower it"
    with pytest.raises(ValueError, match=message):
        check_memory("eval_num_samples=9", 10**18, "lower it")
    check_samples(10, 20, "num_samples")
    message = r"^num_samples=10 with max_length=1000000000000 would take about [\d,]+ GiB, .* GiB; lower one of them.$"
    with pytest.raises(ValueError, match=message):
        check_samples(10, 10**12, "num_samples")
    with pytest.raises(ValueError, match="^num_samples=1000000000000 with max_length=20 would take about"):
        check_samples(10**12, 20, "num_samples")
    check_number("name", None, (0.0, 0.5, True))
    with pytest.raises(ValueError, match="name is True; set it to a number."):
        check_number("name", True, (0.0, 0.5, True))
