"""The recurrent generator against computations by hand, and in `generate` and the pipeline of transformers."""

import math

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn
from transformers import GenerationConfig, pipeline

from hf_textgan.data.tokenizers import word_tokenizer
from hf_textgan.models import (
    CACHE_NAME,
    RecurrentGeneratorConfig,
    RecurrentGeneratorForCausalLM,
    RecurrentState,
    modeling_recurrence_utils,
)
from hf_textgan.models.modeling_recurrence_utils import run_recurrence
from tests.helpers import randomize, tiny_lstm


pytestmark = pytest.mark.usefixtures("one_thread")

CELLS = ("lstm", "gru")
PROMPTS = [[1, 4, 5, 6], [1, 7], [1, 3, 8]]  # unequal lengths
LINES = ["a dog sits .", "a dog runs .", "a cat sits , not the dog ."]


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
        assert modeling_recurrence_utils._MAX_STEP_STATE >= past[0].numel()
        one, after = run_recurrence(rnn, embeds, torch.ones(3, 1), past)
        padded, kept = run_recurrence(rnn, embeds, torch.tensor([[1], [0], [1]]), past)
    tolerance = {torch.float32: 1e-6, torch.float64: 1e-12, torch.bfloat16: 0.02}[dtype]
    for actual, expected in zip((one, *after), (hidden, *state), strict=True):
        assert actual.shape == expected.shape and actual.dtype == dtype and not actual.requires_grad
        torch.testing.assert_close(actual, expected.detach(), atol=tolerance, rtol=0)
    for actual, new, old in zip(kept, state, past, strict=True):
        torch.testing.assert_close(actual[:, 1], old[:, 1], atol=0, rtol=0)
        torch.testing.assert_close(actual[:, ::2], new[:, ::2].detach(), atol=tolerance, rtol=0)
    if layers == 2:  # dropout between the layers, in training mode only
        rnn.train()
        with torch.no_grad():
            draws = [run_recurrence(rnn, embeds, None, past)[0] for _ in range(3)]
        assert not torch.equal(draws[0], draws[1]) or not torch.equal(draws[0], draws[2])


def test_sampling_sees_the_whole_vocabulary():
    model = tiny_lstm(200).eval()  # near uniform; the default of `generate`, top_k=50, would give 50 tokens
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


def test_generator_input_errors():
    model = generator("lstm")
    ids = torch.tensor([[1, 3]])
    with pytest.raises(ValueError, match="Give exactly one of input_ids and inputs_embeds"):
        model()
    with pytest.raises(ValueError, match="Give exactly one of input_ids and inputs_embeds"):
        model(input_ids=ids, inputs_embeds=model.embed_tokens(ids))
    with pytest.raises(ValueError, match="logits_to_keep is 1; labels need all logits, so leave it at 0"):
        model(input_ids=ids, labels=ids, logits_to_keep=1)
