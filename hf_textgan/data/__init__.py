"""Texts, tokenizers and the caption grammar."""

from .grammar import CaptionGrammar
from .text import DataError, EncodedText, collate, data_report, encode_lines, format_report, read_lines
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
    "format_report",
    "read_lines",
    "word_tokenizer",
]
