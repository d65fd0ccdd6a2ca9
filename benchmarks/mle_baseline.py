"""
SeqGAN, the generator with which its adversarial training began, and its MLE baseline: the numbers on text of the
README.

    python benchmarks/mle_baseline.py --data grammar
    python benchmarks/mle_baseline.py --data coco --train_file train.tok.txt --eval_file test.tok.txt

Does what `textgan train seqgan --preset laptop --mle_baseline` does, and writes the report of the comparison to
benchmarks/results/mle_baseline_<data>.{json,md,png}. A finished run is not repeated.
"""

import json
from pathlib import Path

from common import make_parser, run_arguments, train_run, write_result
from environment import describe

from hf_textgan.runs.build import build_trainer, checkpoint_to_resume
from hf_textgan.runs.folder import BASELINE_FOLDER
from hf_textgan.studies.mle_baseline import build_baseline, compare_with_baseline


STEPS = ("pretrain_generator_steps", "pretrain_discriminator_steps", "max_steps")


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--data", choices=["grammar", "coco"], required=True)
    parser.add_argument("--train_file")
    parser.add_argument("--eval_file")
    parser.add_argument("--runs", default="runs/mle_baseline", help="folder of the runs")
    parser.add_argument("--seed", type=int, default=42)
    for name in STEPS:
        parser.add_argument(f"--{name}", type=int, help="default: that of the preset")
    options = parser.parse_args(argv)
    folder = Path(options.runs) / f"{options.data}-{options.seed}"
    values = {"preset": "laptop", "seed": options.seed, "mle_baseline": True}
    if options.data == "grammar":
        values["dataset_name"] = "grammar"
    else:
        values.update(train_file=options.train_file, eval_file=options.eval_file)
    steps = {name: getattr(options, name) for name in STEPS if getattr(options, name) is not None}
    values.update(steps)

    train_run("seqgan", folder, **values)
    seconds = json.loads((folder / "training_seconds.json").read_text())["seconds"]
    if not (folder / BASELINE_FOLDER / "config.json").is_file():
        arguments = run_arguments("seqgan", folder, **values)
        trainer, baseline = build_baseline(arguments, build_trainer(arguments), seconds, report=print)
        trainer.train(resume_from_checkpoint=checkpoint_to_resume(trainer, baseline))
        trainer.save_model()
    report = folder / "report" / "report.json"
    if not report.is_file():
        compare_with_baseline(folder)

    words = "".join(f" --{name} {value}" for name, value in steps.items())
    result = {
        "command": f"python benchmarks/mle_baseline.py --data {options.data} --seed {options.seed}{words}",
        "environment": describe(),
        "seconds": {"seqgan": seconds},
        "report": json.loads(report.read_text()),
    }
    target = options.output_dir / f"mle_baseline_{options.data}"
    write_result(target.with_suffix(".json"), result)
    image = folder / "report" / "quality_diversity.png"
    target.with_suffix(".png").write_bytes(image.read_bytes())
    text = (folder / "report" / "report.md").read_text().replace(image.name, target.with_suffix(".png").name)
    target.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
