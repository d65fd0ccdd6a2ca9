"""Models, engines and counts that the tests of sampling share."""

import pytest
import torch
from torch import nn

from hf_textgan.sampling import engine as engine_module
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.sampling.reader import Reader
from hf_textgan.sampling.samples import Samples
from tests.helpers import BOS, EOS, PAD, randomize, tiny_gpt2, tiny_lstm, tiny_stateless


BUILDERS = {"lstm": tiny_lstm, "gpt2": tiny_gpt2, "stateless": tiny_stateless}
every_model = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
with_and_without_eos = pytest.mark.parametrize("eos", (EOS, None), ids=("eos", "fixed"))
ALPHA = 1e-3  # the seeds are fixed: a right sampler passes always, a wrong one fails at these numbers of draws


def model_of(build, vocab_size: int = 3, eos: int | None = EOS, **options) -> nn.Module:
    return randomize(build(vocab_size, eos=eos is not None, **options), seed=1, std=0.5).eval()


def engine_of(eos: int | None, max_length: int = 3, chunk_size: int = 16384) -> RolloutEngine:
    return RolloutEngine(max_length, BOS, PAD, eos, chunk_size)


def counts(sequences: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Returns how often each row of `known` occurs among `sequences`; no other row may occur."""
    matches = (sequences[:, None] == known[None]).all(-1)
    assert matches.any(1).all(), "a sequence that cannot be drawn"
    return matches.sum(0)


def output_layer(weight: torch.Tensor, bias: torch.Tensor | None = None) -> nn.Linear:
    head = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        head.weight.copy_(weight)
        if bias is not None:
            head.bias.copy_(bias)
    return head


class TemperedModel(nn.Module):
    """A model whose logits are divided by a temperature."""

    def __init__(self, model: nn.Module, temperature: float):
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, **inputs):
        output = self.model(**inputs)
        output.logits = output.logits / self.temperature
        return output


class RecordingReader(Reader):
    """Keeps the log-probability of every draw, by the number of its sample."""

    records: list[list[tuple[torch.Tensor, torch.Tensor]]] = []

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.rows = torch.tensor([0])
        self.records.append([])

    def read(self, tokens):
        super().read(tokens)
        if self.num_read == tokens.numel() // len(tokens):  # the first
            self.rows = torch.arange(len(tokens))

    def draw(self, rows, num_draws=None, top_k=None, top_p=None):
        tokens = super().draw(rows, num_draws, top_k, top_p)
        logits = self.output if self.head is None else self.head(self.output)
        logps = (logits / self.temperature).log_softmax(-1)
        if num_draws is not None:  # of one row, which is then copied
            logps, self.rows = logps.expand(num_draws, -1), torch.arange(num_draws)
        self.records[-1].append((self.rows, logps.gather(1, tokens.view(-1, 1)).squeeze(1)))
        return tokens

    def select(self, rows):
        self.rows = self.rows[rows] if self.size == len(self.rows) else self.rows
        super().select(rows)


def recorded_samples(
    engine: RolloutEngine, model: nn.Module, number: int, monkeypatch
) -> tuple[Samples, torch.Tensor]:
    """Samples, and the log-probabilities of their tokens when they were drawn; 0 at padding."""
    monkeypatch.setattr(engine_module, "Reader", RecordingReader)
    RecordingReader.records.clear()
    samples = engine.sample(model, number)
    recorded = torch.zeros(samples.sequences.shape)
    for position, (rows, logps) in enumerate(RecordingReader.records[0]):
        recorded[rows, position] = logps.detach()
    monkeypatch.undo()
    return samples, recorded
