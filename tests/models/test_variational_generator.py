"""The generator with a latent variable at every step: computations by hand, exact likelihoods, and `generate`."""

import math
import re
from itertools import product

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from hf_textgan.models import (
    CACHE_NAME,
    Gaussian,
    VariationalGeneratorConfig,
    VariationalGeneratorForCausalLM,
    gaussian_kl,
)
from hf_textgan.sampling import RolloutEngine, capabilities_of
from tests.helpers import BOS, EOS, PAD, randomize, tiny_lstm
from tests.models.test_recurrent_generator import PROMPTS, pad, sigmoid
from tests.sampling.tools import recorded_samples


pytestmark = pytest.mark.usefixtures("one_thread")

VARIANTS = {
    "plain": {},
    "target": {"posterior_reads_target": True},
    "recurrent": {"recurrent_latents": True},
    "peephole": {"peephole": True},
    "all": {"recurrent_latents": True, "peephole": True, "posterior_reads_target": True},
}
every_variant = pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
IDS = [[BOS, 4, 5, 6, EOS], [BOS, 7, 3, EOS, PAD], [BOS, 3, 8, 9, EOS]]


def variational(vocab_size: int = 11, seed: int = 3, std: float = 0.8, **options) -> VariationalGeneratorForCausalLM:
    sizes = {"embedding_size": 4, "hidden_size": 5, "latent_size": 2, "posterior_size": 3, "dropout": 0.0}
    special = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}
    config = VariationalGeneratorConfig(vocab_size=vocab_size, **{**sizes, **special, **options})
    return randomize(VariationalGeneratorForCausalLM(config), seed, std).eval()


def noise_of(rows: int, length: int, size: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, length, size, generator=torch.Generator().manual_seed(seed))


def texts() -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.tensor(IDS)
    return ids, (ids != PAD).long()


# ---- The textbook computation -----------------------------------------------------------------------------------


