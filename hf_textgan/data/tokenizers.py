"""Word and character tokenizers for small corpora, and the discriminator's view of any fast tokenizer."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar, cast

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import PreTrainedConfig, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ..models.tokenization_word import WordTokenizer
from .errors import DataError


PAD_TOKEN, BOS_TOKEN, EOS_TOKEN, UNK_TOKEN = "<pad>", "<bos>", "<eos>", "<unk>"
SPECIAL_TOKENS = (PAD_TOKEN, BOS_TOKEN, EOS_TOKEN, UNK_TOKEN)  # the position is the id
# `<unk>` is not among them: corpora use it for rare words, and there it means what it says.
_RESERVED_TOKENS = (PAD_TOKEN, BOS_TOKEN, EOS_TOKEN)
_WHITE_SPACE = r"[\s\x1c-\x1f]+"  # that of `str.split`, whose four separators of ASCII `\s` lacks here

_TokenizerT = TypeVar("_TokenizerT", bound=PreTrainedTokenizerFast)


def word_tokenizer(lines: Iterable[str], vocab_size: int | None = None, min_count: int = 1) -> WordTokenizer:
    """
    Builds a word tokenizer from text. Words are separated by white space, as by `str.split`; nothing else splits,
    lowers or normalizes the text, and decoding joins the words with one blank. Ids without BOS are decoded as the
    continuation of a text, with the blank in front ([`WordTokenizer`]).

    The ids of `<pad>`, `<bos>`, `<eos>` and `<unk>` are 0 to 3; the words follow by falling count, ties by text, so
    that the same counts always give the same ids. A call puts `<bos>` in front of the text (the prompt for
    `generate`); `add_special_tokens=False` gives the bare words. Special tokens written out in a text to encode are
    not special: `"<eos>"` becomes `<unk>`. A word `<unk>` in the text stands for an unknown word.

    Args:
        lines (`Iterable[str]`):
            The sentences to take the vocabulary from. Read once.
        vocab_size (`int`, *optional*):
            Maximum size of the vocabulary, the four special tokens included. Without it every word is kept.
        min_count (`int`, *optional*, defaults to 1):
            Words seen less often than this become `<unk>`.

    Returns:
        [`WordTokenizer`]: A tokenizer that pads on the left and returns `input_ids` and `attention_mask`.

    Raises:
        [`DataError`]: If a line contains `<pad>`, `<bos>` or `<eos>`, if no word is left for the
            vocabulary, or if `vocab_size` or `min_count` is too small.
    """

    def split(line: str) -> list[str]:
        return [word for word in line.split() if word != UNK_TOKEN]

    backend = Tokenizer(WordLevel(_build_vocabulary(lines, split, vocab_size, min_count), unk_token=UNK_TOKEN))
    # A whole word equal to a special token would be found in the vocabulary, where the special tokens have their ids.
    backend.normalizer = normalizers.Replace(Regex("|".join(_RESERVED_TOKENS)), UNK_TOKEN)
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(_WHITE_SPACE), behavior="removed")
    return _wrap(backend, WordTokenizer)  # without a decoder the tokens are joined with single blanks


def character_tokenizer(
    lines: Iterable[str], vocab_size: int | None = None, min_count: int = 1
) -> PreTrainedTokenizerFast:
    """
    Builds a character tokenizer from text. Every Unicode character (code point), the blank included, is a token, and
    decoding restores the exact string.

    Ids, special tokens, padding and the leading `<bos>` are those of [`word_tokenizer`]. Special tokens written out in
    a text to encode are read as their characters.

    Args:
        lines (`Iterable[str]`):
            The sentences to take the vocabulary from. Read once.
        vocab_size (`int`, *optional*):
            Maximum size of the vocabulary, the four special tokens included. Without it every character is kept.
        min_count (`int`, *optional*, defaults to 1):
            Characters seen less often than this become `<unk>`.

    Returns:
        [`~transformers.PreTrainedTokenizerFast`]: A tokenizer that pads on the left and returns `input_ids` and
        `attention_mask`.

    Raises:
        [`DataError`]: If a line contains `<pad>`, `<bos>` or `<eos>`, if no character is left
            for the vocabulary, or if `vocab_size` or `min_count` is too small.
    """
    backend = Tokenizer(WordLevel(_build_vocabulary(lines, list, vocab_size, min_count), unk_token=UNK_TOKEN))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    backend.decoder = decoders.Fuse()
    return _wrap(backend, PreTrainedTokenizerFast)


def discriminator_tokenizer(
    tokenizer: PreTrainedTokenizerFast, max_length: int | None = None
) -> PreTrainedTokenizerFast:
    """
    Copies a fast tokenizer for classifiers that read finished sentences: a call puts the end-of-sequence token behind
    the text, adds no other special token, and pads on the right. The vocabulary, the ids and the padding token, or its
    absence, stay the same.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerFast`]):
            Any fast tokenizer that has an `eos_token`. It is not changed.
        max_length (`int`, *optional*):
            Number of tokens that the classifier reads, the end of the sequence included; `truncation=True` cuts to it
            and keeps the end. Defaults to the `model_max_length` of the tokenizer.

    Returns:
        [`~transformers.PreTrainedTokenizerFast`]: The copy, as the generic class, so that no model-specific class
        replaces the template when it is loaded again.

    Raises:
        `ValueError`: If the tokenizer is not a fast one or has no `eos_token`.
    """
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ValueError(
            f"A {type(tokenizer).__name__} is not a fast tokenizer; load it as a PreTrainedTokenizerFast instead."
        )
    if tokenizer.eos_token_id is None:
        raise ValueError(
            "The tokenizer has no eos_token, which ends every sentence; set tokenizer.eos_token to a token of its "
            "vocabulary."
        )
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_padding()  # padding and truncation left over from the last call would be taken for settings
    backend.no_truncation()
    # The alias keeps the template readable for any token text (blanks and colons have a meaning in a template).
    backend.post_processor = processors.TemplateProcessing(
        single="$A end",
        pair="$A end $B end",
        special_tokens=[{"id": "end", "ids": [tokenizer.eos_token_id], "tokens": [tokenizer.eos_token]}],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **tokenizer.special_tokens_map,
        padding_side="right",
        truncation_side=tokenizer.truncation_side,
        model_max_length=tokenizer.model_max_length if max_length is None else max_length,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=tokenizer.clean_up_tokenization_spaces,
        split_special_tokens=tokenizer.split_special_tokens,
    )


def _build_vocabulary(
    lines: Iterable[str], split: Callable[[str], list[str]], vocab_size: int | None, min_count: int
) -> dict[str, int]:
    """Returns the id of each token of `lines`, by falling count."""
    if isinstance(lines, str):
        raise DataError(f"The lines are one string ({lines[:20]!r}...); pass a list of sentences instead.")
    if vocab_size is not None and vocab_size <= len(SPECIAL_TOKENS):
        raise DataError(
            f"vocab_size={vocab_size} leaves no room beside the {len(SPECIAL_TOKENS)} special tokens; use at least "
            f"{len(SPECIAL_TOKENS) + 1}."
        )
    if min_count < 1:
        raise DataError(f"min_count={min_count} is not a count; use 1 or more.")
    counts: Counter[str] = Counter()
    for number, line in enumerate(lines, start=1):
        for token in _RESERVED_TOKENS:
            if token in line:
                raise DataError(
                    f"Line {number} contains {token!r}, which is reserved for the tokenizer's own special token; "
                    "remove or replace it in the text."
                )
        counts.update(split(line))
    if not counts:
        raise DataError("The lines hold no text to take a vocabulary from; pass at least 1 line that is not blank.")
    frequent = [token for token, count in counts.items() if count >= min_count]
    ranked = sorted(frequent, key=lambda token: (-counts[token], token))
    if not ranked:
        raise DataError(
            f"None of the {len(counts)} distinct tokens of the lines occurs at least min_count={min_count} times; "
            f"use a min_count of at most {max(counts.values())}."
        )
    tokens = list(SPECIAL_TOKENS) + ranked
    return {token: index for index, token in enumerate(tokens[:vocab_size])}


def _wrap(backend: Tokenizer, tokenizer_class: type[_TokenizerT]) -> _TokenizerT:
    """Adds the special tokens, the `<bos>` template and the padding side, which both tokenizers share."""
    backend.post_processor = processors.TemplateProcessing(
        single=f"{BOS_TOKEN} $A",
        pair=f"{BOS_TOKEN} $A $B",
        special_tokens=[(BOS_TOKEN, SPECIAL_TOKENS.index(BOS_TOKEN))],
    )
    return tokenizer_class(
        tokenizer_object=backend,
        pad_token=PAD_TOKEN,
        bos_token=BOS_TOKEN,
        eos_token=EOS_TOKEN,
        unk_token=UNK_TOKEN,
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        split_special_tokens=True,  # text to encode never turns into a special token
    )


def special_token_ids(tokenizer: PreTrainedTokenizerBase | PreTrainedConfig) -> tuple[int, int, int]:
    """
    Returns the ids that begin, end and pad a text; EOS replaces a BOS or a padding token that the tokenizer lacks.

    Args:
        tokenizer (`PreTrainedTokenizerBase` or `PreTrainedConfig`):
            Any tokenizer, or the configuration of a model.

    Returns:
        `tuple[int, int, int]`: BOS, EOS and padding.

    Raises:
        `ValueError`: If there is no EOS, because no text would end.
    """
    ids = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    bos, eos, pad = (cast("int | None", token_id) for token_id in ids)
    if eos is None:
        raise ValueError("The tokenizer has no EOS token, so no text would end; set tokenizer.eos_token.")
    return (eos if bos is None else bos), eos, (eos if pad is None else pad)


__all__ = ["character_tokenizer", "discriminator_tokenizer", "word_tokenizer"]
