"""RelGAN's discriminator: tokens and one-hot vectors, shared filters, and its convolution in the cache."""

import pytest
import torch
from torch.nn import functional as F

from hf_textgan.models import MultiRepresentationDiscriminator, MultiRepresentationDiscriminatorConfig
from hf_textgan.models import modeling_text_cnn_utils as utils
from tests.helpers import PAD, randomize


pytestmark = pytest.mark.usefixtures("one_thread")


def discriminator(seed: int = 1, **options) -> MultiRepresentationDiscriminator:
    sizes = {"vocab_size": 7, "sequence_length": 6, "embedding_size": 4, "num_representations": 4, "hidden_size": 3}
    filters = {"window_sizes": [2, 3], "num_filters": [5, 4]}
    config = MultiRepresentationDiscriminatorConfig(**{**sizes, **filters, **options})
    return randomize(MultiRepresentationDiscriminator(config), seed).eval()


def plain_scores(model: MultiRepresentationDiscriminator, onehots: torch.Tensor) -> torch.Tensor:
    """The network with convolutions over an image of one channel, as the paper has it."""
    config = model.config
    width = config.embedding_size // config.num_representations
    image = (onehots @ model.embed_tokens.weight)[:, None]  # (B, 1, L, E)
    features = []
    for convolution in model.convolutions:
        weight = convolution.weight.transpose(1, 2)[:, None]  # (F, 1, k, w)
        response = F.relu(F.conv2d(image, weight, convolution.bias, stride=(1, width)))  # (B, F, P, S)
        features.append(response.amax(2).transpose(1, 2))  # (B, S, F)
    f = torch.cat(features, dim=2)
    gate = torch.sigmoid(f @ model.highways[0].gate.weight.T)
    f = gate * F.relu(f @ model.highways[0].candidate.weight.T) + (1 - gate) * f
    return model.classifier(model.hidden(f)).squeeze(2)


@pytest.mark.parametrize("representations", [1, 2, 4])
def test_scores_are_those_of_a_plain_implementation(representations, monkeypatch):
    monkeypatch.setattr(utils, "_MAX_RESPONSES", 60)  # several parts
    model = discriminator(num_representations=representations)
    onehots = torch.rand(5, 6, 7, generator=torch.Generator().manual_seed(0)).softmax(-1).requires_grad_()
    output = model(inputs_onehot=onehots)
    expected = plain_scores(model, onehots)
    torch.testing.assert_close(output.scores, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.logits, expected.mean(1, keepdim=True), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.classifier(output.features), output.logits, atol=1e-5, rtol=1e-5)

    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    wanted = [onehots, *model.parameters()]
    found = torch.autograd.grad((output.scores * weights).sum(), wanted)
    exact = torch.autograd.grad((expected * weights).sum(), wanted)
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert float(found[0].abs().max()) > 1e-3


def test_tokens_and_their_one_hot_vectors_have_equal_scores():
    model = discriminator()
    ids = torch.randint(7, (5, 6), generator=torch.Generator().manual_seed(0))
    expected = model(input_ids=ids).scores
    torch.testing.assert_close(model(inputs_onehot=F.one_hot(ids, 7).float()).scores, expected)
    torch.testing.assert_close(model(inputs_embeds=model.embed_tokens(ids)).scores, expected)
    # Padding, added, given and masked.
    ids[:, 4:] = PAD
    expected = model(input_ids=ids).scores
    torch.testing.assert_close(model(input_ids=ids[:, :4]).scores, expected)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]]).expand(5, -1)
    other = torch.where(mask == 1, ids, 3)
    torch.testing.assert_close(model(input_ids=other, attention_mask=mask).scores, expected)
    torch.testing.assert_close(model(input_ids=other.roll(2, 1), attention_mask=mask.roll(2, 1)).scores, expected)


def test_permuted_representations_have_permuted_scores():
    """The filters are shared."""
    model = discriminator()
    ids, order = torch.randint(7, (5, 6), generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0, 3, 1])
    before = model(input_ids=ids).scores
    with torch.no_grad():
        model.embed_tokens.weight.copy_(model.embed_tokens.weight[:, order])
    torch.testing.assert_close(model(input_ids=ids).scores, before[:, order])
    assert bool((before.std(1) > 1e-3).all())


def test_numbers_of_parameters_are_the_papers():
    with torch.device("meta"):
        model = MultiRepresentationDiscriminator(MultiRepresentationDiscriminatorConfig(vocab_size=5000))
    assert model.num_parameters() == 3_005_601 + 64 * 5000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_representations": 3}, "embedding_size is 4 and num_representations 3; set the size to a multiple"),
        ({"num_representations": 0}, "num_representations is 0; set it to 1 or more."),
        ({"window_sizes": [2]}, "window_sizes has 1 entries and num_filters 2; give one number of filters"),
        ({"dropout": 1.0}, "dropout is 1.0; set it to at least 0 and less than 1."),
    ],
)
def test_configurations_without_a_meaning_are_refused(options, message):
    with pytest.raises(Exception, match=message):
        discriminator(**options)


def test_inputs_without_a_meaning_are_refused():
    model, ids = discriminator(), torch.zeros(2, 7, dtype=torch.long)
    with pytest.raises(ValueError, match="The input has 7 positions and sequence_length is 6; cut the input"):
        model(input_ids=ids)
    with pytest.raises(ValueError, match="Give exactly one of input_ids, inputs_onehot and inputs_embeds."):
        model()
    with pytest.raises(ValueError, match="labels is given and a critic has no loss of its own"):
        model(input_ids=ids[:, :6], labels=ids[:, 0])
