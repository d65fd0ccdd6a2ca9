"""Samples of a trained generator."""

from ..evaluation.generators import decode, sample_sequences
from ..sampling.categorical import check_sampling
from .folder import Run, load_run


def generate_texts(
    name_or_path: str,
    num_samples: int = 10,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    prompt: str | None = None,
    max_length: int | None = None,
    revision: str | None = None,
) -> list[str]:
    """
    Draws texts from a trained generator, as `textgan generate` prints them.

    Args:
        name_or_path (`str`):
            The folder of a run, a checkpoint, any causal language model, or a repository on the Hub.
        num_samples (`int`, *optional*, defaults to `10`):
            Number of texts.
        temperature, top_k, top_p:
            See [`~sampling.draw_categorical`].
        seed (`int`, *optional*, defaults to `0`):
            Decides the texts.
        prompt (`str`, *optional*):
            The beginning of each text.
        max_length (`int`, *optional*):
            Largest number of tokens, EOS included; by default that of the training.
        revision (`str`, *optional*):
            A branch, a tag or a commit of a repository.
    """
    if num_samples < 1:
        raise ValueError(f"num_samples is {num_samples}; set it to 1 or more.")
    check_sampling(temperature, top_k, top_p)
    run = load_run(name_or_path, max_length, revision)
    ids = _prompt_ids(run, name_or_path, prompt) if prompt else ()
    options = {"top_k": top_k, "top_p": top_p, "prompt": ids}
    samples = sample_sequences(run.model, run.engine.at(temperature), num_samples, seed, **options)
    return decode(run.tokenizer, samples[:num_samples].sequences)


def _prompt_ids(run: Run, name: str, prompt: str) -> list[int]:
    if run.tokenizer is None:
        raise ValueError(f"The prompt {prompt!r} is text, but {name} writes ids; leave it out.")
    ids = run.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    if run.tokenizer.unk_token_id is not None and run.tokenizer.unk_token_id in ids:
        raise ValueError(f"The prompt {prompt!r} has tokens that the model does not know; use words of its text.")
    return ids


__all__ = ["generate_texts"]
