"""
Speed of the training steps of WGAN-GP on text (arXiv 1704.00028), as ratios to plain code in one process.

    python benchmarks/wgan_gp.py [--dtype fp32|bf16] [--rounds 5] [--threads 2] [--small]

The critic step is the scores of a real and a fake batch, the gradient penalty and the backward pass; the generator
step is both networks forwards, and backwards through the frozen critic into the generator. Neither includes the
optimizer. The plain baseline is `nn.Conv1d` with the channels first, `F.relu` and
`torch.autograd.grad(create_graph=True)` in single precision, with the same weights; with `--dtype bf16` the library
runs under autocast, which has no effect on processors that do not compute bfloat16. The two alternate, and their
medians are compared. Writes benchmarks/results/wgan_gp.json.
"""

import copy
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from common import command_line, make_parser, read_result, write_result
from environment import describe
from torch import nn
from torch.nn import functional as F

from hf_textgan.models import ConvCritic, ConvCriticConfig, ConvGenerator, ConvGeneratorConfig
from hf_textgan.models.modeling_resnet_utils import PositionConvolution, computes_bf16


V, T, B = 100, 32, 64
PENALTY = 10.0  # lambda of the paper
# The matrix products of a step, in forward passes of one network.
CRITIC_UNITS = 10
GENERATOR_UNITS = 5


# ---- The plain baseline -------------------------------------------------------------------------------------------


class PlainBlock(nn.Module):
    def __init__(self, channels: int, kernel_size: int):
        super().__init__()
        self.convolution1 = nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.convolution2 = nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs + 0.3 * self.convolution2(F.relu(self.convolution1(F.relu(inputs))))


class PlainCritic(nn.Module):
    def __init__(self, config: ConvCriticConfig):
        super().__init__()
        size = config.hidden_size
        self.input_projection = nn.Conv1d(config.vocab_size, size, 1)
        self.blocks = nn.Sequential(*(PlainBlock(size, config.kernel_size) for _ in range(config.num_blocks)))
        self.classifier = nn.Linear(size * config.sequence_length, 1)

    def forward(self, inputs_onehot: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.blocks(self.input_projection(inputs_onehot.transpose(1, 2))).flatten(1))

    def input_gradient(self, inputs_onehot: torch.Tensor) -> torch.Tensor:
        inputs = inputs_onehot.detach().requires_grad_()
        return torch.autograd.grad(self(inputs).sum(), inputs, create_graph=True)[0]


class PlainGenerator(nn.Module):
    def __init__(self, config: ConvGeneratorConfig):
        super().__init__()
        self.size = config.hidden_size
        self.project = nn.Linear(config.latent_size, self.size * config.sequence_length)
        self.blocks = nn.Sequential(*(PlainBlock(self.size, config.kernel_size) for _ in range(config.num_blocks)))
        self.lm_head = nn.Conv1d(self.size, config.vocab_size, 1)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        hidden = self.project(latents).view(len(latents), self.size, -1)
        return self.lm_head(self.blocks(hidden)).transpose(1, 2)


