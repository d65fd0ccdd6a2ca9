"""`textgan generate`."""

import argparse
from pathlib import Path

from ..runs.generate import generate_texts, read_sources
from ..utils.escaping import printable
from ..utils.files import check_output, write_text
from .errors import user_errors


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="textgan generate",
        description="Prints samples of a trained generator, one a line; an empty one is an empty line, which is "
        "counted and skipped where the lines are read.",
        allow_abbrev=False,
    )
    parser.add_argument("model", help="output folder of a run, a checkpoint, or a repository as org/name")
    parser.add_argument("--num_samples", type=int, default=10, help="number of samples (default: 10)")
    parser.add_argument("--temperature", type=float, default=1.0, help="below 1 sharpens (default: 1)")
    parser.add_argument("--top_k", type=int, help="draw among this many most probable tokens only")
    parser.add_argument("--top_p", type=float, help="draw among the most probable tokens that together have this")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same samples (default: 0)")
    parser.add_argument("--prompt", help="the beginning of each text")
    parser.add_argument("--label", help="the class of the samples, by name or number (default: drawn for each)")
    parser.add_argument("--source", action="append", help="a text to write from; once for each of several")
    parser.add_argument("--source_file", help="texts to write from, one a line; num_samples of each, in order")
    parser.add_argument("--max_length", type=int, help="most tokens, end included (default: as trained)")
    parser.add_argument("--revision", help="branch, tag or commit of a repository (default: main)")
    parser.add_argument("--output_file", help="write the samples to this file instead")
    parser.add_argument("--overwrite", action="store_true", help="replace output_file if it is there")
    return parser


def main(argv: list[str]) -> int:
    """Prints samples; see `textgan generate --help`."""
    options = vars(make_parser().parse_args(argv))
    output_file, overwrite = options.pop("output_file"), options.pop("overwrite")
    sources, source_file = options.pop("source"), options.pop("source_file")
    with user_errors():
        if output_file:
            check_output(Path(output_file), overwrite)
        if source_file is not None:
            if sources is not None:
                raise ValueError("--source and --source_file are both given; leave one of the two out.")
            sources = read_sources(source_file)
        options["sources"] = sources
        texts = generate_texts(options.pop("model"), **options)
    if output_file:
        with user_errors():
            write_text(Path(output_file), "".join(f"{text}\n" for text in texts))
    else:
        print("\n".join(map(printable, texts)))
    return 0