def by_hand(w: dict[str, np.ndarray], tokens: list[int], noise: np.ndarray, options: dict, infer: bool):
    """
    One sequence, one token at a time, in double precision: the logits of every position and the KL divergences, with
    latents of the posterior if `infer` is true.
    """
    w = {name: array.astype(np.float64) for name, array in w.items()}
    size, latents = w["rnn.weight_hh_l0"].shape[1], noise.shape[1]
    h, c, z = np.zeros(size), np.zeros(size), np.zeros(latents)
    all_logits, divergences = [], []
    for position, token in enumerate(tokens):
        v = w["embed_tokens.weight"][token]
        x = np.concatenate([v, z]) if options.get("recurrent_latents") else v
        m0, l0 = np.split(w["prior.weight"] @ h + w["prior.bias"], 2)  # of the state before the token
        l0 = np.clip(l0, -8, 8)
        gates = w["rnn.weight_ih_l0"] @ x + w["rnn.weight_hh_l0"] @ h
        if options.get("peephole"):
            peep = np.split(w["peepholes.weight"] @ c, 3)
            i, f, g, o = np.split(gates, 4)
            i, f, o = i + peep[0], f + peep[1], o + peep[2]
        else:
            i, f, g, o = np.split(gates + w["rnn.bias_ih_l0"] + w["rnn.bias_hh_l0"], 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        mean, log_variance = m0, l0
        if infer:
            known = [v, h]
            if options.get("posterior_reads_target"):
                known.append(w["embed_tokens.weight"][tokens[position + 1]] if position + 1 < len(tokens) else 0 * v)
            inner = np.tanh(w["posterior.0.weight"] @ np.concatenate(known) + w["posterior.0.bias"])
            mean, log_variance = np.split(w["posterior.2.weight"] @ inner + w["posterior.2.bias"], 2)
            log_variance = np.clip(log_variance, -8, 8)
            s0, s1 = np.exp(l0 / 2), np.exp(log_variance / 2)
            divergences.append((np.log(s0 / s1) + (s1**2 + (mean - m0) ** 2) / (2 * s0**2) - 0.5).sum())
        z = mean + np.exp(log_variance / 2) * noise[position]
        joined = np.tanh(w["join.weight"] @ np.concatenate([h, z]) + w["join.bias"])
        all_logits.append(w["lm_head.weight"] @ joined + w["lm_head.bias"])
    return np.stack(all_logits), np.array(divergences)


@every_variant
def test_saved_generator_recomputed_with_numpy(options, tmp_path):
    model = variational(**options)
    model.save_pretrained(tmp_path)
    weights, (ids, mask) = load_file(tmp_path / "model.safetensors"), texts()
    noise = noise_of(*ids.shape)
    with torch.no_grad():
        logits = model(input_ids=ids, noise=noise).logits
        inferred = model(input_ids=ids, labels=ids.masked_fill(mask == 0, -100), noise=noise)
        bounds = model.nll_bound(ids, mask, noise)
    total = 0.0
    for row, number in enumerate(mask.sum(1).tolist()):
        tokens, own_noise = ids[row, :number].tolist(), noise[row].numpy()
        expected, _ = by_hand(weights, tokens, own_noise, options, infer=False)
        np.testing.assert_allclose(logits[row, :number].numpy(), expected, atol=2e-5)
        expected, divergences = by_hand(weights, tokens, own_noise, options, infer=True)
        logps = expected - np.log(np.exp(expected).sum(1, keepdims=True))
        nll = -sum(logps[t, tokens[t + 1]] for t in range(number - 1))
        assert float(inferred.nll[row]) == pytest.approx(nll, rel=1e-4)
        assert float(inferred.kl[row]) == pytest.approx(divergences[:-1].sum(), rel=1e-4)
        assert float(bounds[row]) == pytest.approx(nll + divergences[:-1].sum(), rel=1e-4)
        total += nll + divergences[:-1].sum()
    assert float(inferred.loss) == pytest.approx(total / int(mask[:, 1:].sum()), rel=1e-4)


# ---- The bounds -------------------------------------------------------------------------------------------------


def test_the_divergence_is_that_of_samples():
    source = torch.Generator().manual_seed(0)
    first, second = (
        Gaussian(torch.randn(4, 3, generator=source), torch.randn(4, 3, generator=source)) for _ in range(2)
    )
    drawn = first.sample(torch.randn(200_000, 4, 3, generator=source))
    sampled = (first.log_prob(drawn) - second.log_prob(drawn)).mean(0)
    torch.testing.assert_close(gaussian_kl(first, second), sampled, rtol=0.01, atol=0)
    assert torch.equal(gaussian_kl(first, first), torch.zeros(4))
    # log_prob against the distribution of torch.
    normal = torch.distributions.Normal(first.mean, (first.log_variance / 2).exp())
    torch.testing.assert_close(first.log_prob(drawn[0]), normal.log_prob(drawn[0]).sum(-1))


def quadrature(positions: int, nodes: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise of one dimension on a grid, of shape `(nodes ** positions, positions, 1)`, and its probabilities."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights = weights / weights.sum()
    noise = torch.tensor(list(product(points, repeat=positions)))[..., None]
    return noise, torch.tensor([math.prod(chosen) for chosen in product(weights, repeat=positions)])


def exact_nll(model: torch.nn.Module, ids: list[int]) -> float:
    """``- log p(x)`` by integration over the noise of the prior."""
    noise, weights = quadrature(len(ids) - 1)
    with torch.no_grad():
        read = torch.tensor([ids[:-1]]).expand(len(noise), -1)
        logps = model(input_ids=read, noise=noise).logits.double().log_softmax(-1)
    logps = logps[:, torch.arange(len(ids) - 1), torch.tensor(ids[1:])].sum(1)
    return -float((weights.log() + logps).logsumexp(0))


@pytest.mark.parametrize(("variant", "scale"), [("plain", 0.5), ("target", 0.5), ("all", 0.25)])
def test_bounds_lie_above_the_likelihood_and_get_tighter(variant, scale):
    model = variational(latent_size=1, std=0.6, **VARIANTS[variant]).double()
    with torch.no_grad():  # a posterior near the prior, so that a few hundred draws come close
        for parameter in (*model.posterior[2].parameters(), *model.prior.parameters()):
            parameter *= scale
    ids = [BOS, 7, 3, EOS]
    exact, rows = exact_nll(model, ids), 1000
    batch, mask = torch.tensor([ids]).expand(rows, -1), torch.ones(rows, 4).long()
    with torch.no_grad():
        bound = model.nll_bound(batch, mask)
        estimates = {k: model.nll_importance_weighted(batch, mask, k) for k in (1, 4, 200)}
    means = {k: float(value.mean()) for k, value in estimates.items()}
    errors = {k: 4 * float(value.std()) / math.sqrt(rows) for k, value in estimates.items()}  # 4 standard errors
    assert float(bound.mean()) > exact + 0.01, "the bound is loose here, so the comparison means something"
    # With one draw it is the bound with a sampled divergence, which varies more.
    assert means[1] == pytest.approx(float(bound.mean()), abs=errors[1] + 4 * float(bound.std()) / math.sqrt(rows))
    assert bound.std() < estimates[1].std()
    for fewer, more in ((1, 4), (4, 200)):
        assert means[fewer] - means[more] > math.hypot(errors[fewer], errors[more])
    assert means[200] == pytest.approx(exact, abs=0.02) and means[200] > exact - errors[200]
    # The weights themselves are an unbiased estimate of the likelihood.
    likelihoods = (-estimates[4]).exp()
    chance = 4 * float(likelihoods.std()) / math.sqrt(rows)
    assert float(likelihoods.mean()) == pytest.approx(math.exp(-exact), abs=chance) and chance < 0.1 * math.exp(-exact)


def test_probabilities_of_all_texts_sum_to_one():
    model = variational(3, latent_size=1, recurrent_latents=True).double()
    texts = [[BOS, EOS], *([BOS, first, EOS] for first in (0, 1)), *([BOS, *two] for two in product((0, 1), (0, 1)))]
    assert sum(math.exp(-exact_nll(model, ids)) for ids in texts) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("options", [{}, {"recurrent_latents": True}], ids=str)
def test_without_latents_it_is_the_recurrent_language_model(options):
    """A small factor makes the tanh layer linear; the output layer takes it back."""
    plain = randomize(tiny_lstm(11, embedding_size=4, hidden_size=5), seed=3, std=0.8).double().eval()
    model, factor = variational(**options).double(), 1e-6
    with torch.no_grad():
        model.embed_tokens.load_state_dict(plain.embed_tokens.state_dict())
        for name, parameter in plain.rnn.named_parameters():
            own = getattr(model.rnn, name)
            own.zero_()
            own[..., : parameter.shape[-1]].copy_(parameter)  # the columns of the latents are 0
        for parameter in (*model.prior.parameters(), *model.posterior.parameters(), *model.join.parameters()):
            parameter.zero_()
        model.prior.bias.copy_(torch.tensor([0.3, -0.2, 0.5, 0.1]))
        model.posterior[2].bias.copy_(model.prior.bias)
        model.join.weight[:, :5] = factor * torch.eye(5)
        model.lm_head.weight.copy_(plain.lm_head.weight / factor)
        model.lm_head.bias.copy_(plain.lm_head.bias)
    ids, mask = texts()
    labels = ids.masked_fill(mask == 0, -100)
    with torch.no_grad():
        expected, found = plain(input_ids=ids, labels=labels), model(input_ids=ids, labels=labels)
        other = model(input_ids=ids)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-8, rtol=0)
    assert float(found.loss) == pytest.approx(float(expected.loss), abs=1e-8) and float(found.kl.sum()) == 0.0
    assert torch.equal(found.logits, other.logits), "other latents change nothing"


def test_other_latents_give_other_scores():
    model, ids = variational(), torch.tensor([IDS[0]] * 2)
    with torch.no_grad():
        logits = model(input_ids=ids, noise=noise_of(2, 5)).logits
        drawn = [model(input_ids=ids[:1]).logits for _ in range(2)]
        model.join.weight[:, 5:] = 0
        without = model(input_ids=ids, noise=noise_of(2, 5)).logits
    assert (logits[0] - logits[1]).abs().amax(-1).min() > 0.01
    assert not torch.equal(*drawn)
    assert torch.equal(without[0], without[1])


def test_dropout_acts_in_training_only():
    model, (ids, mask) = variational(dropout=0.5, recurrent_latents=True), texts()
    noise = noise_of(*ids.shape)
    first, second = model.nll_bound(ids, mask, noise), model.nll_bound(ids, mask, noise)
    assert torch.equal(first, second)
    model.train()
    assert not torch.equal(model.nll_bound(ids, mask, noise), first)


def test_all_parameters_get_a_gradient_of_the_bound():
    for options in VARIANTS.values():
        model, (ids, mask) = variational(**options), texts()
        model(input_ids=ids, labels=ids.masked_fill(mask == 0, -100)).loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_detached_latents_have_their_density():
    model, (ids, _) = variational(), texts()
    noise = noise_of(*ids.shape)
    output = model(input_ids=ids, noise=noise, detach_latents=True)
    # log N(z; mu, s^2) with z = mu + s noise.
    reading, _ = model._read(model.embed_tokens(ids), None, None, noise, infer=False)
    expected = -0.5 * (noise.square() + reading.prior.log_variance + math.log(2 * math.pi)).sum(-1)
    torch.testing.assert_close(output.latent_logps, expected)
    torch.testing.assert_close(output.logits, model(input_ids=ids, noise=noise).logits)
    output.logits.square().sum().backward(retain_graph=True)
    assert model.prior.weight.grad is None, "no gradient flows through the latents"
    output.latent_logps.sum().backward()
    assert model.prior.weight.grad.abs().max() > 0


# ---- Steps, prompts and generate ----------------------------------------------------------------------------------


@every_variant
def test_cached_steps_equal_one_pass(options):
    model, ids, noise = variational(**options), torch.tensor(IDS), noise_of(3, 5)
    with torch.no_grad():
        whole = model(input_ids=ids, noise=noise).logits
        state, steps = None, []
        for position in range(5):
            here = slice(position, position + 1)
            output = model(input_ids=ids[:, here], noise=noise[:, here], cache=state, use_cache=True)
            state = output[CACHE_NAME]
            steps.append(output.logits)
        halves = model(input_ids=ids[:, :3], noise=noise[:, :3], use_cache=True)
        rest = model(input_ids=ids[:, 3:], noise=noise[:, 3:], cache=halves[CACHE_NAME]).logits
    assert state.get_seq_length() == 5 and len(state.tensors) == 2 + bool(options.get("recurrent_latents"))
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat([halves.logits, rest], 1), whole, atol=1e-5, rtol=0)


