"""
SeqGAN, its maximum-likelihood start and its twin: the numbers on text of the README.

    python benchmarks/twin.py --data grammar
    python benchmarks/twin.py --data coco --train_file train.tok.txt --eval_file test.tok.txt

Runs `textgan train seqgan --preset laptop --mle_baseline`, unless that was done before, and copies the report of
`textgan compare` with which it ends to benchmarks/results/twin_<data>.{json,md,png}.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from environment import describe


RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=["grammar", "coco"], required=True)
    parser.add_argument("--train_file")
    parser.add_argument("--eval_file")
    parser.add_argument("--runs", default="runs/twin", help="where the runs are written")
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    folder = Path(options.runs) / f"{options.data}-{options.seed}"
    if options.data == "grammar":
        data = ["--dataset_name", "grammar"]
    else:
        data = ["--train_file", options.train_file, "--eval_file", options.eval_file]
    words = ["seqgan", *data, "--preset", "laptop", "--seed", str(options.seed), "--mle_baseline"]
    report = folder / "report" / "report.json"
    if not report.is_file():
        command = [sys.executable, "-m", "hf_textgan.cli.main", "train", *words, "--output_dir", str(folder)]
        subprocess.run(command, check=True)
    seconds = {"seqgan": json.loads((folder / "training_seconds.json").read_text())["seconds"]}
    result = {
        "command": f"python benchmarks/twin.py --data {options.data} --seed {options.seed}",
        "environment": describe(),
        "seconds": seconds,
        "report": json.loads(report.read_text()),
    }
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"twin_{options.data}"
    target.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    image = folder / "report" / "quality_diversity.png"
    target.with_suffix(".png").write_bytes(image.read_bytes())
    text = (folder / "report" / "report.md").read_text().replace(image.name, target.with_suffix(".png").name)
    target.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
