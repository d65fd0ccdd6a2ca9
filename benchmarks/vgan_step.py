"""
The price of a latent variable at every step: a generator step of VGAN beside one of SeqGAN of equal width, and a step
of pre-training by the bound beside one by likelihood.

    python benchmarks/vgan_step.py [--quick] [--rounds 5]

The steps alternate in one process, and the ratios of their medians are reported. The floor of VGAN's step is the time
of SeqGAN's plus that of the additional arithmetic alone: for each row that is read, as many as the draws have, the
normal numbers, the product of the prior, and the layer that joins state and latent, in parts of 256 rows. Writes
benchmarks/results/vgan_step.json.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from common import command_line, make_parser, write_result
from environment import describe
from torch.nn import functional as F

from hf_textgan.core.context import StepContext
from hf_textgan.core.players import Players
from hf_textgan.models import (
    CNNDiscriminator,
    CNNDiscriminatorConfig,
    RecurrentGeneratorConfig,
    RecurrentGeneratorForCausalLM,
    VariationalGeneratorConfig,
    VariationalGeneratorForCausalLM,
)
from hf_textgan.objectives.seqgan import SeqGANObjective
from hf_textgan.objectives.vgan import VGANObjective
from hf_textgan.sampling.engine import RolloutEngine


B, T = 64, 20
SETTINGS = {  # vocabulary, hidden size, latent size, completions per prefix, filters of the discriminator
    "laptop preset": (5000, 32, 16, 8, ([1, 2, 3, 4, 5], [64] * 5)),
    "paper": (5000, 300, 60, 16, None),
}


def medians(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, Any]:
    """Returns the medians in seconds of calls that alternate, and all their times."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    return {"seconds": {name: statistics.median(values) for name, values in times.items()}, "times": times}


def compare(setting: str, rounds: int) -> dict[str, Any]:
    vocab_size, hidden_size, latent_size, num_rollouts, filters = SETTINGS[setting]
    torch.manual_seed(0)
    special = {"bos_token_id": 0, "eos_token_id": None, "pad_token_id": 0}  # texts of one length, so equal work
    sizes = {"vocab_size": vocab_size, "embedding_size": hidden_size, "hidden_size": hidden_size, "dropout": 0.0}
    plain = RecurrentGeneratorForCausalLM(RecurrentGeneratorConfig(**sizes, **special))
    latent = VariationalGeneratorForCausalLM(VariationalGeneratorConfig(**sizes, latent_size=latent_size, **special))
    given = {} if filters is None else {"window_sizes": filters[0], "num_filters": filters[1]}
    config = CNNDiscriminatorConfig(vocab_size=vocab_size, sequence_length=T, eos_token_id=None, **given)
    critic, engine = CNNDiscriminator(config), RolloutEngine(T, 0, 0)
    ids = torch.randint(vocab_size, (B, T + 1))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def step(model: torch.nn.Module, objective: Any, loss: str) -> Callable[[], None]:
        players = Players({"generator": model, "discriminator": critic})

        def call() -> None:
            with players.updating("generator"):
                getattr(objective, loss)(players, engine, batch, StepContext()).loss.backward()
            model.zero_grad()

        return call

    # Rows that are read: the samples, the prefixes, and N completions of each prefix from its last token on.
    rows = 2 * B * T + num_rollouts * B * sum(T - length for length in range(1, T))
    part, hidden = 256, torch.randn(256, hidden_size)
    prior, join = latent.prior.weight.detach(), latent.join.weight.detach()

    @torch.no_grad()
    def additional() -> None:
        for _ in range(rows // part):
            mean, log_variance = F.linear(hidden, prior).chunk(2, dim=1)
            z = mean + (0.5 * log_variance).exp() * torch.randn(part, latent_size)
            torch.tanh(F.linear(torch.cat([hidden, z], dim=1), join))

    seqgan, vgan = SeqGANObjective(num_rollouts=num_rollouts), VGANObjective(num_rollouts=num_rollouts)
    scored = VGANObjective(num_rollouts=num_rollouts, latent_gradient="score_function")
    measured = medians(
        {
            "seqgan": step(plain, seqgan, "generator_loss"),
            "vgan": step(latent, vgan, "generator_loss"),
            "vgan, score function": step(latent, scored, "generator_loss"),
            "additional arithmetic": additional,
            "likelihood": step(plain, seqgan, "mle_loss"),
            "bound": step(latent, vgan, "bound_loss"),
        },
        rounds,
    )
    seconds = measured["seconds"]
    ratios = {
        "vgan / seqgan": seconds["vgan"] / seconds["seqgan"],
        "vgan / floor": seconds["vgan"] / (seconds["seqgan"] + seconds["additional arithmetic"]),
        "score function / reparametrized": seconds["vgan, score function"] / seconds["vgan"],
        "bound / likelihood": seconds["bound"] / seconds["likelihood"],
    }
    parameters = {"seqgan": plain.num_parameters(), "vgan": latent.num_parameters()}
    return {"ratios": ratios, **measured, "rows": rows, "parameters": parameters}


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="the laptop preset alone")
    options = parser.parse_args(argv)
    names = ["laptop preset"] if options.quick else list(SETTINGS)
    result = {
        "command": command_line("vgan_step.py", argv),
        "environment": describe(),
        "batch_size": B,
        "length": T,
        "settings": {name: compare(name, options.rounds) for name in names},
    }
    for name, measured in result["settings"].items():
        print(name, {key: round(value, 3) for key, value in measured["ratios"].items()}, measured["seconds"])
    write_result(options.output_dir / "vgan_step.json", result)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
