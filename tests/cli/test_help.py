"""The help of `textgan train SYSTEM`, and `textgan env`."""

import importlib.metadata
import re

import pytest
from transformers import TrainingArguments

from hf_textgan.cli.main import main
from hf_textgan.systems import SYSTEMS
from hf_textgan.systems.spec import Copy
from hf_textgan.trainer.adversarial_config import UNSUPPORTED, AdversarialConfig


def options(text: str) -> list[str]:
    return re.findall(r"^  --([\w.]+)$", text, re.M)


@pytest.mark.parametrize("name", SYSTEMS)
def test_help_lists_the_options_of_a_system_in_groups(name, capsys):
    assert main(["train", name, "--help"]) == 0
    text = capsys.readouterr().out
    titles = re.findall(r"^(\w[^\n]*):$", text, re.M)
    assert titles[0] == "data" and titles[-1] == "the run"
    listed = options(text)
    assert len(listed) == len(set(listed)), "each once"
    assert {"train_file", "max_steps", "output_dir", "resume", "resume_from_checkpoint", "mle_baseline"} <= set(listed)
    for player, own in SYSTEMS[name].players.items():  # a copy has no options of its own
        assert any(option.startswith(f"{player}.") for option in listed) != isinstance(own, Copy)
    # Every hyperparameter has a description.
    section = text.split("objective (")[1].split("\n\n")[0]
    assert not re.search(r"^  --\w+\n(  --|\Z)", section, re.M)
    assert "gradient_checkpointing" not in listed and "--help-all" in text


def test_all_options_are_those_that_do_something(capsys):
    assert main(["train", "seqgan", "--help-all"]) == 0
    listed = set(options(capsys.readouterr().out))
    training = {f for f in TrainingArguments.__dataclass_fields__}
    assert training - listed == set(UNSUPPORTED) & training
    assert set(UNSUPPORTED) <= set(AdversarialConfig.__dataclass_fields__) and not listed & set(UNSUPPORTED)


def test_help_of_a_system_that_does_not_exist(capsys):
    assert main(["train", "seqgam", "--help"]) == 2
    assert "There is no system called 'seqgam'; did you mean 'seqgan'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_unsupported_arguments_are_refused_with_the_reason(name, tmp_path):
    field = AdversarialConfig.__dataclass_fields__[name]
    other = {
        "torch_compile_backend": "inductor",
        "torch_compile_mode": "default",
        "label_smoothing_factor": 0.1,
        "num_train_epochs": 1.0,
        "length_column_name": "words",
        "train_sampling_strategy": "sequential",
        "include_num_input_tokens_seen": "all",
    }
    value = other.get(name, not field.default if isinstance(field.default, bool) else ["x"])
    if value is False:  # the default is True, and no other value does anything either
        pytest.skip("switching it off changes nothing")
    with pytest.raises(ValueError, match=re.escape(f", but {UNSUPPORTED[name]}.")):
        AdversarialConfig(output_dir=str(tmp_path), use_cpu=True, **{name: value})


def test_env_prints_versions_and_hardware(capsys):
    assert main(["env"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"- transformers: {importlib.metadata.version('transformers')}" in lines
    assert any(line.startswith("- CPU: ") for line in lines) and any(line.startswith("- GPU: ") for line in lines)
