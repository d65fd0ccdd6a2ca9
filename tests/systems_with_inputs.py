"""
Throw-away systems whose generators read labels or sources: an LSTM that begins with a vector of the label, or with the
mean of the vectors of the source's tokens. They are there only while a test asks for them.
"""

import torch
from huggingface_hub.dataclasses import strict
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from hf_textgan import models
from hf_textgan.systems import SYSTEMS, Paper, SystemSpec
from tests.labelled import State


@strict
class ClassConfig(PreTrainedConfig):
    model_type = "textgan_test_class"

    vocab_size: int = 10
    hidden_size: int = 8
    num_classes: int = 2
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 0


@strict
class SourceConfig(PreTrainedConfig):
    model_type = "textgan_test_source"

    vocab_size: int = 10
    hidden_size: int = 8
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 0


class _Recurrent(PreTrainedModel):
    """A GRU whose state begins with what `start` makes of the inputs."""

    def __init__(self, config):
        super().__init__(config)
        size = config.hidden_size
        self.embed_tokens = nn.Embedding(config.vocab_size, size)
        self.embed_classes = nn.Embedding(getattr(config, "num_classes", 1), size)
        self.rnn = nn.GRU(size, size, batch_first=True)
        self.lm_head = nn.Linear(size, config.vocab_size)
        self.post_init()

    def get_output_embeddings(self):
        return self.lm_head

    def read(self, input_ids, start, past_key_values, use_cache):
        state = start if past_key_values is None else past_key_values.hidden[0]
        hidden, state = self.rnn(self.embed_tokens(input_ids), state[None].contiguous())
        return CausalLMOutputWithPast(logits=self.lm_head(hidden), past_key_values=State(state) if use_cache else None)


class ClassLM(_Recurrent):
    config_class = ClassConfig
    row_inputs = ("class_labels",)

    def draw_inputs(self, num_rows: int, length: int) -> dict[str, torch.Tensor]:
        return {"class_labels": torch.randint(self.config.num_classes, (num_rows,), device=self.device)}

    def forward(self, input_ids, class_labels, past_key_values=None, use_cache=None, **kwargs):
        return self.read(input_ids, self.embed_classes(class_labels), past_key_values, use_cache)


class BoundedClassLM(ClassLM):
    likelihood = "bound"


class SourceLM(_Recurrent):
    config_class = SourceConfig
    row_inputs = ("condition_ids", "condition_mask")

    def forward(self, input_ids, condition_ids, condition_mask, past_key_values=None, use_cache=None, **kwargs):
        weights = condition_mask.float() / condition_mask.sum(1, keepdim=True)
        start = (self.embed_tokens(condition_ids) * weights[..., None]).sum(1)
        return self.read(input_ids, start, past_key_values, use_cache)


for model_class in (ClassLM, SourceLM):
    AutoConfig.register(model_class.config_class.model_type, model_class.config_class, exist_ok=True)
    for auto_class in (AutoModel, AutoModelForCausalLM):
        auto_class.register(model_class.config_class, model_class, exist_ok=True)

_PAPER = Paper(title="None", arxiv_id=None, bibtex="@misc{none, title={None}}")
_DISCRIMINATOR = ("CNNDiscriminatorConfig", {"window_sizes": [1, 2], "num_filters": [4, 4]})
_STEPS = {
    "pretrain_generator_steps": 3,
    "per_device_train_batch_size": 4,
    "eval_steps": 3,
    "save_steps": 3,
    "eval_num_samples": 8,
}


def _system(name: str, config: str, needs, **more) -> SystemSpec:
    values = {"players": {"generator": (config, {})}, "objective": ("mle", {}), "training": _STEPS, **more}
    presets = {"laptop": {}, "paper": {}}
    return SystemSpec(name, "mle", "experimental", _PAPER, presets=presets, needs=needs, **values)


SYSTEMS_WITH_INPUTS = {
    "classlm": _system("classlm", "ClassConfig", ("labels",)),
    "classgan": _system(
        "classgan",
        "ClassConfig",
        ("labels",),
        players={"generator": ("ClassConfig", {}), "discriminator": _DISCRIMINATOR},
        objective=("seqgan", {"num_rollouts": 2, "discriminator_steps": 1}),
        training={**_STEPS, "pretrain_discriminator_steps": 2, "max_steps": 2},
    ),
    "sourcelm": _system("sourcelm", "SourceConfig", ("conditions",)),
}


def register(monkeypatch) -> None:
    """Makes the systems known to every command until the end of a test."""
    for config in (ClassConfig, SourceConfig):
        monkeypatch.setattr(models, config.__name__, config, raising=False)
    for name, system in SYSTEMS_WITH_INPUTS.items():
        monkeypatch.setitem(SYSTEMS, name, system)


def train(name: str, output_dir, **options) -> list[str]:
    """The command line of a tiny run of one of them."""
    values = {"output_dir": output_dir, "disable_tqdm": True, "use_cpu": True}
    words = (word for key, value in {**values, **options}.items() for word in (f"--{key}", str(value)))
    return ["train", name, *words]
