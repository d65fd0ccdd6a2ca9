"""Pushing metrics to the Hugging Face Hub."""

import tempfile
from collections.abc import Iterable

from ..metrics.export import export_metrics
from ..utils.hub import Push, push_folder


def push_metrics(
    owner: str, names: Iterable[str] | None = None, *, private: bool = False, token: str | None = None
) -> list[Push]:
    """
    Pushes metrics as Spaces of the Hub, `OWNER/NAME`, which `evaluate.load` loads without this library.

    Args:
        owner (`str`):
            A user or an organization.
        names (`Iterable[str]`, *optional*):
            The metrics; by default all of them.
        private (`bool`, *optional*, defaults to `False`):
            Whether the Spaces must be private.
        token (`str`, *optional*):
            A token that may write; by default the one of the machine.
    """
    if "/" in owner:
        raise ValueError(
            f"The owner is {owner!r}; name a user or an organization, whose Spaces get the names of the metrics."
        )
    with tempfile.TemporaryDirectory(prefix="hf_textgan-") as parent:
        folders = export_metrics(parent, names)
        return [
            push_folder(
                folder,
                f"{owner}/{folder.name}",
                lambda path: "/" not in path and path.endswith(".py"),
                repo_type="space",
                private=private,
                commit_message=f"Upload {folder.name} of hf_textgan",
                token=token,
            )
            for folder in folders
        ]


__all__ = ["push_metrics"]
