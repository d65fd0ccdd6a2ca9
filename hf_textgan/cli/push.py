"""`textgan push`."""

import argparse

from ..runs.push import push_run
from .errors import user_errors


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="textgan push",
        description="Pushes a trained system to the Hugging Face Hub: the generator at the root, the other players in "
        "subfolders, tokenizer, metrics, samples, curves, the card, and the code that loads them without this "
        "package. Checkpoints, logs, optimizer states and other files of the folder stay here. A second push updates "
        "the repository.",
        allow_abbrev=False,
    )
    parser.add_argument("run", metavar="RUN", help="output folder of a run, a checkpoint, or best/PHASE of a run")
    parser.add_argument("repo_id", metavar="ORG/NAME", help="the repository; it is created if it is not there")
    parser.add_argument("--private", action="store_true", help="make the repository private")
    parser.add_argument("--revision", help="branch to push to; it is created if it is not there (default: main)")
    parser.add_argument("--commit_message", help="message of the commit (default: names the system)")
    return parser


def main(argv: list[str]) -> int:
    """Pushes a run; see `textgan push --help`."""
    options = vars(make_parser().parse_args(argv))
    run, repo_id = options.pop("run"), options.pop("repo_id")
    with user_errors():
        push = push_run(run, repo_id, **options)
    print(f"{run} is on the Hub: {push}")
    print(f"Next:\n  textgan generate {push.url.rstrip('/').split('/', 3)[-1]} --num_samples 10")
    return 0
