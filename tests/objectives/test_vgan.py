"""
VGAN: real updates of the Trainer against the exact gradient, by enumeration of all sequences with all noise; and the
bound of its pre-training.
"""

import copy
import math
import re

import pytest
import torch
from torch import nn

from hf_textgan import AdversarialConfig, AdversarialTrainer, RolloutEngine, Samples, StepContext, VGANObjective
from hf_textgan.core.players import Players
from hf_textgan.models import VariationalGeneratorConfig, VariationalGeneratorForCausalLM
from hf_textgan.objectives import VariationalBoundObjective
from hf_textgan.objectives.variational_bound import bound_terms
from tests.helpers import BOS, EOS, PAD, all_sequences, randomize, tiny_lstm
from tests.models.test_variational_generator import quadrature
from tests.objectives.test_policy_gradient import (
    TICKS,
    T,
    V,
    agreement,
    agrees,
    discriminator,
    flat,
    gradients_of_steps,
    gradients_of_the_trainer,
    players_of,
    real_probability,
)


pytestmark = pytest.mark.usefixtures("one_thread")


class DiscreteNoise(VariationalGeneratorForCausalLM):
    """The noise is -1 or 1, so that everything can be enumerated."""

    def draw_inputs(self, num_rows: int, length: int) -> dict[str, torch.Tensor]:
        return {"noise": torch.randint(2, (num_rows, length, 1), device=self.device) * 2.0 - 1.0}


def generator(kind: type = VariationalGeneratorForCausalLM, **options) -> VariationalGeneratorForCausalLM:
    sizes = {"embedding_size": 3, "hidden_size": 4, "latent_size": 1, "posterior_size": 2, "dropout": 0.0}
    special = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}
    model = randomize(kind(VariationalGeneratorConfig(vocab_size=V, **sizes, **special, **options)), seed=4, std=0.6)
    with torch.no_grad():  # the latents decide a good part
        model.join.weight[:, -1] *= 2
        model.lm_head.weight *= 2
    return model.eval()


def every_noise() -> tuple[torch.Tensor, torch.Tensor]:
    noise = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * T)[..., None]
    return noise, torch.full((len(noise),), 1 / len(noise)).double()


