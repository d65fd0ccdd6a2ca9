"""Tiny models and a few exact computations that several test files share."""

from itertools import product

import torch
from torch import nn
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedConfig,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.modeling_outputs import CausalLMOutput

from hf_textgan.models import (
    CNNDiscriminator,
    CNNDiscriminatorConfig,
    RecurrentGeneratorConfig,
    RecurrentGeneratorForCausalLM,
)
from hf_textgan.sampling.samples import Samples


PAD, BOS, EOS = 0, 1, 2  # they are symbols of every vocabulary, so a generator can draw each of them anywhere


def randomize(model: nn.Module, seed: int = 0, std: float = 0.5) -> nn.Module:
    """Draws every parameter from N(0, std): freshly initialised models are too close to uniform to tell errors."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=source) * std)
    return model


def _special(eos: bool) -> dict[str, int | None]:
    return {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS if eos else None}


def tiny_lstm(vocab_size: int = 3, eos: bool = True, cell_type: str = "lstm", **options) -> PreTrainedModel:
    options = {"embedding_size": 4, "hidden_size": 6, **_special(eos), **options}
    config = RecurrentGeneratorConfig(vocab_size=vocab_size, cell_type=cell_type, **options)
    return RecurrentGeneratorForCausalLM(config)


def tiny_gpt2(vocab_size: int = 3, eos: bool = True, **options) -> PreTrainedModel:
    sizes = {"n_layer": 1, "n_embd": 16, "n_head": 2, "n_positions": 32}
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    config = GPT2Config(vocab_size=vocab_size, **{**sizes, **dropout, **_special(eos), **options})
    return GPT2LMHeadModel(config)


def tiny_t5(vocab_size: int = 3, eos: bool = True, **options) -> PreTrainedModel:
    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0}
    special = {**_special(eos), "decoder_start_token_id": PAD}
    return T5ForConditionalGeneration(T5Config(vocab_size=vocab_size, **{**sizes, **special, **options}))


def tiny_bart(vocab_size: int = 3, eos: bool = True, **options) -> PreTrainedModel:
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes = {"d_model": 8, "encoder_ffn_dim": 12, "decoder_ffn_dim": 12, "encoder_layers": 1, "decoder_layers": 1}
    settings = {"dropout": 0.0, "max_position_embeddings": 32, "decoder_start_token_id": EOS}
    values = {**heads, **sizes, **settings, **_special(eos), "forced_eos_token_id": None, **options}
    return BartForConditionalGeneration(BartConfig(vocab_size=vocab_size, **values))


class StatelessConfig(PreTrainedConfig):
    model_type = "textgan_test_stateless"

    def __init__(self, vocab_size: int = 3, hidden_size: int = 6, dropout: float = 0.0, **kwargs):
        self.vocab_size, self.hidden_size, self.dropout = vocab_size, hidden_size, dropout
        super().__init__(**kwargs)


class StatelessLM(PreTrainedModel):
    """A causal model without any cache: a sum over the prefix, weighted by position."""

    config_class = StatelessConfig

    def __init__(self, config: StatelessConfig):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def forward(self, input_ids, use_cache=None, **kwargs):
        positions = torch.arange(1, input_ids.shape[1] + 1, dtype=torch.float32)[:, None]
        hidden = torch.tanh((self.dropout(self.embed_tokens(input_ids)) * positions).cumsum(1))
        return CausalLMOutput(logits=self.lm_head(hidden))


def tiny_stateless(vocab_size: int = 3, eos: bool = True, **options) -> PreTrainedModel:
    return StatelessLM(StatelessConfig(vocab_size=vocab_size, **_special(eos), **options))


def tiny_discriminator(vocab_size: int = 3, sequence_length: int = 3, **options) -> PreTrainedModel:
    sizes = {"embedding_size": 5, "window_sizes": [1, 2, 3], "num_filters": [3, 4, 2]}
    config = CNNDiscriminatorConfig(
        vocab_size=vocab_size, sequence_length=sequence_length, **{**sizes, **_special(True), **options}
    )
    return CNNDiscriminator(config)


def all_sequences(vocab_size: int, max_length: int, eos: int | None) -> Samples:
    """Every sequence that can be drawn: each ends at its first EOS, or at `max_length`, and is then padded."""
    rows: dict[tuple[int, ...], int] = {}
    for symbols in product(range(vocab_size), repeat=max_length):
        length = symbols.index(eos) + 1 if eos in symbols else max_length
        rows[symbols[:length] + (PAD,) * (max_length - length)] = length
    lengths = torch.tensor(list(rows.values()))
    mask = (torch.arange(max_length) < lengths[:, None]).long()
    return Samples(torch.tensor(list(rows)), mask)


def exact_logps(model: nn.Module, samples: Samples) -> torch.Tensor:
    """`log p(y_t | y_<t)` of shape (sequences, max_length), 0 at padding, with gradient; one sequence at a time."""
    rows = []
    for sequence, mask in zip(samples.sequences.tolist(), samples.attention_mask.tolist(), strict=True):
        length = sum(mask)
        logits = model(input_ids=torch.tensor([[BOS, *sequence[: length - 1]]])).logits[0]
        logps = torch.stack([logits[t].log_softmax(-1)[sequence[t]] for t in range(length)])
        rows.append(torch.cat([logps, logps.new_zeros(len(mask) - length)]))
    return torch.stack(rows)


def chi_square_p(observed: torch.Tensor, probabilities: torch.Tensor) -> float:
    """The p-value of Pearson's test that `observed` counts come from `probabilities`; cells below 5 are pooled."""
    observed, expected = observed.double(), probabilities.double() * observed.sum()
    assert observed[expected == 0].sum() == 0, "something of probability zero was drawn"
    small = expected < 5
    if small.any():
        observed = torch.cat([observed[~small], observed[small].sum()[None]])
        expected = torch.cat([expected[~small], expected[small].sum()[None]])
    observed, expected = observed[expected > 0], expected[expected > 0]
    statistic = ((observed - expected) ** 2 / expected).sum()
    freedom = torch.tensor((len(expected) - 1) / 2, dtype=torch.float64)
    return float(torch.special.gammaincc(freedom, statistic / 2))
