"""The convolutional generator and critic: against networks of PyTorch's modules, by hand, and as files."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModel, AutoModelForSequenceClassification

from hf_textgan.models import ConvCritic, ConvCriticConfig, ConvGenerator, ConvGeneratorConfig
from hf_textgan.models import modeling_resnet_utils as residual
from hf_textgan.models.modeling_resnet_utils import PositionConvolution
from tests.helpers import EOS, PAD, chi_square_p, randomize


def tiny_generator(**options) -> ConvGenerator:
    sizes = {"vocab_size": 4, "sequence_length": 5, "latent_size": 3, "hidden_size": 6, "num_blocks": 2}
    return ConvGenerator(ConvGeneratorConfig(**{**sizes, **options})).eval()


def tiny_critic(**options) -> ConvCritic:
    sizes = {"vocab_size": 4, "sequence_length": 5, "hidden_size": 6, "num_blocks": 2}
    return ConvCritic(ConvCriticConfig(**{**sizes, **options})).eval()


# ---- Reference networks, with the channels first ------------------------------------------------------------------


class Branch(nn.Module):
    def __init__(self, size: int, kernel_size: int):
        super().__init__()
        self.convolution1 = nn.Conv1d(size, size, kernel_size, padding="same")
        self.convolution2 = nn.Conv1d(size, size, kernel_size, padding="same")

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs + 0.3 * self.convolution2(F.relu(self.convolution1(F.relu(inputs))))


class ReferenceCritic(nn.Module):
    def __init__(self, config: ConvCriticConfig):
        super().__init__()
        self.input_projection = nn.Conv1d(config.vocab_size, config.hidden_size, 1)
        branches = (Branch(config.hidden_size, config.kernel_size) for _ in range(config.num_blocks))
        self.blocks = nn.Sequential(*branches)
        self.classifier = nn.Linear(config.hidden_size * config.sequence_length, 1)

    def forward(self, inputs_onehot: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.blocks(self.input_projection(inputs_onehot.transpose(1, 2))).flatten(1))

    def input_gradient(self, inputs_onehot: torch.Tensor) -> torch.Tensor:
        inputs = inputs_onehot.detach().requires_grad_()
        return torch.autograd.grad(self(inputs).sum(), inputs, create_graph=True)[0]


class ReferenceGenerator(nn.Module):
    def __init__(self, config: ConvGeneratorConfig):
        super().__init__()
        self.size = config.hidden_size
        self.project = nn.Linear(config.latent_size, config.hidden_size * config.sequence_length)
        self.blocks = nn.Sequential(*(Branch(self.size, config.kernel_size) for _ in range(config.num_blocks)))
        self.lm_head = nn.Conv1d(config.hidden_size, config.vocab_size, 1)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        hidden = self.project(latents).view(len(latents), self.size, -1)
        return self.lm_head(self.blocks(hidden)).transpose(1, 2)


def like_reference(model: nn.Module, reference: nn.Module, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    shapes = dict(reference.named_parameters())
    return {
        name: (value.permute(2, 1, 0) if value.dim() == 3 else value).reshape(shapes[name].shape)
        for name, value in values.items()
    }


def with_reference(model: nn.Module, reference_class: type[nn.Module]) -> nn.Module:
    randomize(model, std=0.4)
    reference = reference_class(model.config)
    reference.load_state_dict(like_reference(model, reference, model.state_dict()))
    return reference


def mixtures(critic: ConvCritic, batch_size: int = 3) -> torch.Tensor:
    shape = (batch_size, critic.config.sequence_length, critic.config.vocab_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(5)).softmax(-1)


def penalty(gradient: torch.Tensor) -> torch.Tensor:
    return ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()


# ---- Equal to the reference ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [5, 2])
def test_the_generator_equals_the_reference(length):
    model = tiny_generator(sequence_length=length)
    reference, latents = with_reference(model, ReferenceGenerator), torch.randn(3, 3)
    logits = model(latents=latents).logits
    assert logits.shape == (3, length, 4) and logits.is_contiguous()
    torch.testing.assert_close(logits, reference(latents))
    rows = logits.softmax(-1)
    assert (rows > 0).all()
    torch.testing.assert_close(rows.sum(-1), torch.ones(3, length))
    (logits**2).sum().backward()
    (reference(latents) ** 2).sum().backward()
    found = like_reference(model, reference, {name: value.grad for name, value in model.named_parameters()})
    for name, parameter in reference.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-5)


def test_the_latent_vector_becomes_channels_of_positions():
    """Number 2 * 5 + 3 of the projection is channel 2 at position 3."""
    model = tiny_generator(num_blocks=0, hidden_size=4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.project.bias[2 * 5 + 3] = 1.0
        model.lm_head.weight.copy_(torch.eye(4))
    logits = model(latents=torch.zeros(1, 3)).logits[0]
    assert logits.nonzero().tolist() == [[3, 2]]


def test_the_critic_reads_channels_of_positions():
    critic = tiny_critic(num_blocks=0, hidden_size=4)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.zero_()
        critic.input_projection.weight.copy_(torch.eye(4))
        critic.classifier.weight[0, 2 * 5 + 3] = 7.0
    ids = torch.tensor([[0, 0, 0, 2, 0], [2, 2, 2, 0, 2]])
    output = critic(input_ids=ids)
    assert output.logits.tolist() == [[7.0], [0.0]]
    assert output.features.shape == (2, 20) and output.features[0, 2 * 5 + 3] == 1


@pytest.mark.parametrize("options", [{}, {"sequence_length": 2}, {"num_blocks": 1, "kernel_size": 3}])
def test_the_penalty_and_its_gradients_equal_the_reference(options):
    critic = tiny_critic(**options)
    reference, inputs = with_reference(critic, ReferenceCritic), mixtures(critic)
    torch.testing.assert_close(critic(inputs_onehot=inputs).logits, reference(inputs))
    with torch.no_grad():
        gradient = critic.input_gradient(inputs)
    torch.testing.assert_close(gradient, reference.input_gradient(inputs))
    assert inputs.grad is None and all(parameter.grad is None for parameter in critic.parameters())

    penalty(gradient).backward()
    penalty(reference.input_gradient(inputs)).backward()
    for (name, parameter), expected in zip(critic.named_parameters(), reference.parameters(), strict=True):
        if expected.grad is None or name.endswith("bias"):  # the penalty does not depend on them
            assert parameter.grad is None or not parameter.grad.any()
            continue
        found = like_reference(critic, reference, {name: parameter.grad})[name]
        assert expected.grad.any()
        assert (found - expected.grad).norm() <= 1e-5 * expected.grad.norm(), name


def test_autograd_through_the_scores_gives_the_same_penalty():
    critic = randomize(tiny_critic(), std=0.4)
    inputs = mixtures(critic).requires_grad_()
    parameters = [value for name, value in critic.named_parameters() if name.endswith("weight")]
    (gradient,) = torch.autograd.grad(critic(inputs_onehot=inputs).logits.sum(), inputs, create_graph=True)
    expected = torch.autograd.grad(penalty(gradient), parameters)
    found = torch.autograd.grad(penalty(critic.input_gradient(inputs)), parameters)
    torch.testing.assert_close(found, expected)
    assert inputs.grad is None


def test_the_penalty_against_finite_differences():
    critic = tiny_critic(vocab_size=3, sequence_length=4, hidden_size=2, num_blocks=2, kernel_size=3)
    randomize(critic, std=0.7).double()
    inputs = mixtures(critic).double()
    penalty(critic.input_gradient(inputs)).backward()
    step, checked = 1e-6, 0
    for name, parameter in critic.named_parameters():
        for index in range(parameter.numel()):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter.view(-1)[index] += sign * step
                values.append(penalty(critic.input_gradient(inputs)).item())
                with torch.no_grad():
                    parameter.view(-1)[index] -= sign * step
            analytic = 0.0 if parameter.grad is None else float(parameter.grad.view(-1)[index])
            assert (values[0] - values[1]) / (2 * step) == pytest.approx(analytic, rel=1e-5, abs=1e-7), name
            checked += analytic != 0
    assert checked > 30


def test_a_critic_without_blocks_has_the_penalty_of_a_linear_function():
    """D(x) = <w, x> + b with ||w|| = c over all entries: the penalty is (c - 1)^2."""
    critic = tiny_critic(num_blocks=0)
    randomize(critic)
    first, last = critic.input_projection.weight, critic.classifier.weight.view(6, 5)
    norm = (last.T @ first).norm()
    torch.testing.assert_close(penalty(critic.input_gradient(mixtures(critic))), (norm - 1) ** 2)
    with torch.no_grad():
        critic.classifier.weight.div_(norm)
    assert penalty(critic.input_gradient(mixtures(critic))) < 1e-10


def test_elsewhere_the_input_gradient_is_plain_autograd(monkeypatch):
    critic = randomize(tiny_critic(), std=0.4)
    inputs, parameters = mixtures(critic)[:, :4], [block.convolution1.weight for block in critic.blocks]
    fast = critic.input_gradient(inputs)
    fast = [fast, *torch.autograd.grad(penalty(fast), parameters)]
    monkeypatch.setattr(PositionConvolution, "uses_matrix_products", False)
    with torch.no_grad():
        plain = critic.input_gradient(inputs)
    plain = [plain, *torch.autograd.grad(penalty(plain), parameters)]
    torch.testing.assert_close(fast, plain)
    assert plain[0].shape == (3, 4, 4) and all(parameter.grad is None for parameter in critic.parameters())


# ---- How much is computed -----------------------------------------------------------------------------------------


class CountProducts(TorchDispatchMode):
    """Counts the matrix products of the convolutions of 6 channels, not those with the 7 tokens."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in ("mm", "addmm", "addmm_"):
            left, right = args[-2:]
            self.count += 6 in left.shape and right.shape[1] == 6 and 7 not in (*left.shape, *right.shape)
        return function(*args, **(kwargs or {}))


