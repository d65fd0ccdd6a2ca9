"""Generators with an adapter of peft: they are trained, saved, resumed and read by the commands."""

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from hf_textgan.objectives.mle import MLEObjective
from hf_textgan.runs.evaluate import EvaluationArguments, evaluate_run
from hf_textgan.runs.folder import load_run
from hf_textgan.runs.generate import generate_texts
from hf_textgan.runs.push import push_run
from hf_textgan.trainer.weights import load_weights, save_player
from tests.helpers import tiny_gpt2
from tests.toys import LINES, text_data, toy_trainer


peft = pytest.importorskip("peft")
pytestmark = pytest.mark.usefixtures("one_thread")
KINDS = ["PeftModel", "add_adapter"]


@pytest.fixture
def base(tmp_path) -> Path:
    """The folder of a base model."""
    torch.manual_seed(0)
    tiny_gpt2(len(text_data()[0]), n_positions=20).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def adapted(base: Path | str, kind: str, seed: int = 0, **options):
    model = AutoModelForCausalLM.from_pretrained(base)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", target_modules=["c_attn"], r=2, base_model_name_or_path=str(base), **options
    )
    torch.manual_seed(seed)
    if kind == "PeftModel":
        return peft.get_peft_model(model, config)
    model.add_adapter(config)
    return model


def trainer(folder: Path, model, **changes):
    options = {"pretrain_generator_steps": 6, "save_strategy": "steps", "save_steps": 3, **changes}
    return toy_trainer(folder, MLEObjective(), trainer_options={"model": model}, **options)


def parameters(model) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_is_exact(kind, base, tmp_path):
    straight = trainer(tmp_path / "run", adapted(base, kind))
    start = parameters(straight.model)
    straight.train()
    expected = parameters(straight.model)
    for name, parameter in expected.items():
        assert torch.equal(parameter, start[name]) != ("lora_" in name), name  # the adapter is trained, and it alone
    resumed = trainer(tmp_path / "run", adapted(base, kind, seed=1))
    resumed.train(resume_from_checkpoint=str(tmp_path / "run/checkpoint-3"))
    for name, parameter in parameters(resumed.model).items():
        assert torch.equal(parameter, expected[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_the_commands_read_a_run_with_an_adapter(kind, base, tmp_path):
    run = trainer(tmp_path / "run", adapted(base, kind), learning_rate=0.1)
    run.train()
    run.save_model()
    saved = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "generation_config.json", "tokenizer.json"} <= saved
    assert "model.safetensors" not in saved and "config.json" not in saved  # of the base model
    loaded = load_run(str(tmp_path / "run"))
    assert loaded.engine.max_length == run.engine.max_length and loaded.model.generation_config.top_k == 0
    ids = torch.tensor([[1, 5, 6]])
    expected = run.model.eval()(input_ids=ids).logits
    torch.testing.assert_close(loaded.model(input_ids=ids).logits, expected)
    plain = AutoModelForCausalLM.from_pretrained(base).eval()(input_ids=ids).logits
    assert not torch.allclose(plain, expected)

    checkpoint = str(tmp_path / "run/checkpoint-6")
    assert generate_texts(checkpoint, 3) == generate_texts(str(tmp_path / "run"), 3)
    text = tmp_path / "held_out.txt"
    text.write_text("\n".join(LINES), encoding="utf-8")
    arguments = EvaluationArguments(str(tmp_path / "run"), eval_file=str(text), num_samples=8)
    assert evaluate_run(arguments)["metrics"]["nll_per_token"] > 0


def test_a_saved_adapter_can_be_trained_further(base, tmp_path):
    model = adapted(base, "PeftModel")
    save_player(model, tmp_path / "adapter")
    run = trainer(tmp_path / "run", str(tmp_path / "adapter"))
    start = parameters(run.model)
    run.train()
    for name, parameter in parameters(run.model).items():
        assert torch.equal(parameter, start[name]) != ("lora_" in name), name


def test_an_adapter_without_a_base_model_is_refused(base, tmp_path):
    save_player(adapted(base, "PeftModel"), tmp_path / "adapter")
    path = tmp_path / "adapter/adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": ""}))
    with pytest.raises(ValueError, match="names no base model; save the base model and write its folder as"):
        load_run(str(tmp_path / "adapter"))


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_that_would_not_be_saved_are_refused(kind, base, tmp_path):
    model = adapted(base, kind)
    next(p for name, p in model.named_parameters() if name.endswith("ln_f.weight")).requires_grad_(True)
    with pytest.raises(ValueError, match="The parameter .*ln_f.weight of the generator would be trained, but of a"):
        trainer(tmp_path / "run", model)
    trainer(tmp_path / "run", adapted(base, kind, modules_to_save=["ln_f"]))


def test_the_weights_of_another_adapter_are_refused(base, tmp_path):
    save_player(adapted(base, "PeftModel", modules_to_save=["ln_f"]), tmp_path / "adapter")
    with pytest.raises(ValueError, match="and that of the model differ in the parameter .*ln_f.*; build the model"):
        load_weights(adapted(base, "add_adapter"), tmp_path / "adapter")


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_is_pushed_without_its_base_model_and_read_from_the_hub(kind, base, tmp_path, hub):
    hub.create("org/base", {path.name: path.read_bytes() for path in base.iterdir()})
    model = adapted("org/base", kind)
    run = trainer(tmp_path / "run", model, learning_rate=0.1, save_strategy="no", pretrain_generator_steps=2)
    run.train()
    run.save_model()
    push_run(tmp_path / "run", "org/adapter")
    files = set(hub.model("org/adapter").files)
    assert {"adapter_config.json", "adapter_model.safetensors", "generation_config.json", "tokenizer.json"} <= files
    assert not {"config.json", "model.safetensors"} & files and not any(name.endswith(".bin") for name in files)
    ids = torch.tensor([[1, 5, 6]])
    expected = run.model.eval()(input_ids=ids).logits
    torch.testing.assert_close(AutoModelForCausalLM.from_pretrained("org/adapter")(input_ids=ids).logits, expected)
    torch.testing.assert_close(load_run("org/adapter").model(input_ids=ids).logits, expected)
    assert generate_texts("org/adapter", 3) == generate_texts(str(tmp_path / "run"), 3)
    config, weights = ((base / name).read_bytes() for name in ("config.json", "model.safetensors"))
    hub.model("org/base").commit("main", {"config.json": config, "pytorch_model.bin": weights}, "a pickle")
    with pytest.raises(ValueError, match="org/base has its weights in pytorch_model.bin, a pickle"):
        load_run("org/adapter")


def test_an_adapter_that_nobody_else_could_load_is_not_pushed_and_the_training_goes_on(base, tmp_path, hub):
    options = {"push_to_hub": True, "hub_model_id": "org/adapter", "hub_strategy": "every_save", "save_steps": 1}
    run = trainer(tmp_path / "run", adapted(base, "PeftModel"), pretrain_generator_steps=1, **options)
    run.train()
    message = "belongs to the base model .*base', which nobody else can load by that name; push the base model and"
    [warning] = [entry["warning"] for entry in run.state.log_history if "warning" in entry]
    assert re.search(message, warning) and warning.endswith("The training goes on, and the next push has all files.")
    with pytest.raises(ValueError, match=message):
        run.push_to_hub()
    assert hub.model("org/adapter").files == {} and not list((tmp_path / "run").glob("_*"))
