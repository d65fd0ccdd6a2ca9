"""Error sentences for unknown names, and names on the Hub."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path


_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Returns an error sentence for an unknown name, with the nearest known name."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(known) or '(none)'}."
    return f"There is no {kind} called {name!r}; {hint}"


def is_hub_name(name: str) -> bool:
    """
    Returns whether a name can be a repository on the Hub: it has the form `org/name`, and `org` is neither a folder
    here nor `runs`, so that the mistyped folder of a run is not looked for on the Hub.
    """
    if _HUB_NAME.fullmatch(name) is None:
        return False
    folder = Path(name).parent
    return folder.name != "runs" and not folder.is_dir()


__all__ = ["is_hub_name", "unknown_name"]
