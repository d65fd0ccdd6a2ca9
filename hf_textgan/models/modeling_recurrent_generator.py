"""A recurrent (LSTM, GRU) language model with `generate`: the generator of SeqGAN and its relatives."""

from typing import Any

import torch
from torch import nn
from transformers import GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import CausalLMOutputWithPast

from .configuration_recurrent_generator import RecurrentGeneratorConfig
from .modeling_outputs import CACHE_NAME, RecurrentState
from .modeling_recurrence_utils import run_recurrence


# Options of `generate` for key-value caches.
_CACHE_OPTIONS = (
    "assistant_model",
    "assistant_early_exit",
    "prompt_lookup_num_tokens",
    "cache_implementation",
    "prefill_chunk_size",
)


class RecurrentGeneratorPreTrainedModel(PreTrainedModel):
    config: RecurrentGeneratorConfig
    config_class = RecurrentGeneratorConfig
    base_model_prefix = "generator"
    _is_stateful = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # SeqGAN draws every array, biases included, from N(0, 0.1).
        if isinstance(module, nn.Embedding | nn.Linear | nn.LSTM | nn.GRU):
            for name, parameter in module.named_parameters(recurse=False):
                if name.startswith("bias_hh") and isinstance(module, nn.LSTM):
                    init.zeros_(parameter)
                else:
                    init.normal_(parameter, mean=0.0, std=self.config.initializer_range)


class RecurrentLanguageModel(RecurrentGeneratorPreTrainedModel, GenerationMixin):
    """
    What the language models with a recurrent state share: token embeddings, recurrent layers, an output layer, and
    `generate` without a key-value cache.
    """

    _tied_weights_keys = {"lm_head.weight": "embed_tokens.weight"}  # with config.tie_word_embeddings

    embed_tokens: nn.Embedding
    lm_head: nn.Linear

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # `generate` must not build a key-value cache: the state is a `RecurrentState`

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embed_tokens = value

    def get_output_embeddings(self) -> nn.Linear:
        return self.lm_head

    def set_output_embeddings(self, value: nn.Linear) -> None:
        self.lm_head = value

    def generate(self, inputs: Any = None, generation_config: Any = None, **kwargs: Any) -> Any:
        """
        Generates as [`~transformers.GenerationMixin.generate`], without the options for key-value caches: assisted
        generation, `prompt_lookup_num_tokens`, `cache_implementation` and `prefill_chunk_size`.
        """
        defaults = self.generation_config if generation_config is None else generation_config
        for name in _CACHE_OPTIONS:
            if kwargs.get(name, getattr(defaults, name, None)) not in (None, "dynamic"):
                raise ValueError(
                    f"{name} is given to `generate`, but a recurrent generator has a state instead of a key-value "
                    "cache; leave it out: the state makes each step cost the same at any length."
                )
        return super().generate(inputs, generation_config, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]

    def _embeds(self, input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor | None) -> torch.Tensor:
        """Returns the embeddings of the tokens, of shape `(batch_size, sequence_length, embedding_size)`."""
        if input_ids is not None and inputs_embeds is None:
            return self.embed_tokens(input_ids)
        if inputs_embeds is not None and input_ids is None:
            return inputs_embeds
        raise ValueError("Give exactly one of input_ids and inputs_embeds.")

    def _with_defaults(
        self, use_cache: bool | None, output_hidden_states: bool | None, return_dict: bool | None
    ) -> tuple[bool, bool, bool]:
        """Returns the options of `forward`, those that are not given from the configuration."""
        config = self.config
        return (
            use_cache if use_cache is not None else (config.use_cache and not self.training),
            bool(config.output_hidden_states if output_hidden_states is None else output_hidden_states),
            bool(config.return_dict if return_dict is None else return_dict),
        )


def one_state(cache: RecurrentState | None, past_key_values: RecurrentState | None) -> RecurrentState | None:
    """Returns the state that is given under one of its two names."""
    if cache is not None and past_key_values is not None:
        raise ValueError("cache and past_key_values are two names of the state; give at most one of them.")
    return cache if cache is not None else past_key_values


def check_labels(logits_to_keep: int) -> None:
    """Raises `ValueError` if labels are given and not all logits are computed."""
    if logits_to_keep:
        raise ValueError(f"logits_to_keep is {logits_to_keep}; labels need all logits, so leave it at 0.")


class RecurrentGeneratorForCausalLM(RecurrentLanguageModel):
    """
    Embedding, recurrent layers, linear output. The default configuration is the generator of SeqGAN (arXiv 1609.05473,
    equations 9 to 11): ``h_t = g(h_{t-1}, x_t)``, ``p(y_t | y_1..y_{t-1}) = softmax(c + V h_t)``.

    The LSTM of the paper has one bias per gate, PyTorch's two that are added: the second one (`bias_hh`) starts at
    zero, so that their sum has the paper's distribution.
    """

    auto_classes = ("AutoModelForCausalLM",)

    def __init__(self, config: RecurrentGeneratorConfig):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.embedding_size)
        cell = {"lstm": nn.LSTM, "gru": nn.GRU}[config.cell_type]
        self.rnn = cell(
            config.embedding_size,
            config.hidden_size,
            config.num_hidden_layers,
            batch_first=True,
            dropout=config.dropout if config.num_hidden_layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        cache: RecurrentState | None = None,
        past_key_values: RecurrentState | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        logits_to_keep: int = 0,
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
            cache (`RecurrentState`, *optional*):
                The state after the tokens already read; zero at the start of a sequence.
            past_key_values (`RecurrentState`, *optional*):
                The same state, under its name in `generate` of transformers before 5.24.
            labels (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                Usually `input_ids` with -100 at padding; shifted inside the model.
            logits_to_keep (`int`, *optional*, defaults to `0`):
                Number of last positions whose logits are computed; 0 for all positions.

        Returns:
            [`~transformers.modeling_outputs.CausalLMOutputWithPast`]: with `use_cache` its `cache` (`past_key_values`
            in transformers before 5.24) is the [`RecurrentState`] after the last token. Its `loss` is the mean
            cross-entropy of the next token, in nats per token whose label is not -100. With `output_hidden_states`
            its `hidden_states` are the embeddings of shape `(batch_size, sequence_length, embedding_size)` and the
            output of the top layer of shape `(batch_size, sequence_length, hidden_size)`.
        """
        embeds = self._embeds(input_ids, inputs_embeds)  # (B, L, E)
        cache = one_state(cache, past_key_values)
        options = self._with_defaults(use_cache, output_hidden_states, return_dict)
        use_cache, output_hidden_states, return_dict = options
        past = cache.tensors if cache is not None else None
        hidden, state = run_recurrence(self.rnn, self.dropout(embeds), attention_mask, past)  # (B, L, H)
        kept = hidden[:, -logits_to_keep:] if logits_to_keep else hidden
        logits = self.lm_head(self.dropout(kept))

        loss = None
        if labels is not None:
            check_labels(logits_to_keep)
            loss = self.loss_function(logits, labels, vocab_size=self.config.vocab_size, **kwargs)
        length = embeds.shape[1] + (cache.length if cache is not None else 0)
        output = CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            hidden_states=(embeds, hidden) if output_hidden_states else None,
            **{CACHE_NAME: RecurrentState(state, length) if use_cache else None},  # pyright: ignore[reportArgumentType]
        )
        return output if return_dict else output.to_tuple()


__all__ = ["RecurrentGeneratorForCausalLM"]