def test_the_number_of_products_is_that_of_the_hand_count():
    """
    A pass through 2 blocks of 2 convolutions of width 5 is 20 products. Scores: one pass forwards, two backwards. The
    penalty: one forwards, one for the gradient of the input, two for its derivatives and none into the forward pass.
    """
    critic, one_pass = randomize(tiny_critic(vocab_size=7), std=0.4), 20
    inputs = mixtures(critic)
    with CountProducts() as forwards:
        scores = critic(inputs_onehot=inputs).logits.sum()
    with CountProducts() as backwards:
        scores.backward()
    assert (forwards.count, backwards.count) == (one_pass, 2 * one_pass)
    with CountProducts() as forwards:
        value = penalty(critic.input_gradient(inputs))
    with CountProducts() as backwards:
        value.backward()
    assert (forwards.count, backwards.count) == (2 * one_pass, 2 * one_pass)


def test_nothing_is_sent_back_into_the_forward_pass_by_plain_autograd_either():
    critic, one_pass = randomize(tiny_critic(vocab_size=7), std=0.4), 20
    inputs = mixtures(critic).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(inputs_onehot=inputs).logits.sum(), inputs, create_graph=True)
    with CountProducts() as backwards:
        penalty(gradient).backward()
    assert backwards.count == 2 * one_pass


