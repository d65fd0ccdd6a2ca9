"""The generator and the critic of codes against plain sequences of layers, and what the generator writes."""

import math
from itertools import product

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModel

from hf_textgan.models import LatentCritic, LatentCriticConfig, LatentGenerator, LatentGeneratorConfig
from tests.helpers import EOS, PAD, chi_square_p, randomize


pytestmark = pytest.mark.usefixtures("one_thread")

VOCAB, LENGTH = 7, 5
NORMALIZATIONS = ("batch", "layer", "none")


def generator_config(**options) -> LatentGeneratorConfig:
    sizes = {"vocab_size": VOCAB, "sequence_length": LENGTH, "latent_size": 3, "layer_sizes": [6, 5], "code_size": 4}
    return LatentGeneratorConfig(**{**sizes, "embedding_size": 2, "hidden_size": 8, **options})


def generator(seed: int = 1, std: float = 0.7, **options) -> LatentGenerator:
    """With running statistics of its own, where there are any."""
    model = randomize(LatentGenerator(generator_config(**options)), seed, std).train()
    with torch.no_grad():
        model.codes(torch.randn(20, 3, generator=torch.Generator().manual_seed(9)) * 2 + 1)
    return model.eval()


def critic(**options) -> LatentCritic:
    return randomize(LatentCritic(LatentCriticConfig(**{"code_size": 4, "layer_sizes": [5, 6, 3], **options})), 1)


def noise(rows: int, seed: int = 2) -> torch.Tensor:
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed))


def norms_of(model: LatentGenerator) -> list[torch.Tensor]:
    return [buffer.clone() for buffer in model.buffers()]


