"""
Measures samples of any generator, in a file with one sentence a line, beside real text and shuffled real text.

    python examples/evaluate_samples.py --samples_file samples.txt --train_file train.txt --eval_file test.txt

Without files the samples are those of a trigram sampler of the built-in caption grammar.
"""

import argparse
import random

from datasets import Dataset

from hf_textgan import CaptionGrammar, read_lines
from hf_textgan.comparison.sources import MarkovSource, split_in_halves
from hf_textgan.metrics import load


def measure(samples: list[str], references: list[str], train: list[str]) -> dict[str, float]:
    """Returns quality (BLEU), diversity (Self-BLEU), both (divergence of bigrams) and the share of copies."""
    return {
        "bleu_4": load("textgan_bleu").compute(predictions=samples, references=references)["bleu_4"],
        "self_bleu_4": load("self_bleu").compute(predictions=samples)["self_bleu_4"],
        "jsd_2": load("ngram_jsd").compute(predictions=samples, references=references)["jsd_2"],
        "copied": load("novelty").compute(predictions=samples, references=train)["copied_sentences"],
    }


def main(argv: list[str] | None = None, num_samples: int = 1000) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples_file")
    parser.add_argument("--train_file")
    parser.add_argument("--eval_file", help="held-out text: one half is measured as real text, one is the reference")
    options = parser.parse_args(argv)
    files = (options.samples_file, options.train_file, options.eval_file)
    if all(files):
        samples, train, held_out = (read_lines(file) for file in files)
    elif any(files):
        parser.error("name all three files, or none")
    else:
        lines = CaptionGrammar().sample(7 * num_samples, seed=0)
        train, held_out = lines[: 5 * num_samples], lines[5 * num_samples :]
        sampler = MarkovSource("trigram sampler", [line.split() for line in train], 3, " ".join, max_length=40)
        samples = sampler.texts(num_samples, seed=0)
    real, references = (half["text"][:] for half in split_in_halves(Dataset.from_dict({"text": held_out}), seed=0))
    size = min(len(samples), len(real))  # the metrics depend on the number of sentences
    rng = random.Random(0)
    shuffled = [" ".join(rng.sample(words, len(words))) for words in map(str.split, real[:size])]

    rows = {"samples": samples[:size], "real text": real[:size], "shuffled words": shuffled}
    results = {name: measure(texts, references[:size], train) for name, texts in rows.items()}
    print(f"{size:,} sentences each".ljust(24), *(name.rjust(12) for name in results["samples"]))
    for name, metrics in results.items():
        print(name.ljust(24), *(f"{value:12.3f}" for value in metrics.values()))
    return results


if __name__ == "__main__":
    main()
