"""The contract of every system: its samples can be scored; micro-batches and processes change no step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from hf_textgan.sampling import capabilities_of
from hf_textgan.systems import SYSTEMS
from hf_textgan.trainer.validation import check_data
from tests.contracts.steps import CASES, build, compare, steps
from tests.sampling.tools import recorded_samples


pytestmark = pytest.mark.usefixtures("one_thread")

# The fast suite runs the first system of each mode.
FAST = {
    next(name for name, spec in SYSTEMS.items() if spec.mode == mode) for mode in {s.mode for s in SYSTEMS.values()}
}
every_case = pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] * (case not in FAST)) for case in CASES]
)


@every_case
def test_micro_batches_take_the_step_of_the_whole_batch(case, tmp_path, monkeypatch):
    trainer = build(case, tmp_path)
    check_invariant(trainer, monkeypatch)
    if trainer.objective.couples_batch:
        trainer.args.gradient_accumulation_steps = 2
        with pytest.raises(ValueError, match="compares the examples of a batch with each other; set it to 1"):
            check_data(trainer.args, trainer.objective, (), trainer.train_dataset, None, trainer.engine)
        return
    accelerator = Accelerator(cpu=True)
    parts = steps(trainer, accelerator, 2)
    drawn = {}
    for key, step in parts.items():
        half = len(step["draws"]) // 2
        drawn[key] = [step["draws"][:half], step["draws"][half:]]
    compare(parts, steps(trainer, accelerator, 1, drawn))


def check_invariant(trainer, monkeypatch) -> None:
    """A sample scored twice has equal values, those of its draws."""
    model = trainer.model
    known = capabilities_of(model)
    if known.sampling == "autoregressive" and known.likelihood is not None:
        samples, recorded = recorded_samples(trainer.engine, model, 20, monkeypatch)
        scores = trainer.engine.score(model, samples)
        assert torch.equal(scores, trainer.engine.score(model, samples)) and (recorded < 0).any(1).all()
        torch.testing.assert_close(scores, recorded, atol=1e-5, rtol=1e-5)
        monkeypatch.undo()


@pytest.fixture(scope="module")
def of_two_processes(tmp_path_factory) -> list[dict]:
    """What each of two processes reports, of all systems in one launch."""
    folder, root = tmp_path_factory.mktemp("steps"), Path(__file__).parents[2]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "tests.contracts.steps", str(folder)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(root)}
    result = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stderr[-4000:]
    return [torch.load(folder / f"rank-{rank}.pt", weights_only=False) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("case", CASES)
def test_two_processes_take_the_step_of_one(case, of_two_processes, tmp_path):
    first = of_two_processes[0]
    trainer = build(case, tmp_path)
    if trainer.objective.couples_batch and not trainer.objective.several_processes:
        assert case not in first, "tests/trainer/test_validation.py has the sentence that refuses it"
        return
    ranks = [report[case] for report in of_two_processes]
    for key, step in ranks[0].items():
        assert step["loss"] == ranks[1][key]["loss"]
        assert all(torch.equal(value, ranks[1][key]["change"][name]) for name, value in step["change"].items()), key
    drawn = {key: [rank[key]["draws"] for rank in ranks] for key in ranks[0]}
    compare(ranks[0], steps(trainer, Accelerator(cpu=True), 1, drawn))