def plain_codes(model: LatentGenerator) -> nn.Sequential:
    """Noise to code as plain layers with the same weights and buffers."""
    config, layers = model.config, []
    for number, (width, size) in enumerate(
        zip([config.latent_size, *config.layer_sizes[:-1]], config.layer_sizes, strict=True)
    ):
        layers.append(nn.Linear(width, size))
        layers[-1].load_state_dict(model.layers[number].state_dict())
        if config.normalization != "none":
            layers.append({"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}[config.normalization](size))
            layers[-1].load_state_dict(model.norms[number].state_dict())
        layers.append(nn.ReLU())
    layers.append(nn.Linear(config.layer_sizes[-1], config.code_size))
    layers[-1].load_state_dict(model.to_code.state_dict())
    return nn.Sequential(*layers).train(model.training)


# ---- Noise to code ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", (True, False))
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_codes_are_those_of_plain_layers(normalization, training):
    model = generator(normalization=normalization).train(training)
    plain, latents = plain_codes(model), noise(8)
    for rows in latents.split(4):
        torch.testing.assert_close(model.codes(rows), plain(rows))
        torch.testing.assert_close(model(latents=rows).codes, plain(rows))
        plain(rows), model(latents=rows, decode=False)
    if normalization == "batch":
        actual, reference = list(model.buffers()), list(plain.buffers())
        assert len(actual) == 6  # running mean, running variance and a count for each of two layers
        torch.testing.assert_close(actual, reference)
        assert int(model.norms[0].num_batches_tracked) == 1 + 6 * training
    expected = plain(latents)
    codes, leaves = model.codes(latents), [p for n, p in model.named_parameters() if not n.startswith("decoder")]
    found = torch.autograd.grad((codes**2).sum(), leaves)
    expected_gradients = torch.autograd.grad((expected**2).sum(), list(plain.parameters()))
    by_size = [sorted(float(g.abs().sum()) for g in gradients) for gradients in (found, expected_gradients)]
    assert by_size[0] == pytest.approx(by_size[1], rel=1e-4, abs=1e-5)


def test_the_batch_statistics_of_training_in_evaluation():
    model, latents = generator(), noise(6)
    before = norms_of(model)
    found = model.codes(latents, batch_statistics=True)
    torch.testing.assert_close(model(latents=latents, batch_statistics=True).codes, found)
    torch.testing.assert_close(norms_of(model), before, rtol=0, atol=0)
    assert (found - model.codes(latents)).abs().max() > 0.1
    torch.testing.assert_close(model.train().codes(latents), found)
    assert not torch.equal(norms_of(model)[0], before[0])
    layer = generator(normalization="layer")
    assert torch.equal(layer.codes(latents, batch_statistics=True), layer.codes(latents))


def test_without_layers_the_code_is_a_linear_map():
    model, latents = generator(layer_sizes=[]), noise(4)
    torch.testing.assert_close(model.codes(latents), latents @ model.to_code.weight.T + model.to_code.bias)
    assert model.to_code.weight.shape == (4, 3) and not list(model.buffers())


# ---- Code to text -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decoder_input", ("greedy", "soft"))
def test_logits_are_the_decoder_s(decoder_input):
    model, latents = generator(decoder_input=decoder_input), noise(4)
    output = model(latents=latents)
    logits, tokens = model.decoder.free_running(model.codes(latents), LENGTH, decoder_input)
    assert output.logits.shape == (4, LENGTH, VOCAB) and output.codes.shape == (4, 4)
    torch.testing.assert_close(output.logits, logits)
    forced = model.decoder.teacher_forced(output.codes, tokens)  # true tokens, not the means of embeddings
    assert (forced - logits).abs().max() < 1e-5 if decoder_input == "greedy" else (forced - logits).abs().max() > 0.01
    assert model(latents=latents, decode=False).logits is None
    first, second = model(latents=latents, return_dict=False)
    assert torch.equal(first, output.logits) and torch.equal(second, output.codes)


@pytest.mark.parametrize("decoder_input", ("greedy", "soft"))
def test_what_the_gradient_reaches(decoder_input):
    frozen = generator(decoder_input=decoder_input)
    frozen(latents=noise(4)).logits.square().sum().backward()
    for name, parameter in frozen.named_parameters():
        carried = name.startswith("decoder")
        assert parameter.requires_grad is not carried and (parameter.grad is None) is carried, name
    free = generator(decoder_input=decoder_input, frozen_decoder=False)
    free(latents=noise(4)).logits.square().sum().backward()
    for name, parameter in free.named_parameters():
        assert parameter.grad.any(), name
    for (name, actual), reference in zip(free.named_parameters(), frozen.parameters(), strict=True):
        if not name.startswith("decoder"):
            torch.testing.assert_close(actual.grad, reference.grad)


def test_gradient_of_the_noise_through_the_soft_decoder():
    model = generator(decoder_input="soft", frozen_decoder=False, normalization="layer").double()
    latents = noise(2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: model(latents=z).logits, latents)
    # The last position alone: through the state, the code and the inputs of the decoder.
    (gradient,) = torch.autograd.grad(model(latents=latents).logits[:, -1].square().sum(), model.layers[0].weight)
    assert gradient.any()


@pytest.mark.parametrize("decoder_input", ("greedy", "soft"))
def test_generate(decoder_input):
    model = generator(decoder_input=decoder_input, seed=9, std=1.5)
    latents = noise(300)
    sequences = model.generate(latents=latents)
    written = model(latents=latents).logits.argmax(-1).tolist()
    kinds = set()
    for row, expected in zip(sequences.tolist(), written, strict=True):
        stops = [t for t, token in enumerate(expected) if token in (EOS, PAD)]
        kinds.add(expected[stops[0]] if stops else None)
        assert row == (expected[: stops[0]] + [EOS] + [PAD] * (4 - stops[0]) if stops else expected)
    assert kinds == {EOS, PAD, None}
    assert not sequences.requires_grad and sequences.dtype == torch.long
    for readout in ("argmax", "sample"):
        draws = [
            model.generate(num_samples=50, readout=readout, generator=torch.Generator().manual_seed(seed))
            for seed in (0, 0, 1)
        ]
        assert draws[0].shape == (50, LENGTH) and torch.equal(draws[0], draws[1])
        assert not torch.equal(draws[0], draws[2])
    torch.manual_seed(0)
    first = model.generate(num_samples=20)
    torch.manual_seed(0)
    assert torch.equal(model.generate(latents=torch.randn(20, 3)), first)
    cold = model.generate(latents=latents, readout="sample", temperature=1e-4)
    assert (cold == sequences).all(1).float().mean() > 0.95  # but for near ties
    assert model.generate().shape == (1, LENGTH)


def test_the_readout_of_the_configuration():
    latents = noise(50)
    model = generator(readout="sample")
    seeds = [torch.Generator().manual_seed(3) for _ in range(2)]
    drawn = model.generate(latents=latents, generator=seeds[0])
    assert torch.equal(drawn, model.generate(latents=latents, readout="sample", generator=seeds[1]))
    assert not torch.equal(drawn, model.generate(latents=latents, readout="argmax"))
    several = generator(eos_token_id=[EOS, 5], seed=9, std=1.5).generate(latents=noise(300))
    for row in several.tolist():
        stops = [t for t, token in enumerate(row) if token in (EOS, 5)]
        assert all(token == PAD for token in row[stops[0] + 1 :]) if stops else PAD not in row
    assert (several == 5).any() and (several == EOS).any()


@pytest.mark.parametrize("temperature", (1.0, 2.0))
@pytest.mark.parametrize("decoder_input", ("greedy", "soft"))
def test_frequencies_of_the_draws(decoder_input, temperature):
    """A decoder of tokens reads those that it drew; a decoder of mean embeddings draws independently."""
    options = {"vocab_size": 3, "sequence_length": 2, "eos_token_id": None, "embedding_size": 4}
    model = generator(decoder_input=decoder_input, seed=4, std=1.2, **options)
    latents, sequences = noise(1), torch.tensor(list(product(range(3), repeat=2)))
    with torch.no_grad():
        forced = model.decoder.teacher_forced(model.codes(latents).expand(9, -1), sequences).double() / temperature
        alone = model(latents=latents).logits.double().expand(9, -1, -1) / temperature
    chained, independent = (
        scores.log_softmax(-1).gather(2, sequences[..., None]).sum((1, 2)).exp() for scores in (forced, alone)
    )
    source = torch.Generator().manual_seed(1)
    draws = model.generate(
        latents=latents.expand(20_000, -1), readout="sample", temperature=temperature, generator=source
    )
    counts = torch.bincount(draws[:, 0] * 3 + draws[:, 1], minlength=9)
    right, wrong = (chained, independent) if decoder_input == "greedy" else (independent, chained)
    assert chi_square_p(counts, right) > 0.001 and chi_square_p(counts, wrong) < 1e-6


def test_generate_errors():
    model = generator()
    with pytest.raises(ValueError, match="readout is 'beam'; set it to 'argmax' or 'sample'."):
        model.generate(readout="beam")
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=f"temperature is {temperature}; set it above 0."):
            model.generate(readout="sample", temperature=temperature)
    for shape in ((2, 4), (3,), (1, 2, 3)):
        sizes = ", ".join(map(str, shape))
        message = rf"latents has the shape \({sizes},?\); give one vector of 3 numbers per sequence."
        with pytest.raises(ValueError, match=message):
            model.generate(latents=torch.zeros(shape))


# ---- The critic ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalization", ("none", "layer"))
def test_scores_are_those_of_plain_layers(normalization):
    model = critic(normalization=normalization, negative_slope=0.3)
    linear = [nn.Linear(4, 5), nn.Linear(5, 6), nn.Linear(6, 3), nn.Linear(3, 1)]
    for actual, reference in zip(linear, [*model.layers, model.classifier], strict=True):
        actual.load_state_dict(reference.state_dict())
    norms = [nn.Identity(), nn.Identity(), nn.Identity()]
    if normalization == "layer":  # from the second layer on
        norms[1:] = [nn.LayerNorm(6), nn.LayerNorm(3)]
        norms[1].load_state_dict(model.norms[1].state_dict())
        norms[2].load_state_dict(model.norms[2].state_dict())
    hidden = [part for trio in zip(linear, norms, strict=False) for part in (*trio, nn.LeakyReLU(0.3))]
    body, codes = nn.Sequential(*hidden), torch.randn(7, 4)
    output = model(codes=codes)
    assert output.logits.shape == (7, 1) and model.config.num_labels == 1 and output.loss is None
    torch.testing.assert_close(output.features, body(codes))
    torch.testing.assert_close(output.logits, linear[-1](body(codes)))
    for mode in (True, False):  # each code alone, in training too: the gradient penalty needs it
        alone = torch.cat([model.train(mode)(codes=code[None]).logits for code in codes])
        torch.testing.assert_close(alone, output.logits)
    count = sum(parameter.numel() for layer in (*linear, *norms) for parameter in layer.parameters())
    assert sum(parameter.numel() for parameter in model.parameters()) == count
    assert torch.equal(model(codes=codes, return_dict=False)[0], output.logits)


def test_a_critic_without_layers_is_linear():
    model, codes = critic(layer_sizes=[]), torch.randn(3, 4)
    torch.testing.assert_close(
        model(codes=codes).logits[:, 0], codes @ model.classifier.weight[0] + model.classifier.bias
    )


# ---- Sizes, initial weights, files --------------------------------------------------------------------------------


def count(parameters) -> int:
    return sum(parameter.numel() for parameter in parameters)


def test_numbers_of_parameters_at_the_size_of_the_paper():
    with torch.device("meta"):
        generators = {name: LatentGenerator(LatentGeneratorConfig(normalization=name)) for name in NORMALIZATIONS}
        critics = {name: LatentCritic(LatentCriticConfig(normalization=name)) for name in ("none", "layer")}
        bare = LatentGenerator(LatentGeneratorConfig(layer_sizes=[]))
    decoder = 11_004 * 300 + 1200 * (300 + 300 + 300 + 2) + 11_004 * 301
    linear = 101 * 300 + 301 * 300 + 301 * 300
    for name, model in generators.items():
        assert count(p for p in model.parameters() if p.requires_grad) == linear + 1200 * (name != "none")
        assert count(model.parameters()) == decoder + linear + 1200 * (name != "none")
    assert count(generators["batch"].parameters()) == 7_907_904
    assert count(bare.parameters()) == decoder + 101 * 300
    assert count(critics["none"].parameters()) == 301 * 300 + 301 * 300 + 301 == 180_901
    assert count(critics["layer"].parameters()) == 180_901 + 600


def is_normal(values: torch.Tensor, std: float) -> bool:
    """Mean, variance and fourth moment within 5 deviations of their own."""
    values, n = values.detach().double().flatten() / std, values.numel()
    moments = [float(values.mean()), float(values.square().mean()) - 1, float(values.pow(4).mean()) - 3]
    return all(abs(m) < 5 * math.sqrt(v / n) for m, v in zip(moments, (1, 2, 96), strict=True))


def test_initial_weights():
    sizes = {"vocab_size": 40, "embedding_size": 30, "hidden_size": 50, "code_size": 35, "layer_sizes": [45, 45]}
    for bounds in ({}, {"initializer_range": 0.3, "decoder_initializer_range": 0.05}):
        for normalization in NORMALIZATIONS:
            config = LatentGeneratorConfig(normalization=normalization, **sizes, **bounds)
            model, bound = LatentGenerator(config), bounds.get("decoder_initializer_range", 0.1)
            for name, parameter in model.named_parameters():
                if name.startswith("decoder") and name != "decoder.lm_head.bias":
                    assert 0.95 * bound < float(parameter.abs().max()) <= bound * (1 + 1e-6), name
                    square = float((parameter / bound).double().square().mean())
                    assert square == pytest.approx(1 / 3, abs=5 * 2 / math.sqrt(45 * parameter.numel())), name
                elif name.endswith("bias"):
                    assert not parameter.any(), name
                elif name.startswith("norms"):
                    assert (parameter == 1).all(), name
                else:
                    assert is_normal(parameter, bounds.get("initializer_range", 0.02)), name
    for normalization in ("none", "layer"):
        model = LatentCritic(LatentCriticConfig(code_size=40, layer_sizes=[50, 60], normalization=normalization))
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                assert not parameter.any(), name
            elif name.startswith("norms"):
                assert (parameter == 1).all(), name
            else:
                assert is_normal(parameter, 0.02), name


def files(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    "options", ({}, {"normalization": "layer", "decoder_input": "soft", "readout": "sample"}), ids=str
)
def test_save_and_load_a_generator(options, tmp_path):
    model, latents = generator(**options), noise(6)
    model.save_pretrained(tmp_path)
    assert files(tmp_path) == {"config.json", "model.safetensors"}
    loaded, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is LatentGenerator and type(loaded.config) is LatentGeneratorConfig and not loaded.training
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    actual, reference = model(latents=latents), loaded(latents=latents)
    torch.testing.assert_close((reference.logits, reference.codes), (actual.logits, actual.codes))
    torch.testing.assert_close(norms_of(loaded), norms_of(model), rtol=0, atol=0)
    torch.testing.assert_close(loaded.train().codes(latents), model.train().codes(latents))
    drawn = [m.eval().generate(latents=latents, generator=torch.Generator().manual_seed(0)) for m in (model, loaded)]
    assert torch.equal(*drawn)
    for name, value in {**generator_config().to_diff_dict(), **options}.items():
        if name not in ("transformers_version", "layer_sizes"):
            assert getattr(loaded.config, name) == options.get(name, value)
    assert list(loaded.config.layer_sizes) == [6, 5]


def test_the_decoder_stays_frozen_in_files(tmp_path):
    """Loading makes new parameters, which require a gradient by default."""
    for frozen in (True, False):
        folder = tmp_path / str(frozen)
        generator(frozen_decoder=frozen).save_pretrained(folder)
        models = [cls.from_pretrained(folder) for cls in (AutoModel, LatentGenerator)]
        models.append(AutoModel.from_pretrained(folder, output_loading_info=True)[0])
        models.append(AutoModel.from_config(AutoConfig.from_pretrained(folder)))
        for model in models:
            trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
            expected = {name for name, _ in model.named_parameters() if not (frozen and name.startswith("decoder"))}
            assert trained == expected
        thawed = AutoModel.from_pretrained(folder, frozen_decoder=False)
        assert all(parameter.requires_grad for parameter in thawed.parameters())


def test_arrays_that_a_file_lacks_are_drawn_as_at_first(tmp_path):
    model = generator(layer_sizes=[60, 60])
    model.save_pretrained(tmp_path)
    arrays = load_file(tmp_path / "model.safetensors")
    buffers = {f"norms.1.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
    missing = {"layers.1.weight", "to_code.bias", "decoder.lm_head.weight", "decoder.lm_head.bias", *buffers}
    kept = {name: array for name, array in arrays.items() if name not in missing}
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    loaded, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert set(info["missing_keys"]) == missing
    state = loaded.state_dict()
    for name, array in kept.items():
        assert torch.equal(state[name], array), name
    norm = loaded.norms[1]
    assert not norm.running_mean.any() and (norm.running_var == 1).all() and int(norm.num_batches_tracked) == 0
    assert is_normal(loaded.layers[1].weight, 0.02) and not loaded.to_code.bias.any()
    assert 0.08 < float(loaded.decoder.lm_head.weight.abs().max()) <= 0.1 and not loaded.decoder.lm_head.bias.any()


def test_save_and_load_a_critic(tmp_path):
    model, codes = critic(normalization="layer", negative_slope=0.1), torch.randn(5, 4)
    model.save_pretrained(tmp_path)
    assert files(tmp_path) == {"config.json", "model.safetensors"}
    loaded, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is LatentCritic and type(loaded.config) is LatentCriticConfig
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    torch.testing.assert_close(loaded(codes=codes).logits, model(codes=codes).logits)
    assert loaded.config.num_labels == 1 and loaded.config.negative_slope == 0.1


GENERATOR_ERRORS = [
    *(
        ({name: 0}, f"{name} is 0; set it to 1 or more.")
        for name in ("vocab_size", "sequence_length", "latent_size", "code_size", "embedding_size", "hidden_size")
    ),
    ({"layer_sizes": [3, 0]}, r"layer_sizes is \[3, 0\]; set each to 1 or more."),
    ({"bos_token_id": None}, "bos_token_id is None; set it to an id from 0 to 6."),
    ({"pad_token_id": 7}, "pad_token_id is 7; set it to an id from 0 to 6."),
    ({"normalization": "group"}, "normalization.*expected one of.*batch"),
    ({"decoder_input": "teacher_forcing"}, "decoder_input.*expected one of.*greedy"),
    ({"readout": "beam"}, "readout.*expected one of.*argmax"),
]


@pytest.mark.parametrize(("options", "message"), GENERATOR_ERRORS)
def test_configuration_errors_of_the_generator(options, message):
    with pytest.raises(Exception, match=f"(?is){message}"):
        generator_config(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"code_size": 0}, "code_size is 0; set it to 1 or more."),
        ({"layer_sizes": [-1]}, r"layer_sizes is \[-1\]; set each to 1 or more."),
        ({"normalization": "batch"}, "normalization.*expected one of.*layer"),
    ],
)
def test_configuration_errors_of_the_critic(options, message):
    with pytest.raises(Exception, match=f"(?is){message}"):
        LatentCriticConfig(**options)
