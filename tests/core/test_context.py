"""The noise of a step: declared keys, each drawn once."""

from dataclasses import replace

import pytest
import torch

from hf_textgan.core.context import StepContext


def test_a_key_is_drawn_once_in_a_step():
    context = StepContext(noise_keys=("latents", "alpha"))
    context.randn("latents", 2, 3)
    with pytest.raises(ValueError, match="The noise 'latents' was drawn twice in one step, .* declare a second key"):
        context.rand("latents", 2)
    context.rand("alpha", 2)
    # Another part or another step of the same run draws it again.
    assert context.for_shard(0, 1).randn("latents", 2, 3).shape == (2, 3)
    assert replace(context, step=1).randn("latents", 2, 3).shape == (2, 3)


def test_a_key_that_is_not_declared_is_an_error():
    with pytest.raises(ValueError, match=r"declares no noise key 'latent'; add it to its noise_keys \(now: latents\)"):
        StepContext(noise_keys=("latents",)).randn("latent", 2)
    with pytest.raises(ValueError, match=r"declares no noise key 'latents'; add it to its noise_keys \(now: none\)"):
        StepContext(noise_keys=()).randn("latents", 2)
    assert StepContext().randn("anything", 2).shape == (2,), "without an objective any key can be drawn"


def test_the_parts_of_a_step_share_its_numbers():
    whole = StepContext(iteration=3, seed=5).randn("latents", 6, 2)
    parts = [StepContext(iteration=3, seed=5).for_shard(i, 3).randn("latents", 2, 2) for i in range(3)]
    assert torch.equal(torch.cat(parts), whole)
