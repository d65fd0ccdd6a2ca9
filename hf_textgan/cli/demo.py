"""`textgan demo`."""

import argparse
import shlex
from pathlib import Path

from ..runs.demo import build_page, write_space
from ..utils.escaping import printable
from ..utils.names import is_hub_name
from .errors import UserError, user_errors


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="textgan demo",
        description="Serves a page on this machine that samples a trained generator, shows the discriminator's score "
        "beside each text, and the curves of the run. Needs gradio: pip install 'hf_textgan[demo]'.",
        allow_abbrev=False,
    )
    parser.add_argument("model", help="output folder of a run, or a repository as org/name")
    parser.add_argument("--port", type=int, help="port of the page (default: the first free one from 7860)")
    parser.add_argument("--space", metavar="DIR", help="serve nothing; write the files of a Space of the Hub to DIR")
    parser.add_argument("--repository", help="with --space: the generator on the Hub (default: the model)")
    return parser


def main(argv: list[str]) -> int:
    """Serves the page of a generator, or writes its Space; see `textgan demo --help`."""
    options = make_parser().parse_args(argv)
    if options.space is not None:
        repository = options.repository or options.model
        if options.repository is None and not is_hub_name(options.model):
            raise UserError(f"{options.model} is no repository of the Hub; add --repository org/name.")
        with user_errors():
            write_space(Path(options.space), repository)
        space = f"{repository}-demo"
        print(f"The Space is in {printable(options.space)}. Look at it, then publish it:")
        for words in (
            ["hf", "repos", "create", space, "--type", "space", "--sdk", "gradio"],
            ["hf", "upload", space, options.space, ".", "--repo-type", "space"],
        ):
            print(f"  {printable(shlex.join(words))}")
        return 0
    if options.repository is not None:
        raise UserError(
            f"--repository is {options.repository!r} and belongs to --space DIR; add --space, or leave it out."
        )
    with user_errors():
        page = build_page(options.model)
        page.launch(server_name="127.0.0.1", server_port=options.port, share=False)
    return 0
