"""The entry point of `textgan`. Help and tables need neither torch nor transformers, so they answer at once."""

import importlib
import os
import sys

from ..systems import SYSTEMS
from ..utils.escaping import printable
from ..utils.names import unknown_name
from ..utils.version import __version__
from .errors import Interrupted, UserError


USAGE = """\
usage: textgan COMMAND [OPTIONS]

Text GANs: train them, sample from them, measure them.

commands:
  systems     list the systems that can be trained
  train       train a system on your text
  generate    print samples of a trained generator
  evaluate    measure a trained generator on held-out text
  compare     say which of several generators is better
  demo        serve a page to play with a trained generator
  push        push a trained system to the Hugging Face Hub
  data        report on text before training on it
  metrics     list the metrics, write them as Spaces of the Hub, or push them
  env         print versions and hardware, for a report of a fault

`textgan COMMAND --help` explains a command, `textgan train SYSTEM --help` lists the options of a system.
"""

COMMANDS = ("train", "generate", "evaluate", "compare", "demo", "push", "data", "metrics", "env")

TRAIN_USAGE = """\
usage: textgan train SYSTEM --output_dir DIR (--train_file FILE | --dataset_name NAME) [OPTIONS]
       textgan train --config run.yaml [OPTIONS]

Trains a system; systems: {systems}.

the options most used:
  --train_file FILE            .txt (one sentence a line), .csv, .tsv, .jsonl or .parquet
  --eval_file FILE             held-out text, a file of the same kinds
  --dataset_name NAME          grammar (the built-in caption grammar), oracle (the field's synthetic task),
                               a folder with a data set, or one on the Hub as org/name
  --text_column, --label_column, --source_column, --target_column NAME
                               columns, where `text` and `label` are not their names
  --oracle_path FILE           the oracle's parameters; by default those of --oracle_seed
  --output_dir DIR             where models, checkpoints, samples and metrics go
  --preset NAME                laptop (minutes on two cores) or paper (the published setting, the default)
  --level word|character       the units of the text
  --tokenizer_name_or_path DIR any fast tokenizer instead
  --discriminator NAME         cnn, recurrent or bidirectional
  --generator_name_or_path DIR start from this causal language model and its tokenizer
  --resume                     resume from the newest complete checkpoint in --output_dir, or start
  --mle_baseline               then train the same generator by likelihood for as long, and compare the two
  --num_seeds N                train N runs that differ in their seed; only several seeds can tell systems apart
  --config FILE                YAML with any of the options; options on the command line win
  --generator.NAME VALUE       a value of a player's configuration, as in --generator.hidden_size 64
  --discriminator.NAME VALUE   ... or of its optimizer, as in --discriminator.learning_rate 1e-4

`textgan train SYSTEM --help` lists the options of a system, `--help-all` those of transformers.TrainingArguments, too.
"""


def main(argv: list[str] | None = None) -> int:
    """Runs a command; returns the exit status: 0, or 2 after an error in the user's arguments or data."""
    try:
        return _main(sys.argv[1:] if argv is None else argv)
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0
    if argv[0] in ("-V", "--version"):
        print(f"textgan {__version__}")
        return 0
    command, arguments = argv[0], argv[1:]
    if command == "systems":
        print(systems_table())
        return 0
    if command == "train" and (not arguments or arguments in (["-h"], ["--help"])):
        print(TRAIN_USAGE.format(systems=", ".join(SYSTEMS)))
        return 0
    if command not in COMMANDS:
        message = unknown_name("command", command, ["systems", *COMMANDS])
        print(f"textgan: {printable(message)}", file=sys.stderr)
        return 2
    return _run(command, arguments)


def _run(command: str, arguments: list[str]) -> int:
    try:
        # Within the block, so that Ctrl-C during the imports leaves no traceback either.
        from transformers.utils import logging

        logging.disable_progress_bar()  # of loading and saving weights, which takes a blink here
        return importlib.import_module(f".{command}", __package__).main(arguments)
    except UserError as error:
        print(f"textgan {command}: {printable(str(error))}", file=sys.stderr)
        return 2
    except Interrupted as error:
        print(f"textgan {command}: {printable(str(error))}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print(f"textgan {command}: interrupted", file=sys.stderr)
        return 130


def systems_table() -> str:
    """Returns the systems with their mode, paper and status, one a line."""
    rows = [("system", "mode", "status", "arXiv", "paper")]
    rows += [(s.name, s.mode, s.status, s.paper.arxiv_id or "-", s.paper.title) for s in SYSTEMS.values()]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return "\n".join("  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]) for row in rows)


if __name__ == "__main__":
    sys.exit(main())
