"""The adversarial losses against values by hand, their identities, and extreme scores."""

import math

import pytest
import torch

from hf_textgan.losses.adversarial import ADVERSARIAL_LOSSES, adversarial_loss


every_loss = pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)

# Of scores a = (2, 0) of real and b = (1, -1) of generated sequences. With softplus(t) = log(1 + e^t):
# softplus(-2) = .126928, softplus(0) = .693147, softplus(1) = 1.313262, softplus(-1) = .313262; tanh(1) = .761594,
# tanh(2) = .964028. The means are E a = 1 and E b = 0.
BY_HAND = {
    "standard": ((0.126928 + 0.693147 + 1.313262 + 0.313262) / 2, (0.313262 + 1.313262) / 2),
    "js": ((0.126928 + 0.693147 + 1.313262 + 0.313262) / 2, -(1.313262 + 0.313262) / 2),
    "kl": ((0.126928 + 0.693147 + 1.313262 + 0.313262) / 2, 0.0),
    "hinge": ((0 + 1 + 2 + 0) / 2, 0.0),
    "tv": ((0.761594 - 0.761594) / 2 - 0.964028 / 2, 0.0),
    "wasserstein": (0.0 - 1.0, 0.0),
    "least_squares": ((1 + 1) / 4 + (1 + 1) / 4, (0 + 4) / 4),
    "rsgan": (0.313262, 1.313262),  # a - b = (1, 1)
    # D: softplus(E b - a) of (-2, 0), softplus(b - E a) of (0, -2); G: softplus(E a - b) of (0, 2), softplus(a - E b).
    "ragan": (
        (0.126928 + 0.693147) / 2 + (0.693147 + 0.126928) / 2,
        (0.693147 + 2.126928) / 2 + (2.126928 + 0.693147) / 2,
    ),
}


@every_loss
@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_losses_by_hand(name, shape):
    a, b = torch.tensor([2.0, 0.0]).view(shape), torch.tensor([1.0, -1.0]).view(shape)
    loss, (for_discriminator, for_generator) = adversarial_loss(name), BY_HAND[name]
    assert float(loss.discriminator(a, b)) == pytest.approx(for_discriminator, abs=1e-5)
    assert float(loss.generator(a, b)) == pytest.approx(for_generator, abs=1e-5)


@every_loss
def test_which_losses_read_real_scores_and_couple_the_batch(name):
    """What the fields say is what the gradients are."""
    loss, torch_source = adversarial_loss(name), torch.Generator().manual_seed(0)
    a, b = (torch.randn(5, generator=torch_source).requires_grad_() for _ in range(2))
    other = a.detach() + 1
    assert loss.generator_reads_real == (float(loss.generator(a, b)) != float(loss.generator(other, b)))
    # The gradient of one example, when another one changes.
    for function in (loss.discriminator, loss.generator):
        gradients = []
        for shift in (0.0, 2.0):
            moved = b + torch.tensor([0.0, 0.0, 0.0, 0.0, shift])
            gradients.append(torch.autograd.grad(function(a, moved), b)[0][0])
        assert loss.couples_batch == bool((gradients[0] - gradients[1]).abs() > 1e-6)
    assert (
        not loss.generator(a, b).requires_grad
        or torch.autograd.grad(loss.generator(a, b), [a, b], allow_unused=True)[0] is None
    ), "no gradient flows through real scores in the generator's loss"


@pytest.mark.parametrize("name", ["rsgan", "ragan"])
def test_relativistic_identities(name):
    """Equal scores give ln 2 for each term, exchanged players exchanged losses, and a constant changes nothing."""
    loss, source = adversarial_loss(name), torch.Generator().manual_seed(0)
    a, b = (torch.randn(7, 3, generator=source) for _ in range(2))
    terms = {"rsgan": 1, "ragan": 2}[name]
    equal = torch.full((7, 3), 0.3)
    assert float(loss.discriminator(equal, equal)) == pytest.approx(terms * math.log(2), abs=1e-6)
    assert float(loss.generator(equal, equal)) == pytest.approx(terms * math.log(2), abs=1e-6)
    torch.testing.assert_close(loss.discriminator(a, b), loss.generator(b, a))
    torch.testing.assert_close(loss.discriminator(a + 5, b + 5), loss.discriminator(a, b), atol=1e-5, rtol=1e-5)
    # Each score has a gradient of at most 1 / number in each term.
    b.requires_grad_()
    gradient = torch.autograd.grad(loss.generator(a, b), b)[0]
    assert float(gradient.abs().max()) * b.numel() <= terms
    assert bool((gradient < 0).all()), "higher scores of generated sequences lower the generator's loss"


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("extreme", [1e4, -1e4])
def test_extreme_scores_are_safe(name, dtype, extreme):
    loss = adversarial_loss(name)
    a = torch.tensor([extreme, 0.5], dtype=dtype, requires_grad=True)
    b = torch.tensor([-extreme, extreme], dtype=dtype, requires_grad=True)
    for function in (loss.discriminator, loss.generator):
        value = function(a, b)
        assert value.dtype == torch.float32 and value.isfinite()
        gradients = torch.autograd.grad(value, [a, b], allow_unused=True)
        assert all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients)


def test_the_optimal_discriminator_gives_the_divergences():
    """With s = log(p / q) on three points the losses are those of JS, KL(q || p) and total variation."""
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
    counts_p, counts_q = (10 * p).round().long(), (10 * q).round().long()
    s = (p / q).log()
    a, b = s.repeat_interleave(counts_p), s.repeat_interleave(counts_q)
    m = (p + q) / 2
    js = (p * (p / m).log()).sum() / 2 + (q * (q / m).log()).sum() / 2
    value = -adversarial_loss("js").discriminator(a, b)
    torch.testing.assert_close(value, 2 * js - 2 * math.log(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(adversarial_loss("kl").generator(a, b), (q * (q / p).log()).sum())
    best = 100 * (p - q).sign()
    value = adversarial_loss("tv").discriminator(best.repeat_interleave(counts_p), best.repeat_interleave(counts_q))
    torch.testing.assert_close(value, -(p - q).abs().sum())


def test_an_unknown_loss_is_an_error():
    with pytest.raises(ValueError, match="There is no adversarial loss called 'rsgann'; did you mean 'rsgan'"):
        adversarial_loss("rsgann")
