"""The recurrent discriminator against its recurrence by hand, its view of padding, and its fit into transformers."""

import math

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

import hf_textgan
from hf_textgan.models import MODELS, RecurrentDiscriminator, RecurrentDiscriminatorConfig
from hf_textgan.models.modeling_recurrence_utils import usable_kernels
from tests.helpers import BOS, EOS, PAD, randomize


VOCAB, LENGTH = 9, 8
SHAPES = [
    pytest.param(
        {"cell_type": cell_type, "bidirectional": both, "num_hidden_layers": layers}, id=f"{cell_type}-{name}"
    )
    for cell_type in ("lstm", "gru")
    for both, layers, name in ((False, 1, "1"), (False, 2, "2"), (True, 1, "both-1"), (True, 2, "both-2"))
]
SENTENCES = [[3, 4, 5, 6, EOS], [7, EOS], [EOS], [8, 3, 8, EOS], [PAD, 3, BOS, 4, EOS]]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def config(**options) -> RecurrentDiscriminatorConfig:
    sizes = {"vocab_size": VOCAB, "sequence_length": LENGTH, "embedding_size": 5, "hidden_size": 4}
    return RecurrentDiscriminatorConfig(**{**sizes, **options})


def discriminator(seed: int = 4, **options) -> RecurrentDiscriminator:
    return randomize(RecurrentDiscriminator(config(**options)), seed, std=0.7).eval()