def expected_reward(model: nn.Module, judge: nn.Module, noise: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """``sum_noise p(noise) sum_y G(y | noise) D(y)``, with gradient; the noise is a grid or all that is possible."""
    known = all_sequences(V, T, EOS)
    with torch.no_grad():
        scores = real_probability(judge.eval(), known.sequences).double()
    total = torch.zeros((), dtype=torch.float64)
    for sequence, mask, score in zip(known.sequences, known.attention_mask, scores, strict=True):
        number = int(mask.sum())
        ids = torch.tensor([[BOS, *sequence[: number - 1].tolist()]]).expand(len(noise), -1)
        logps = model(input_ids=ids, noise=noise[:, :number]).logits.double().log_softmax(-1)
        logp = logps[:, torch.arange(number), sequence[:number]].sum(1)
        total = total + score * (weights * logp.exp()).sum()
    return total


def exact_gradient(model: nn.Module, judge: nn.Module, noise: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    parameters = list(model.parameters())
    loss = -expected_reward(model, judge, noise, weights)
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    filled = [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, parameters, strict=True)]
    return torch.cat([g.flatten() for g in filled]).double()


def share_of_the_prior(model: nn.Module, gradient: torch.Tensor) -> float:
    """The norm of the gradient of the prior's parameters, relative to the whole."""
    start, squares = 0, 0.0
    for name, parameter in model.named_parameters():
        part = gradient[start : start + parameter.numel()]
        start += parameter.numel()
        squares += float(part.square().sum()) if name.startswith("prior.") else 0.0
        if name.startswith("posterior."):
            assert part.abs().max() == 0.0, "the posterior has no part in it"
    return math.sqrt(squares) / float(gradient.norm())


def quick(latent_gradient: str = "reparametrized", **options) -> VGANObjective:
    options = {"num_rollouts": 4, "generator_steps": 1, "discriminator_steps": 1, **options}
    return VGANObjective(latent_gradient=latent_gradient, **options)


@pytest.mark.parametrize("options", [{}, {"recurrent_latents": True, "peephole": True}], ids=("plain", "recurrent"))
def test_updates_of_the_trainer_follow_the_exact_gradient(options, tmp_path):
    """With every noise and every sequence enumerated; the prior's parameters are among those of the gradient."""
    model, judge = generator(DiscreteNoise, **options), discriminator()
    gradients = gradients_of_the_trainer(model, judge, quick(), tmp_path)
    exact = exact_gradient(model, judge, *every_noise())
    assert gradients.shape == (TICKS, len(exact)) and share_of_the_prior(model, exact) > 0.05
    assert agrees(gradients, exact), agreement(gradients, exact)
    # Gradient of the prior alone, which a fault in its part would not hide in.
    where = torch.cat([torch.full((p.numel(),), n.startswith("prior.")) for n, p in model.named_parameters()])
    assert agreement(gradients[:, where], exact[where])["z"] < 4


@pytest.mark.parametrize("latent_gradient", ["reparametrized", "score_function"])
@pytest.mark.parametrize(
    "options",
    [{}, pytest.param({"recurrent_latents": True}, marks=pytest.mark.slow)],
    ids=("plain", "recurrent"),
)
def test_both_latent_gradients_follow_the_exact_gradient(options, latent_gradient):
    """With Gaussian noise, integrated on a grid."""
    model, judge = generator(**options), discriminator()
    exact = exact_gradient(model.double(), judge, *quadrature(T, 12))
    gradients = gradients_of_steps(model, judge, quick(latent_gradient), EOS, batch=1000)
    assert share_of_the_prior(model, exact) > 0.05
    assert agrees(gradients, exact), agreement(gradients, exact)


class DetachedLatents(VGANObjective):
    """The prior gets no gradient."""

    def _log_policy(self, players, engine, samples):
        class Scorer:
            step_inputs = ("noise",)

            def __call__(self, **inputs):
                return players["generator"](**inputs, detach_latents=True)

        logps = engine.per_token_logps(Scorer(), samples)
        return logps, logps


class AttachedScores(VGANObjective):
    """The density of the latents is added although gradient flows through them."""

    def _log_policy(self, players, engine, samples):
        logps, _ = super()._log_policy(players, engine, samples)
        noise = samples.inputs["noise"]
        ids = torch.cat([torch.full_like(samples.sequences[:, :1], BOS), samples.sequences[:, :-1]], 1)
        output = players["generator"](input_ids=ids, noise=noise, detach_latents=True)
        return logps, logps + output.latent_logps


class ForgottenLatents(VGANObjective):
    """Rollouts draw the latents of the prefix anew."""

    def _rewards(self, players, engine, samples):
        noise = torch.randn_like(samples.inputs["noise"])
        return super()._rewards(players, engine, Samples(samples.sequences, samples.attention_mask, {"noise": noise}))


@pytest.mark.parametrize("kind", [DetachedLatents, AttachedScores, ForgottenLatents])
def test_the_comparison_refuses_faulty_estimators(kind):
    options = {"recurrent_latents": True} if kind is ForgottenLatents else {}
    model, judge = generator(**options), discriminator()
    if kind is ForgottenLatents:  # later tokens depend on earlier latents
        with torch.no_grad():
            model.rnn.weight_ih_l0[:, -1] *= 6
    exact = exact_gradient(model.double(), judge, *quadrature(T, 12))
    gradients = gradients_of_steps(model, judge, kind(num_rollouts=4), EOS, batch=600)
    assert not agrees(gradients, exact), agreement(gradients, exact)


@pytest.mark.parametrize("latent_gradient", ["reparametrized", "score_function"])
def test_a_constant_judge_gives_no_gradient_on_average(latent_gradient):
    model, judge = generator(), discriminator()
    with torch.no_grad():
        judge.classifier.weight.zero_()
    assert exact_gradient(model.double(), judge, *quadrature(T, 12)).norm() < 1e-6
    gradients = gradients_of_steps(model, judge, quick(latent_gradient), EOS)
    chance = gradients.var(0).sum() / len(gradients)
    assert gradients.mean(0).square().sum() < 3 * chance
    assert gradients.norm(dim=1).min() > 0.01, "single updates do have a gradient: the reward is positive"


def test_rewards_are_those_of_completions_with_the_same_latents(monkeypatch):
    model, judge = generator(recurrent_latents=True), discriminator()
    engine, objective = RolloutEngine(T, BOS, PAD, EOS), quick()
    samples = engine.sample(model, 30)
    kept, scored = [], []
    rollout = engine.rollout

    def recorded(*arguments):
        for chunk in rollout(*arguments):
            kept.append(chunk)
            yield chunk

    def counted(discriminator, sequences, *rest):
        scored.append(len(sequences))
        return real_probability(discriminator, sequences).detach()

    monkeypatch.setattr(engine, "rollout", recorded)
    monkeypatch.setattr("hf_textgan.objectives.seqgan.probability_of_real", counted)
    rewards = objective._rewards(players_of(model, judge), engine, samples)
    for chunk in kept:
        noise = chunk.samples.inputs["noise"]
        for row, prefix, own, tokens in zip(chunk.row, chunk.prefix_length, noise, chunk.sequences, strict=True):
            assert torch.equal(own[:prefix], samples.inputs["noise"][row, :prefix])
            assert (own[prefix:] != samples.inputs["noise"][row, prefix:]).all()
            assert torch.equal(tokens[:prefix], samples.sequences[row, :prefix])
    last = samples.attention_mask.sum(1) - 1
    final = real_probability(judge, samples.sequences).detach()
    torch.testing.assert_close(rewards[torch.arange(30), last], final)
    assert max(scored) <= 15, "equal sequences are scored once, whatever their noise"


# ---- Pre-training -----------------------------------------------------------------------------------------------


BATCH = {
    "input_ids": torch.tensor([[BOS, 0, 1, EOS], [BOS, 1, EOS, PAD], [BOS, EOS, PAD, PAD]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]]),
}


