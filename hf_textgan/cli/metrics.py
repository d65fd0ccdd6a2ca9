"""`textgan metrics`."""

import argparse

from ..metrics import available, describe
from ..metrics.export import export_metrics
from ..runs.spaces import push_metrics
from .errors import user_errors


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="textgan metrics",
        description="Lists the metrics of generated text, writes them as Spaces of the Hugging Face Hub, or pushes "
        "them there.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="list the metrics", description="Lists the metrics.", allow_abbrev=False)
    export = commands.add_parser(
        "export",
        help="write metrics as self-contained folders",
        description="Writes each metric as a folder that evaluate.load can load without hf_textgan.",
        allow_abbrev=False,
    )
    export.add_argument("output_dir", metavar="OUT", help="where the folders are created, one for each metric")
    export.add_argument("names", metavar="NAME", nargs="*", help="the metrics to write (default: all)")
    export.add_argument(
        "--overwrite", action="store_true", help="replace files of the same names in folders that are not empty"
    )
    push = commands.add_parser(
        "push",
        help="push metrics as Spaces of the Hub",
        description="Pushes each metric as a Space OWNER/NAME, which evaluate.load can load without hf_textgan.",
        allow_abbrev=False,
    )
    push.add_argument("owner", metavar="OWNER", help="a user or an organization of the Hub")
    push.add_argument("names", metavar="NAME", nargs="*", help="the metrics to push (default: all)")
    push.add_argument("--private", action="store_true", help="make the Spaces private")
    return parser


def main(argv: list[str]) -> int:
    """Lists, exports or pushes metrics; see `textgan metrics --help`."""
    parser = make_parser()
    if not argv:
        parser.print_help()
        return 0
    arguments = parser.parse_args(argv)
    with user_errors():
        if arguments.command == "list":
            names = available()
            width = max(map(len, names))
            print("\n".join(f"{name.ljust(width)}  {describe(name)}" for name in names))
        elif arguments.command == "push":
            for push in push_metrics(arguments.owner, arguments.names or None, private=arguments.private):
                print(push)
        else:
            for folder in export_metrics(arguments.output_dir, arguments.names or None, arguments.overwrite):
                print(folder)
    return 0
