"""
CPU time of RelGAN's generator and discriminator steps at the published size, beside plain code in one process.

    python benchmarks/relgan_step.py [--only steps memory] [--rounds 3] [--vocab_size 5000] [--batch_size 64]

The plain code is written as the paper describes the networks: the relational memory with a linear layer for each of
its parts, a discriminator of convolutions over an image of one channel that reads real sequences as one-hot vectors,
Gumbel noise of two logarithms, and gradients for the discriminator in the generator's step, which nobody uses. The two
alternate, and the medians of their CPU times on one thread are compared, because a shared machine stretches wall-clock
time. Also measures the largest resident memory of one generator step of the library at a vocabulary of 30,000.
Writes benchmarks/results/relgan_step.json.
"""

import multiprocessing
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from common import command_line, make_parser, read_result, write_result
from environment import describe
from torch import nn
from torch.nn import functional as F

from hf_textgan.core.context import StepContext
from hf_textgan.core.players import Players
from hf_textgan.models import (
    MultiRepresentationDiscriminator,
    MultiRepresentationDiscriminatorConfig,
    RelationalMemoryGeneratorConfig,
    RelationalMemoryGeneratorForCausalLM,
)
from hf_textgan.objectives.gumbel import GumbelObjective
from hf_textgan.sampling.engine import RolloutEngine


T, TAU = 20, 0.5


# ---- Plain code -----------------------------------------------------------------------------------------------------


class PlainGenerator(nn.Module):
    def __init__(self, vocab_size: int, embedding_size: int = 32, heads: int = 2, head_size: int = 256):
        super().__init__()
        size = heads * head_size
        self.heads, self.size = heads, size
        self.embed, self.project = nn.Embedding(vocab_size, embedding_size), nn.Linear(embedding_size, size)
        self.q, self.k, self.v = (nn.Linear(size, size, bias=False) for _ in range(3))
        self.norm1, self.norm2 = nn.LayerNorm([2, size]), nn.LayerNorm([2, size])
        self.norm_qkv = nn.LayerNorm([2, 3 * size])
        self.mlp1, self.mlp2 = nn.Linear(size, size), nn.Linear(size, size)
        self.input_gates, self.memory_gates = (nn.Linear(size, 2 * size, bias=False) for _ in range(2))
        self.head = nn.Linear(size, vocab_size)

    def step(self, x: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        x = self.project(x)[:, None]
        rows = torch.cat([memory, x], dim=1)
        qkv = self.norm_qkv(torch.cat([self.q(rows), self.k(rows), self.v(rows)], dim=2))
        q, k, v = (part.view(len(x), 2, self.heads, -1).transpose(1, 2) for part in qkv.chunk(3, dim=2))
        weights = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1)
        rows = self.norm1(rows + (weights @ v).transpose(1, 2).reshape(len(x), 2, -1))
        rows = self.norm2(rows + self.mlp2(F.relu(self.mlp1(rows))))[:, :1]
        i, f = (self.input_gates(x) + self.memory_gates(torch.tanh(memory))).chunk(2, dim=2)
        return torch.sigmoid(i) * torch.tanh(rows) + torch.sigmoid(f + 1) * memory

    def sample(self, num_samples: int) -> torch.Tensor:
        memory = torch.eye(1, self.size).expand(num_samples, 1, -1)
        token, onehots = torch.zeros(num_samples, dtype=torch.long), []
        for _ in range(T):
            memory = self.step(self.embed(token), memory)
            logits = self.head(memory.flatten(1))
            u = torch.rand(logits.shape)
            logits = logits - torch.log(-torch.log(u + 1e-10) + 1e-10)
            token = logits.argmax(-1)
            onehots.append(torch.softmax(logits / TAU, dim=-1))
        return torch.stack(onehots, dim=1)


class PlainDiscriminator(nn.Module):
    def __init__(self, vocab_size: int, representations: int = 64, filters: int = 300):
        super().__init__()
        self.embed = nn.Linear(vocab_size, representations, bias=False)
        self.convolutions = nn.ModuleList(nn.Conv2d(1, filters, (k, 1)) for k in (2, 3, 4, 5))
        self.gate, self.candidate = (nn.Linear(4 * filters, 4 * filters, bias=False) for _ in range(2))
        self.hidden, self.out = nn.Linear(4 * filters, 100), nn.Linear(100, 1)

    def forward(self, onehots: torch.Tensor) -> torch.Tensor:
        image = self.embed(onehots)[:, None]
        f = torch.cat([F.relu(c(image)).amax(2) for c in self.convolutions], dim=1).transpose(1, 2).flatten(0, 1)
        gate = torch.sigmoid(self.gate(f))
        f = gate * F.relu(self.candidate(f)) + (1 - gate) * f
        return self.out(self.hidden(F.dropout(f, 0.25, self.training))).squeeze(1)


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), 1e-4)


