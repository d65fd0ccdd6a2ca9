"""
Speed of draws, rollouts, scores, whole training steps and n-gram metrics, as ratios to plain code in one process.

    python benchmarks/speed.py [--only draw sampling ...] [--rounds 5]

The plain baseline is a straightforward implementation: it draws with log_softmax, exp and `torch.multinomial`; for
each rollout and each prefix length it reads the prefix token by token and draws the rest; it scores in batches of 64
with two-dimensional convolutions in single precision, dropout off. The two alternate, and their medians are compared.
Writes benchmarks/results/speed.json.
"""

import copy
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from common import command_line, make_parser, read_result, write_result
from environment import describe
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from hf_textgan.core.context import StepContext
from hf_textgan.core.players import Players
from hf_textgan.data.caption_grammar import CaptionGrammar
from hf_textgan.metrics.ngrams import bleu, self_bleu
from hf_textgan.models import (
    CACHE_NAME,
    CNNDiscriminator,
    CNNDiscriminatorConfig,
    RecurrentGeneratorConfig,
    RecurrentGeneratorForCausalLM,
)
from hf_textgan.objectives.rewards import probability_of_real
from hf_textgan.objectives.seqgan import SeqGANObjective
from hf_textgan.sampling.categorical import draw_from_hidden
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.sampling.samples import Samples


V, H, T, B, N = 5000, 32, 20, 64, 16


def generator(vocab_size: int = V, hidden_size: int = H) -> RecurrentGeneratorForCausalLM:
    options = {"bos_token_id": 0, "eos_token_id": None, "pad_token_id": 0}
    config = RecurrentGeneratorConfig(
        vocab_size=vocab_size, embedding_size=hidden_size, hidden_size=hidden_size, **options
    )
    return RecurrentGeneratorForCausalLM(config).eval()


def discriminator() -> CNNDiscriminator:
    return CNNDiscriminator(CNNDiscriminatorConfig(vocab_size=V, sequence_length=T, eos_token_id=None)).eval()


# ---- The plain baseline -------------------------------------------------------------------------------------------


def plain_draw(logits: torch.Tensor) -> torch.LongTensor:
    return torch.multinomial(logits.log_softmax(-1).exp(), 1).squeeze(1)


@torch.no_grad()
def plain_sample(model, num_samples: int, length: int, prefix: torch.LongTensor | None = None) -> torch.LongTensor:
    """Reads the prefix token by token, then draws the rest."""
    tokens = torch.zeros(num_samples, dtype=torch.long)
    state, drawn = None, []
    for position in range(length):
        output = model(input_ids=tokens[:, None], cache=state, use_cache=True)
        state = output[CACHE_NAME]
        known = prefix is not None and position < prefix.shape[1]
        tokens = prefix[:, position] if known else plain_draw(output.logits[:, -1])
        drawn.append(tokens)
    return torch.stack(drawn, 1)


def plain_features(model: CNNDiscriminator, sequences: torch.LongTensor) -> torch.Tensor:
    image = model.embed_tokens(sequences)[:, None]  # (B, 1, T, E)
    pooled = []
    for convolution in model.convolutions:
        kernel = convolution.weight.transpose(1, 2)[:, None]  # (F, 1, w, E)
        pooled.append(F.relu(F.conv2d(image, kernel, convolution.bias)).squeeze(3).amax(2))
    return torch.cat(pooled, 1)


@torch.no_grad()
def plain_scores(model: CNNDiscriminator, sequences: torch.LongTensor) -> torch.Tensor:
    scores = []
    for part in sequences.split(64):
        features = plain_features(model, part)
        for highway in model.highways:
            features = highway(features)
        scores.append(model.classifier(features).softmax(-1)[:, 1])
    return torch.cat(scores)


def plain_rollouts(model, sequences: torch.LongTensor, num_rollouts: int) -> list[torch.LongTensor]:
    return [
        plain_sample(model, len(sequences), T, sequences[:, :length])
        for _ in range(num_rollouts)
        for length in range(1, T)
    ]


