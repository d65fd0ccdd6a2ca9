"""Tiny generators that read a label at the start and noise with each token, with a state and without one."""

from itertools import product

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from hf_textgan.sampling.samples import Samples
from tests.helpers import BOS, EOS, PAD, all_sequences, randomize


NUM_LABELS = 2


class LabelledConfig(PreTrainedConfig):
    model_type = "textgan_test_labelled"

    def __init__(self, vocab_size: int = 3, hidden_size: int = 6, **kwargs):
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        super().__init__(**kwargs)


class Labelled(PreTrainedModel):
    """Reads `class_labels`, one of 2, and `noise`, which is -1 or 1 at each position."""

    config_class = LabelledConfig
    row_inputs = ("class_labels",)
    step_inputs = ("noise",)

    def __init__(self, config: LabelledConfig):
        super().__init__(config)
        size = config.hidden_size
        self.embed_tokens = nn.Embedding(config.vocab_size, size)
        self.embed_labels = nn.Embedding(NUM_LABELS, size)
        self.direction = nn.Parameter(torch.zeros(size))
        self.lm_head = nn.Linear(size, config.vocab_size)

    def get_output_embeddings(self):
        return self.lm_head

    def draw_inputs(self, num_rows: int, length: int) -> dict[str, torch.Tensor]:
        return {
            "class_labels": torch.randint(NUM_LABELS, (num_rows,), device=self.device),
            "noise": torch.randint(2, (num_rows, length), device=self.device) * 2.0 - 1.0,
        }

    def embed(
        self, input_ids: torch.Tensor | None, noise: torch.Tensor, inputs_embeds: torch.Tensor | None = None
    ) -> torch.Tensor:
        embeds = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        assert noise.shape == embeds.shape[:2]
        return embeds + noise[..., None] * self.direction


class State:
    def __init__(self, hidden: torch.Tensor):
        self.hidden = hidden

    def reorder_cache(self, rows: torch.Tensor) -> None:
        self.hidden = self.hidden[:, rows]


class LabelledRecurrentLM(Labelled):
    """Its state begins with the label."""

    def __init__(self, config: LabelledConfig):
        super().__init__(config)
        self.rnn = nn.GRU(config.hidden_size, config.hidden_size, batch_first=True)
        self.post_init()

    def forward(
        self,
        input_ids=None,
        class_labels=None,
        noise=None,
        past_key_values=None,
        inputs_embeds=None,
        use_cache=None,
        **kwargs,
    ):
        start = self.embed_labels(class_labels)[None] if past_key_values is None else past_key_values.hidden
        hidden, state = self.rnn(self.embed(input_ids, noise, inputs_embeds), start.contiguous())
        return CausalLMOutputWithPast(logits=self.lm_head(hidden), past_key_values=State(state) if use_cache else None)


class LabelledStatelessLM(Labelled):
    """A sum over the label and the prefix, weighted by position."""

    def __init__(self, config: LabelledConfig):
        super().__init__(config)
        self.post_init()

    def forward(self, input_ids=None, class_labels=None, noise=None, inputs_embeds=None, use_cache=None, **kwargs):
        embeds = self.embed(input_ids, noise, inputs_embeds)
        positions = torch.arange(1, embeds.shape[1] + 1, dtype=torch.float32)[:, None]
        total = (embeds * positions).cumsum(1) + self.embed_labels(class_labels)[:, None]
        return CausalLMOutputWithPast(logits=self.lm_head(torch.tanh(total)))


LABELLED = {"recurrent": LabelledRecurrentLM, "stateless": LabelledStatelessLM}


def labelled(kind: type[Labelled], vocab_size: int = 3, eos: int | None = EOS, std: float = 0.8) -> Labelled:
    config = LabelledConfig(vocab_size, pad_token_id=PAD, bos_token_id=BOS, eos_token_id=eos)
    return randomize(kind(config), seed=1, std=std).eval()


def all_inputs(length: int) -> dict[str, torch.Tensor]:
    """Every label with every noise; they are equally probable."""
    rows = [(label, noise) for label in range(NUM_LABELS) for noise in product((-1.0, 1.0), repeat=length)]
    return {
        "class_labels": torch.tensor([label for label, _ in rows]),
        "noise": torch.tensor([noise for _, noise in rows]),
    }


def joint(model: Labelled, length: int, eos: int | None) -> tuple[Samples, torch.Tensor]:
    """
    Every sequence with every input, and their probabilities, of shape (inputs, sequences). The log-probabilities come
    from the model itself, one sequence at a time.
    """
    known, inputs = all_sequences(model.config.vocab_size, length, eos), all_inputs(length)
    probabilities = torch.zeros(len(inputs["noise"]), len(known.sequences), dtype=torch.float64)
    for i in range(len(probabilities)):
        for j, (sequence, mask) in enumerate(zip(known.sequences, known.attention_mask, strict=True)):
            number = int(mask.sum())
            ids = torch.tensor([[BOS, *sequence[: number - 1].tolist()]])
            one = {"class_labels": inputs["class_labels"][i : i + 1], "noise": inputs["noise"][i : i + 1, :number]}
            with torch.no_grad():
                logps = model(input_ids=ids, **one).logits[0].double().log_softmax(-1)
            probabilities[i, j] = logps[torch.arange(number), sequence[:number]].sum().exp() / len(probabilities)
    return Samples(known.sequences, known.attention_mask, inputs), probabilities
