"""The relational memory generator against values by hand, an independent computation, and in `generate`."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from hf_textgan.models import (
    CACHE_NAME,
    RelationalMemoryGeneratorConfig,
    RelationalMemoryGeneratorForCausalLM,
)
from hf_textgan.models.modeling_relational_memory_generator import RelationalMemory
from tests.helpers import BOS, EOS, PAD, randomize


pytestmark = pytest.mark.usefixtures("one_thread")


def generator(seed: int = 1, std: float = 0.5, **options) -> RelationalMemoryGeneratorForCausalLM:
    sizes = {"vocab_size": 11, "embedding_size": 3, "num_slots": 2, "num_heads": 2, "head_size": 4}
    config = RelationalMemoryGeneratorConfig(
        **{**sizes, "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, **options}
    )
    return randomize(RelationalMemoryGeneratorForCausalLM(config), seed, std).eval()


def memory_core(**options) -> RelationalMemory:
    sizes = {"embedding_size": 2, "num_slots": 2, "num_heads": 1, "head_size": 2}
    return RelationalMemory(RelationalMemoryGeneratorConfig(**{**sizes, **options}))


# ---- By hand --------------------------------------------------------------------------------------------------------


def test_gates_by_hand_on_two_slots_of_two_numbers():
    """
    All linear weights and the gains of the layer norms are 0, so Mt = LN(...) = 0 and M' = s(f) M. Gates of the input
    x = (1, -1) read U = [[1, 0], [0, 0], [0, 2], [0, 0]] and none of the memory: f = (2 * -1, 0) + 1, i is without
    effect. So the first column keeps s(-1) = .268941, the second s(1) = .731059.
    """
    core = randomize(memory_core(), std=0.0)
    memory = torch.tensor([[[1.0, 2.0], [3.0, -4.0]]])
    with torch.no_grad():
        core.input_projection.weight.copy_(torch.eye(2))
        core.input_gates.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0], [0.0, 0.0]]))
        row, gates = core.project(torch.tensor([[1.0, -1.0]]))
        new = core(memory, row, gates)
    expected = memory * torch.tensor([0.2689414, 0.7310586])
    torch.testing.assert_close(new, expected, atol=1e-6, rtol=0)

    with torch.no_grad():  # the bias of the second layer norm is Mt: i s(1) of tanh(0.5), and s(0) of tanh(-0.5)
        core.norm2.bias.copy_(torch.tensor([0.5, -0.5]))
        new = core(memory, row, gates)
    added = torch.tensor([0.7310586 * math.tanh(0.5), 0.5 * math.tanh(-0.5)])
    torch.testing.assert_close(new, expected + added, atol=1e-6, rtol=0)


def test_without_weights_the_memory_fades_by_the_forget_bias():
    """i = .5, f = s(1) = .7311 and Mt = 0, so M' = .7311 M."""
    core = randomize(memory_core(), std=0.0)
    memory = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0))
    row, gates = core.project(torch.ones(3, 2))
    torch.testing.assert_close(core(memory, row, gates), 0.7310586 * memory, atol=1e-6, rtol=0)


@pytest.mark.parametrize("gate_style", ["unit", "memory"])
def test_the_limits_of_the_gates(gate_style):
    memory = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0))
    keeps = randomize(memory_core(gate_style=gate_style, input_bias=-100.0, forget_bias=100.0), std=0.5)
    torch.testing.assert_close(keeps(memory, *keeps.project(torch.ones(3, 2))), memory)
    writes = randomize(memory_core(gate_style=gate_style, input_bias=100.0, forget_bias=-100.0), std=0.5)
    plain = randomize(memory_core(gate_style="none"), std=0.5)
    plain.load_state_dict({k: v for k, v in writes.state_dict().items() if "gates" not in k})
    found = writes(memory, *writes.project(torch.ones(3, 2)))
    torch.testing.assert_close(found, torch.tanh(plain(memory, *plain.project(torch.ones(3, 2)))))


def test_attention_without_weights_is_uniform():
    """With W_qkv = 0 and the bias of its layer norm for v, A v is that bias in all rows."""
    core, seen = randomize(memory_core(gate_style="none"), std=0.0), []
    core.norm1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        core.attention_norm.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))  # q, k, v
        memory = torch.randn(1, 2, 2, generator=torch.Generator().manual_seed(0))
        core(memory, *core.project(torch.zeros(1, 2)))
    rows = torch.cat([memory, torch.zeros(1, 1, 2)], dim=1)
    torch.testing.assert_close(seen[0], rows + torch.tensor([5.0, 6.0]))


def numpy_logits(model: RelationalMemoryGeneratorForCausalLM, tokens: list[int]) -> np.ndarray:
    """The equations of the class, a token, a head and a row at a time, in double precision."""
    w = {name: value.detach().double().numpy() for name, value in model.named_parameters()}
    config = model.config
    slots, heads, size, width = config.num_slots, config.num_heads, config.head_size, config.memory_size

    def norm(rows: np.ndarray, name: str) -> np.ndarray:
        standard = (rows - rows.mean()) / np.sqrt(rows.var() + 1e-5)
        return standard * w[f"memory.{name}.weight"] + w[f"memory.{name}.bias"]

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    memory = np.eye(slots, width)
    logits = []
    for token in tokens:
        x = w["memory.input_projection.weight"] @ w["embed_tokens.weight"][token] + w["memory.input_projection.bias"]
        rows = np.vstack([memory, x])
        qkv = norm(rows @ w["memory.attention.weight"].T, "attention_norm")
        read = np.zeros_like(rows)
        for head in range(heads):
            part = qkv[:, 3 * size * head : 3 * size * (head + 1)]
            q, k, v = part[:, :size], part[:, size : 2 * size], part[:, 2 * size :]
            for r in range(len(rows)):
                scores = np.exp([q[r] @ k[j] / math.sqrt(size) for j in range(len(rows))])
                read[r, size * head : size * (head + 1)] = scores @ v / scores.sum()
        rows = norm(rows + read, "norm1")
        hidden = np.maximum(rows @ w["memory.mlp.0.weight"].T + w["memory.mlp.0.bias"], 0)
        rows = norm(rows + hidden @ w["memory.mlp.1.weight"].T + w["memory.mlp.1.bias"], "norm2")
        gates = w["memory.input_gates.weight"] @ x + np.tanh(memory) @ w["memory.memory_gates.weight"].T
        i, f = sigmoid(gates[:, :width]), sigmoid(gates[:, width:] + 1)
        memory = i * np.tanh(rows[:slots]) + f * memory
        logits.append(w["lm_head.weight"] @ memory.flatten() + w["lm_head.bias"])
    return np.stack(logits)


