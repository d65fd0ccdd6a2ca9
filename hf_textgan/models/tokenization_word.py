"""A word tokenizer whose decoding is additive: the text of a prompt and that of its continuation join."""

from typing import Any

from transformers import PreTrainedTokenizerFast


class WordTokenizer(PreTrainedTokenizerFast):
    """
    A fast tokenizer of words that are separated by blanks. Token ids that begin with BOS are a text, and ids without
    BOS continue one: their text begins with the blank that separates it from the words before. So a prompt and the
    text of the tokens generated after it can be joined, as `pipeline("text-generation")` does.

    A generator of transformers reads and returns texts with BOS. The samples of this library begin after BOS; their
    decoded text has the blank in front.
    """

    def _decode(
        self,
        token_ids: int | list[int],
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> str:
        text = super()._decode(token_ids, skip_special_tokens, clean_up_tokenization_spaces, **kwargs)
        ids = [token_ids] if isinstance(token_ids, int) else token_ids
        first = next((token_id for token_id in ids if token_id != self.pad_token_id), self.bos_token_id)
        return text if first == self.bos_token_id or not text else " " + text


__all__ = ["WordTokenizer"]
