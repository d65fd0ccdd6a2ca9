"""A recurrent language model whose state begins with noise: the generator of GSGAN."""

from typing import Any

import torch
from transformers.modeling_outputs import CausalLMOutputWithPast

from .configuration_state_noise_generator import StateNoiseGeneratorConfig
from .modeling_outputs import RecurrentState
from .modeling_recurrent_generator import RecurrentGeneratorForCausalLM, one_state


class StateNoiseGeneratorForCausalLM(RecurrentGeneratorForCausalLM):
    """
    The generator of GSGAN (Kusner and Hernandez-Lobato 2016, arXiv 1611.04051): a
    [`RecurrentGeneratorForCausalLM`] whose first state ``(h_0, c_0)`` is noise, drawn from U(-1, 1) for each sequence.

    The model reads `state_noise` of shape `(batch_size, num_states, hidden_size)`: ``h_0`` of all layers, then ``c_0``
    of all layers of an LSTM. Given the noise it is an ordinary language model, so its likelihood has a bound. What is
    not given is drawn from torch's global generator.
    """

    config: StateNoiseGeneratorConfig
    config_class = StateNoiseGeneratorConfig
    auto_classes = ("AutoModelForCausalLM",)
    likelihood = "bound"
    row_inputs = ("state_noise",)

    def draw_inputs(self, num_rows: int, length: int) -> dict[str, torch.Tensor]:
        """Returns `state_noise` of `num_rows` sequences of any length."""
        states = 2 if self.config.cell_type == "lstm" else 1
        shape = (num_rows, states * self.config.num_hidden_layers, self.config.hidden_size)
        return {"state_noise": torch.rand(shape, device=self.device) * 2 - 1}

    def generate(self, inputs: Any = None, generation_config: Any = None, **kwargs: Any) -> Any:
        """Generates as [`RecurrentGeneratorForCausalLM`]; each sequence begins with noise of its own."""
        defaults = self.generation_config if generation_config is None else generation_config
        if not kwargs.get("use_cache", getattr(defaults, "use_cache", True)) and kwargs.get("state_noise") is None:
            raise ValueError(
                "use_cache is False, so each step would draw the noise of the first state anew; give state_noise, or "
                "leave use_cache out."
            )
        return super().generate(inputs, generation_config, **kwargs)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        state_noise: torch.Tensor | None = None,
        cache: RecurrentState | None = None,
        past_key_values: RecurrentState | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast | tuple:
        r"""
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                Token ids; give exactly one of `input_ids` and `inputs_embeds`.
            attention_mask (`torch.LongTensor` of shape `(batch_size, past_length + sequence_length)`, *optional*):
                1 for real tokens, 0 for padding on either side; padding does not change the state.
            inputs_embeds (`torch.FloatTensor` of shape `(batch_size, sequence_length, embedding_size)`, *optional*):
                Embeddings instead of ids.
            state_noise (`torch.FloatTensor` of shape `(batch_size, num_states, hidden_size)`, *optional*):
                The state before the first token; drawn where it is not given, and not read with a `cache`.
            cache (`RecurrentState`, *optional*):
                The state after the tokens already read.
            past_key_values (`RecurrentState`, *optional*):
                The same state, under its name in `generate` of transformers before 5.24.
            kwargs:
                Further arguments of [`RecurrentGeneratorForCausalLM`].
        """
        embeds = self._embeds(input_ids, inputs_embeds)
        state = one_state(cache, past_key_values)
        if state is None:
            if state_noise is None:
                state_noise = self.draw_inputs(len(embeds), embeds.shape[1])["state_noise"]
            by_layer = state_noise.to(self.dtype).transpose(0, 1).contiguous()
            state = RecurrentState(by_layer.split(self.config.num_hidden_layers), 0)
        return super().forward(inputs_embeds=embeds, attention_mask=attention_mask, cache=state, **kwargs)


__all__ = ["StateNoiseGeneratorForCausalLM"]
