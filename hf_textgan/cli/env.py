"""`textgan env`: versions and hardware, for a report of a fault."""

import argparse

from ..utils.environment import environment


def main(argv: list[str]) -> int:
    """Prints the environment; see `textgan env --help`."""
    argparse.ArgumentParser(
        prog="textgan env", description="Prints versions and hardware, for a report of a fault.", allow_abbrev=False
    ).parse_args(argv)
    for name, value in environment().items():
        print(f"- {name}: {value}")
    return 0