def test_a_frozen_critic_costs_one_pass_backwards():
    critic = randomize(tiny_critic(vocab_size=7), std=0.4).requires_grad_(False)
    inputs = mixtures(critic).requires_grad_()
    scores = critic(inputs_onehot=inputs).logits.sum()
    with CountProducts() as backwards:
        scores.backward()
    assert backwards.count == 20 and inputs.grad.any()


# ---- Sizes, initial weights, files --------------------------------------------------------------------------------


def test_parameter_counts_at_the_size_of_the_paper():
    with torch.device("meta"):
        generator, critic = ConvGenerator(ConvGeneratorConfig()), ConvCritic(ConvCriticConfig())
    assert sum(parameter.numel() for parameter in generator.parameters()) == 15_277_156
    assert sum(parameter.numel() for parameter in critic.parameters()) == 13_180_417


def test_initial_weights():
    """Uniform with variance 4 / (fan_in + fan_out) before a ReLU and in the layers of width 1, else 2 / (...)."""
    sizes = {"vocab_size": 20, "sequence_length": 8, "hidden_size": 24, "num_blocks": 1}
    generator = ConvGenerator(ConvGeneratorConfig(latent_size=30, **sizes))
    critic = ConvCritic(ConvCriticConfig(**sizes))
    expected = {
        generator.project: 2 / (30 + 24 * 8),
        generator.lm_head: 4 / (24 + 20),
        generator.blocks[0].convolution1: 4 / (2 * 24 * 5),
        generator.blocks[0].convolution2: 4 / (2 * 24 * 5),
        critic.input_projection: 4 / (20 + 24),
        critic.blocks[0].convolution1: 4 / (2 * 24 * 5),
        critic.classifier: 2 / (24 * 8 + 1),
    }
    for module, variance in expected.items():
        bound = math.sqrt(3 * variance)
        assert bound * 0.95 < module.weight.abs().max() <= bound
        # The variance of a mean of n squares of a uniform variable is 0.8 variance^2 / n.
        n = module.weight.numel()
        assert module.weight.square().mean().item() == pytest.approx(variance, rel=5 * math.sqrt(0.8 / n))
        assert not module.bias.any()


