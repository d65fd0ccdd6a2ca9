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


def test_the_parts_of_a_step_share_a_stream_of_numbers():
    """Every call draws further numbers, for the rows of its part."""
    whole = StepContext(iteration=3, seed=5).uniform("noise")
    parts = [StepContext(iteration=3, seed=5).for_shard(i, 3).uniform("noise") for i in range(3)]
    first, second = whole(6, 2), whole(6, 2)
    assert torch.equal(torch.cat([part(2, 2) for part in parts]), first)
    assert torch.equal(torch.cat([part(2, 2) for part in parts]), second)
    assert not torch.equal(first, second) and bool(((first >= 0) & (first < 1)).all())
    with pytest.raises(ValueError, match="The noise 'noise' was drawn twice in one step"):
        context = StepContext()
        context.uniform("noise")
        context.uniform("noise")


def test_the_parts_of_a_step_share_draws_of_the_global_generators():
    def draw(num_rows):
        return {"latents": torch.randn(num_rows, 2), "labels": torch.randint(100, (num_rows,))}

    torch.manual_seed(1)
    whole = StepContext(iteration=3, seed=5).draw_rows("inputs", 6, draw)
    following = torch.rand(3)
    parts = [StepContext(iteration=3, seed=5).for_shard(i, 3).draw_rows("inputs", 2, draw) for i in range(3)]
    for name, value in whole.items():
        assert torch.equal(torch.cat([part[name] for part in parts]), value)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), following), "the global generators stay as they were"
    other = StepContext(iteration=4, seed=5).draw_rows("inputs", 6, draw)
    assert not torch.equal(other["latents"], whole["latents"])
