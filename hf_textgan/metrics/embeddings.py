"""Embeddings of sentences, for measures that compare two sets of them as clouds of points."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import chain, pairwise

import numpy as np


HASHED_NGRAMS = "hashed-ngrams"
_SENTENCES_AT_ONCE = 1024
_TOKENS_AT_ONCE = 2**14


def hashed_ngram_embedding(sentences: Sequence[Sequence[str]], dimension: int = 64) -> np.ndarray:
    """
    Embeddings that need no trained model and are the same on every machine: every word and every pair of neighbouring
    words has a fixed random direction, ``(+-1, ..., +-1) / sqrt(dimension)`` with the signs of a hash of its text, and
    a sentence is the sum of the directions of its words and pairs over the square root of their number.

    Random signs keep distances between bags of words and pairs about as they are (Achlioptas 2003, "Database-friendly
    random projections"). They know nothing of meaning: two synonyms are as far apart as any two words.

    Args:
        sentences (`Sequence[Sequence[str]]`):
            The sentences as lists of tokens.
        dimension (`int`, *optional*, defaults to 64):
            The size of an embedding. Distances are comparable only between embeddings of one size.

    Returns:
        `numpy.ndarray` of shape `(num_sentences, dimension)`: in double precision, of an expected squared length of 1
        for a sentence without repetitions.

    Raises:
        `ValueError`: If there are no sentences, one has no words, or `dimension` is less than 1.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    if dimension < 1:
        raise ValueError(f"dimension={dimension} is too small; use 1 or more, for example 64.")
    if isinstance(sentences, str):
        raise TypeError(f"The sentences are one string ({sentences[:20]!r}); pass a list of token lists instead.")
    if len(sentences) == 0:
        raise ValueError("There are 0 sentences; pass at least 1.")
    for index, sentence in enumerate(sentences):
        if isinstance(sentence, str):
            raise TypeError(f"Sentence {index} is a string ({sentence[:20]!r}); split it into a list of tokens.")
        if len(sentence) == 0:
            raise ValueError(f"Sentence {index} has no words and no embedding; remove it.")
    places: dict[bytes, int] = {}
    ids = [[places.setdefault(text, len(places)) for text in _ngram_texts(sentence)] for sentence in sentences]
    signs = _signs(list(places), dimension)
    parts = []
    for start in range(0, len(sentences), _SENTENCES_AT_ONCE):
        part = ids[start : start + _SENTENCES_AT_ONCE]
        lengths = np.fromiter(map(len, part), np.int64, len(part))
        rows = signs[np.fromiter(chain.from_iterable(part), np.int64, lengths.sum())]
        # Sums of whole numbers are exact in any order.
        sums = np.add.reduceat(rows, np.cumsum(lengths) - lengths, axis=0, dtype=np.int64)
        parts.append(sums / np.sqrt(lengths * dimension)[:, None])
    return np.concatenate(parts)


def _ngram_texts(sentence: Sequence[str]) -> Iterator[bytes]:
    """The words and the pairs of neighbouring words."""
    words = [token.encode("utf-8", "surrogatepass") for token in sentence]
    yield from (b"1" + word for word in words)
    # The length of the first keeps "ab c" and "a bc" apart.
    yield from (b"2 %d %b%b" % (len(first), first, second) for first, second in pairwise(words))


def _signs(texts: Sequence[bytes], dimension: int) -> np.ndarray:
    """`dimension` times -1 or 1 for each text."""
    blocks = [block.to_bytes(8, "little") for block in range(-(-dimension // 512))]  # of 512 bits
    digests = b"".join(blake2b(text, salt=block).digest() for text in texts for block in blocks)
    bits = np.unpackbits(np.frombuffer(digests, np.uint8).reshape(len(texts), -1), axis=1, count=dimension)
    return 2 * bits.view(np.int8) - 1


def model_embedding(model, tokenizer, texts: Sequence[str], max_length: int | None = None) -> np.ndarray:
    """
    Embeddings of texts by a transformer, an encoder or a decoder: the mean of its last hidden states over the tokens
    of a text, the special tokens that the tokenizer adds among them. Of a model with both only the encoder is used.

    Args:
        model (`str` or `PreTrainedModel`):
            The model, or the folder or repository to load it from.
        tokenizer (`str` or `PreTrainedTokenizerBase`, *optional*):
            Its tokenizer; `None` for the one that lies beside the model.
        texts (`Sequence[str]`):
            The texts.
        max_length (`int`, *optional*):
            Tokens of a text to read; by default as many as the tokenizer says.

    Returns:
        `numpy.ndarray` of shape `(num_texts, hidden_size)`: in double precision.

    Raises:
        `ValueError`: If there are no texts, one is empty or has no tokens, or a loaded model comes without tokenizer.
        `TypeError`: If `texts` is one string or an element is not a string.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    _check_texts(texts)
    if tokenizer is None and not isinstance(model, str):
        raise ValueError("The model is loaded and its tokenizer is not known; pass tokenizer, too.")
    tokenizer = model if tokenizer is None else tokenizer
    if isinstance(tokenizer, str):
        tokenizer = AutoTokenizer.from_pretrained(tokenizer)
    if isinstance(model, str):
        model = AutoModel.from_pretrained(model, dtype=torch.float32)
    body = model.get_encoder() if model.config.is_encoder_decoder else model.base_model
    encoded = tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]
    for index, ids in enumerate(encoded):
        if len(ids) == 0:
            raise ValueError(f"Text {index} ({texts[index][:20]!r}) has no tokens and no embedding; remove it.")
    # Texts of about one length share a batch. A model without padding reads any symbol there: it is masked.
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    parts = np.zeros((len(encoded), 0))
    was_training = model.training
    model.eval()
    start = 0
    while start < len(order):
        longest = len(encoded[order[start]])
        stop = start
        while stop < len(order) and (stop - start + 1) * len(encoded[order[stop]]) <= max(longest, _TOKENS_AT_ONCE):
            longest = len(encoded[order[stop]])
            stop += 1
        batch = [encoded[index] for index in order[start:stop]]
        ids = torch.tensor([[*row, *[padding] * (longest - len(row))] for row in batch], device=model.device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in batch], device=model.device)
        with torch.no_grad():
            hidden = body(input_ids=ids, attention_mask=mask).last_hidden_state.double()  # (B, T, H)
        means = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        if start == 0:
            parts = np.zeros((len(encoded), means.shape[1]))
        parts[order[start:stop]] = means.cpu().numpy()
        start = stop
    model.train(was_training)
    return parts


def embed(texts: Sequence[str], embedding: str = HASHED_NGRAMS, tokenizer=None, dimension: int = 64) -> np.ndarray:
    """
    Embeddings of texts by name.

    Args:
        texts (`Sequence[str]`):
            The texts.
        embedding (`str` or `PreTrainedModel`, *optional*, defaults to `"hashed-ngrams"`):
            `"hashed-ngrams"` for [`hashed_ngram_embedding`] of the texts cut at blanks, else the model of
            [`model_embedding`].
        tokenizer (`str` or `PreTrainedTokenizerBase`, *optional*):
            See [`model_embedding`].
        dimension (`int`, *optional*, defaults to 64):
            See [`hashed_ngram_embedding`].

    Returns:
        `numpy.ndarray` of shape `(num_texts, dimension)` or `(num_texts, hidden_size)`.

    Raises:
        See [`hashed_ngram_embedding`] and [`model_embedding`].
    """
    _check_texts(texts)
    if isinstance(embedding, str) and embedding == HASHED_NGRAMS:
        return hashed_ngram_embedding([text.split() for text in texts], dimension)
    return model_embedding(embedding, tokenizer, texts)


def embedding_name(embedding: str, dimension: int) -> str:
    """What to print beside a score: `"hashed-ngrams-64"`, or the name of the model."""
    if not isinstance(embedding, str):
        return embedding.config.name_or_path or type(embedding).__name__
    return f"{HASHED_NGRAMS}-{dimension}" if embedding == HASHED_NGRAMS else embedding


def _check_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise TypeError(f"The texts are one string ({texts[:20]!r}); pass a list of strings instead.")
    if len(texts) == 0:
        raise ValueError("There are 0 texts; pass at least 1.")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"Text {index} is {text!r}; pass a string.")
        if not text.split():
            raise ValueError(f"Text {index} is {text!r} and has no words; remove it.")


__all__ = ["HASHED_NGRAMS", "embed", "embedding_name", "hashed_ngram_embedding", "model_embedding"]
