"""Models from the Hub: downloaded without their code, and verified by the hashes that the repository states."""

import hashlib
import re
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from ..utils.files import file_digest
from ..utils.hub import HubError, hub_errors


# The generator lies at the root. No code, no pickle, no other player.
_FILES = ["*.json", "*.safetensors", "*.model", "*.jinja", "vocab.txt", "merges.txt"]
_CONFIGS = ("config.json", "adapter_config.json")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
_NO_WEIGHTS = ("training_args", "optimizer", "scheduler", "scaler", "players", "rng_state")  # pickles of a Trainer


def model_folder(name_or_path: str, revision: str | None = None) -> Path:
    """
    Returns a folder with a model: the one that is named, or the download of a repository of the Hub.

    Every downloaded file is compared with the hash that the repository states; so is a file of the cache.

    Raises:
        `ValueError`: If there is no model, or its weights are a pickle.
        [`HubError`]: If the download fails, or a file is not what the repository states.
    """
    folder = Path(name_or_path)
    if folder.is_dir():
        if revision is not None:
            raise ValueError(f"revision is {revision!r}, but {name_or_path} is a folder; leave it out.")
        check_model_folder(folder, name_or_path)
        return folder
    with hub_errors(f"The download of {_at(name_or_path, revision)}"):
        folder = Path(
            snapshot_download(name_or_path, revision=revision, allow_patterns=_FILES, ignore_patterns=["*/*"])
        )
    for path in sorted(folder.iterdir()):
        _verify(path, name_or_path)
    if not any(path.suffix == ".safetensors" for path in folder.iterdir()):
        with hub_errors(f"The download of {_at(name_or_path, revision)}"):
            names = HfApi().list_repo_files(name_or_path, revision=revision)
        check_names(name_or_path, {name for name in names if "/" not in name})
    return folder


def check_model_folder(folder: Path, name: str | None = None) -> None:
    """Raises `ValueError` if a folder has no model, or only one that may run code when it is loaded."""
    check_names(name or str(folder), {path.name for path in folder.iterdir()} if folder.is_dir() else set())


def check_names(name: str, files: set[str]) -> None:
    """Raises `ValueError` if these are not the files of a model with weights that can be loaded safely."""
    if not files & set(_CONFIGS):
        raise ValueError(f"{name} holds no finished model (no config.json); name one that does.")
    if any(file.endswith(".safetensors") for file in files):
        return
    pickled = sorted(f for f in files if f.endswith(_PICKLES) and not f.startswith(_NO_WEIGHTS))
    if pickled:
        raise ValueError(
            f"{name} has its weights in {pickled[0]}, a pickle, which can run any code when it is loaded; load it "
            "where you trust it, and save it again with save_pretrained, which writes safetensors."
        )
    raise ValueError(f"{name} has no weights (no model.safetensors); name a finished model.")


def _at(name: str, revision: str | None) -> str:
    return name if revision is None else f"{name} at {revision}"


def _verify(path: Path, name: str) -> None:
    """Raises [`HubError`] if a file of the cache, which has the name of its hash, has another content."""
    blob = path.resolve()
    stated = blob.name
    if re.fullmatch(r"[0-9a-f]{64}", stated):  # a large file
        found = file_digest(blob)
    elif re.fullmatch(r"[0-9a-f]{40}", stated):
        found = _git_digest(blob)
    else:
        return  # a file system without links, whose names tell nothing
    if found != stated:
        path.unlink()
        blob.unlink(missing_ok=True)
        raise HubError(
            f"{path.name} of {name} is not what the repository states (its hash is {found[:12]}... in place of "
            f"{stated[:12]}...), so it was removed from the cache; do it again to download it anew."
        )


def _git_digest(path: Path) -> str:
    """Returns the hash by which git names the content of a file."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


__all__ = ["check_model_folder", "model_folder"]
