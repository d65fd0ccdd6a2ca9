"""The contract of every registered model: configuration, Auto classes, and a folder that loads in a fresh process."""

import json
import subprocess
import sys

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from hf_textgan.models import MODELS
from hf_textgan.sampling import RolloutEngine, capabilities_of
from tests.sampling.tools import recorded_samples


# Values with which every model is tiny; each takes those that its configuration has.
TINY = {
    "vocab_size": 11,
    "sequence_length": 6,
    "hidden_size": 8,
    "embedding_size": 8,
    "num_blocks": 1,
    "latent_size": 4,
    "code_size": 8,
    "layer_sizes": [8],
    "window_sizes": [1, 2],
    "num_filters": [4, 4],
    "head_size": 4,
    "num_representations": 2,
}

every_model = pytest.mark.parametrize("model_class", MODELS, ids=lambda model_class: model_class.__name__)


def tiny(model_class) -> torch.nn.Module:
    config_class = model_class.config_class
    names = {f for base in config_class.__mro__ for f in getattr(base, "__annotations__", {})}
    torch.manual_seed(0)
    return model_class(config_class(**{key: value for key, value in TINY.items() if key in names})).eval()


def equal(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@every_model
def test_the_folder_of_a_model_loads_by_every_auto_class(model_class, tmp_path):
    model = tiny(model_class)
    model.save_pretrained(tmp_path)
    for auto_class in (AutoModel, *MODELS[model_class]):
        loaded = auto_class.from_pretrained(tmp_path)
        assert type(loaded) is model_class and equal(loaded, model)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == model_class.config_class.model_type


@every_model
def test_a_configuration_survives_json_and_refuses_a_wrong_type(model_class, tmp_path):
    config = tiny(model_class).config
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is type(config) and loaded.to_diff_dict() == config.to_diff_dict()
    name = next(name for name in TINY if isinstance(getattr(config, name, None), int))
    with pytest.raises(Exception, match=name):
        model_class.config_class(**{name: "wide"})


@every_model
def test_every_parameter_of_a_model_is_initialized_by_its_seed(model_class):
    first, second = tiny(model_class), tiny(model_class)
    assert equal(first, second)
    assert all(torch.isfinite(value).all() for value in first.state_dict().values())


@every_model
def test_what_a_generator_declares_is_what_it_can_do(model_class):
    model = tiny(model_class)
    generates = hasattr(model, "generate")
    assert generates == ("Generator" in model_class.__name__)
    if not generates:
        return
    declared = capabilities_of(model)
    assert declared.sampling == capabilities_of(model_class).sampling, "the class declares what its models do"
    engine = RolloutEngine(6, model.config.bos_token_id, model.config.pad_token_id, model.config.eos_token_id)
    samples = engine.sample(model, 5)
    assert samples.sequences.shape == (5, 6)
    if declared.sampling == "autoregressive":
        assert declared.prompts and declared.likelihood in ("exact", "bound")
        assert declared.likelihood == "bound" or not hasattr(model, "nll_bound")
        assert engine.score(model, samples).shape == (5, 6)
        assert engine.sample(model, 2, prompt=(3, 4)).sequences[:, :2].tolist() == [[3, 4]] * 2
    else:
        assert declared.likelihood is None and not declared.prompts and declared.sampling == "one-shot"
        with pytest.raises(ValueError, match="prompt is .*makes all tokens at once; leave it out"):
            engine.sample(model, 2, prompt=(3, 4))
    if not declared.temperature:
        with pytest.raises(ValueError, match="temperature is 0.5, but this .* takes the most probable tokens"):
            engine.at(0.5).sample(model, 2)


@pytest.mark.slow
def test_all_models_load_after_nothing_but_the_import_of_the_package(tmp_path):
    for model_class in MODELS:
        tiny(model_class).save_pretrained(tmp_path / model_class.__name__)
    code = (
        "import sys, pathlib, hf_textgan; from transformers import AutoModel\n"
        "for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    assert type(AutoModel.from_pretrained(folder)).__name__ == folder.name\n"
        "print('loaded')"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "loaded"


@every_model
def test_a_score_is_what_was_recorded_while_the_sample_was_drawn(model_class, monkeypatch):
    """A sample scored twice has equal values, those of its draws: what the generator read beside tokens is kept."""
    if AutoModelForCausalLM not in MODELS[model_class] or capabilities_of(model_class).sampling != "autoregressive":
        pytest.skip("it writes no sequences token by token")
    model, engine = tiny(model_class), RolloutEngine(6, 0, 0, 1)
    samples, recorded = recorded_samples(engine, model, 40, monkeypatch)
    scores = engine.score(model, samples)
    assert torch.equal(scores, engine.score(model, samples)) and (recorded < 0).any(1).all()
    torch.testing.assert_close(scores, recorded, atol=1e-5, rtol=1e-5)