@every_variant
@pytest.mark.parametrize("side", ("left", "right"))
def test_padding_changes_nothing(options, side):
    model = variational(**options)
    ids, mask = pad(PROMPTS, side)
    noise, ends = noise_of(*ids.shape), [len(row) for row in PROMPTS]
    with torch.no_grad():
        output = model(input_ids=ids, attention_mask=mask, noise=noise, use_cache=True)
        bounds = model.nll_bound(ids, mask, noise)
        for row, tokens in enumerate(PROMPTS):
            where = slice(ids.shape[1] - ends[row], None) if side == "left" else slice(ends[row])
            alone = torch.tensor([tokens])
            expected = model(input_ids=alone, noise=noise[row : row + 1, where], use_cache=True)
            torch.testing.assert_close(output.logits[row : row + 1, where], expected.logits, atol=1e-5, rtol=0)
            for padded, own in zip(output[CACHE_NAME].tensors, expected[CACHE_NAME].tensors, strict=True):
                torch.testing.assert_close(padded[:, row : row + 1], own, atol=1e-5, rtol=0)
            bound = model.nll_bound(alone, torch.ones_like(alone), noise[row : row + 1, where])
            torch.testing.assert_close(bounds[row : row + 1], bound, atol=1e-4, rtol=1e-5)


