"""`textgan generate`."""

import argparse
from pathlib import Path

import torch

from ..evaluation import decode, sample_texts
from ..randomness import own_randomness
from ..runs import Run, load_run
from .errors import user_errors


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="textgan generate", description="Prints samples of a trained generator, one a line.", allow_abbrev=False
    )
    parser.add_argument("model", help="output folder of a run, a checkpoint, or a repository as org/name")
    parser.add_argument("--num_samples", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--temperature", type=float, default=1.0, help="below 1 sharpens (default: 1)")
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
        if arguments.temperature <= 0:
            raise ValueError(f"temperature is {arguments.temperature}; set it above 0.")
        run = load_run(arguments.model, arguments.max_length)
        if arguments.prompt:
            if run.tokenizer is None:
                raise ValueError(
                    f"The prompt {arguments.prompt!r} is text, but {arguments.model} writes ids; leave it out."
                )
            texts = continue_prompt(
                run, arguments.prompt, arguments.num_samples, arguments.seed, arguments.temperature
            )
        else:
            texts = sample_texts(
                run.model, run.engine, run.tokenizer, arguments.num_samples, arguments.seed, arguments.temperature
            )
    if arguments.output_file:
        Path(arguments.output_file).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    else:
        print("\n".join(texts))
    return 0


def continue_prompt(run: Run, prompt: str, num_samples: int, seed: int, temperature: float) -> list[str]:
    """Texts that begin with `prompt`, drawn by `generate`."""
    ids = run.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    if run.tokenizer.unk_token_id is not None and run.tokenizer.unk_token_id in ids:
        raise ValueError(f"The prompt {prompt!r} has symbols that the model does not know; use words of its text.")
    if len(ids) >= run.engine.max_length:
        raise ValueError(
            f"The prompt {prompt!r} has {len(ids)} tokens and max_length is {run.engine.max_length}; shorten it, or"
            " raise max_length."
        )
    input_ids = torch.tensor([[run.engine.bos_token_id, *ids]]).repeat(num_samples, 1)
    with own_randomness("prompt", seed):
        output = run.model.generate(
            input_ids,
            attention_mask=torch.ones_like(input_ids),
            do_sample=True,
            temperature=temperature,
            top_k=0,
            top_p=1.0,
            max_new_tokens=run.engine.max_length - len(ids),
            eos_token_id=run.engine.eos_token_id,
            pad_token_id=run.engine.pad_token_id,
        )
    return decode(run.tokenizer, output[:, 1:])