def test_files(tmp_path):
    generator, critic = randomize(tiny_generator(readout="sample")), randomize(tiny_critic())
    latents, ids = torch.randn(2, 3), torch.tensor([[0, 1, 2, 3, 0]])
    for model, name, auto_classes in (
        (generator, "generator", (AutoModel,)),
        (critic, "critic", (AutoModel, AutoModelForSequenceClassification)),
    ):
        model.save_pretrained(tmp_path / name)
        inputs = {"latents": latents} if model is generator else {"input_ids": ids}
        for auto_class in auto_classes:
            loaded = auto_class.from_pretrained(tmp_path / name)
            assert type(loaded) is type(model)
            assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)
    assert AutoModel.from_pretrained(tmp_path / "generator").config.readout == "sample"
    assert AutoModel.from_pretrained(tmp_path / "critic").config.num_labels == 1


@pytest.mark.parametrize("config_class", [ConvGeneratorConfig, ConvCriticConfig])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": 0}, "vocab_size is 0; set it to 1 or more."),
        ({"hidden_size": -1}, "hidden_size is -1; set it to 1 or more."),
        ({"sequence_length": 0}, "sequence_length is 0; set it to 1 or more."),
        ({"num_blocks": -1}, "num_blocks is -1; set it to 0 or more."),
        ({"kernel_size": 4}, "kernel_size is 4; set it to an odd number of 1 or more."),
        ({"kernel_size": -1}, "kernel_size is -1; set it to an odd number of 1 or more."),
    ],
)
def test_errors_of_the_configurations(config_class, options, message):
    with pytest.raises(Exception, match=message):
        config_class(**options)


def test_errors_of_one_configuration():
    with pytest.raises(Exception, match="latent_size is 0; set it to 1 or more."):
        ConvGeneratorConfig(latent_size=0)
    with pytest.raises(Exception, match="readout"):
        ConvGeneratorConfig(readout="beam")
    with pytest.raises(Exception, match="num_labels is 2; set it to 1: a critic returns one score."):
        ConvCriticConfig(num_labels=2)
    with pytest.raises(ValueError, match="pad_token_id is None; set it to an id from 0 to 3."):
        tiny_critic(pad_token_id=None)


# ---- What the critic reads ----------------------------------------------------------------------------------------


def test_ids_one_hot_rows_and_embeddings_have_one_score():
    critic = randomize(tiny_critic())
    ids = torch.tensor([[1, 2, 3, 0, 1], [3, 3, 1, 2, 0]])
    onehot = F.one_hot(ids, 4).float()
    expected = critic(input_ids=ids)
    assert expected.logits.shape == (2, 1) and expected.features.shape == (2, 30)
    for inputs in ({"inputs_onehot": onehot}, {"inputs_embeds": critic.input_projection(onehot)}):
        torch.testing.assert_close(critic(**inputs).logits, expected.logits)
    assert torch.equal(critic(input_ids=ids, return_dict=False)[0], expected.logits)
    gradients = []
    for inputs in ({"input_ids": ids}, {"inputs_onehot": onehot}):
        critic.zero_grad()
        (critic(**inputs).logits ** 2).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in critic.parameters()])
    torch.testing.assert_close(*gradients)


def test_padding():
    critic = randomize(tiny_critic())
    full = torch.tensor([[3, 1, 2, PAD, PAD]])
    score = critic(input_ids=full).logits
    short, onehot = full[:, :3], F.one_hot(full[:, :3], 4).float()
    left = torch.tensor([[9, 9, 3, 1, 2]]).clamp(max=3)  # what is masked does not matter
    for inputs in (
        {"input_ids": short},
        {"inputs_onehot": onehot},
        {"input_ids": torch.tensor([[3, 1, 2, 3]]), "attention_mask": torch.tensor([[1, 1, 1, 0]])},
        {"input_ids": left, "attention_mask": torch.tensor([[0, 0, 1, 1, 1]])},
        {"inputs_onehot": F.one_hot(left, 4).float(), "attention_mask": torch.tensor([[0, 0, 1, 1, 1]])},
    ):
        torch.testing.assert_close(critic(**inputs).logits, score)
    whole = critic.input_gradient(F.one_hot(full, 4).float())
    torch.testing.assert_close(critic.input_gradient(onehot), whole[:, :3])


