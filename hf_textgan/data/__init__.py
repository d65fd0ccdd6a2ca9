"""Texts, tokenizers and the caption grammar."""

from .grammar import CaptionGrammar
from .loading import load_text, load_tokenizer, split_names
from .report import data_report, format_report
from .text import (
    DataError,
    EncodedText,
    collate,
    encode_lines,
    encode_text,
    iterate_texts,
    read_lines,
    truncate_texts,
)
from .tokenizers import character_tokenizer, discriminator_tokenizer, word_tokenizer


__all__ = [
    "CaptionGrammar",
    "DataError",
    "EncodedText",
    "character_tokenizer",
    "collate",
    "data_report",
    "discriminator_tokenizer",
    "encode_lines",
    "encode_text",
    "format_report",
    "iterate_texts",
    "load_text",
    "load_tokenizer",
    "read_lines",
    "split_names",
    "truncate_texts",
    "word_tokenizer",
]
