"""What the commands import: a student who samples ten lines does not wait for the Trainer and the data library."""

import os
import subprocess
import sys
from pathlib import Path

from hf_textgan.data import word_tokenizer
from tests.helpers import tiny_lstm


ROOT = Path(__file__).parents[2]
OF_TRAINING = ["matplotlib", "evaluate", "sklearn", "transformers.trainer", "transformers.trainer_callback", "peft"]
OF_DATA = ["datasets", "pandas", "pyarrow"]


def test_sampling_and_measuring_import_nothing_of_training(tmp_path):
    tokenizer = word_tokenizer(["a dog sleeps .", "a cat sleeps ."])
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    model = tiny_lstm(len(tokenizer), **special)
    model.generation_config.max_new_tokens = 6
    model.save_pretrained(tmp_path / "run")
    tokenizer.save_pretrained(tmp_path / "run")
    (tmp_path / "eval.txt").write_text("a dog sleeps .\na cat sleeps .\n")
    code = f"""
import sys
from hf_textgan.cli.main import main

def loaded(names):
    return sorted(set(names) & set(sys.modules))

assert main(["generate", "run", "--num_samples", "2"]) == 0
print("generate:", loaded({[*OF_TRAINING, *OF_DATA]}))
assert main(["evaluate", "run", "--eval_file", "eval.txt", "--num_samples", "4"]) == 0
print("evaluate:", loaded({OF_TRAINING}))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith(("generate:", "evaluate:"))] == [
        "generate: []",
        "evaluate: []",
    ]
