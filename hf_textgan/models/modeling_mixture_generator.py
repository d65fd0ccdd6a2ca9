"""Recurrent language models of several classes as one generator: that of SentiGAN."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from .configuration_mixture_generator import MixtureGeneratorConfig
from .modeling_outputs import CACHE_NAME, RecurrentState
from .modeling_recurrent_generator import RecurrentGenerationMixin, RecurrentGeneratorForCausalLM


class MixtureState(RecurrentState):
    """
    The states of the rows of a batch, each of the generator of its class.

    Args:
        tensors (`tuple[torch.FloatTensor, ...]`), length (`int`):
            See [`RecurrentState`].
        class_labels (`torch.LongTensor` of shape `(batch_size,)`):
            The class of each row.
    """

    def __init__(self, tensors: tuple[torch.Tensor, ...], length: int, class_labels: torch.Tensor):
        super().__init__(tensors, length)
        self.class_labels = class_labels

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        super().reorder_cache(beam_idx)
        self.class_labels = self.class_labels.index_select(0, beam_idx.to(self.class_labels.device))


class MixtureGeneratorPreTrainedModel(PreTrainedModel):
    config: MixtureGeneratorConfig
    config_class = MixtureGeneratorConfig
    base_model_prefix = "generator"
    _is_stateful = True


class MixtureGeneratorForCausalLM(MixtureGeneratorPreTrainedModel, RecurrentGenerationMixin):
    """
    A generator for each class, a [`RecurrentGeneratorForCausalLM`] that shares no parameters with the others
    (SentiGAN, Wang and Wan, IJCAI 2018, section 3.1). Each row of a batch is read by the generator of its class.

    It reads, beside tokens, `class_labels` if there are several classes, and `latents`, the noise of the initial
    state, if `config.initial_state_std` is positive. Those that are not given are drawn at the start of a sequence.
    The likelihood is that of a text of a known class. With latents it is that of a text of known latents too, whose
    mean over draws bounds the likelihood of the text.
    """

    auto_classes = ("AutoModelForCausalLM",)
    row_inputs: tuple[str, ...] = ("class_labels", "latents")  # each model reads those that its configuration asks for

    def __init__(self, config: MixtureGeneratorConfig):
        super().__init__(config)
        self.parts = nn.ModuleList(RecurrentGeneratorForCausalLM(config) for _ in range(config.num_classes))
        reads = {"class_labels": config.num_classes > 1, "latents": config.initial_state_std > 0}
        self.row_inputs = tuple(name for name in type(self).row_inputs if reads[name])
        self.likelihood = "bound" if reads["latents"] else "exact"
        names = [f"parts.{label}" for label in range(config.num_classes)]
        self._tied_weights_keys = {f"{name}.lm_head.weight": f"{name}.embed_tokens.weight" for name in names}
        self.post_init()

    def resize_token_embeddings(self, new_num_tokens: int | None = None, *args: Any, **kwargs: Any) -> Any:
        """Resizes the vocabulary of every part; returns the embeddings of the first."""
        resized = [part.resize_token_embeddings(new_num_tokens, *args, **kwargs) for part in self._parts()]
        self.config.vocab_size = self._parts()[0].config.vocab_size
        return resized[0]

    @torch.no_grad()
    def draw_inputs(self, num_rows: int, length: int = 0) -> dict[str, torch.Tensor]:
        """
        Draws classes and standard normal latents.

        Args:
            num_rows (`int`):
                Number of sequences.
            length (`int`, *optional*):
                Number of positions; not used.

        Returns:
            `dict[str, torch.Tensor]`: those of `class_labels` of shape `(num_rows,)` and `latents` of shape
            `(num_rows, num_states, num_hidden_layers, hidden_size)` that the model reads, where `num_states` is 2 for
            an LSTM (hidden and cell state) and 1 for a GRU.
        """
        config, inputs = self.config, {}
        if "class_labels" in self.row_inputs:
            if config.class_probabilities is None:
                inputs["class_labels"] = torch.randint(config.num_classes, (num_rows,), device=self.device)
            else:
                probabilities = torch.tensor(config.class_probabilities, device=self.device).expand(num_rows, -1)
                inputs["class_labels"] = (
                    torch.multinomial(probabilities, 1)[:, 0] if num_rows else probabilities.new_empty(0).long()
                )
        if "latents" in self.row_inputs:
            inputs["latents"] = torch.randn(num_rows, *self._latent_shape(), device=self.device, dtype=self.dtype)
        return inputs

    def _latent_shape(self) -> tuple[int, int, int]:
        config = self.config
        return (2 if config.cell_type == "lstm" else 1, config.num_hidden_layers, config.hidden_size)

    def _parts(self) -> Sequence[RecurrentGeneratorForCausalLM]:
        return list(self.parts)  # pyright: ignore[reportReturnType]

    def generate(self, inputs: Any = None, generation_config: Any = None, **kwargs: Any) -> Any:
        """
        Generates as [`RecurrentGeneratorForCausalLM`]. `class_labels`, a tensor with the class of each prompt (without
        prompts, of each sequence), and `latents` may be given. What is not given is drawn for every returned sequence;
        the beams of a prompt share it.
        """
        defaults = self.generation_config if generation_config is None else generation_config
        if (kwargs.get("num_beams", defaults.num_beams) or 1) > 1:
            given = (inputs, kwargs.get("input_ids"), kwargs.get("inputs_embeds"), kwargs.get("class_labels"))
            num_rows = next((len(value) for value in given if value is not None), 1)
            kwargs = self._with_drawn_inputs(num_rows, kwargs)
        return super().generate(inputs, generation_config, **kwargs)

    def _with_drawn_inputs(self, num_rows: int, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Returns arguments of `generate` with draws of the inputs that are missing; a state has its own."""
        if any(kwargs.get(name) is not None for name in ("cache", "past_key_values")):
            return kwargs
        given = {name: value for name, value in kwargs.items() if value is not None or name not in self.row_inputs}
        missing = any(name not in given for name in self.row_inputs)
        return {**self.draw_inputs(num_rows), **given} if missing else given

    def _expand_inputs_for_generation(
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: torch.Tensor | None = None,
        **model_kwargs: Any,
    ) -> tuple[Any, dict[str, Any]]:
        # Without a cache, every step reads the whole sequence: draws at the start of `forward` would differ.
        input_ids, model_kwargs = super()._expand_inputs_for_generation(  # pyright: ignore
            expand_size, is_encoder_decoder, input_ids, **model_kwargs
        )
        return input_ids, self._with_drawn_inputs(len(input_ids), model_kwargs)  # pyright: ignore[reportArgumentType]

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        class_labels: torch.Tensor | None = None,
        latents: torch.Tensor | None = None,
        cache: MixtureState | None = None,
        past_key_values: MixtureState | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        logits_to_keep: int = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast | tuple:
        r"""
        Args:
            input_ids, attention_mask, inputs_embeds, past_key_values, labels, logits_to_keep:
                See [`RecurrentGeneratorForCausalLM`].
            class_labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
                The class of each row, from 0 to `config.num_classes - 1`; by default that of the `cache`, or, at the
                start of a sequence, a draw.
            latents (`torch.FloatTensor`, *optional*):
                The initial state in units of `config.initial_state_std`, of shape `(batch_size, num_states,
                num_hidden_layers, hidden_size)`; by default a draw. Read at the start of a sequence only.
            cache (`MixtureState`, *optional*):
                The state after the tokens already read.

        Returns:
            [`~transformers.modeling_outputs.CausalLMOutputWithPast`]: see [`RecurrentGeneratorForCausalLM`]; its state
            is a [`MixtureState`].
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Give exactly one of input_ids and inputs_embeds.")
        if cache is not None and past_key_values is not None:
            raise ValueError("cache and past_key_values are two names of the state; give at most one of them.")
        cache = cache if cache is not None else past_key_values
        tokens = input_ids if input_ids is not None else inputs_embeds
        assert tokens is not None
        class_labels, past = self._start(len(tokens), class_labels, latents, cache)

        options = {"use_cache": use_cache, "output_hidden_states": output_hidden_states}
        groups, outputs = self._rows_by_class(class_labels), []
        for label, rows in groups:
            state = None
            if past is not None:
                state = RecurrentState(tuple(_select(tensor, rows, 1) for tensor in past.tensors), past.length)
            outputs.append(
                self._parts()[label](
                    input_ids=_select(input_ids, rows),
                    attention_mask=_select(attention_mask, rows),
                    inputs_embeds=_select(inputs_embeds, rows),
                    cache=state,
                    return_dict=True,
                    logits_to_keep=logits_to_keep,
                    **options,
                )
            )

        logits = _merge([output.logits for output in outputs], groups)
        loss = None
        if labels is not None:
            if logits_to_keep:
                raise ValueError(f"logits_to_keep is {logits_to_keep}; labels need all logits, so leave it at 0.")
            loss = self.loss_function(logits, labels, vocab_size=self.config.vocab_size, **kwargs)
        state, hidden_states = None, None
        if outputs[0].get(CACHE_NAME) is not None:
            states = [output[CACHE_NAME] for output in outputs]
            tensors = zip(*(state.tensors for state in states), strict=True)
            state = MixtureState(tuple(_merge(each, groups, 1) for each in tensors), states[0].length, class_labels)
        if outputs[0].get("hidden_states") is not None:
            layers = zip(*(output.hidden_states for output in outputs), strict=True)
            hidden_states = tuple(_merge(each, groups) for each in layers)
        output = CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            hidden_states=hidden_states,
            **{CACHE_NAME: state},  # pyright: ignore[reportArgumentType]
        )
        return_dict = return_dict if return_dict is not None else self.config.return_dict
        return output if return_dict else output.to_tuple()

    def _start(
        self,
        num_rows: int,
        class_labels: torch.Tensor | None,
        latents: torch.Tensor | None,
        cache: MixtureState | None,
    ) -> tuple[torch.Tensor, RecurrentState | None]:
        """Returns the class of each row, and the state with which it begins; `None` for a state of zeros."""
        if cache is not None:
            if class_labels is not None and not torch.equal(class_labels.to(cache.class_labels), cache.class_labels):
                raise ValueError("class_labels are not those of the cache; leave them out after the first token.")
            return cache.class_labels, cache
        given = {"class_labels": class_labels, "latents": latents}
        drawn = {} if all(given[name] is not None for name in self.row_inputs) else self.draw_inputs(num_rows)
        if class_labels is None:
            class_labels = drawn.get("class_labels", torch.zeros(num_rows, dtype=torch.long, device=self.device))
        if class_labels.shape != (num_rows,):
            raise ValueError(
                f"class_labels has the shape {tuple(class_labels.shape)} for {num_rows} sequences; give one class "
                "each."
            )
        if "latents" not in self.row_inputs:
            if latents is not None:
                raise ValueError(
                    f"latents are given and initial_state_std is {self.config.initial_state_std}; leave them out."
                )
            return class_labels, None
        latents = drawn["latents"] if latents is None else latents
        if latents.shape != (num_rows, *self._latent_shape()):
            raise ValueError(
                f"latents has the shape {tuple(latents.shape)}; give {(num_rows, *self._latent_shape())}."
            )
        states = (self.config.initial_state_std * latents).permute(1, 2, 0, 3).contiguous()
        return class_labels, RecurrentState(states.unbind(), 0)

    def _rows_by_class(self, class_labels: torch.Tensor) -> list[tuple[int, torch.Tensor | None]]:
        """Returns the classes that occur, with the indices of their rows; `None` where these are all rows."""
        present = [0] if self.config.num_classes == 1 and not class_labels.any() else class_labels.unique().tolist()
        wrong = [label for label in present if not 0 <= label < self.config.num_classes]
        if wrong:
            raise ValueError(
                f"class_labels has the class {wrong[0]}, and the generator has {self.config.num_classes} classes; "
                f"give numbers from 0 to {self.config.num_classes - 1}."
            )
        if len(present) <= 1:
            return [(present[0] if present else 0, None)]
        return [(label, (class_labels == label).nonzero()[:, 0]) for label in present]


def _select(tensor: Any, rows: torch.Tensor | None, dim: int = 0) -> Any:
    return tensor if tensor is None or rows is None else tensor.index_select(dim, rows)


def _merge(
    tensors: Sequence[torch.Tensor], groups: Sequence[tuple[int, torch.Tensor | None]], dim: int = 0
) -> torch.Tensor:
    """Returns the tensors of the groups as one, with the rows in the order of the batch."""
    if groups[0][1] is None:
        return tensors[0]
    shape = list(tensors[0].shape)
    shape[dim] = sum(tensor.shape[dim] for tensor in tensors)
    merged = tensors[0].new_empty(shape)
    for (_, rows), tensor in zip(groups, tensors, strict=True):
        assert rows is not None
        merged.index_copy_(dim, rows, tensor)
    return merged


__all__ = ["MixtureGeneratorForCausalLM"]
