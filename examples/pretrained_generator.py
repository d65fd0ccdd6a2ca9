"""
A causal language model in the generator's seat.

    python examples/pretrained_generator.py --output_dir runs/gpt2 [--generator FOLDER_OR_REPOSITORY]

Without --generator it builds a small GPT-2 from a configuration, so that the example runs without a download. The
result is an ordinary model folder: `AutoModelForCausalLM.from_pretrained("runs/gpt2")`.
"""

import argparse
import sys
import tempfile

from transformers import GPT2Config, GPT2LMHeadModel

from hf_textgan import CaptionGrammar
from hf_textgan.cli.main import main as textgan
from hf_textgan.data.tokenizers import word_tokenizer


def small_gpt2(folder: str) -> None:
    """Saves an untrained two-layer GPT-2 with a word tokenizer of the caption grammar."""
    tokenizer = word_tokenizer(CaptionGrammar().sample(10000, seed=0))
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=64,
        n_embd=64,
        n_layer=2,
        n_head=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--generator", help="folder or repository of a causal language model")
    options, rest = parser.parse_known_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        if options.generator is None:
            small_gpt2(folder)
        return textgan(
            [
                *("train", "seqgan", "--dataset_name", "grammar", "--preset", "laptop"),
                *("--generator_name_or_path", options.generator or folder, "--learning_rate", "1e-3"),
                *rest,
            ]
        )


if __name__ == "__main__":
    sys.exit(main())
