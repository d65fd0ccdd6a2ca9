"""The RolloutEngine of a run."""

from typing import cast

from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from ..data.tokenizers import special_token_ids
from ..sampling.capabilities import capabilities_of
from ..sampling.engine import RolloutEngine
from ..sampling.inputs import decoder_start_token_id
from .adversarial_config import AdversarialConfig


# Settings of `generate` with which a pretrained model would not draw from its own distribution.
_CHANGES_OF_SCORES = (
    *("num_beams", "min_length", "min_new_tokens", "repetition_penalty", "encoder_repetition_penalty"),
    *("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "forced_bos_token_id", "forced_eos_token_id"),
    *(
        "suppress_tokens",
        "begin_suppress_tokens",
        "bad_words_ids",
        "sequence_bias",
        "length_penalty",
        "early_stopping",
    ),
    *("early_stopping", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "exponential_decay_length_penalty"),
)


def build_engine(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, args: AdversarialConfig, longest_row: int
) -> RolloutEngine:
    """Builds the engine for a generator and its training data, whose longest row has `longest_row` ids."""
    longest = longest_row - 1  # without BOS
    if tokenizer is None and model.config.eos_token_id is None:
        return _build_fixed_length_engine(model, args, longest)
    bos, eos, pad = special_token_ids(
        cast(PreTrainedTokenizerBase, tokenizer if tokenizer is not None else model.config)
    )
    max_length = args.max_length if args.max_length is not None else longest
    if longest > max_length:
        raise ValueError(
            f"max_length is {max_length}, but the longest training text has {longest} tokens with EOS; leave the "
            "longer texts out (encode_lines does) or raise max_length."
        )
    return RolloutEngine(max_length, bos, pad, eos, args.rollout_chunk_size)


def _build_fixed_length_engine(model: PreTrainedModel, args: AdversarialConfig, longest: int) -> RolloutEngine:
    """Builds the engine for sequences of one length, without EOS, as in the field's synthetic tasks."""
    bos, pad = model.config.bos_token_id, model.config.pad_token_id
    if bos is None:
        raise ValueError(
            "The generator has no bos_token_id, so nothing begins a sequence; set it in its configuration."
        )
    if args.max_length not in (None, longest):
        raise ValueError(
            f"max_length is {args.max_length}, but the training sequences have {longest} tokens and no EOS; leave "
            "max_length out."
        )
    return RolloutEngine(longest, bos, bos if pad is None else pad, None, args.rollout_chunk_size)


def set_generation_config(model: PreTrainedModel, engine: RolloutEngine) -> None:
    """Makes the model's own distribution the default of `generate` with the saved generator."""
    config = getattr(model, "generation_config", None)
    if config is None:  # a one-shot generator, which has its own configuration
        return
    plain = GenerationConfig()
    for name in _CHANGES_OF_SCORES:
        setattr(config, name, getattr(plain, name))
    config.do_sample, config.top_k, config.top_p, config.temperature = True, 0, 1.0, 1.0
    config.max_length, config.max_new_tokens = None, engine.max_length
    config.bos_token_id = engine.bos_token_id
    config.eos_token_id = engine.eos_token_id
    config.pad_token_id = engine.pad_token_id
    if capabilities_of(model).sampling == "encoder-decoder":
        first = decoder_start_token_id(model)
        config.decoder_start_token_id = engine.bos_token_id if first is None else first


__all__ = ["build_engine", "set_generation_config"]