def test_errors_of_the_inputs():
    critic, ids = tiny_critic(), torch.zeros(1, 5, dtype=torch.long)
    onehot = F.one_hot(ids, 4).float()
    for inputs in ({}, {"input_ids": ids, "inputs_onehot": onehot}):
        with pytest.raises(ValueError, match="Give exactly one of input_ids, inputs_onehot and inputs_embeds."):
            critic(**inputs)
    with pytest.raises(ValueError, match="labels is given and a critic has no loss of its own"):
        critic(input_ids=ids, labels=torch.ones(1, dtype=torch.long))
    for call in (lambda long: critic(inputs_onehot=long), critic.input_gradient):
        with pytest.raises(ValueError, match="The input has 10 positions and sequence_length is 5; cut the input"):
            call(torch.cat([onehot, onehot], 1))
    with pytest.raises(ValueError, match="latents is None; pass latent vectors, such as those of sample_latents."):
        tiny_generator()()


# ---- generate -----------------------------------------------------------------------------------------------------


def test_generate_reads_the_most_probable_tokens():
    model = randomize(tiny_generator(eos_token_id=None))
    latents = torch.randn(7, 3)
    expected = model(latents=latents).logits.argmax(-1)
    assert torch.equal(model.generate(latents=latents), expected)
    assert model.generate(num_samples=9).shape == (9, 5)
    seeded = [model.generate(6, readout="sample", generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(seeded[0], seeded[1]) and not torch.equal(seeded[0], seeded[2])


def constant_generator(rows: torch.Tensor, **options) -> ConvGenerator:
    """Whose scores are those rows, `(L, V)`, for every latent vector."""
    length, size = rows.shape
    options = {"vocab_size": size, "hidden_size": size, "sequence_length": length, "num_blocks": 1, **options}
    model = tiny_generator(**options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.project.bias.copy_(rows.T.flatten())
        model.lm_head.weight.copy_(torch.eye(size))
    return model


def test_generate_ends_a_text_at_eos_or_padding():
    def texts(tokens: list[int], **options) -> list[int]:
        return constant_generator(F.one_hot(torch.tensor(tokens), 4).float(), **options).generate(2)[1].tolist()

    assert texts([3, EOS, 3, 3]) == [3, EOS, PAD, PAD]
    assert texts([3, 3, PAD, 3]) == [3, 3, EOS, PAD]
    assert texts([3, 3, 3, 3]) == [3, 3, 3, 3]
    assert texts([3, EOS, PAD, 3], eos_token_id=None) == [3, EOS, PAD, 3]


def test_generate_draws_with_the_probabilities():
    rows = torch.tensor([[0.0, 1.0, 2.0, -1.0], [1.0, 0.5, -2.0, 0.3]])
    model = constant_generator(rows, eos_token_id=None, readout="sample")
    for temperature in (1.0, 0.5):
        drawn = model.generate(4000, temperature=temperature, generator=torch.Generator().manual_seed(3))
        for position in range(2):
            probabilities = (rows[position] / temperature).softmax(-1)
            assert chi_square_p(torch.bincount(drawn[:, position], minlength=4), probabilities) > 1e-3


# ---- bfloat16 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("computes", [False, True])
def test_under_autocast_the_step_is_close(monkeypatch, computes):
    """In single precision where the processor has no instructions for bfloat16, and else rounded but near."""
    monkeypatch.setattr(residual, "computes_bf16", lambda: computes)
    critic, generator = randomize(tiny_critic(hidden_size=16), std=0.1), randomize(tiny_generator(), std=0.3)
    latents = torch.randn(3, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():  # no ReLU near 0: rounding would open some and close others
        for module in (critic.input_projection, *(block.convolution1 for block in critic.blocks)):
            module.bias.copy_(torch.tensor([2.0, -2.0]).repeat(8))

    def results(autocast: bool) -> list[torch.Tensor]:
        critic.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            probabilities = generator(latents=latents).logits.softmax(-1)
            # A pass without a graph must not leave rounded weights behind for the next one.
            gradient = critic.input_gradient(probabilities)
            scores = critic(inputs_onehot=probabilities).logits
        (penalty(gradient.float()) - scores.float().mean()).backward()
        return [probabilities, gradient, scores, *(parameter.grad for parameter in critic.parameters())]

    for found, exact in zip(results(True), results(False), strict=True):
        difference = (found.float() - exact).norm() / exact.norm()
        if computes and found.dim() > 1:
            assert 0 < difference < 0.05
        else:
            assert difference <= (0.05 if computes else 0)
