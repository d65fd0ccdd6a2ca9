"""Pushing a trained system to the Hugging Face Hub, in one commit, during a training or after it."""

import concurrent.futures
import shutil
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, HfApi
from transformers import Trainer
from transformers.trainer_utils import HubStrategy

from ..utils.files import partial_path
from ..utils.hub import hub_errors, push_folder
from .repository import is_repository_file, write_repository


class HubMixin(Trainer):
    """The pushes of [`AdversarialTrainer`]: all players, and nothing but the files that others need to load them."""

    args: Any
    other_players: dict[str, Any]
    warn: Callable[[str], None]
    write_card: Callable[..., Any]
    _pushes: "list[Future[CommitInfo]]"  # that have not been reported

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        with hub_errors(f"The push to {self.args.hub_model_id or self.args.output_dir}", writes=True):
            super().init_hf_repo(token, private)
        self._pushes = []

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        **metadata: Any,
    ) -> Any:
        """
        Saves the models and pushes them to the Hub: the generator at the root, the other players in subfolders, with
        tokenizer, metrics, samples, card, and the code that loads them without this library.

        Args:
            commit_message (`str`, *optional*):
                The message of the commit.
            blocking (`bool`, *optional*, defaults to `True`):
                Whether to wait for the end of the push.
            token, revision (`str`, *optional*):
                By default `hub_token` and `hub_revision` of the arguments.
            metadata:
                Metadata of the card, such as `license` and `language`.

        Returns:
            `huggingface_hub.CommitInfo` in the main process, or its future without `blocking`; elsewhere `None`.

        Raises:
            [`HubError`]: If the push fails; the models are saved.
        """
        if self.hub_model_id is None:
            self.init_hf_repo(token)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        self._finish_current_push()
        self.write_card(self.args.output_path, repository=self.hub_model_id, **metadata)
        job = self._start_push(self.args.output_path, commit_message or "Model save", token, revision, **metadata)
        return job.result() if blocking else job

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Starts to push the models of a checkpoint; a push that is still under way is not overtaken."""
        if not self.is_world_process_zero() or self.args.hub_strategy == HubStrategy.END:
            return
        if self._unfinished_pushes() and not self.args.hub_always_push:
            return
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        message = f"Training in progress, step {self.state.global_step}"
        try:
            self._pushes.append(self._start_push(Path(checkpoint_folder), message))
        except (OSError, ValueError) as error:  # a full disk, or an adapter that nobody else could load
            self._warn_of_failed_push(error)

    def _start_push(
        self, folder: Path, message: str, token: str | None = None, revision: str | None = None, **metadata: Any
    ) -> "Future[CommitInfo]":
        """Takes the models of a folder and pushes them in a thread."""
        output_dir = self.args.output_path
        target = partial_path(output_dir / "push")  # the folder may be replaced before the push is over
        try:
            write_repository(folder, target, self.other_players, output_dir)
            self.write_card(folder, target=target, repository=self.hub_model_id, **metadata)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
        players = set(self.other_players)
        repo_id, private = str(self.hub_model_id), self.args.hub_private_repo
        revision = revision or self.args.hub_revision
        token = token or self.args.hub_token

        def push() -> CommitInfo:
            try:
                done = push_folder(
                    target,
                    repo_id,
                    lambda path: is_repository_file(path, players),
                    private=private,
                    revision=revision,
                    commit_message=message,
                    token=token,
                )
                return done.commit
            finally:
                shutil.rmtree(target, ignore_errors=True)

        return HfApi().run_as_future(push)

    def _finish_current_push(self) -> None:
        concurrent.futures.wait(getattr(self, "_pushes", ()))
        self._unfinished_pushes()

    def _unfinished_pushes(self) -> "list[Future[CommitInfo]]":
        """Returns the pushes that are under way, and warns of those that failed: their thread tells nobody."""
        pushes = getattr(self, "_pushes", [])
        self._pushes = [push for push in pushes if not push.done()]
        for error in (push.exception() for push in pushes if push.done()):
            if error is not None:
                self._warn_of_failed_push(error)
        return self._pushes

    def _warn_of_failed_push(self, error: BaseException) -> None:
        self.warn(f"{str(error).rstrip('.')}. The training goes on, and the next push has all files.")


__all__ = ["HubMixin"]