def batch(rows: list[list[int]], side: str, length: int, fill: int = PAD) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows padded with `fill` to `length`, and their mask."""
    ids, mask = torch.full((len(rows), length), fill), torch.zeros((len(rows), length), dtype=torch.long)
    for number, row in enumerate(rows):
        where = slice(0, len(row)) if side == "right" else slice(length - len(row), length)
        ids[number, where], mask[number, where] = torch.tensor(row, dtype=torch.long), 1
    return ids, mask


# ---- The network --------------------------------------------------------------------------------------------------


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def read(weights: dict[str, np.ndarray], suffix: str, inputs: list[np.ndarray], cell_type: str) -> list[np.ndarray]:
    """The textbook recurrence of one layer in one direction: its state after each input, in the order of reading."""
    w, u = weights[f"rnn.weight_ih_{suffix}"], weights[f"rnn.weight_hh_{suffix}"]
    b, d = weights[f"rnn.bias_ih_{suffix}"], weights[f"rnn.bias_hh_{suffix}"]
    h = c = np.zeros(u.shape[1])
    states = []
    for x in inputs:
        if cell_type == "lstm":
            i, f, g, o = np.split(w @ x + b + u @ h + d, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            (r, z, n), (hr, hz, hn) = np.split(w @ x + b, 3), np.split(u @ h + d, 3)
            r, z = sigmoid(r + hr), sigmoid(z + hz)
            h = (1 - z) * np.tanh(n + r * hn) + z * h
        states.append(h)
    return states


def by_hand(weights: dict[str, np.ndarray], shape: dict, tokens: list[int]) -> np.ndarray:
    """The logits of one sentence of real tokens, in double precision."""
    weights = {name: array.astype(np.float64) for name, array in weights.items()}
    inputs = [weights["embed_tokens.weight"][token] for token in tokens]
    for layer in range(shape["num_hidden_layers"]):
        forward = read(weights, f"l{layer}", inputs, shape["cell_type"])
        summary, outputs = forward[-1], forward
        if shape["bidirectional"]:
            backward = read(weights, f"l{layer}_reverse", inputs[::-1], shape["cell_type"])
            summary = np.concatenate([forward[-1], backward[-1]])
            outputs = [np.concatenate(pair) for pair in zip(forward, backward[::-1], strict=True)]
        inputs = outputs
    return weights["classifier.weight"] @ summary + weights["classifier.bias"]


@pytest.mark.parametrize("shape", SHAPES)
def test_saved_discriminator_recomputed_with_numpy(shape, tmp_path):
    model = discriminator(**shape)
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    expected = np.stack([by_hand(weights, shape, row) for row in SENTENCES])
    with torch.no_grad():
        alone = [model(input_ids=torch.tensor([row])).logits[0].numpy() for row in SENTENCES]
        padded = model(input_ids=batch(SENTENCES, "right", LENGTH)[0]).logits.numpy()
    np.testing.assert_allclose(np.stack(alone), expected, atol=1e-5)
    np.testing.assert_allclose(padded, expected, atol=1e-5)
    assert np.abs(np.diff(expected, axis=0)).max(1).min() > 0.01, "the sentences should have different scores"


@pytest.mark.parametrize("shape", SHAPES)
def test_number_of_parameters(shape):
    v, e, h, gates = 50, 7, 6, {"lstm": 4, "gru": 3}[shape["cell_type"]]
    directions = 2 if shape["bidirectional"] else 1
    expected = v * e + (directions * h + 1) * 2
    for layer in range(shape["num_hidden_layers"]):
        width = e if layer == 0 else directions * h
        expected += directions * gates * h * (width + h + 2)
    model = RecurrentDiscriminator(config(vocab_size=v, embedding_size=e, hidden_size=h, **shape))
    assert sum(parameter.numel() for parameter in model.parameters()) == expected
    assert model.num_parameters() == expected
    assert model(input_ids=torch.tensor([[3], [4]])).features.shape == (2, directions * h)


def test_features_are_what_the_output_layer_reads():
    model = discriminator(dropout=0.5).train()  # dropout must leave the features alone
    ids = torch.tensor([[3, 4], [5, 6]])
    torch.manual_seed(0)
    first, second = model(input_ids=ids), model(input_ids=ids)
    assert torch.equal(first.features, second.features) and not torch.equal(first.logits, second.logits)
    model.eval()
    assert torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)
    output = model(input_ids=ids, labels=torch.tensor([1, 0]))
    torch.testing.assert_close(model.classifier(output.features), output.logits)
    probabilities = output.logits.double().softmax(-1)
    expected = -(probabilities[0, 1].log() + probabilities[1, 0].log()).detach() / 2
    assert float(output.loss.detach()) == pytest.approx(float(expected), abs=1e-6)
    assert output.to_tuple()[0] is output.loss
    assert len(model(input_ids=ids, return_dict=False)) == 2


@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16(shape):
    model = discriminator(**shape)
    ids = batch(SENTENCES, "right", LENGTH)[0]
    full = model(input_ids=ids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(input_ids=ids, labels=torch.tensor([0, 1, 0, 1, 0]))
        onehot = model(inputs_onehot=F.one_hot(ids, VOCAB).float())
    torch.testing.assert_close(mixed.features, full.features, atol=1e-6, rtol=0)  # the state is not rounded
    mixed.loss.backward()
    assert all(bool(parameter.grad.isfinite().all()) for parameter in model.parameters())
    half = discriminator(**shape).to(torch.bfloat16)(input_ids=ids)
    for output in (mixed, onehot, half):
        assert output.logits.dtype == torch.bfloat16
        # Eight bits of mantissa: each of the few terms of a logit is off by at most 0.4 %.
        torch.testing.assert_close(output.logits.float(), full.logits, atol=0.05, rtol=0.03)


@pytest.mark.parametrize("cell_type", ("lstm", "gru"))
def test_every_array_starts_as_documented(cell_type):
    torch.manual_seed(0)
    model = RecurrentDiscriminator(RecurrentDiscriminatorConfig(cell_type=cell_type, hidden_size=400))
    bound = 1 / math.sqrt(400)
    for name, parameter in (("embed_tokens", model.embed_tokens.weight), *model.rnn.named_parameters()):
        values, limit = parameter.detach(), 1.0 if name == "embed_tokens" else bound
        assert 0.99 * limit < float(values.abs().max()) <= limit, name
        assert float(values.mean()) == pytest.approx(0, abs=4 * limit / math.sqrt(3 * values.numel())), name
        # A uniform variable: its square has the mean 1/3 and the deviation 2 / sqrt(45).
        square = float((values / limit).square().mean())
        assert square == pytest.approx(1 / 3, abs=4 * 2 / math.sqrt(45 * values.numel())), name
    weight = model.classifier.weight.detach()
    assert weight.abs().max() <= 0.2  # cut at two standard deviations
    # A normal variable cut at two standard deviations keeps 0.8796 of its deviation.
    assert float(weight.std()) == pytest.approx(0.08796, rel=4 / math.sqrt(2 * weight.numel()))
    assert torch.equal(model.classifier.bias, torch.full((2,), 0.1))


@pytest.mark.parametrize("shape", (SHAPES[0], SHAPES[-2]))  # one LSTM, two directions of a GRU
def test_it_learns(shape):
    """Real are the sentences with a 5; what follows their EOS, 5s included, says nothing."""
    source = torch.Generator().manual_seed(0)

    def draw(size: int) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.randint(3, VOCAB, (size, LENGTH), generator=source)
        ids.scatter_(1, torch.randint(2, LENGTH, (size, 1), generator=source), EOS)
        rows = [row[: row.index(EOS)] for row in ids.tolist()]
        return ids, torch.tensor([int(5 in row) for row in rows])

    torch.manual_seed(0)
    model = RecurrentDiscriminator(config(hidden_size=16, **shape))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for _ in range(100):
        ids, labels = draw(64)
        optimizer.zero_grad()
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
    ids, labels = draw(1000)
    assert 0.3 < float(labels.float().mean()) < 0.7
    with torch.no_grad():
        logits = model.eval()(input_ids=ids).logits
    assert float((logits.argmax(-1) == labels).float().mean()) > 0.95


# ---- Padding ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eos", (EOS, [EOS, 8], PAD, None), ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_sentence_has_one_score(shape, eos):
    model = discriminator(eos_token_id=eos, **shape)
    end = [] if eos is None else [eos[1] if isinstance(eos, list) else eos]
    sentences = [[3, 4, 5, 6, 1, *end], [7, *end], [3, 3, 4, *end]]
    with torch.no_grad():
        alone = torch.cat([model(input_ids=torch.tensor([row])).logits for row in sentences])
        batches = {}
        for length, fill in ((6, 5), (LENGTH, PAD), *((LENGTH, token) for token in end)):
            for side in ("left", "right"):
                batches[f"{side} to {length} with {fill}, mask"] = batch(sentences, side, length, fill)
            if eos is not None:
                batches[f"to {length} with {fill}"] = (batch(sentences, "right", length, fill)[0], None)
        for name, (ids, mask) in batches.items():
            forms = {"input_ids": ids, "inputs_onehot": F.one_hot(ids, VOCAB).float()}
            if mask is not None:
                forms["inputs_embeds"] = model.embed_tokens(ids)
            for form, value in forms.items():
                logits = model(**{form: value}, attention_mask=mask).logits
                torch.testing.assert_close(logits, alone, atol=1e-5, rtol=0, msg=f"{name}, {form}")


@pytest.mark.parametrize("both", (False, True))
def test_what_follows_the_first_eos_is_not_read(both):
    model = discriminator(bidirectional=both)
    first = torch.tensor([[3, 4, EOS, 5, 6, EOS, 7, 8]])
    second = torch.tensor([[3, 4, EOS, 8, 0, 1, EOS, EOS]])
    onehot = F.one_hot(second, VOCAB).float()
    expected = model(input_ids=first[:, :3]).logits
    assert (model(input_ids=first[:, :2]).logits - expected).abs().max() > 1e-3  # the EOS itself is read
    for mask in (None, torch.ones_like(first)):
        for inputs in ({"input_ids": first}, {"input_ids": second}, {"inputs_onehot": onehot}):
            torch.testing.assert_close(model(**inputs, attention_mask=mask).logits, expected, atol=1e-6, rtol=0)
    # Embeddings have no token ids: only the mask marks their end.
    embeds = model.embed_tokens(first)
    assert (model(inputs_embeds=embeds).logits - expected).abs().max() > 1e-3


@pytest.mark.parametrize("shape", SHAPES)
def test_without_eos_the_pad_id_is_a_token(shape, tmp_path):
    model = discriminator(eos_token_id=None, **shape)
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    rows = [[3, EOS, 4, PAD, PAD], [PAD, PAD, 3, EOS, 4], [3, EOS, 4, PAD, EOS]]
    expected = np.stack([by_hand(weights, shape, row) for row in rows])
    for inputs in ({"input_ids": torch.tensor(rows)}, {"inputs_onehot": F.one_hot(torch.tensor(rows), VOCAB).float()}):
        np.testing.assert_allclose(model(**inputs).logits.detach().numpy(), expected, atol=1e-5)
    assert np.abs(expected - by_hand(weights, shape, [3, EOS, 4])).max(1).min() > 1e-3


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_without_real_tokens(shape):
    model = discriminator(**shape)
    ids, mask = torch.tensor([[3, 4], [5, 6]]), torch.tensor([[0, 0], [1, 1]])
    output = model(input_ids=ids, attention_mask=mask)
    assert not output.features[0].any()
    torch.testing.assert_close(output.logits[0], model.classifier.bias)
    torch.testing.assert_close(output.logits[1:], model(input_ids=ids[1:]).logits, atol=1e-6, rtol=0)
    output.logits.sum().backward()
    assert not model.embed_tokens.weight.grad[3:5].any() and model.embed_tokens.weight.grad[5:7].any()
    for inputs in ({"input_ids": ids[:, :0]}, {"inputs_embeds": torch.zeros(2, 0, 5)}):
        empty = model(**inputs, attention_mask=mask[:, :0]).logits
        torch.testing.assert_close(empty, model.classifier.bias.expand(2, 2))


# ---- Inputs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_reaches_real_positions_only(shape):
    model = discriminator(**shape).double()
    ids = torch.tensor([[3, 4, EOS, 5, 6], [7, 8, 3, 4, 5], [EOS, 3, PAD, PAD, PAD]])
    real = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]]).bool()
    onehot = F.one_hot(ids, VOCAB).double().requires_grad_()
    embeds = model.embed_tokens(ids).detach().requires_grad_()
    for inputs, leaf in (
        ({"inputs_onehot": onehot}, onehot),
        ({"inputs_embeds": embeds, "attention_mask": real.long()}, embeds),
    ):

        def score(value: torch.Tensor, inputs=inputs) -> torch.Tensor:
            (name,) = inputs.keys() - {"attention_mask"}
            return model(**{**inputs, name: value}).logits[:, 1].sum()

        score(leaf).backward()
        size = leaf.grad.abs().sum(-1)
        assert bool(leaf.grad.isfinite().all()) and bool((size[real] > 0).all()) and not size[~real].any()
        # Central differences in a direction that keeps the largest entry of every row.
        direction = torch.randn(leaf.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            high, low = (score(leaf + sign * 1e-6 * direction) for sign in (1, -1))
        assert float((leaf.grad * direction).sum()) == pytest.approx(float(high - low) / 2e-6, rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_penalty_has_a_gradient(shape):
    model = discriminator(**shape)
    onehot = F.one_hot(batch(SENTENCES, "right", LENGTH)[0], VOCAB).float().requires_grad_()
    (gradient,) = torch.autograd.grad(model(inputs_onehot=onehot).logits[:, 1].sum(), onehot, create_graph=True)
    gradient.square().sum().backward()
    for name, parameter in model.named_parameters():
        if name != "classifier.bias":
            assert bool(parameter.grad.isfinite().all()) and bool(parameter.grad.any()), name


def test_input_errors():
    model = discriminator()
    ids = torch.zeros((1, LENGTH + 1), dtype=torch.long)
    message = (
        "The input has 9 positions and sequence_length is 8; cut the input, or build the discriminator for longer"
    )
    for inputs in ({"input_ids": ids}, {"inputs_onehot": F.one_hot(ids, VOCAB).float()}):
        with pytest.raises(ValueError, match=message):
            model(**inputs)
    with pytest.raises(ValueError, match="Give exactly one of input_ids, inputs_onehot and inputs_embeds"):
        model()
    with pytest.raises(ValueError, match="Give exactly one of input_ids, inputs_onehot and inputs_embeds"):
        model(input_ids=ids, inputs_embeds=torch.zeros((1, 9, 5)))


# ---- Auto classes, saving, configuration --------------------------------------------------------------------------


def test_it_is_registered_and_exported():
    assert MODELS[RecurrentDiscriminator] == (AutoModelForSequenceClassification,)
    assert type(AutoConfig.for_model("textgan_recurrent_discriminator")) is RecurrentDiscriminatorConfig
    assert hf_textgan.RecurrentDiscriminator is RecurrentDiscriminator
    assert hf_textgan.RecurrentDiscriminatorConfig is RecurrentDiscriminatorConfig


@pytest.mark.parametrize("auto_class", (AutoModel, AutoModelForSequenceClassification))
@pytest.mark.parametrize("cell_type", ("lstm", "gru"))
def test_save_and_load(cell_type, auto_class, tmp_path):
    model = discriminator(eos_token_id=[EOS, 8], cell_type=cell_type, bidirectional=True, num_hidden_layers=2)
    model.save_pretrained(tmp_path / "discriminator")
    loaded, info = auto_class.from_pretrained(tmp_path, subfolder="discriminator", output_loading_info=True)
    assert type(loaded) is RecurrentDiscriminator and not loaded.training
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    ids = batch(SENTENCES, "right", LENGTH)[0]
    assert torch.equal(loaded(input_ids=ids).logits, model(input_ids=ids).logits)
    assert loaded.config.id2label == {0: "fake", 1: "real"} and loaded.config.label2id == {"fake": 0, "real": 1}
    before, after = model.config.to_dict(), loaded.config.to_dict()
    for key in ("architectures", "transformers_version", "_name_or_path", "dtype"):
        before.pop(key, None), after.pop(key, None)
    assert before == after


@pytest.mark.parametrize("cell_type", ("lstm", "gru"))
def test_only_missing_arrays_are_drawn_again(cell_type, tmp_path):
    model = discriminator(cell_type=cell_type, hidden_size=64)
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    missing = {"rnn.weight_hh_l0", "rnn.bias_ih_l0"}
    save_file({k: v for k, v in saved.items() if k not in missing}, tmp_path / "model.safetensors", {"format": "pt"})
    loaded, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert set(info["missing_keys"]) == missing
    for name, parameter in loaded.state_dict().items():
        if name in missing:
            assert 0.9 / 8 < float(parameter.abs().max()) <= 1 / 8, name
        else:
            np.testing.assert_array_equal(parameter.numpy(), saved[name], err_msg=name)


CONFIGURATION_ERRORS = [
    ({"vocab_size": 0}, "vocab_size is 0; set it to 1 or more"),
    ({"sequence_length": 0}, "sequence_length is 0; set it to 1 or more"),
    ({"embedding_size": -2}, "embedding_size is -2; set it to 1 or more"),
    ({"hidden_size": 0}, "hidden_size is 0; set it to 1 or more"),
    ({"num_hidden_layers": 0}, "num_hidden_layers is 0; set it to 1 or more"),
    ({"dropout": 1.0}, "dropout is 1.0; set it to at least 0 and less than 1"),
    ({"dropout": -0.1}, "dropout is -0.1; set it to at least 0 and less than 1"),
    ({"cell_type": "rnn"}, "cell_type.*expected one of.*lstm"),
    ({"hidden_size": "32"}, "hidden_size.*expected int"),
    ({"bidirectional": "yes"}, "bidirectional.*expected bool"),
]


@pytest.mark.parametrize(("options", "message"), CONFIGURATION_ERRORS)
def test_configuration_errors(options, message):
    with pytest.raises(Exception, match=f"(?is){message}"):
        RecurrentDiscriminatorConfig(**options)


def test_defaults_and_labels():
    default = RecurrentDiscriminatorConfig()
    assert (default.embedding_size, default.hidden_size, default.num_hidden_layers) == (64, 128, 1)
    assert (default.cell_type, default.bidirectional, default.dropout) == ("lstm", False, 0.25)
    assert RecurrentDiscriminator(default).classifier.out_features == default.num_labels == 2
    assert RecurrentDiscriminatorConfig(num_labels=3).num_labels == 3


@pytest.mark.parametrize(
    ("device_type", "dtype", "training", "gradient", "cudnn_enabled", "mkldnn_enabled"),
    [
        ("cuda", torch.float32, False, True, False, True),  # cuDNN has no backward pass in evaluation mode
        ("cuda", torch.float32, True, True, True, True),
        ("cuda", torch.float32, False, False, True, True),
        ("cpu", torch.float32, False, True, True, True),
        ("cpu", torch.bfloat16, False, True, True, False),
    ],
)
def test_kernels_that_cannot_compute_a_recurrence_are_not_used(
    device_type, dtype, training, gradient, cudnn_enabled, mkldnn_enabled
):
    before = torch.backends.cudnn.enabled, torch.backends.mkldnn.enabled
    with torch.set_grad_enabled(gradient), usable_kernels(device_type, dtype, training):
        found = torch.backends.cudnn.enabled, torch.backends.mkldnn.enabled
    assert found == (cudnn_enabled and before[0], mkldnn_enabled and before[1])
    assert (torch.backends.cudnn.enabled, torch.backends.mkldnn.enabled) == before