DECODING = {"greedy": {}, "sampling": {"do_sample": True, "top_k": 0}, "beams": {"num_beams": 3}}


@pytest.mark.parametrize("decoding", DECODING.values(), ids=DECODING)
@pytest.mark.parametrize("options", [VARIANTS["plain"], VARIANTS["all"]], ids=("plain", "all"))
def test_generate_with_and_without_cache(options, decoding):
    model, noise = variational(std=1.2, **options), noise_of(3, 12)
    ids, mask = pad(PROMPTS, "left")
    outputs = []
    for use_cache in (True, False):
        torch.manual_seed(0)
        given = {"attention_mask": mask, "noise": noise, "use_cache": use_cache, "max_new_tokens": 8}
        outputs.append(model.generate(ids, min_new_tokens=4, **given, **decoding))
    assert torch.equal(*outputs)
    torch.manual_seed(0)
    other = model.generate(
        ids, attention_mask=mask, noise=noise_of(3, 12, seed=9), max_new_tokens=8, min_new_tokens=4, **decoding
    )
    assert other.shape != outputs[0].shape or not torch.equal(other, outputs[0]), "the noise decides"


def test_generate_reads_the_noise_of_its_positions():
    model, noise = variational(std=1.2), noise_of(1, 9)
    generated = model.generate(torch.tensor([PROMPTS[0]]), noise=noise, max_new_tokens=5, min_new_tokens=5)
    with torch.no_grad():
        logits = model(input_ids=generated[:, :-1], noise=noise[:, :8]).logits[0, 3:]
    logits[:4, EOS] = -math.inf  # as `min_new_tokens` has it for all new tokens; the last may end the text
    logits[4, EOS] = -math.inf
    assert logits.argmax(-1).tolist() == generated[0, 4:].tolist()