class Plain:
    def __init__(self, vocab_size: int, batch_size: int):
        self.generator, self.discriminator = PlainGenerator(vocab_size), PlainDiscriminator(vocab_size)
        self.optimizers = {"generator": adam(self.generator), "discriminator": adam(self.discriminator)}
        self.vocab_size, self.batch_size = vocab_size, batch_size

    def step(self, name: str, real: torch.Tensor) -> None:
        real = F.one_hot(real, self.vocab_size).float()
        if name == "generator":
            fake = self.generator.sample(self.batch_size)
            loss = F.softplus(self.discriminator(real) - self.discriminator(fake)).mean()
        else:
            with torch.no_grad():
                fake = self.generator.sample(self.batch_size)
            loss = F.softplus(self.discriminator(fake) - self.discriminator(real)).mean()
        self.generator.zero_grad()
        self.discriminator.zero_grad()
        loss.backward()
        self.optimizers[name].step()


# ---- The library ----------------------------------------------------------------------------------------------------


class Library:
    def __init__(self, vocab_size: int, batch_size: int):
        tokens = {"bos_token_id": 0, "eos_token_id": None, "pad_token_id": 0}
        sizes = {"vocab_size": vocab_size, **tokens}
        models = {
            "generator": RelationalMemoryGeneratorForCausalLM(RelationalMemoryGeneratorConfig(**sizes)),
            "discriminator": MultiRepresentationDiscriminator(
                MultiRepresentationDiscriminatorConfig(sequence_length=T, **sizes)
            ),
        }
        self.players, self.engine = Players(models), RolloutEngine(T, 0, 0, None)
        self.objective = GumbelObjective(loss="rsgan", feed="hard", start_relaxation=TAU, end_relaxation=TAU)
        self.optimizers = {name: adam(model) for name, model in models.items()}
        self.count = 0

    def step(self, name: str, real: torch.Tensor) -> None:
        ids = F.pad(real, (1, 0))
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        self.count += 1
        with self.players.updating(name):
            loss = getattr(self.objective, f"{name}_loss")
            output = loss(self.players, self.engine, batch, StepContext(iteration=self.count))
            self.optimizers[name].zero_grad()
            output.loss.backward()
        self.optimizers[name].step()


def measure(rounds: int, vocab_size: int, batch_size: int) -> dict[str, Any]:
    sides = {"library": Library(vocab_size, batch_size), "plain": Plain(vocab_size, batch_size)}
    result = {}
    for name in ("generator", "discriminator"):
        times: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(rounds + 1):  # the first is not counted
            real = torch.randint(vocab_size, (batch_size, T))
            for side, system in sides.items():
                start = time.process_time()
                system.step(name, real)
                times[side].append(time.process_time() - start)
        medians = {side: statistics.median(values[1:]) for side, values in times.items()}
        result[name] = {**medians, "ratio": medians["plain"] / medians["library"], "times": times}
    return result


def step_memory(vocab_size: int, batch_size: int, output: Any) -> None:
    """Puts the largest resident memory before and after one generator step, in bytes, to `output`."""
    torch.set_num_threads(1)
    library = Library(vocab_size, batch_size)
    before = largest_resident_memory()
    library.step("generator", torch.randint(vocab_size, (batch_size, T)))
    output.put((before, largest_resident_memory()))


def largest_resident_memory() -> int:
    """Returns that of this process, in bytes; `getrusage` would count that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def memory(vocab_size: int, batch_size: int) -> dict[str, int]:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=step_memory, args=(vocab_size, batch_size, queue))
    process.start()
    before, after = queue.get()
    process.join()
    relaxed = 4 * vocab_size * batch_size * T
    return {"before": before, "peak": after, "relaxed_samples": relaxed}


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vocab_size", type=int, default=5000)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--only", nargs="+", choices=("steps", "memory"), default=["steps", "memory"])
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    path = options.output_dir / "relgan_step.json"
    result = read_result(path)
    for name in options.only:
        if name == "steps":
            measured = measure(options.rounds, options.vocab_size, options.batch_size)
            for player, row in measured.items():
                print(
                    f"{player}: library {row['library']:.3f} s, plain {row['plain']:.3f} s, ratio {row['ratio']:.2f}"
                )
        else:
            measured = memory(30_000, options.batch_size)
            print({key: f"{value / 2**20:.0f} MiB" for key, value in measured.items()})
        command = command_line("relgan_step.py", argv)
        result[name] = {"command": command, "environment": describe(), "result": measured}
        write_result(path, result)


if __name__ == "__main__":
    main()