def in_layout_of(plain: nn.Module, library: nn.Module, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns weights of the library's network, or their gradients, in the layout of the plain network."""
    convolutions = {name for name, module in library.named_modules() if isinstance(module, PositionConvolution)}
    shapes, result = dict(plain.named_parameters()), {}
    for name, value in values.items():
        owner, _, kind = name.rpartition(".")
        value = value.permute(2, 1, 0) if owner in convolutions and kind == "weight" else value
        result[name] = value.reshape(shapes[name].shape)
    return result


# ---- The steps ----------------------------------------------------------------------------------------------------


def critic_loss(critic: nn.Module, score: Callable, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    gradient = critic.input_gradient(batch["mixed"]).float()
    penalty = ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
    return score(batch["fake"]).float().mean() - score(batch["real"]).float().mean() + PENALTY * penalty


def generator_loss(_: nn.Module, generate: Callable, score: Callable, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return -score(generate(batch["latents"]).softmax(-1)).float().mean()


def step(model: nn.Module, loss: Callable, *arguments, bf16: bool = False) -> None:
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        value = loss(model, *arguments)
    value.backward()


def compare(library: Callable[[], object], plain: Callable[[], object], rounds: int) -> dict:
    """Returns medians in seconds; the ratio of the fastest rounds depends less on other work on the machine."""
    library(), plain()
    times: dict[str, list[float]] = {"library": [], "plain": []}
    for _ in range(rounds):
        for name, call in (("plain", plain), ("library", library)):
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in times.items()}
    fastest = min(times["plain"]) / min(times["library"])
    return {**medians, "ratio": medians["plain"] / medians["library"], "ratio_of_fastest": fastest, "times": times}


def differences(library: nn.Module, plain: nn.Module) -> dict[str, float]:
    """
    Returns the norm of the difference of the gradients relative to the norm of the gradients: of all parameters
    together, and the largest of one parameter. In single precision the latter can be large for a bias whose gradient
    nearly cancels: among tens of millions of pre-activations, rounding moves a few to the other side of 0.
    """
    gradients = {name: parameter.grad for name, parameter in library.named_parameters() if parameter.grad is not None}
    if type(library) is not type(plain):
        gradients = in_layout_of(plain, library, gradients)
    expected = {name: parameter.grad for name, parameter in plain.named_parameters() if parameter.grad is not None}
    if not expected or gradients.keys() != expected.keys():
        raise RuntimeError("The two networks have gradients of different parameters.")
    errors = torch.stack([(gradients[name] - value).norm() for name, value in expected.items()])
    norms = torch.stack([value.norm() for value in expected.values()])
    counts = norms > 1e-6 * norms.max()  # the last biases cancel between real and fake, rounding is all they have
    return {"of_all": float(errors.norm() / norms.norm()), "of_one": float((errors / norms)[counts].max())}


def seconds_of_product(rows: int, size: int, dtype: torch.dtype) -> float:
    """Returns the seconds of one `rows x size x size` product into a buffer."""
    left, right = torch.randn(rows, size).to(dtype), torch.randn(size, size).to(dtype)
    buffer, times = torch.empty(rows, size, dtype=dtype), []
    for _ in range(40):
        started = time.perf_counter()
        torch.mm(left, right, out=buffer)
        times.append(time.perf_counter() - started)
    return statistics.median(times[5:])


def measure(rounds: int, dtype: str, sizes: dict[str, int], batch_size: int) -> dict:
    shared = {"vocab_size": V, "sequence_length": T, **sizes}
    critic, generator = ConvCritic(ConvCriticConfig(**shared)), ConvGenerator(ConvGeneratorConfig(**shared))
    plain_critic, plain_generator = PlainCritic(critic.config), PlainGenerator(generator.config)
    models = (critic, plain_critic, generator, plain_generator)
    for library, plain in ((critic, plain_critic), (generator, plain_generator)):
        plain.load_state_dict(in_layout_of(plain, library, library.state_dict()))
    real = F.one_hot(torch.randint(V, (batch_size, T)), V).float()
    latents = generator.sample_latents(batch_size)
    with torch.no_grad():
        fake = generator(latents=latents).logits.softmax(-1)
    mixed = real + torch.rand(batch_size, 1, 1) * (fake - real)
    batch = {"real": real, "fake": fake, "mixed": mixed, "latents": latents}

    def score(inputs: torch.Tensor) -> torch.Tensor:
        return critic(inputs_onehot=inputs).logits

    def generate(latents: torch.Tensor) -> torch.Tensor:
        return generator(latents=latents).logits

    def exact(loss: Callable, library: tuple, plain: tuple) -> dict[str, dict[str, float]]:
        """
        Returns the differences of gradients on a part of the batch: between the two networks in double precision, and
        of each in single precision from the plain one in double.
        """
        for model in models:
            model.double()
        part = {name: value[:4].double() for name, value in batch.items()}
        for model, *functions in (library, plain):
            step(model, loss, *functions, part)
        errors = {"fp64": differences(library[0], plain[0])}
        reference = copy.deepcopy(plain[0])
        for parameter, copied in zip(plain[0].parameters(), reference.parameters(), strict=True):
            copied.grad = None if parameter.grad is None else parameter.grad.clone()
        for model in models:
            model.zero_grad()
            model.float()
        part = {name: value.float() for name, value in part.items()}
        for name, (model, *functions) in (("library", library), ("plain", plain)):
            step(model, loss, *functions, part)
            errors[f"{name} in fp32 against fp64"] = differences(model, reference)
            model.zero_grad()
        return errors

    rows, size = batch_size * T, sizes["hidden_size"]
    products = {"fp32": seconds_of_product(rows, size, torch.float32)}
    products["bf16"] = seconds_of_product(rows, size, torch.bfloat16)
    unit = 2 * sizes["num_blocks"] * sizes["kernel_size"]  # products of a forward pass
    result = {"seconds_of_product": products}
    steps = {
        "critic_step": (critic_loss, (critic, score), (plain_critic, plain_critic), CRITIC_UNITS),
        "generator_step": (
            generator_loss,
            (generator, generate, score),
            (plain_generator, plain_generator, plain_critic),
            GENERATOR_UNITS,
        ),
    }
    bf16 = dtype == "bf16"
    for name, (loss, library, plain, units) in steps.items():
        for model in (critic, plain_critic):
            model.requires_grad_(name == "critic_step")
        exactly = exact(loss, library, plain)
        calls = [
            partial(step, model, loss, *functions, batch, bf16=rounded)
            for (model, *functions), rounded in ((library, bf16), (plain, False))
        ]
        row = compare(*calls, rounds)
        row["floor"] = units * unit * products["bf16" if bf16 and computes_bf16() else "fp32"]
        row["gradient_difference"] = {dtype: differences(library[0], plain[0]), **exactly}
        result[name] = row
    return result


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="threads of torch (default: those it chooses)")
    parser.add_argument("--small", action="store_true", help="tiny networks, only to see that it runs; writes nothing")
    options = parser.parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    sizes = {"hidden_size": 512, "num_blocks": 5, "kernel_size": 5}
    if options.small:
        sizes = {"hidden_size": 32, "num_blocks": 2, "kernel_size": 5}
    measured = measure(options.rounds, options.dtype, sizes, 8 if options.small else B)
    for name in ("critic_step", "generator_step"):
        row = measured[name]
        print(
            f"{name:16} library {row['library']:.4f} s, plain {row['plain']:.4f} s, ratio {row['ratio']:.2f}, "
            f"floor {row['floor']:.4f} s, gradient difference {row['gradient_difference']}"
        )
    if options.small:
        return
    path = options.output_dir / "wgan_gp.json"
    result = read_result(path)
    result[options.dtype] = {
        "command": command_line("wgan_gp.py", argv),
        "environment": {**describe(), "cpu_computes_bf16": computes_bf16()},
        "sizes": {"vocab_size": V, "sequence_length": T, "batch_size": B, **sizes},
        "result": measured,
    }
    write_result(path, result)


if __name__ == "__main__":
    main()
