"""
Runs that are killed (SIGKILL) anywhere and resumed end with the very tensors of a run that was not: every parameter of
every player, every moment of every optimizer, the best models, the step count.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


class Server:
    def __init__(self, log: Path):
        self.log = log
        root = Path(__file__).parents[2]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
        command = [sys.executable, "-m", "tests.integration.kill_runs", str(log)]
        self.process = subprocess.Popen(
            command, cwd=root, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **request) -> list[dict]:
        print(json.dumps(request), file=self.process.stdin, flush=True)
        answers = [json.loads(self.process.stdout.readline())]
        if "signal" not in answers[0] and "status" not in answers[0]:
            answers.append(json.loads(self.process.stdout.readline()))
        return answers

    def run(self, output_dir: Path, system: str, kill: dict | None = None) -> None:
        (ended,) = self.ask(output_dir=str(output_dir), system=system, kill=kill)
        expected = {"signal": 9} if kill else {"status": 0}
        assert ended == expected, f"{kill}\n{self.log.read_text()[-3000:]}"

    def describe(self, output_dir: Path) -> dict:
        answers = self.ask(output_dir=str(output_dir), describe=True)
        assert len(answers) == 2, self.log.read_text()[-3000:]
        return answers[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("kill") / "log.txt")
    yield server
    server.process.stdin.close()
    server.process.wait(timeout=60)


@pytest.fixture(scope="module")
def uninterrupted(server, tmp_path_factory):
    def describe(system: str) -> dict:
        if system not in ends:
            output_dir = tmp_path_factory.mktemp("whole")
            server.run(output_dir, system)
            ends[system] = server.describe(output_dir)
            assert ends[system]["global_step"] == 8 and len(ends[system]["tensors"]) > 50
            # Of the models in each phase in which the generator is updated.
            assert len(ends[system]["best"]) == {"seqgan": 2 * 2, "three players": 2 * 3, "textkd": 3}[system]
        return ends[system]

    ends: dict[str, dict] = {}
    return describe


def kill(function: str, count: int, when: str = "before", step: int = 0) -> dict:
    return {"function": function, "count": count, "when": when, "step": step}


# Step by step: 3 of maximum likelihood, 2 of the discriminator, 3 adversarial ones of a generator update and two
# discriminator updates; each is evaluated and saved, and where it is better, the best models of its phase are written.
# At step 6 these are the files: best/adversarial first, then checkpoint-6, then checkpoint-4 goes.
KILLS = {
    "inside a generator update": [
        [kill("mle_loss", 1)],
        [kill("mle_loss", 2)],
        [kill("mle_loss", 3, "after")],
        [kill("generator_loss", 1)],
        [kill("generator_loss", 2, "after")],
        [kill("generator_loss", 3)],
    ],
    "inside a discriminator update": [
        [kill("discriminator_loss", 1)],
        [kill("discriminator_loss", 2, "after")],
        [kill("discriminator_loss", 3)],
        [kill("discriminator_loss", 4, "after")],
        [kill("discriminator_loss", 8)],
    ],
    "between updates": [[kill("trainer.take_step", count, "after")] for count in (1, 3, 5, 6, 7, 8, 14)],
    "in an evaluation": [[kill("evaluation.sample_sequences", 1, step=step)] for step in (1, 4, 7)],
    "while a checkpoint is written": [
        [kill("model.save_pretrained", 3, step=6)],
        [kill("model.save_pretrained", 3, "after", step=6)],
        [kill("model.save_pretrained", 4, "after", step=6)],
        [kill("tokenizer.save_pretrained", 3, step=6)],
        [kill("os.replace", 2, step=6)],  # training_args.json within the unfinished folder
        [kill("torch.save", 1, step=2)],
        [kill("torch.save", 1, "half", step=6)],
        [kill("torch.save", 1, "after", step=6)],
        [kill("state.save_to_json", 1, step=4)],
        [kill("state.save_to_json", 1, "after", step=8)],
        [kill("files.commit_folder", 2, step=6)],  # all files, no manifest
        [kill("os.fsync", 12, step=6)],
        [kill("os.fsync", 20, step=6)],
    ],
    "around the renaming": [
        [kill("os.replace", 3, step=6)],
        [kill("os.replace", 3, "after", step=6)],
        [kill("os.replace", 1, step=4)],
        [kill("os.replace", 2, step=4)],
        [kill("os.replace", 2, "after", step=4)],
        [kill("os.replace", 2, step=8)],
        [kill("os.replace", 2, "after", step=8)],
    ],
    "while an old checkpoint is removed": [
        [kill("checkpoints.rotate", 1, step=6)],
        [kill("os.unlink", 1, "after", step=6)],  # its manifest is gone
        [kill("os.unlink", 4, step=6)],
        [kill("os.rmdir", 1, step=6)],
        [kill("os.rmdir", 2, step=6)],
        [kill("checkpoints.rotate", 1, "after", step=6)],
    ],
    "while the best models are written": [
        [kill("model.save_pretrained", 1, step=1)],
        [kill("model.save_pretrained", 2, step=6)],
        [kill("files.commit_folder", 1, step=6)],
        [kill("os.fsync", 4, step=6)],
        [kill("os.replace", 1, step=6)],
        [kill("os.replace", 1, "after", step=6)],
        [kill("os.unlink", 2, step=2)],  # the old ones half removed
        [kill("files.remove_folder", 1, "after", step=2)],  # the old ones gone, the new ones not in place
    ],
    "several times": [
        [
            kill("mle_loss", 2),
            kill("torch.save", 1, "half", step=3),
            kill("discriminator_loss", 3),
            kill("os.unlink", 3, step=7),
        ],
        [
            kill("trainer.take_step", 4, "after"),
            kill("os.replace", 3, step=5),
            kill("os.fsync", 15, step=6),
            kill("generator_loss", 1),
        ],
        [kill("generator_loss", 1)] * 3,
    ],
}
THREE_PLAYERS = [
    [kill("autoencoder_loss", 1)],
    [kill("autoencoder_loss", 4)],  # the second micro-batch of the second iteration
    [kill("discriminator_loss", 5, "after")],
    [kill("discriminator_loss", 12)],
    [kill("discriminator_loss", 24, "after")],
    [kill("generator_loss", 8)],
    [kill("generator_loss", 12, "after")],
    [
        kill("trainer.take_step", 6, "after"),
        kill("trainer.take_step", 6, "after"),
        kill("torch.save", 1, "half", step=7),
    ],
]
# 3 steps of the autoencoder alone, then 5 of autoencoder, critic, critic, generator; each in two micro-batches.
TEXTKD = [
    [kill("autoencoder_loss", 2, "after")],
    [kill("autoencoder_loss", 6)],
    [kill("autoencoder_loss", 9, "after")],
    [kill("discriminator_loss", 1)],
    [kill("discriminator_loss", 3, "after")],  # within the second step of a update
    [kill("discriminator_loss", 18)],
    [kill("generator_loss", 1, "after")],
    [kill("generator_loss", 6)],
    [kill("generator_loss", 10, "after")],
    [
        kill("autoencoder_loss", 8),
        kill("generator_loss", 2, "after"),
        kill("trainer.take_step", 5, "after"),
        kill("torch.save", 1, "half", step=7),
        kill("discriminator_loss", 2),
    ],
]
FAST = [
    ("between updates", KILLS["between updates"][4]),
    ("while a checkpoint is written", [kill("torch.save", 1, "half", step=6)]),
    ("while an old checkpoint is removed", [kill("os.unlink", 4, step=6)]),
]


def check(server: Server, uninterrupted, output_dir: Path, system: str, kills: list[dict]) -> None:
    for one in kills:
        server.run(output_dir, system, one)
    server.run(output_dir, system)
    end, whole = server.describe(output_dir), uninterrupted(system)
    # A run that is killed after its last checkpoint and before the rotation has one left over, and nothing left to do.
    end["checkpoints"] = end["checkpoints"][: len(whole["checkpoints"])]
    assert [name for name in whole["tensors"] if whole["tensors"][name] != end["tensors"].get(name)] == []
    assert end == whole


def test_killed_runs_resume_exactly(server, uninterrupted, tmp_path):
    for number, (_, kills) in enumerate(FAST):
        check(server, uninterrupted, tmp_path / f"{number}", "seqgan", kills)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("place", KILLS)
def test_killed_anywhere(server, uninterrupted, tmp_path, place):
    for number, kills in enumerate(KILLS[place]):
        check(server, uninterrupted, tmp_path / f"{number}", "seqgan", kills)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("system", "places"), [("three players", THREE_PLAYERS), ("textkd", TEXTKD)])
def test_three_players_killed_anywhere(server, uninterrupted, tmp_path, system, places):
    for number, kills in enumerate(places):
        check(server, uninterrupted, tmp_path / f"{number}", system, kills)