def test_logits_recomputed_with_numpy():
    model, tokens = generator(), [1, 4, 10, 0, 2, 7]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([tokens])).logits[0]
    np.testing.assert_allclose(logits.numpy(), numpy_logits(model, tokens), atol=2e-5)


def test_numbers_of_parameters_are_the_papers():
    """The memory has 2,382,336 parameters at the published size, the rest 32 V + 513 V."""
    with torch.device("meta"):
        model = RelationalMemoryGeneratorForCausalLM(RelationalMemoryGeneratorConfig(vocab_size=5000))
    assert sum(parameter.numel() for parameter in model.memory.parameters()) == 2_382_336
    assert model.num_parameters() == 2_382_336 + 545 * 5000


def test_permuted_slots_give_permuted_slots():
    core = randomize(memory_core(num_slots=4, num_heads=2, head_size=3), std=0.7)
    memory = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    step, order = core.project(torch.ones(2, 2)), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(core(memory[:, order], *step), core(memory, *step)[:, order], atol=1e-6, rtol=1e-5)


# ---- The model ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"gate_style": "memory", "num_blocks": 2}, {"gate_style": "none"}])
def test_cached_steps_equal_one_pass(options):
    model = generator(**options)
    ids = torch.randint(11, (3, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole, state, steps = model(input_ids=ids).logits, None, []
        for position in range(7):
            output = model(input_ids=ids[:, position : position + 1], cache=state, use_cache=True)
            state = output[CACHE_NAME]
            assert state.get_seq_length() == position + 1
            steps.append(output.logits)
        last = model(input_ids=ids, logits_to_keep=2).logits
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-6, rtol=0)
    torch.testing.assert_close(last, whole[:, -2:], atol=1e-6, rtol=0)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_does_not_change_the_memory(side):
    model, ids = generator(), torch.tensor([[1, 4, 5]])
    padding = torch.full((1, 2), 7)
    padded = torch.cat([padding, ids] if side == "left" else [ids, padding], dim=1)
    mask = torch.tensor([[0, 0, 1, 1, 1] if side == "left" else [1, 1, 1, 0, 0]])
    with torch.no_grad():
        expected = model(input_ids=ids, use_cache=True)
        found = model(input_ids=padded, attention_mask=mask, use_cache=True)
    start = 2 if side == "left" else 0
    torch.testing.assert_close(found.logits[:, start : start + 3], expected.logits)
    torch.testing.assert_close(found[CACHE_NAME].tensors[0], expected[CACHE_NAME].tensors[0])


@pytest.mark.parametrize("decoding", [{}, {"do_sample": True, "top_k": 0}, {"num_beams": 3}])
def test_generate_with_and_without_cache(decoding):
    model, outputs = generator(std=1.0), []
    for use_cache in (True, False):
        torch.manual_seed(0)
        options = {"max_new_tokens": 6, "min_new_tokens": 4, "use_cache": use_cache, "do_sample": False, **decoding}
        outputs.append(model.generate(torch.tensor([[1, 4], [1, 7]]), **options))
    assert torch.equal(*outputs)
    with pytest.raises(ValueError, match="cache_implementation is given to `generate`, but a recurrent generator has"):
        model.generate(torch.tensor([[1, 4]]), cache_implementation="static")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_slots": 0}, "num_slots is 0; set it to 1 or more."),
        (
            {"tie_word_embeddings": True},
            "embedding_size is 3 and the memory has 16 numbers; set",
        ),
        ({"gate_style": "units"}, "gate_style"),
    ],
)
def test_configurations_without_a_meaning_are_refused(options, message):
    with pytest.raises(Exception, match=message):
        generator(**options)


def test_tied_embeddings():
    model = generator(embedding_size=16, tie_word_embeddings=True)
    assert model.lm_head.weight is model.embed_tokens.weight


def test_initialization_is_the_official_codes():
    """Truncated normal of standard deviation 1 / sqrt(fan-in), which the cut lowers to 0.88 of it; biases 0."""
    torch.manual_seed(0)
    model = RelationalMemoryGeneratorForCausalLM(RelationalMemoryGeneratorConfig(vocab_size=400, head_size=64))
    for layer, fan_in in ((model.lm_head, 128), (model.memory.attention, 128), (model.embed_tokens, 400)):
        assert float(layer.weight.std()) == pytest.approx(0.88 * fan_in**-0.5, rel=0.05)
        assert float(layer.weight.abs().max()) <= 2 * fan_in**-0.5
        assert not isinstance(layer, nn.Linear) or layer.bias is None or float(layer.bias.abs().max()) == 0.0
