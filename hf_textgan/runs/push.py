"""Pushing a run to the Hugging Face Hub."""

import tempfile
from pathlib import Path

from ..systems import SYSTEMS
from ..trainer.checkpoints import RUN_DESCRIPTION_FILE, checkpoint_problem, newest_complete
from ..trainer.repository import is_repository_file, write_repository
from ..utils.files import MANIFEST_FILE
from ..utils.hub import Push, push_folder
from .card import write_card
from .folder import read_record


def push_run(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    commit_message: str | None = None,
    token: str | None = None,
) -> Push:
    """
    Pushes a trained system to the Hub, as `textgan push` does: the generator at the root, the other players in
    subfolders, tokenizer, metrics, samples, curves, card, and the code that loads them without this library. Nothing
    else of the folder goes there.

    Args:
        folder (`str` or `Path`):
            The folder of a finished run, one of its checkpoints, or the best models of a phase.
        repo_id (`str`):
            The repository as `org/name`, which is created if it is not there.
        private (`bool`, *optional*, defaults to `False`):
            Whether the repository must be private.
        revision (`str`, *optional*):
            The branch, which is created if it is not there.
        commit_message (`str`, *optional*):
            The message of the commit.
        token (`str`, *optional*):
            A token that may write; by default the one of the machine.

    Raises:
        `ValueError`: If the folder has no finished model.
        [`HubError`]: If the push fails.
    """
    folder = Path(folder)
    check_pushed_folder(folder)
    record = read_record(folder)
    systems = [SYSTEMS[record["system"]]] if record and record["system"] in SYSTEMS else list(SYSTEMS.values())
    players = {name for system in systems for name in system.players if name != "generator"}
    with tempfile.TemporaryDirectory(prefix="hf_textgan-") as parent:
        target = Path(parent) / "push"
        write_repository(folder, target, players)
        if (folder / RUN_DESCRIPTION_FILE).is_file():
            write_card(folder, target=target, repository=repo_id)
        return push_folder(
            target,
            repo_id,
            lambda path: is_repository_file(path, players),
            private=private,
            revision=revision,
            commit_message=commit_message or f"Upload {record['system'] if record else 'the model'}",
            token=token,
        )


def check_pushed_folder(folder: Path) -> None:
    """Raises `ValueError` if a folder is not there, or holds a checkpoint or a run that is not complete."""
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}; name the output folder of a run.")
    if (folder / MANIFEST_FILE).is_file() or folder.name.startswith("checkpoint-"):
        problem = checkpoint_problem(folder)
        if problem is not None:
            raise ValueError(f"{folder} cannot be pushed: {problem}; name a complete checkpoint.")
    elif not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
        newest, _ = newest_complete(folder)
        if newest is not None:
            raise ValueError(
                f"{folder} holds no finished model (no config.json); name its newest checkpoint, {newest}, to push "
                "that one."
            )


__all__ = ["push_run"]