def plain_generator_step(model, critic, num_rollouts: int) -> None:
    sequences = plain_sample(model, B, T)
    rewards = torch.zeros(B, T)
    for number, completed in enumerate(plain_rollouts(model, sequences, num_rollouts)):
        rewards[:, number % (T - 1)] += plain_scores(critic, completed) / num_rollouts
    rewards[:, -1] = plain_scores(critic, sequences)
    inputs = F.pad(sequences, (1, 0))[:, :-1]
    logps = model(input_ids=inputs, use_cache=False).logits.log_softmax(-1)
    loss = -(logps.gather(2, sequences[..., None]).squeeze(2) * rewards).sum()
    loss.backward()
    model.zero_grad()


# ---- The comparisons ----------------------------------------------------------------------------------------------


def compare(library: Callable[[], object], plain: Callable[[], object], rounds: int, plain_share: float = 1.0) -> dict:
    """
    Returns the medians in seconds of calls that alternate. `plain` does `plain_share` of the work, and its time is
    scaled up.
    """
    library(), plain()
    times: dict[str, list[float]] = {"library": [], "plain": []}
    for _ in range(rounds):
        for name, call in (("plain", plain), ("library", library)):
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in times.items()}
    medians["plain"] /= plain_share
    return {**medians, "ratio": medians["plain"] / medians["library"], "times": times, "plain_share": plain_share}


def draw(rounds: int) -> dict:
    model, hidden = generator(), torch.tanh(torch.randn(4096, H))
    with torch.no_grad():
        return compare(
            lambda: draw_from_hidden(hidden, model.lm_head),
            lambda: torch.multinomial(model.lm_head(hidden).softmax(-1), 1),
            rounds,
        )


def sampling(rounds: int) -> dict:
    result = {}
    for vocab_size, hidden_size in ((5000, 32), (10000, 512)):
        model, engine = generator(vocab_size, hidden_size), RolloutEngine(T, 0, 0)
        result[f"V={vocab_size} H={hidden_size}"] = compare(
            lambda model=model, engine=engine: engine.sample(model, B),
            lambda model=model: plain_sample(model, B, T),
            rounds,
        )
    return result