def test_generate_refuses_what_would_be_wrong():
    model, prompt = variational(recurrent_latents=True), torch.tensor([[BOS, 4]])
    with pytest.raises(ValueError, match="use_cache is False and no noise is given, but .* leave use_cache out, or"):
        model.generate(prompt, max_new_tokens=3, use_cache=False)
    assert model.generate(prompt, max_new_tokens=3).shape[1] <= 5
    with pytest.raises(ValueError, match="noise has 2 positions, and `generate` reads 3 or more tokens; give a"):
        model.generate(prompt, noise=noise_of(1, 2), max_new_tokens=3, min_new_tokens=3)
    with pytest.raises(ValueError, match=re.escape("noise has the shape (1, 3, 2); give numbers of shape (1, 2, 2).")):
        model(input_ids=prompt, noise=noise_of(1, 3))
    with pytest.raises(ValueError, match="num_samples is 0; set it to 1 or more."):
        model.nll_importance_weighted(prompt, torch.ones_like(prompt), 0)
    with pytest.raises(ValueError, match="logits_to_keep is 1; labels need all logits, so leave it at 0."):
        model(input_ids=prompt, labels=prompt, logits_to_keep=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_size": 0}, "latent_size is 0; set it to 1 or more."),
        (
            {"peephole": True, "cell_type": "gru"},
            "peephole is True, cell_type is 'gru' and num_hidden_layers is 1, but",
        ),
        ({"peephole": True, "num_hidden_layers": 2}, "num_hidden_layers is 2, but the gates .* or peephole to False."),
    ],
)
def test_sizes_without_a_meaning_are_refused(options, message):
    with pytest.raises(Exception, match=message):
        VariationalGeneratorConfig(**options)


@every_variant
def test_a_score_is_what_was_recorded_while_the_sample_was_drawn(options, monkeypatch):
    model, engine = variational(600, std=0.5, **options), RolloutEngine(6, BOS, PAD, EOS)
    assert capabilities_of(model).likelihood == "bound" and capabilities_of(model).step_inputs == ("noise",)
    samples, recorded = recorded_samples(engine, model, 40, monkeypatch)
    assert samples.inputs["noise"].shape == (40, 6, 2)
    assert engine._head_to_skip(model, samples) is model.lm_head
    scores = engine.score(model, samples)
    assert torch.equal(scores, engine.score(model, samples)) and (recorded < 0).any(1).all()
    torch.testing.assert_close(scores, recorded, atol=1e-5, rtol=1e-5)
