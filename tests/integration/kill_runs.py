"""
A server that starts training runs and lets them be killed; `test_kill.py` talks to it.

It imports everything once and runs nothing itself, so that a forked child is a fresh process which starts at once.
Each line on its input is a run as JSON; the answer says by which signal the child ended, or with which status.
"""

import hashlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel
from transformers.trainer_callback import TrainerState

from hf_textgan import evaluation
from hf_textgan.objectives.seqgan import SeqGANObjective
from hf_textgan.objectives.textkd_gan import TextKDObjective
from hf_textgan.trainer import adversarial_trainer, checkpoints
from hf_textgan.utils import files
from tests.toys import ThreePlayers, checkpoint_state, length_metric, text_data, toy_trainer, wasserstein_trainer


PLACES = {
    "torch.save": torch,
    "os.fsync": os,
    "os.replace": os,
    "os.unlink": os,
    "os.rmdir": os,
    "model.save_pretrained": PreTrainedModel,
    "tokenizer.save_pretrained": transformers.PreTrainedTokenizerBase,
    "state.save_to_json": TrainerState,
    "files.commit_folder": files,
    "files.remove_folder": files,
    "checkpoints.rotate": checkpoints,
    "trainer.take_step": adversarial_trainer,
    "evaluation.sample_sequences": evaluation,
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def place_kill(trainer, function: str, count: int, when: str = "before", step: int = 0) -> None:
    """
    Kills the process at the `count`-th call of a function from `step` on: before it, after it, or (`half`) after it
    with half of the file that it wrote. A function without a dot is a loss of the objective.
    """
    calls = 0

    def wrap(call: Callable) -> Callable:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += trainer.state.global_step >= step
            hit = calls == count and trainer.state.global_step >= step
            if hit and when == "before":
                die()
            result = call(*args, **kwargs)
            if hit and when == "half":
                os.truncate(args[1], os.path.getsize(args[1]) // 2)
            if hit:
                die()
            return result

        return wrapped

    place, _, name = function.rpartition(".")
    owner = PLACES[function] if place else trainer.objective
    setattr(owner, name, wrap(getattr(owner, name)))


def build(output_dir: str, system: str):
    options: dict[str, Any] = {"save_total_limit": 2, "eval_steps": 1}
    if system == "seqgan":
        create, objective = toy_trainer, SeqGANObjective(num_rollouts=2, discriminator_steps=2)
    else:
        options.update(gradient_accumulation_steps=2, per_device_train_batch_size=2)
        if system == "three players":
            create, objective = toy_trainer, ThreePlayers()
        else:
            create = wasserstein_trainer
            objective = TextKDObjective(discriminator_steps=2, pretrain_autoencoder_steps=3)
            options.update(max_steps=5, metric_for_best_model="mean_words")
    return create(
        output_dir,
        objective,
        eval_strategy="steps",
        eval_num_samples=4,
        eval_dataset=text_data()[1],
        text_metrics=length_metric,
        **options,
    )


def child(output_dir: str, system: str, kill: dict | None = None) -> None:
    torch.set_num_threads(1)
    trainer = build(output_dir, system)
    resume = checkpoints.newest_complete(Path(output_dir))[0] is not None
    if kill:
        place_kill(trainer, **kill)
    trainer.train(resume_from_checkpoint=resume)


def describe(output_dir: str) -> dict[str, Any]:
    """All that must be the same at the end of a run, with checksums in place of tensors."""

    def value(item: Any) -> Any:
        if isinstance(item, torch.Tensor):
            return hashlib.sha256(item.contiguous().view(-1).numpy().tobytes()).hexdigest()
        return item

    folder = Path(output_dir)
    newest, skipped = checkpoints.newest_complete(folder)
    state = json.loads((newest / "trainer_state.json").read_text())
    best = {
        str(p.relative_to(folder)): value(torch.frombuffer(bytearray(p.read_bytes()), dtype=torch.uint8))
        for p in sorted((folder / "best").rglob("*.safetensors"))
    }
    return {
        "tensors": {name: value(item) for name, item in checkpoint_state(newest).items()},
        "best": best,
        "best_complete": [checkpoints.checkpoint_problem(path) for path in sorted((folder / "best").iterdir())],
        "global_step": state["global_step"],
        "checkpoints": [path.name for path in checkpoints.checkpoints(folder)],
        "skipped": [str(path) for path, _ in skipped],
        "partial": [str(path) for path in folder.rglob("_partial-*")],
    }


def main() -> None:
    log = open(sys.argv[1], "ab", buffering=0)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            answers = os.dup(1)
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            status = 1
            try:
                if request.pop("describe", False):
                    os.write(answers, (json.dumps(describe(**request)) + "\n").encode())
                else:
                    child(**request)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        ended = {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"status": os.WEXITSTATUS(status)}
        os.write(1, (json.dumps(ended) + "\n").encode())


if __name__ == "__main__":
    main()
