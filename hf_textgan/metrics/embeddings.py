"""Embeddings of sentences, for metrics that compare two sets of them as points."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import chain, pairwise

import numpy as np

from .sentences import check_not_empty, check_sentences, split_texts


HASHED_NGRAMS = "hashed-ngrams"
_BATCH_SIZE = 1024  # sentences
_MAX_TOKENS = 2**14  # of a batch with its padding


def hashed_ngram_embedding(sentences: Sequence[Sequence[str]], dimension: int = 64) -> np.ndarray:
    """
    Returns embeddings that need no trained model and are the same on every machine.

    Every word and every pair of neighbouring words has a fixed random direction, ``(+-1, ..., +-1) / sqrt(dimension)``
    with the signs of a hash of its text. The embedding of a sentence is the sum of the directions of its words and
    pairs over the square root of their number.

    Random signs nearly keep the distances between bags of words and pairs (Achlioptas 2003, "Database-friendly random
    projections"). They do not represent meaning: two synonyms are as far apart as any two words.

    Args:
        sentences (`Sequence[Sequence[str]]`):
            The sentences as lists of tokens.
        dimension (`int`, *optional*, defaults to 64):
            The size of an embedding. Distances are comparable only between embeddings of one size.

    Returns:
        `numpy.ndarray` of shape `(num_sentences, dimension)`: In double precision. The expected squared length of a
        sentence without repetitions is 1.

    Raises:
        `ValueError`: If there are no sentences, one has no words, or `dimension` is less than 1.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    if dimension < 1:
        raise ValueError(f"dimension={dimension} is too small; use 1 or more, for example 64.")
    check_sentences(sentences, "sentences", form="tokens")
    check_not_empty(sentences, "sentences")
    indices: dict[bytes, int] = {}
    ids = [[indices.setdefault(text, len(indices)) for text in _ngram_texts(sentence)] for sentence in sentences]
    signs = _signs(list(indices), dimension)
    parts = []
    for start in range(0, len(sentences), _BATCH_SIZE):
        part = ids[start : start + _BATCH_SIZE]
        lengths = np.fromiter(map(len, part), np.int64, len(part))
        rows = signs[np.fromiter(chain.from_iterable(part), np.int64, lengths.sum())]
        # Sums of whole numbers are exact in any order.
        sums = np.add.reduceat(rows, np.cumsum(lengths) - lengths, axis=0, dtype=np.int64)
        parts.append(sums / np.sqrt(lengths * dimension)[:, None])
    return np.concatenate(parts)


def _ngram_texts(sentence: Sequence[str]) -> Iterator[bytes]:
    """Yields the words and the pairs of neighbouring words."""
    words = [token.encode("utf-8", "surrogatepass") for token in sentence]
    yield from (b"1" + word for word in words)
    # The length of the first keeps "ab c" and "a bc" apart.
    yield from (b"2 %d %b%b" % (len(first), first, second) for first, second in pairwise(words))


def _signs(texts: Sequence[bytes], dimension: int) -> np.ndarray:
    """Returns `dimension` signs, -1 or 1, for each text."""
    blocks = [block.to_bytes(8, "little") for block in range(-(-dimension // 512))]  # of 512 bits
    digests = b"".join(blake2b(text, salt=block).digest() for text in texts for block in blocks)
    bits = np.unpackbits(np.frombuffer(digests, np.uint8).reshape(len(texts), -1), axis=1, count=dimension)
    return 2 * bits.view(np.int8) - 1


def model_embedding(model, tokenizer, texts: Sequence[str], max_length: int | None = None) -> np.ndarray:
    """
    Returns embeddings of texts by a transformer: the mean of its last hidden states over the tokens of a text, special
    tokens that the tokenizer adds included. Of an encoder-decoder model only the encoder is used.

    Args:
        model (`str` or `PreTrainedModel`):
            The model, or the folder or repository to load it from.
        tokenizer (`str` or `PreTrainedTokenizerBase`, *optional*):
            Its tokenizer; `None` loads the one beside the model.
        texts (`Sequence[str]`):
            The texts.
        max_length (`int`, *optional*):
            The maximum number of tokens of a text; by default that of the tokenizer.

    Returns:
        `numpy.ndarray` of shape `(num_texts, hidden_size)`: In double precision.

    Raises:
        `ValueError`: If there are no texts, one is empty or has no tokens, or a loaded model comes without tokenizer.
        `TypeError`: If `texts` is not a list of strings.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    check_not_empty(split_texts(texts, "texts"), "texts")
    if tokenizer is None and not isinstance(model, str):
        raise ValueError("A loaded model does not name its tokenizer; pass tokenizer as well.")
    tokenizer = model if tokenizer is None else tokenizer
    if isinstance(tokenizer, str):
        tokenizer = AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False)
    if isinstance(model, str):
        model = AutoModel.from_pretrained(model, dtype=torch.float32, trust_remote_code=False)
    body = model.get_encoder() if model.config.is_encoder_decoder else model.base_model
    encoded = tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]
    for index, ids in enumerate(encoded):
        if len(ids) == 0:
            raise ValueError(f"Text {index} ({texts[index][:20]!r}) has no tokens and no embedding; remove it.")
    # Texts of similar length share a batch. Padding is masked, so without a padding token any token can fill it.
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    embeddings = np.zeros((len(encoded), 0))
    was_training = model.training
    model.eval()
    start = 0
    while start < len(order):
        longest = len(encoded[order[start]])
        stop = start
        while stop < len(order) and (stop - start + 1) * len(encoded[order[stop]]) <= max(longest, _MAX_TOKENS):
            longest = len(encoded[order[stop]])
            stop += 1
        batch = [encoded[index] for index in order[start:stop]]
        ids = torch.tensor([[*row, *[padding] * (longest - len(row))] for row in batch], device=model.device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in batch], device=model.device)
        with torch.no_grad():
            hidden = body(input_ids=ids, attention_mask=mask).last_hidden_state.double()  # (B, T, H)
        means = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        if start == 0:
            embeddings = np.zeros((len(encoded), means.shape[1]))
        embeddings[order[start:stop]] = means.cpu().numpy()
        start = stop
    model.train(was_training)
    return embeddings


def embed(texts: Sequence[str], embedding: str = HASHED_NGRAMS, tokenizer=None, dimension: int = 64) -> np.ndarray:
    """
    Returns the embeddings of texts by the name of the embedding.

    Args:
        texts (`Sequence[str]`):
            The texts.
        embedding (`str` or `PreTrainedModel`, *optional*, defaults to `"hashed-ngrams"`):
            `"hashed-ngrams"` for [`hashed_ngram_embedding`] of the texts split at blanks, otherwise the model of
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
    if isinstance(embedding, str) and embedding == HASHED_NGRAMS:
        words = split_texts(texts, "texts")
        check_not_empty(words, "texts")
        return hashed_ngram_embedding(words, dimension)
    return model_embedding(embedding, tokenizer, texts)


def embedding_name(embedding: str, dimension: int) -> str:
    """Returns the name to print beside a score: `"hashed-ngrams-64"`, or the name of the model."""
    if not isinstance(embedding, str):
        return embedding.config.name_or_path or type(embedding).__name__
    return f"{HASHED_NGRAMS}-{dimension}" if embedding == HASHED_NGRAMS else embedding


__all__ = ["HASHED_NGRAMS", "embed", "embedding_name", "hashed_ngram_embedding", "model_embedding"]
