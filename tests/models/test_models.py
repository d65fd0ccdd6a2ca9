"""The generators and the discriminator against computations by hand, and their fit into transformers."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GenerationConfig,
    pipeline,
)

from hf_textgan.data.tokenizers import discriminator_tokenizer, word_tokenizer
from hf_textgan.models import (
    CACHE_NAME,
    MODELS,
    CNNDiscriminator,
    CNNDiscriminatorConfig,
    RecurrentGeneratorConfig,
    RecurrentGeneratorForCausalLM,
    RecurrentState,
    modeling_cnn_discriminator,
    modeling_recurrence_utils,
    modeling_text_cnn_utils,
)
from hf_textgan.models.modeling_recurrence_utils import run_recurrence
from hf_textgan.models.modeling_text_cnn_utils import looked_up_features, pooled_features
from tests.helpers import randomize, tiny_discriminator, tiny_lstm


CELLS = ("lstm", "gru")
PROMPTS = [[1, 4, 5, 6], [1, 7], [1, 3, 8]]  # unequal lengths
LINES = ["a dog sits .", "a dog runs .", "a cat sits , not the dog ."]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def generator(
    cell_type: str, vocab_size: int = 11, seed: int = 3, std: float = 0.8, **options
) -> RecurrentGeneratorForCausalLM:
    return randomize(tiny_lstm(vocab_size, cell_type=cell_type, **options), seed, std).eval()


def pad(rows: list[list[int]], side: str, value: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, rows))
    filled = [[value] * (longest - len(row)) for row in rows]
    ids = [fill + row if side == "left" else row + fill for row, fill in zip(rows, filled, strict=True)]
    ones = [[1] * len(row) for row in rows]
    zeros = [[0] * len(fill) for fill in filled]
    mask = [z + o if side == "left" else o + z for o, z in zip(ones, zeros, strict=True)]
    return torch.tensor(ids), torch.tensor(mask)


# ---- The recurrent generator ------------------------------------------------------------------------------------


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def recurrent_logits(weights: dict[str, np.ndarray], cell_type: str, layers: int, tokens: list[int]) -> np.ndarray:
    """The textbook recurrences, one token at a time, in double precision."""
    weights = {name: array.astype(np.float64) for name, array in weights.items()}
    size = weights["rnn.weight_hh_l0"].shape[1]
    h, c = np.zeros((layers, size)), np.zeros((layers, size))
    logits = []
    for token in tokens:
        x = weights["embed_tokens.weight"][token]
        for layer in range(layers):
            from_input = weights[f"rnn.weight_ih_l{layer}"] @ x + weights[f"rnn.bias_ih_l{layer}"]
            from_state = weights[f"rnn.weight_hh_l{layer}"] @ h[layer] + weights[f"rnn.bias_hh_l{layer}"]
            if cell_type == "lstm":
                i, f, g, o = np.split(from_input + from_state, 4)
                c[layer] = sigmoid(f) * c[layer] + sigmoid(i) * np.tanh(g)
                h[layer] = sigmoid(o) * np.tanh(c[layer])
            else:
                (r, z, n), (hr, hz, hn) = np.split(from_input, 3), np.split(from_state, 3)
                r, z = sigmoid(r + hr), sigmoid(z + hz)
                h[layer] = (1 - z) * np.tanh(n + r * hn) + z * h[layer]
            x = h[layer]
        logits.append(weights["lm_head.weight"] @ x + weights["lm_head.bias"])
    return np.stack(logits)


@pytest.mark.parametrize("layers", (1, 2))
@pytest.mark.parametrize("cell_type", CELLS)
def test_saved_generator_recomputed_with_numpy(cell_type, layers, tmp_path):
    model = generator(cell_type, num_hidden_layers=layers)
    model.save_pretrained(tmp_path)
    tokens = [1, 4, 10, 0, 2, 7]
    expected = recurrent_logits(load_file(tmp_path / "model.safetensors"), cell_type, layers, tokens)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([tokens])).logits[0]
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("cell_type", CELLS)
def test_cached_steps_equal_one_pass(cell_type):
    model = generator(cell_type, num_hidden_layers=2)
    ids = torch.randint(11, (3, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = model(input_ids=ids).logits
        state, steps = None, []
        for position in range(7):
            output = model(input_ids=ids[:, position : position + 1], cache=state, use_cache=True)
            state = output[CACHE_NAME]
            assert state.get_seq_length() == position + 1
            steps.append(output.logits)
        halves = model(input_ids=ids[:, :3], use_cache=True)
        rest = model(input_ids=ids[:, 3:], cache=halves[CACHE_NAME]).logits
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.cat([halves.logits, rest], 1), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell_type", CELLS)
def test_a_future_token_changes_nothing_before_it(cell_type):
    model = generator(cell_type)
    ids = torch.tensor([[1, 4, 5, 6, 7]])
    with torch.no_grad():
        before = model(input_ids=ids).logits
        for position in range(5):
            changed = ids.clone()
            changed[0, position] = 9
            after = model(input_ids=changed).logits
            assert torch.equal(after[:, :position], before[:, :position])
            assert ((after[:, position:] - before[:, position:]).abs().amax(-1) > 1e-4).all()


DECODING = {
    "greedy": {"do_sample": False},
    "sampling": {"do_sample": True, "top_k": 0},
    "beams": {"do_sample": False, "num_beams": 3},
    "sampled beams": {"do_sample": True, "top_k": 0, "num_beams": 3},
}


@pytest.mark.parametrize("decoding", DECODING)
@pytest.mark.parametrize("cell_type", CELLS)
def test_generate_with_and_without_cache(cell_type, decoding):
    model = generator(cell_type, seed=1, std=1.5)
    prompts = torch.tensor([[1, 4], [1, 7], [1, 3]])
    read: list[int] = []
    model.embed_tokens.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0].shape[1]))
    outputs = []
    for use_cache in (True, False):
        torch.manual_seed(0)
        options = {"max_new_tokens": 12, "min_new_tokens": 6, "use_cache": use_cache, "return_dict_in_generate": True}
        outputs.append(model.generate(prompts, **options, output_logits=True, **DECODING[decoding]))
    cached, uncached = outputs
    assert torch.equal(cached.sequences, uncached.sequences)
    steps = len(cached.logits)
    assert read == [2] + [1] * (steps - 1) + list(range(2, 2 + steps))
    for with_cache, without in zip(cached.logits, uncached.logits, strict=True):
        torch.testing.assert_close(with_cache, without, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64, torch.bfloat16))
@pytest.mark.parametrize("layers", (1, 2))
@pytest.mark.parametrize("cell_type", CELLS)
def test_one_step_without_gradient_is_a_step_of_the_layers(cell_type, layers, dtype):
    rnn = {"lstm": nn.LSTM, "gru": nn.GRU}[cell_type](4, 6, layers, batch_first=True, dropout=0.5).to(dtype).eval()
    embeds, past = torch.randn(3, 1, 4, dtype=dtype), torch.randn(2, layers, 3, 6, dtype=dtype).unbind()
    past = past if cell_type == "lstm" else past[:1]
    hidden, state = run_recurrence(rnn, embeds, None, past)  # with gradient: the layers
    with torch.no_grad():
        assert modeling_recurrence_utils._SMALL_STATE >= past[0].numel()
        one, after = run_recurrence(rnn, embeds, torch.ones(3, 1), past)
        padded, kept = run_recurrence(rnn, embeds, torch.tensor([[1], [0], [1]]), past)
    tolerance = {torch.float32: 1e-6, torch.float64: 1e-12, torch.bfloat16: 0.02}[dtype]
    for ours, expected in zip((one, *after), (hidden, *state), strict=True):
        assert ours.shape == expected.shape and ours.dtype == dtype and not ours.requires_grad
        torch.testing.assert_close(ours, expected.detach(), atol=tolerance, rtol=0)
    for ours, new, old in zip(kept, state, past, strict=True):
        torch.testing.assert_close(ours[:, 1], old[:, 1], atol=0, rtol=0)
        torch.testing.assert_close(ours[:, ::2], new[:, ::2].detach(), atol=tolerance, rtol=0)
    if layers == 2:  # dropout between the layers, in training mode only
        rnn.train()
        with torch.no_grad():
            draws = [run_recurrence(rnn, embeds, None, past)[0] for _ in range(3)]
        assert not torch.equal(draws[0], draws[1]) or not torch.equal(draws[0], draws[2])


def test_sampling_sees_the_whole_vocabulary():
    model = tiny_lstm(200).eval()  # near uniform; the default of `generate`, top_k=50, would give 50 symbols
    torch.manual_seed(0)
    config = GenerationConfig(do_sample=True, top_k=0, max_new_tokens=1, bos_token_id=1, pad_token_id=0)
    drawn = model.generate(torch.ones((3000, 1), dtype=torch.long), generation_config=config)[:, 1]
    assert len(drawn.unique()) == 200


def best_continuation(model, prompt: list[int], new_tokens: int, beams: int) -> list[int]:
    """Beam search over sequences without EOS, by hand and without a state; with one beam it is greedy."""
    hypotheses = [(0.0, prompt)]
    for _ in range(new_tokens):
        grown = []
        for score, tokens in hypotheses:
            with torch.no_grad():
                logps = model(input_ids=torch.tensor([tokens])).logits[0, -1].log_softmax(-1)
            grown += [(score + float(logp), [*tokens, token]) for token, logp in enumerate(logps)]
        hypotheses = sorted(grown, reverse=True)[:beams]
    return hypotheses[0][1][len(prompt) :]


@pytest.mark.parametrize("beams", (1, 3))
@pytest.mark.parametrize("cell_type", CELLS)
def test_generate_on_left_padded_prompts(cell_type, beams):
    model = generator(cell_type, seed=1, std=1.5, eos=False)
    ids, mask = pad(PROMPTS, "left", value=8)  # not the pad id: only the mask may tell
    config = GenerationConfig(do_sample=False, num_beams=beams, max_new_tokens=6, pad_token_id=0)
    output = model.generate(ids, attention_mask=mask, generation_config=config)[:, ids.shape[1] :]
    expected = [best_continuation(model, prompt, 6, beams) for prompt in PROMPTS]
    assert output.tolist() == expected
    assert len(set(map(tuple, expected))) == 3, "the prompts should lead to different texts"


def test_generate_stops_at_eos_and_pads():
    model = generator("lstm")
    with torch.no_grad():
        model.lm_head.bias[2] += 1.5
    torch.manual_seed(0)
    output = model.generate(torch.ones((50, 1), dtype=torch.long), do_sample=True, top_k=0, max_new_tokens=10)[:, 1:]
    lengths = set()
    for row in output.tolist():
        end = row.index(2) if 2 in row else len(row)
        lengths.add(end)
        assert set(row[end + 1 :]) <= {0}
    assert len(lengths) > 3


@pytest.mark.parametrize("side", ("left", "right"))
@pytest.mark.parametrize("cell_type", CELLS)
def test_padding_leaves_logits_and_state_alone(cell_type, side):
    model = generator(cell_type, num_hidden_layers=2)
    ids, mask = pad(PROMPTS, side, value=8)
    steps = torch.tensor([[5], [6], [7]])
    with torch.no_grad():
        padded = model(input_ids=ids, attention_mask=mask, use_cache=True)
        after = model(
            input_ids=steps,
            attention_mask=torch.cat([mask, torch.ones_like(steps)], 1),
            cache=padded[CACHE_NAME],
        ).logits
        for row, prompt in enumerate(PROMPTS):
            alone = model(input_ids=torch.tensor([[*prompt, int(steps[row])]])).logits[0]
            real = padded.logits[row][mask[row] == 1]
            torch.testing.assert_close(torch.cat([real, after[row]]), alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("cell_type", CELLS)
def test_a_row_of_padding_alone_keeps_its_state(cell_type):
    model = generator(cell_type)
    ids, mask = torch.tensor([[4, 5], [6, 7]]), torch.tensor([[0, 0], [1, 1]])
    with torch.no_grad():
        past = model(input_ids=torch.tensor([[3], [3]]), use_cache=True)[CACHE_NAME]
        kept = model(input_ids=ids, attention_mask=mask, cache=past, use_cache=True)[CACHE_NAME]
        fresh = model(input_ids=ids, attention_mask=mask, use_cache=True)[CACHE_NAME]
    for old, new, first in zip(past.tensors, kept.tensors, fresh.tensors, strict=True):
        assert torch.equal(old[:, 0], new[:, 0]) and not torch.equal(old[:, 1], new[:, 1])
        assert not first[:, 0].any() and first[:, 1].any()


def test_reorder_cache_repeats_and_drops_rows():
    h, c = torch.arange(6.0).view(1, 3, 2), torch.arange(6.0, 12.0).view(1, 3, 2)
    state = RecurrentState((h, c), length=4)
    state.reorder_cache(torch.tensor([2, 2, 0, 2]))
    assert state.tensors[0].tolist() == [[[4, 5], [4, 5], [0, 1], [4, 5]]]
    assert state.tensors[1].tolist() == [[[10, 11], [10, 11], [6, 7], [10, 11]]]
    assert state.get_seq_length() == 4


def test_labels_give_the_cross_entropy_of_the_next_token():
    model = generator("lstm")
    ids = torch.tensor([[1, 4, 5, 2], [1, 7, 2, 0]])
    labels = torch.tensor([[1, 4, 5, 2], [1, 7, 2, -100]])
    output = model(input_ids=ids, labels=labels)
    logps = output.logits.double().log_softmax(-1)
    terms = [logps[0, 0, 4], logps[0, 1, 5], logps[0, 2, 2], logps[1, 0, 7], logps[1, 1, 2]]
    assert float(output.loss.detach()) == pytest.approx(-float(sum(terms).detach()) / 5, abs=1e-6)
    assert output.to_tuple()[0] is output.loss
    assert len(model(input_ids=ids, return_dict=False, use_cache=False)) == 1


def test_logits_to_keep_and_hidden_states():
    model = generator("gru")
    ids = torch.tensor([[1, 4, 5, 2]])
    whole = model(input_ids=ids, output_hidden_states=True)
    assert torch.equal(model(input_ids=ids, logits_to_keep=2).logits, whole.logits[:, 2:])
    embeds, hidden = whole.hidden_states
    assert torch.equal(embeds, model.embed_tokens(ids))
    torch.testing.assert_close(model.lm_head(hidden), whole.logits)
    assert torch.equal(model(inputs_embeds=embeds).logits, whole.logits)


@pytest.mark.parametrize("cell_type", CELLS)
def test_every_array_of_the_generator_starts_normal(cell_type):
    torch.manual_seed(0)
    model = RecurrentGeneratorForCausalLM(RecurrentGeneratorConfig(cell_type=cell_type, hidden_size=64))
    for name, parameter in model.named_parameters():
        values = parameter.detach().double().flatten()
        if "bias_hh" in name and cell_type == "lstm":
            assert not values.any(), name
            continue
        n = len(values)
        assert abs(values.mean()) < 4 * 0.1 / math.sqrt(n), name
        assert abs(values.std() - 0.1) < 4 * 0.1 / math.sqrt(2 * n), name
        # Of a normal variable, 4.55 % lie beyond two standard deviations: 0 % of a uniform or a truncated one.
        assert abs((values.abs() > 0.2).double().mean() - 0.0455) < 4 * math.sqrt(0.0455 / n), name


@pytest.mark.parametrize("cell_type", CELLS)
def test_loss_at_initialisation_is_that_of_the_uniform_distribution(cell_type):
    torch.manual_seed(0)
    model = RecurrentGeneratorForCausalLM(RecurrentGeneratorConfig(vocab_size=5000, cell_type=cell_type)).eval()
    ids = torch.randint(5000, (64, 20))
    assert float(model(input_ids=ids, labels=ids).loss.detach()) == pytest.approx(math.log(5000), abs=0.02)


@pytest.mark.parametrize("layers", (1, 2))
def test_dropout_acts_in_training_only(layers):
    model = generator("lstm", dropout=0.5, num_hidden_layers=layers)
    ids = torch.tensor([[1, 4, 5]])
    torch.manual_seed(0)
    assert torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)
    model.train()
    assert not torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)


@pytest.mark.parametrize("cell_type", CELLS)
@pytest.mark.parametrize("padded", (False, True))
def test_bfloat16(cell_type, padded):
    model = generator(cell_type)
    ids, mask = pad(PROMPTS, "left")
    mask = mask if padded else torch.ones_like(mask)
    labels = ids.masked_fill(mask == 0, -100)
    model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
    exact = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    expected = model(input_ids=ids, attention_mask=mask).logits.detach()

    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(input_ids=ids, attention_mask=mask, labels=labels, output_hidden_states=True)
    mixed.loss.backward()
    full = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    torch.testing.assert_close(mixed.hidden_states[1], full.hidden_states[1], atol=1e-6, rtol=0)  # not rounded
    half = generator(cell_type).to(torch.bfloat16)
    low = half(input_ids=ids, attention_mask=mask, labels=labels)
    low.loss.backward()

    for output, which in ((mixed, model), (low, half)):
        assert output.logits.dtype == torch.bfloat16
        # Eight bits of mantissa: each of the few dozen terms of a logit is off by at most 0.4 %.
        torch.testing.assert_close(output.logits.float(), expected, atol=0.08, rtol=0.03)
        for name, parameter in which.named_parameters():
            assert torch.cosine_similarity(parameter.grad.flatten().float(), exact[name].flatten(), dim=0) > 0.99, name
    assert half.generate(ids, attention_mask=mask, max_new_tokens=3, do_sample=False).shape[0] == 3


def test_pipeline_text_generation():
    tokenizer = word_tokenizer(LINES)
    model = generator("lstm", vocab_size=len(tokenizer))
    generate = pipeline("text-generation", model=model, tokenizer=tokenizer)
    prompts = ["a", "a cat sits", "the dog"]
    results = generate(
        prompts, batch_size=3, do_sample=False, max_new_tokens=5, min_new_tokens=5, return_full_text=False
    )
    for prompt, result in zip(prompts, results, strict=True):
        tokens = [1, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]
        for _ in range(5):
            logits = model(input_ids=torch.tensor([tokens])).logits[0, -1]
            logits[2] = -math.inf  # min_new_tokens forbids EOS
            tokens.append(int(logits.argmax()))
        assert result[0]["generated_text"].split() == tokenizer.decode(tokens[-5:], skip_special_tokens=True).split()


# ---- The discriminator ------------------------------------------------------------------------------------------


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
    assert (unmasked - alone).abs()[1:].amax(-1).gt(1e-3).all(), "without a mask, 8 is a symbol"


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
    """In several parts, of which the last is smaller; 9 symbols in many rows are looked up, 5000 are not."""
    monkeypatch.setattr(modeling_cnn_discriminator, "_SCORING_BATCH_SIZE", 200)
    monkeypatch.setattr(modeling_cnn_discriminator, "_FEATURES_AT_ONCE", 70)
    monkeypatch.setattr(modeling_text_cnn_utils, "_WINDOWS_AT_ONCE", 30)
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
        wanted = [*([given] if grad_inputs else []), *convolutions.parameters()]
        results.append([features, *torch.autograd.grad((features * slope).sum(), wanted, create_graph=twice)])
    assert 0 < float((results[0][0] == 0).float().mean()) < 0.5
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
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


def test_classify_puts_symbols_that_never_occur_nowhere():
    """A row of products per symbol that occurs: ids and rows must not be mixed up."""
    model = discriminator(num_highway_layers=0)
    ids = torch.tensor([2, 5, 8])[torch.randint(3, (40, 6))]
    features = looked_up_features(model.convolutions, model.embed_tokens.weight, ids)
    torch.testing.assert_close(features, model(input_ids=ids).features.detach(), atol=1e-5, rtol=0)
    assert features.std(0).min() > 0.01


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


# ---- Auto classes, saving, configurations -------------------------------------------------------------------------


def models() -> list:
    return [generator("lstm"), generator("gru", num_hidden_layers=2), discriminator()]


def test_importing_registers_the_auto_classes():
    for model_class, auto_classes in MODELS.items():
        config_class = model_class.config_class
        assert type(AutoConfig.for_model(config_class.model_type)) is config_class
        for auto_class in (AutoModel, *auto_classes):
            assert auto_class._model_mapping[config_class] is model_class
    assert AutoModelForCausalLM in MODELS[RecurrentGeneratorForCausalLM]
    assert AutoModelForSequenceClassification in MODELS[CNNDiscriminator]


@pytest.mark.slow  # a fresh interpreter
def test_a_saved_model_loads_after_importing_the_package(tmp_path):
    model = generator("lstm")
    model.save_pretrained(tmp_path)
    code = (
        "import sys, hf_textgan\nfrom transformers import AutoModelForCausalLM\n"
        "print(type(AutoModelForCausalLM.from_pretrained(sys.argv[1])).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout.strip() == "RecurrentGeneratorForCausalLM", done.stderr


@pytest.mark.parametrize("index", range(3))
def test_save_and_load(index, tmp_path):
    model = models()[index]
    model.save_pretrained(tmp_path)
    auto_classes = [AutoModel, *MODELS[type(model)], type(model)]
    for auto_class in auto_classes:
        loaded, info = auto_class.from_pretrained(tmp_path, output_loading_info=True)
        assert type(loaded) is type(model) and not loaded.training
        assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        for (name, old), (same, new) in zip(model.state_dict().items(), loaded.state_dict().items(), strict=True):
            assert name == same and torch.equal(old, new)
    config = AutoConfig.from_pretrained(tmp_path)
    assert type(config) is type(model.config)
    before, after = model.config.to_dict(), config.to_dict()
    for key in ("architectures", "transformers_version", "_name_or_path"):
        before.pop(key, None), after.pop(key, None)
    before["dtype"] = after["dtype"] = None  # unknown until the weights are saved
    assert {k: list(v) if isinstance(v, tuple) else v for k, v in before.items()} == after


def test_discriminator_in_a_subfolder(tmp_path):
    generator("lstm").save_pretrained(tmp_path)
    model = discriminator()
    model.save_pretrained(tmp_path / "discriminator")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path, subfolder="discriminator")
    ids = torch.tensor([[3, 4, 2]])
    # Where a file puts an array in memory may change the last bit of a product.
    torch.testing.assert_close(loaded(input_ids=ids).logits, model(input_ids=ids).logits, atol=1e-6, rtol=0)
    assert loaded.config.id2label == {0: "fake", 1: "real"} and loaded.config.num_labels == 2
    assert loaded.config.label2id == {"fake": 0, "real": 1}


def test_generator_input_errors():
    model = generator("lstm")
    ids = torch.tensor([[1, 3]])
    with pytest.raises(ValueError, match="Give exactly one of input_ids and inputs_embeds"):
        model()
    with pytest.raises(ValueError, match="Give exactly one of input_ids and inputs_embeds"):
        model(input_ids=ids, inputs_embeds=model.embed_tokens(ids))
    with pytest.raises(ValueError, match="logits_to_keep is 1; labels need all logits, so leave it at 0"):
        model(input_ids=ids, labels=ids, logits_to_keep=1)


SIZE_ERRORS = [
    (RecurrentGeneratorConfig, {"vocab_size": 0}, "vocab_size is 0; set it to 1 or more"),
    (RecurrentGeneratorConfig, {"embedding_size": 0}, "embedding_size is 0; set it to 1 or more"),
    (RecurrentGeneratorConfig, {"hidden_size": -1}, "hidden_size is -1; set it to 1 or more"),
    (RecurrentGeneratorConfig, {"num_hidden_layers": 0}, "num_hidden_layers is 0; set it to 1 or more"),
    (RecurrentGeneratorConfig, {"dropout": 1.0}, "dropout is 1.0; set it to at least 0 and less than 1"),
    (CNNDiscriminatorConfig, {"vocab_size": 0}, "vocab_size is 0; set it to 1 or more"),
    (CNNDiscriminatorConfig, {"sequence_length": 0}, "sequence_length is 0; set it to 1 or more"),
    (CNNDiscriminatorConfig, {"dropout": -0.1}, "dropout is -0.1; set it to at least 0 and less than 1"),
    (CNNDiscriminatorConfig, {"window_sizes": [], "num_filters": []}, "give at least one window, and only values"),
    (CNNDiscriminatorConfig, {"window_sizes": [1, 0], "num_filters": [2, 2]}, r"window_sizes is \[1, 0\]"),
    (CNNDiscriminatorConfig, {"window_sizes": [1], "num_filters": [0]}, r"num_filters \[0\]; give at least one"),
    (CNNDiscriminatorConfig, {"window_sizes": [1, 2], "num_filters": [3]}, "2 entries and num_filters 1; give one"),
]


@pytest.mark.parametrize(("config_class", "options", "message"), SIZE_ERRORS)
def test_configuration_sizes(config_class, options, message):
    with pytest.raises(Exception, match=message):
        config_class(**options)


TYPE_ERRORS = [
    (RecurrentGeneratorConfig, {"cell_type": "rnn"}, "cell_type.*expected one of.*lstm"),
    (RecurrentGeneratorConfig, {"hidden_size": "32"}, "hidden_size.*expected int"),
    (RecurrentGeneratorConfig, {"dropout": "none"}, "dropout.*expected float"),
    (CNNDiscriminatorConfig, {"window_sizes": 3}, "window_sizes"),
    (CNNDiscriminatorConfig, {"num_filters": ["a"]}, "num_filters"),
    (CNNDiscriminatorConfig, {"sequence_length": 2.5}, "sequence_length.*expected int"),
]


@pytest.mark.parametrize(("config_class", "options", "message"), TYPE_ERRORS)
def test_configuration_types(config_class, options, message):
    with pytest.raises(Exception, match=f"(?is){message}"):
        config_class(**options)


@pytest.mark.parametrize("pad_token_id", (None, -1, 9))
def test_discriminator_needs_a_pad_symbol(pad_token_id):
    with pytest.raises(ValueError, match=f"pad_token_id is {pad_token_id}; set it to an id from 0 to 8"):
        tiny_discriminator(9, 6, pad_token_id=pad_token_id)