def bound_output(objective, model, context=None, batch=BATCH):
    players, engine = Players({"generator": model}), RolloutEngine(T, BOS, PAD, EOS)
    with players.updating("generator"):
        return objective.bound_loss(players, engine, batch, context or StepContext())


def test_the_loss_is_the_bound_per_token():
    model = generator()
    noise = StepContext().randn("latents", 3, T + 1, 1)
    output = bound_output(VariationalBoundObjective(), model)
    expected = model.nll_bound(BATCH["input_ids"], BATCH["attention_mask"], noise).sum() / 6
    torch.testing.assert_close(output.loss, expected)
    assert output.weight == 6.0 and output.metrics["generator/nll_bound_per_token"] == pytest.approx(float(expected))
    nll, kl, num_tokens = bound_terms(model, BATCH, noise)
    assert int(num_tokens) == 6 and output.metrics["generator/kl_per_token"] == pytest.approx(float(kl) / 6)
    # The weight of the divergence, and its rise.
    half = bound_output(VariationalBoundObjective(kl_weight=0.5), model)
    assert float(half.loss) == pytest.approx(float(nll + 0.5 * kl) / 6)
    for step, weight in ((0, 0.0), (5, 0.5), (10, 1.0), (30, 1.0)):
        output = bound_output(VariationalBoundObjective(kl_annealing=10), model, StepContext(step=step))
        assert float(output.loss) == pytest.approx(float(nll + weight * kl) / 6, rel=1e-5)
        assert output.metrics["generator/kl_weight"] == weight
        assert output.metrics["generator/nll_bound_per_token"] == pytest.approx(float(nll + kl) / 6, rel=1e-5)


def test_a_step_in_parts_is_the_step():
    model, objective = generator(), VariationalBoundObjective()
    whole = {name: torch.cat([value, value[:1]]) for name, value in BATCH.items()}
    loss = bound_output(objective, model, batch=whole).loss
    parts = []
    for shard in range(2):
        rows = {name: value[2 * shard : 2 * shard + 2] for name, value in whole.items()}
        width = int(rows["attention_mask"].sum(1).max())
        rows = {name: value[:, :width] for name, value in rows.items()}  # its own longest text
        parts.append(bound_output(objective, model, StepContext().for_shard(shard, 2), rows))
    total = sum(float(part.loss) * part.weight for part in parts) / sum(part.weight for part in parts)
    assert total == pytest.approx(float(loss), rel=1e-5)


def test_the_bound_gets_better_and_the_log_shows_it(tmp_path):
    """Pre-training of real runs: VGAN's first phase is VGAN-pre."""
    rows = [{"input_ids": [BOS, 0, 1, EOS]}, {"input_ids": [BOS, 1, EOS]}] * 8
    ends = []
    for objective in (VariationalBoundObjective(), quick()):
        arguments = AdversarialConfig(
            output_dir=str(tmp_path / type(objective).__name__),
            pretrain_generator_steps=40,
            max_steps=0,
            per_device_train_batch_size=16,
            learning_rate=0.05,
            logging_steps=1,
            eval_strategy="steps",
            eval_steps=20,
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
            max_length=T,
        )
        trainer = AdversarialTrainer(
            model=copy.deepcopy(generator()),
            args=arguments,
            objective=objective,
            train_dataset=rows,
            eval_dataset=rows,
            players={"discriminator": discriminator()} if isinstance(objective, VGANObjective) else {},
        )
        trainer.train()
        evaluations = [entry for entry in trainer.state.log_history if "eval_nll_bound_per_token" in entry]
        assert [entry["step"] for entry in evaluations] == [20, 40]
        assert evaluations[-1]["eval_loss"] == evaluations[-1]["eval_nll_bound_per_token"]
        assert evaluations[-1]["eval_kl_per_token"] >= 0
        logged = [e["generator/nll_bound_per_token"] for e in trainer.state.log_history if "generator/loss" in e]
        assert len(logged) == 40 and logged[-1] < 0.6 * logged[0]
        assert evaluations[-1]["eval_nll_bound_per_token"] < 0.6 * logged[0]
        ends.append(flat(trainer.model))
    assert torch.equal(*ends)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VGANObjective(latent_gradient="both"), "latent_gradient is 'both'; set it to 'reparametrized' or"),
        (lambda: VGANObjective(scheduled_sampling=0.5), "scheduled_sampling is 0.5, but VGAN is pre-trained by the"),
        (lambda: VGANObjective(kl_annealing=-1), "kl_annealing is -1; set it to 0 or more."),
        (
            lambda: VariationalBoundObjective().check_players({"generator": tiny_lstm()}, RolloutEngine(T, 1, 0, 2)),
            "The generator is a RecurrentGeneratorForCausalLM, which has no latent variable at each step; build it "
            "from a VariationalGeneratorConfig.",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