def rollouts(rounds: int) -> dict:
    """Compares with the floor: the matrix products of the output layer alone, in parts of 256 rows in one buffer."""
    model, engine = generator(), RolloutEngine(T, 0, 0)
    samples = engine.sample(model, B)
    rows = B * (T - 1) + N * B * (T - 1) * (T - 2) // 2  # scores of each prefix and continuation
    hidden, buffer = torch.randn(256, H), torch.empty(256, V)
    weight, bias = model.lm_head.weight.detach().T, model.lm_head.bias.detach()

    def floor() -> None:
        for _ in range(rows // 256):
            torch.addmm(bias, hidden, weight, out=buffer)

    result = compare(lambda: list(engine.rollout(model, samples, N)), floor, rounds)
    return {**result, "ratio": result["library"] / result["plain"], "rows": rows}


def generator_step_bf16(rounds: int) -> dict:
    return generator_step(rounds, bf16_rewards=True)


def generator_step(rounds: int, bf16_rewards: bool = False) -> dict:
    model, critic, engine = generator(), discriminator(), RolloutEngine(T, 0, 0)
    objective = SeqGANObjective(num_rollouts=N, bf16_rewards=bf16_rewards)
    players = Players({"generator": model, "discriminator": critic})
    batch = {"input_ids": torch.zeros(B, T + 1, dtype=torch.long)}

    def library_step() -> None:
        with players.updating("generator"):
            objective.generator_loss(players, engine, batch, StepContext()).loss.backward()
        model.zero_grad()

    return compare(library_step, lambda: plain_generator_step(model, critic, 1), rounds, plain_share=1 / N)


def scoring(rounds: int) -> dict:
    """
    Scores as many sequences as a generator step does. The errors are those of a discriminator that was trained to
    separate the sequences of two generators, relative to its scores in double precision.
    """
    critic, sequences = discriminator(), torch.randint(V, (N * B * (T - 1), T))
    trained, few = discriminator().train(), []
    for scale in (1.0, 10.0):  # near uniform, and far from it
        model = generator()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(scale)
        few.append(RolloutEngine(T, 0, 0).sample(model, 4096).sequences)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-3)
    for step in range(40):
        rows = slice(step * B, step * B + B)
        logits = trained(input_ids=torch.cat([few[0][rows], few[1][rows]])).logits
        F.cross_entropy(logits, torch.arange(2 * B) // B).backward()
        optimizer.step()
        optimizer.zero_grad()
    trained.eval()
    few = torch.cat([part[-1024:] for part in few])
    exact = plain_scores(copy.deepcopy(trained).double(), few)
    scores = {
        "library": probability_of_real(trained, whole(few)),
        "library_bf16": in_bf16(trained, few),
        "plain": plain_scores(trained, few),
    }
    result = compare(
        lambda: probability_of_real(critic, whole(sequences)),
        lambda: plain_scores(critic, sequences[:1024]),
        rounds,
        plain_share=1024 / len(sequences),
    )
    errors = {name: float((values - exact).abs().max()) for name, values in scores.items()}
    accuracy = float(((exact > 0.5).long() == torch.arange(2048) // 1024).float().mean())
    return {**result, "largest_error": errors, "std_of_scores": float(exact.std()), "accuracy": accuracy}


def whole(sequences: torch.LongTensor) -> Samples:
    return Samples(sequences, torch.ones_like(sequences))


def in_bf16(model: CNNDiscriminator, sequences: torch.LongTensor) -> torch.Tensor:
    """Scores in bfloat16, even on processors without instructions for it."""
    with torch.autocast("cpu", torch.bfloat16):
        return probability_of_real(model, whole(sequences))


def gpt2(rounds: int) -> dict:
    config = GPT2Config(vocab_size=V, n_embd=H, n_layer=1, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=None)
    model, engine = GPT2LMHeadModel(config).eval(), RolloutEngine(T, 0, 0)
    start = torch.zeros(B, 1, dtype=torch.long)
    options = {"do_sample": True, "top_k": 0, "max_new_tokens": T, "pad_token_id": 0}
    return compare(
        lambda: engine.sample(model, B),
        lambda: model.generate(start, attention_mask=torch.ones_like(start), **options),
        rounds,
    )


def gpt2_rollouts(rounds: int) -> dict:
    """Compares with `generate` that reads the prefix again for each rollout and each of its lengths."""
    config = GPT2Config(vocab_size=V, n_embd=H, n_layer=1, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=None)
    model, engine = GPT2LMHeadModel(config).eval(), RolloutEngine(T, 0, 0)
    samples = engine.sample(model, B)
    inputs = F.pad(samples.sequences, (1, 0))

    def plain() -> None:
        for length in range(1, T):
            prefix = inputs[:, : length + 1]
            options = {"do_sample": True, "top_k": 0, "max_new_tokens": T - length, "pad_token_id": 0}
            model.generate(prefix, attention_mask=torch.ones_like(prefix), **options)

    return compare(lambda: list(engine.rollout(model, samples, N)), plain, rounds, plain_share=1 / N)


def ngrams(rounds: int, text_file: str | None = None, reference_file: str | None = None) -> dict:
    """
    Measures BLEU-2 to 5 of 10,000 sentences against 10,000, and Self-BLEU, in comparison with the package fast-bleu
    (`pip install fast-bleu`, needs a compiler); by default of the built-in captions.
    """
    from fast_bleu import BLEU, SelfBLEU

    if text_file and reference_file:
        files = [Path(file).read_text(encoding="utf-8").splitlines()[:10_000] for file in (text_file, reference_file)]
    else:
        files = [CaptionGrammar().sample(10_000, seed=seed) for seed in (0, 1)]
    predictions, references = [[line.split() for line in lines] for lines in files]
    weights = {order: (1 / order,) * order for order in range(2, 6)}
    result = {
        "BLEU": compare(
            lambda: bleu(predictions, references),
            lambda: BLEU(references, weights, verbose=False).get_score(predictions),
            rounds,
        ),
        "Self-BLEU": compare(
            lambda: self_bleu(predictions), lambda: SelfBLEU(predictions, weights, verbose=False).get_score(), rounds
        ),
    }
    for name, call, scores in (
        (
            "BLEU",
            lambda: bleu(predictions, references),
            BLEU(references, weights, verbose=False).get_score(predictions),
        ),
        ("Self-BLEU", lambda: self_bleu(predictions), SelfBLEU(predictions, weights, verbose=False).get_score()),
    ):
        expected = [statistics.fmean(values) for values in scores.values()]
        result[name]["scores"] = call()
        pairs = zip(result[name]["scores"].values(), expected, strict=True)
        result[name]["largest_difference"] = max(abs(a - b) for a, b in pairs)
    return result


def trained_by(optimizer: torch.optim.Optimizer, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def mle(rounds: int) -> dict:
    """Compares one step of pre-training: the fused AdamW of the trainer, and PyTorch's Adam with its defaults."""
    model, engine = generator().train(), RolloutEngine(T, 0, 0)
    sequences = torch.randint(V, (B, T))
    samples, inputs = Samples(sequences, torch.ones_like(sequences)), F.pad(sequences, (1, 0))[:, :-1]
    return compare(
        trained_by(
            torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True),
            lambda: -engine.per_token_logps(model, samples).mean(),
        ),
        trained_by(
            torch.optim.Adam(model.parameters(), lr=1e-4),
            lambda: F.cross_entropy(model(input_ids=inputs).logits.flatten(0, 1), sequences.flatten()),
        ),
        rounds,
    )


def discriminator_step(rounds: int) -> dict:
    """Compares one step on a batch of real and one of generated sequences, forward and backward."""
    critic, ids, labels = discriminator().train(), torch.randint(V, (2 * B, T)), torch.arange(2 * B) % 2

    def plain_logits() -> torch.Tensor:
        features = plain_features(critic, ids)
        for highway in critic.highways:
            features = highway(features)
        return critic.classifier(critic.dropout(features))

    return compare(
        trained_by(
            torch.optim.AdamW(critic.parameters(), lr=1e-4, fused=True),
            lambda: F.cross_entropy(critic(input_ids=ids).logits, labels),
        ),
        trained_by(torch.optim.Adam(critic.parameters(), lr=1e-4), lambda: F.cross_entropy(plain_logits(), labels)),
        rounds,
    )


BENCHMARKS = {
    benchmark.__name__: benchmark
    for benchmark in (
        draw,
        sampling,
        rollouts,
        scoring,
        generator_step,
        generator_step_bf16,
        gpt2,
        gpt2_rollouts,
        mle,
        discriminator_step,
        ngrams,
    )
}


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--text_file", help="of ngrams: one tokenized sentence a line, 10,000 are used")
    parser.add_argument("--reference_file", help="of ngrams: the references")
    options = parser.parse_args(argv)
    path = options.output_dir / "speed.json"
    result = read_result(path)
    for name in options.only:
        torch.manual_seed(0)
        if name == "ngrams":
            if find_spec("fast_bleu") is None:
                print(
                    "ngrams: fast-bleu is not installed, so there is nothing to compare with; pip install fast-bleu."
                )
                continue
            measured = ngrams(options.rounds, options.text_file, options.reference_file)
        else:
            measured = BENCHMARKS[name](options.rounds)
        command = command_line("speed.py", argv)
        result[name] = {"command": command, "environment": describe(), "result": measured}
        rows = {name: measured} if "ratio" in measured else {f"{name} {k}": v for k, v in measured.items()}
        for label, row in rows.items():
            print(f"{label:28} library {row['library']:.4f} s, plain {row['plain']:.4f} s, ratio {row['ratio']:.2f}")
        write_result(path, result)


if __name__ == "__main__":
    main()
