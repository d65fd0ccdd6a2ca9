"""The Hugging Face Hub: one commit with the files of a folder, and errors in one sentence."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi, errors, get_token
from huggingface_hub.utils import validate_repo_id


_TOKEN = re.compile(r"hf_[A-Za-z0-9_]{8,}")


class HubError(ValueError):
    """A request to the Hub that failed: one sentence with the reason and the fix."""


@contextmanager
def hub_errors(what: str, writes: bool = False) -> Iterator[None]:
    """
    Turns errors of the Hub and of the connection to it into a [`HubError`].

    Args:
        what (`str`):
            The subject of the sentence, for example `The download of org/name`.
        writes (`bool`, *optional*, defaults to `False`):
            Whether the block changes the Hub, which needs another permission than reading.
    """
    try:
        yield
    except HubError:
        raise
    except Exception as error:  # huggingface_hub and its HTTP client each raise their own
        # An upload in a thread is wrapped once more.
        cause = error.__cause__ if type(error) is RuntimeError and isinstance(error.__cause__, Exception) else error
        reason = _reason(cause, writes)
        if reason is None:
            raise
        raise HubError(f"{what} failed: {reason}") from error


def without_token(text: str) -> str:
    """Returns a text in one line in which nothing looks like a token of the Hub."""
    return _TOKEN.sub("hf_***", " ".join(text.split()))


def _reason(error: Exception, writes: bool) -> str | None:
    """Returns the reason and the fix, or `None` for an error that has nothing to do with the Hub."""
    said = without_token(str(getattr(error, "server_message", None) or error))[:200].rstrip(".")
    if isinstance(error, errors.HFValidationError):
        return f"its name is not valid ({said}); write it as org/name."
    if isinstance(error, errors.RevisionNotFoundError):
        return "there is no such revision; name a branch, a tag or a commit of the repository."
    if isinstance(error, errors.GatedRepoError):
        return "its owner has to give you access; ask for it on the page of the repository."
    if isinstance(error, errors.RepositoryNotFoundError):
        if writes:
            return "the name belongs to something else, or your token may not write there; choose another name."
        return "there is no such repository, or your token may not read it; check the name, or run `hf auth login`."
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        permission = "write" if writes else "read"
        fixes = {
            401: f"run `hf auth login`, or set HF_TOKEN, with a token that may {permission} there",
            403: f"run `hf auth login`, or set HF_TOKEN, with a token that may {permission} there",
            409: "somebody changed the repository at the same time; do it again",
            412: "somebody changed the repository at the same time; do it again",
            413: "the Hub takes no files that large; push a smaller model",
            429: "too many requests; do it again in a few minutes",
        }
        default = "the fault is on the side of the Hub; do it again later" if status >= 500 else "mend that"
        return f"the Hub answered {status} ({said}); {fixes.get(status, default)}."
    client = type(error).__module__.partition(".")[0].startswith("httpx")  # its name differs by version
    unreachable = isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled)
    if unreachable or (client and "Connect" in type(error).__name__):
        return (
            "the Hub cannot be reached"
            + ("" if writes else ", and the cache does not have it")
            + "; check the connection, HF_ENDPOINT and HF_HUB_OFFLINE."
        )
    if client or isinstance(error, ConnectionError | TimeoutError):
        return f"the connection broke ({type(error).__name__}: {said}); do it again."
    if type(error).__module__.startswith("huggingface_hub"):
        return f"{said}; mend that."
    return None


@dataclass(frozen=True)
class Push:
    """
    A finished push.

    Args:
        url (`str`):
            The page of the repository.
        revision (`str`):
            Its branch.
        num_files, num_bytes (`int`):
            Number and total size of the files that were pushed.
        commit (`CommitInfo`):
            The commit, or the newest one where nothing had changed.
    """

    url: str
    revision: str
    num_files: int
    num_bytes: int
    commit: CommitInfo

    def __str__(self) -> str:
        branch = "" if self.revision == "main" else f", branch {self.revision}"
        size = f"{self.num_bytes / 1e6:.1f} MB" if self.num_bytes >= 1e5 else f"{self.num_bytes / 1e3:.1f} kB"
        return f"{self.url} ({self.num_files} files, {size}{branch}, commit {self.commit.oid[:8]})"


def push_folder(
    folder: Path,
    repo_id: str,
    is_ours: Callable[[str], bool],
    *,
    repo_type: str = "model",
    private: bool | None = None,
    revision: str | None = None,
    commit_message: str = "Upload by hf_textgan",
    token: str | None = None,
) -> Push:
    """
    Pushes all files of a folder in one commit: the repository has the old files or the new ones. Files of an earlier
    push that are stale are deleted, all others stay.

    Args:
        folder (`Path`):
            The folder.
        repo_id (`str`):
            The repository, which is created if it is not there.
        is_ours (`Callable[[str], bool]`):
            Whether a file of this path is one that a push writes, and so is stale if this one does not.
        repo_type (`"model"` or `"space"`, *optional*, defaults to `"model"`):
            The kind of repository.
        private (`bool`, *optional*):
            Whether the repository must be private.
        revision (`str`, *optional*):
            The branch, which is created if it is not there; by default `main`.
        commit_message (`str`, *optional*):
            The message of the commit.
        token (`str`, *optional*):
            A token that may write; by default the one of the machine.

    Raises:
        [`HubError`]: If the push fails, or a public repository is there and `private` is asked for.
    """
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    api = HfApi(token=token)
    with hub_errors(f"The push to {repo_id}", writes=True):
        validate_repo_id(repo_id)
        if token is None and get_token() is None:
            raise HubError(
                f"The push to {repo_id} failed: there is no token of the Hub; run `hf auth login`, or set HF_TOKEN."
            )
        sdk = "gradio" if repo_type == "space" else None
        url = api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True, space_sdk=sdk)
        repo_id = url.repo_id
        if private and not api.repo_info(repo_id, repo_type=repo_type).private:
            raise HubError(
                f"The push to {repo_id} failed: it is there already and public, but private is asked for; choose "
                "another name, or make it private on its page."
            )
        if revision is not None and revision != "main":
            api.create_branch(repo_id, branch=revision, repo_type=repo_type, exist_ok=True)
        there = api.list_repo_files(repo_id, revision=revision, repo_type=repo_type)
        operations: list[Any] = [CommitOperationAdd(name, path) for name, path in files.items()]
        operations += [CommitOperationDelete(name) for name in there if name not in files and is_ours(name)]
        commit = api.create_commit(
            repo_id, operations, commit_message=commit_message, repo_type=repo_type, revision=revision
        )
    size = sum(path.stat().st_size for path in files.values())
    return Push(str(url), revision or "main", len(files), size, commit)


__all__ = ["HubError", "Push", "hub_errors", "push_folder", "without_token"]
