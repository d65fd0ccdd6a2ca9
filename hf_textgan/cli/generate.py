"""`textgan generate`."""

import argparse
from pathlib import Path

from ..evaluation import decode, sample_sequences
from ..runs import Run, load_run
from ..sampling.categorical import check_sampling
from .errors import user_errors


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="textgan generate", description="Prints samples of a trained generator, one a line.", allow_abbrev=False
    )
    parser.add_argument("model", help="output folder of a run, a checkpoint, or a repository as org/name")
    parser.add_argument("--num_samples", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--temperature", type=float, default=1.0, help="below 1 sharpens (default: 1)")
    parser.add_argument("--top_k", type=int, help="draw among this many most probable symbols only")
    parser.add_argument("--top_p", type=float, help="draw among the most probable symbols that together have this")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same samples (default: 0)")
    parser.add_argument("--prompt", help="how each text begins")
    parser.add_argument("--max_length", type=int, help="most tokens, end included (default: as trained)")
    parser.add_argument("--output_file", help="write the samples to this file instead")
    return parser


def main(argv: list[str]) -> int:
    """Prints samples; see `textgan generate --help`."""
    arguments = make_parser().parse_args(argv)
    with user_errors():
        if arguments.num_samples < 1:
            raise ValueError(f"num_samples is {arguments.num_samples}; set it to 1 or more.")
        options = {name: getattr(arguments, name) for name in ("temperature", "top_k", "top_p")}
        check_sampling(**options)
        run = load_run(arguments.model, arguments.max_length)
        prompt = _prompt_ids(run, arguments.model, arguments.prompt) if arguments.prompt else ()
        sequences = sample_sequences(
            run.model, run.engine, arguments.num_samples, arguments.seed, prompt=prompt, **options
        )
        texts = decode(run.tokenizer, sequences[: arguments.num_samples])
    if arguments.output_file:
        Path(arguments.output_file).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    else:
        print("\n".join(texts))
    return 0


def _prompt_ids(run: Run, name: str, prompt: str) -> list[int]:
    if run.tokenizer is None:
        raise ValueError(f"The prompt {prompt!r} is text, but {name} writes ids; leave it out.")
    ids = run.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    if run.tokenizer.unk_token_id is not None and run.tokenizer.unk_token_id in ids:
        raise ValueError(f"The prompt {prompt!r} has symbols that the model does not know; use words of its text.")
    return ids
