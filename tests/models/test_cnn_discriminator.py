"""The convolutional discriminator against computations by hand, and its fit into transformers."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers import pipeline

from hf_textgan.data.tokenizers import discriminator_tokenizer, word_tokenizer
from hf_textgan.models import (
    CNNDiscriminator,
    CNNDiscriminatorConfig,
    modeling_cnn_discriminator,
    modeling_text_cnn_utils,
)
from hf_textgan.models.modeling_text_cnn_utils import looked_up_features, pooled_features
from tests.helpers import randomize, tiny_discriminator


pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = [[1, 4, 5, 6], [1, 7], [1, 3, 8]]  # unequal lengths
LINES = ["a dog sits .", "a dog runs .", "a cat sits , not the dog ."]


def pad(rows: list[list[int]], side: str, value: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, rows))
    filled = [[value] * (longest - len(row)) for row in rows]
    ids = [fill + row if side == "left" else row + fill for row, fill in zip(rows, filled, strict=True)]
    ones = [[1] * len(row) for row in rows]
    zeros = [[0] * len(fill) for fill in filled]
    mask = [z + o if side == "left" else o + z for o, z in zip(ones, zeros, strict=True)]
    return torch.tensor(ids), torch.tensor(mask)


def discriminator(**options) -> CNNDiscriminator:
    return randomize(tiny_discriminator(9, 6, **options), seed=4, std=0.7).eval()


def by_hand(model: CNNDiscriminator, ids: list[int]) -> torch.Tensor:
    """Equations 12 to 14 of SeqGAN, window by window and filter by filter."""
    weights = {name: value.double() for name, value in model.state_dict().items()}
    length = model.config.sequence_length
    embeds = weights["embed_tokens.weight"][ids + [0] * (length - len(ids))]  # (T, E)
    features = []
    for number, filters in enumerate(model.config.num_filters):
        kernels = weights[f"convolutions.{number}.weight"]  # (filters, E, window)
        biases = weights[f"convolutions.{number}.bias"]
        window = kernels.shape[2]
        for kernel, bias in zip(kernels[:filters], biases, strict=True):
            windows = [embeds[start : start + window] for start in range(length - window + 1)]
            largest = max((part * kernel.T).sum() + bias for part in windows)
            features.append(largest.clamp(min=0))
    x = torch.stack(features)
    for number in range(model.config.num_highway_layers):
        layer = f"highways.{number}"
        gate = torch.sigmoid(weights[f"{layer}.gate.weight"] @ x + weights[f"{layer}.gate.bias"])
        candidate = (weights[f"{layer}.candidate.weight"] @ x + weights[f"{layer}.candidate.bias"]).clamp(min=0)
        x = gate * candidate + (1 - gate) * x
    return weights["classifier.weight"] @ x + weights["classifier.bias"]


@pytest.mark.parametrize("highways", (0, 1, 2))
def test_discriminator_by_hand(highways):
    model = discriminator(num_highway_layers=highways)
    rows = [[3, 4, 5, 6, 7, 8], [5, 5, 2], [8], [0, 3, 0, 4]]
    for row in rows:
        logits = model(input_ids=torch.tensor([row])).logits[0].detach()
        torch.testing.assert_close(logits, by_hand(model, row).float(), atol=1e-5, rtol=1e-5)


def test_ids_onehot_and_embeds_agree():
    model = discriminator()
    ids = torch.tensor([[3, 4, 5, 2], [8, 1, 2, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    onehot = F.one_hot(ids, 9).float()
    for attention_mask in (None, mask):
        expected = model(input_ids=ids, attention_mask=attention_mask).logits
        others = {"inputs_onehot": onehot, "inputs_embeds": model.embed_tokens(ids)}
        for name, value in others.items():
            logits = model(**{name: value}, attention_mask=attention_mask).logits
            torch.testing.assert_close(logits, expected, atol=1e-6, rtol=0)


def test_gradient_reaches_onehot_inputs():
    model = discriminator()
    onehot = F.one_hot(torch.tensor([[3, 4, 5]]), 9).double().requires_grad_()
    model = model.double()
    model(inputs_onehot=onehot).logits[0, 1].backward()
    assert (onehot.grad.abs().sum(-1) > 0).all()
    # Central differences in a direction that ordinary relaxed samples move in.
    direction = torch.randn(onehot.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        high, low = (model(inputs_onehot=onehot + sign * 1e-6 * direction).logits[0, 1] for sign in (1, -1))
    assert float((onehot.grad * direction).sum()) == pytest.approx(float(high - low) / 2e-6, rel=1e-5)


def test_discriminator_does_not_see_how_a_batch_is_padded():
    model = discriminator()
    alone = torch.cat([model(input_ids=torch.tensor([row])).logits for row in PROMPTS])
    explicit, _ = pad([row + [0] * (6 - len(row)) for row in PROMPTS], "right")
    batches = {"explicit pad ids, no mask": (explicit, None)}
    for side in ("left", "right"):
        batches[f"{side}, other ids under the mask"] = pad(PROMPTS, side, value=8)
    for name, (ids, mask) in batches.items():
        logits = model(input_ids=ids, attention_mask=mask).logits
        torch.testing.assert_close(logits, alone, atol=1e-6, rtol=0, msg=name)
    left, mask = pad(PROMPTS, "left", value=8)
    unmasked = model(input_ids=left).logits
    assert (unmasked - alone).abs()[1:].amax(-1).gt(1e-3).all(), "without a mask, 8 is a token"


def test_windows_are_cut_to_the_length():
    model = discriminator(window_sizes=[2, 6, 20], num_filters=[2, 3, 4])
    assert [convolution.kernel_size[0] for convolution in model.convolutions] == [2, 6, 6]
    assert model(input_ids=torch.tensor([[3]])).features.shape == (1, 9)


def test_features_are_what_the_output_layer_reads():
    model = discriminator().train()  # dropout must leave the features alone
    ids = torch.tensor([[3, 4], [5, 6]])
    torch.manual_seed(0)
    first, second = model(input_ids=ids), model(input_ids=ids)
    assert torch.equal(first.features, second.features) and not torch.equal(first.logits, second.logits)
    output = model.eval()(input_ids=ids, labels=torch.tensor([1, 0]))
    torch.testing.assert_close(model.classifier(output.features), output.logits)
    probabilities = output.logits.double().softmax(-1)
    expected = -(probabilities[0, 1].log() + probabilities[1, 0].log()) / 2
    assert float(output.loss.detach()) == pytest.approx(float(expected), abs=1e-6)
    assert len(model(input_ids=ids, return_dict=False)) == 2


@pytest.mark.parametrize("highways", (0, 1))
@pytest.mark.parametrize("looked_up", (True, False))
def test_classify_gives_the_logits_of_forward(looked_up, highways, monkeypatch):
    """In several parts, of which the last is smaller; 9 tokens in many rows are looked up, 5000 are not."""
    monkeypatch.setattr(modeling_cnn_discriminator, "_SCORING_BATCH_SIZE", 200)
    monkeypatch.setattr(modeling_cnn_discriminator, "_FEATURE_BATCH_SIZE", 70)
    monkeypatch.setattr(modeling_text_cnn_utils, "_WINDOW_BATCH_SIZE", 30)
    vocab_size = 9 if looked_up else 5000
    model = randomize(tiny_discriminator(vocab_size, 6, num_highway_layers=highways, dropout=0.5), std=0.7).eval()
    ids = torch.randint(vocab_size, (430, 6))
    features = looked_up_features(model.convolutions, model.embed_tokens.weight, ids[:200])
    assert (features is not None) == looked_up
    expected = model(input_ids=ids).logits.detach()
    logits = model.classify(ids)
    assert logits.shape == (430, 2) and not logits.requires_grad
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
    assert expected.std() > 0.1
    torch.testing.assert_close(model.classify(ids[:3]), expected[:3], atol=1e-5, rtol=0)
    torch.testing.assert_close(model.classify(ids[:, :4]), model(input_ids=ids[:, :4]).logits, atol=1e-5, rtol=0)
    assert model.classify(ids[:0]).shape == (0, 2)
    with pytest.raises(ValueError, match="The input has 7 positions and sequence_length is 6; cut the input"):
        model.classify(torch.zeros(300, 7, dtype=torch.long))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (model.classify(ids).float() - expected).abs().max() < 0.3
    torch.testing.assert_close(model.double().classify(ids), expected.double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("grad_inputs", (True, False))
def test_pooled_features_have_the_gradients_of_convolutions(grad_inputs):
    """The way of training against the layers of PyTorch; 0 and negative responses earn no gradient."""
    convolutions = nn.ModuleList(nn.Conv1d(4, filters, width) for width, filters in ((1, 3), (2, 5), (7, 2)))
    embeds = torch.randn(6, 7, 4)
    slope, results = torch.randn(6, 10), []
    for twice in (False, True):
        given = embeds.clone().requires_grad_(grad_inputs)
        features = pooled_features(convolutions, given, twice)
        assert ("PooledConvolution" in type(features.grad_fn.next_functions[0][0]).__name__) == (not twice)
        leaves = [*([given] if grad_inputs else []), *convolutions.parameters()]
        results.append([features, *torch.autograd.grad((features * slope).sum(), leaves, create_graph=twice)])
    assert 0 < float((results[0][0] == 0).float().mean()) < 0.5
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(pooled_features(convolutions, embeds), results[1][0], atol=1e-6, rtol=1e-5)
    double = pooled_features(convolutions.double(), embeds.double(), False)
    torch.testing.assert_close(double.float(), results[1][0], atol=1e-5, rtol=0)


def test_the_discriminator_offers_gradients_of_gradients_of_embeddings():
    model = discriminator()
    ids = torch.randint(9, (3, 6))
    embeds = model.embed_tokens(ids).detach().requires_grad_()
    logits = model(inputs_embeds=embeds).logits
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), embeds, create_graph=True)
    gradient.square().sum().backward()
    assert any(c.weight.grad is not None and c.weight.grad.abs().max() > 0 for c in model.convolutions)


def test_classify_ignores_tokens_that_never_occur():
    """A row of products per token that occurs: ids and rows must not be mixed up."""
    model = discriminator(num_highway_layers=0)
    ids = torch.tensor([2, 5, 8])[torch.randint(3, (40, 6))]
    features = looked_up_features(model.convolutions, model.embed_tokens.weight, ids)
    torch.testing.assert_close(features, model(input_ids=ids).features.detach(), atol=1e-5, rtol=0)
    assert (features.std(0) > 0.01).sum() > 5, "the sequences should have different features"


def test_discriminator_input_errors():
    model = discriminator()
    with pytest.raises(ValueError, match="The input has 7 positions and sequence_length is 6; cut the input"):
        model(input_ids=torch.zeros((1, 7), dtype=torch.long))
    with pytest.raises(ValueError, match="Give exactly one of input_ids, inputs_onehot and inputs_embeds"):
        model()
    with pytest.raises(ValueError, match="Give exactly one of input_ids, inputs_onehot and inputs_embeds"):
        model(input_ids=torch.zeros((1, 2), dtype=torch.long), inputs_embeds=torch.zeros((1, 2, 5)))


def test_every_array_of_the_discriminator_starts_as_in_the_reference():
    torch.manual_seed(0)
    model = CNNDiscriminator(CNNDiscriminatorConfig(vocab_size=2000))
    assert sum(model.config.num_filters) == model.classifier.in_features == 1720
    embeddings = model.embed_tokens.weight.detach()
    assert embeddings.abs().max() <= 1 and embeddings.abs().max() > 0.999
    assert float(embeddings.mean()) == pytest.approx(0, abs=4 / math.sqrt(3 * embeddings.numel()))
    assert float(embeddings.std()) == pytest.approx(1 / math.sqrt(3), rel=0.01)
    for layer in (*model.convolutions, model.classifier):
        assert layer.weight.abs().max() <= 0.2  # cut at two standard deviations
        # A normal variable cut at two standard deviations keeps 0.8796 of its deviation.
        spread = 4 / math.sqrt(2 * layer.weight.numel())
        assert float(layer.weight.detach().std()) == pytest.approx(0.08796, rel=spread)
        assert torch.equal(layer.bias, torch.full_like(layer.bias, 0.1))
    bound = math.sqrt(6 / (1720 + 1720))  # Glorot
    for linear in (model.highways[0].gate, model.highways[0].candidate):
        assert bound * 0.999 < float(linear.weight.detach().abs().max()) <= bound
        assert not linear.bias.any()
    assert not torch.equal(model.highways[0].gate.weight, model.highways[0].candidate.weight)


def test_pipeline_text_classification(tmp_path):
    tokenizer = discriminator_tokenizer(word_tokenizer(LINES))
    model = randomize(tiny_discriminator(len(tokenizer), 8), seed=4, std=0.7).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    texts = ["a dog sits .", "the", "a cat runs , not the"]
    results = pipeline("text-classification", model=str(tmp_path))(texts, top_k=None, batch_size=3)
    for text, result in zip(texts, results, strict=True):
        ids = [tokenizer.convert_tokens_to_ids(word) for word in text.split()] + [2]
        fake, real = by_hand(model, ids).softmax(-1).tolist()
        scores = {entry["label"]: entry["score"] for entry in result}
        assert scores == {"fake": pytest.approx(fake, abs=1e-5), "real": pytest.approx(real, abs=1e-5)}


@pytest.mark.parametrize("pad_token_id", (None, -1, 9))
def test_discriminator_needs_a_pad_token(pad_token_id):
    with pytest.raises(ValueError, match=f"pad_token_id is {pad_token_id}; set it to an id from 0 to 8"):
        tiny_discriminator(9, 6, pad_token_id=pad_token_id)
