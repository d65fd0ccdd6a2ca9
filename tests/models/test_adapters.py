"""The generators with an adapter of peft, which supports a release of transformers later than it appears."""

import pytest
import torch

from hf_textgan.sampling import RolloutEngine

from ..helpers import BOS, EOS, PAD, randomize, tiny_gpt2, tiny_lstm


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("make", "layer"), ((tiny_gpt2, "c_attn"), (tiny_lstm, "lm_head")))
def test_a_generator_with_an_adapter_generates_and_is_sampled(make, layer):
    peft = pytest.importorskip("peft")
    model = randomize(make(9)).eval()
    config = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=[layer], r=2, init_lora_weights=False)
    prompts = torch.tensor([[BOS, 4, 5], [BOS, 7, 3]])
    options = {"input_ids": prompts, "attention_mask": torch.ones_like(prompts), "max_new_tokens": 6, "num_beams": 2}
    plain = model(input_ids=prompts).logits
    adapted = peft.get_peft_model(model, config).eval()
    outputs = [adapted.generate(use_cache=use_cache, **options) for use_cache in (True, False)]
    assert torch.equal(*outputs)
    assert not torch.allclose(adapted(input_ids=prompts).logits, plain)

    engine = RolloutEngine(max_length=5, bos_token_id=BOS, pad_token_id=PAD, eos_token_id=EOS)
    samples = engine.sample(adapted, 8)
    logits = adapted(input_ids=torch.cat([torch.full((8, 1), BOS), samples.sequences[:, :-1]], 1)).logits
    expected = logits.log_softmax(-1).gather(2, samples.sequences[..., None])[..., 0] * samples.attention_mask
    torch.testing.assert_close(engine.per_token_logps(adapted, samples), expected)
