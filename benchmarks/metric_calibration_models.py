"""
What the metrics that need a model say about text whose quality is known: real text, and real text that was damaged.

    python benchmarks/metric_calibration_models.py --data_dir DATA_DIR

DATA_DIR holds the folders `image_coco` (`train.tok.txt`, `test.tok.txt`), `emnlp_news` (`train.txt`, `test.txt`), with
a sentence a line and blanks between its tokens, and `movie_review15` (`train.txt`, `train.labels.txt`, `test.txt`,
`test.labels.txt`). For each seed the lines of a corpus are shuffled together and three parts of 6,000 are taken:
training text, a sample that stands for a perfect generator, and test text. Every other row stands for a generator of
6,000 sentences, too. MAUVE is computed where mauve-text is installed, for the first seed. Writes
benchmarks/results/metric_calibration_models.json.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import random
import statistics
import time
from pathlib import Path

from environment import describe

from hf_textgan.metrics.category import category_accuracy
from hf_textgan.metrics.embeddings import hashed_ngram_embedding
from hf_textgan.metrics.frechet import frechet_distance
from hf_textgan.metrics.language_model import forward_nll, reverse_nll, training_vocabulary
from hf_textgan.metrics.mauve_scores import mauve_score


RESULTS = Path(__file__).parent / "results"
CORPORA = {
    "image_coco": ("train.tok.txt", "test.tok.txt"),
    "emnlp_news": ("train.txt", "test.txt"),
}
SIZE = 6000
SIZES = (1000, 2000, 6000)
SEEDS = (0, 1, 2)


def read(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines() if line.split()]


def stand_ins(train: list[list[str]], sample: list[list[str]], seed: int) -> dict[str, list[list[str]]]:
    """Generators of known quality, by name: as many sentences as `sample` has."""
    source = random.Random(seed)
    words = [word for sentence in train for word in sentence]
    following: dict[str, list[str]] = {}
    for sentence in train:
        for one, other in zip(["<s>", *sentence], [*sentence, "</s>"], strict=True):
            following.setdefault(one, []).append(other)

    def bigram_sentence() -> list[str]:
        sentence = [source.choice(following["<s>"])]
        while (word := source.choice(following[sentence[-1]])) != "</s>":
            sentence.append(word)
        return sentence

    def damaged(share: float) -> list[list[str]]:
        return [[source.choice(words) if source.random() < share else word for word in row] for row in sample]

    return {
        "real sample": sample,
        "copies of the training text": train,
        "a tenth of the real sample, ten times": sample[: len(sample) // 10] * 10,
        "real, 10% of the words random": damaged(0.1),
        "real, 20% of the words random": damaged(0.2),
        "real, 50% of the words random": damaged(0.5),
        "real, words shuffled": [source.sample(row, len(row)) for row in sample],
        "bigram Markov chain": [bigram_sentence() for _ in sample],
        "independent words": damaged(1.0),
    }


def measure(corpus: Path, files: tuple[str, str], seed: int, with_mauve: bool) -> dict:
    lines = [sentence for file in files for sentence in read(corpus / file)]
    random.Random(seed).shuffle(lines)
    train, sample, test = lines[:SIZE], lines[SIZE : 2 * SIZE], lines[2 * SIZE : 3 * SIZE]
    vocabulary, all_words = training_vocabulary(train), training_vocabulary(train, min_count=1)
    real = hashed_ngram_embedding(test)
    rows = {}
    for name, generated in stand_ins(train, sample, seed).items():
        started = time.perf_counter()
        forward = forward_nll(train, generated, vocabulary)
        reverse = reverse_nll(generated, test, vocabulary)
        seconds = time.perf_counter() - started
        embedded = hashed_ngram_embedding(generated)
        rows[name] = {
            "forward_nll_per_token": forward["nll_per_token"],
            "forward_unknown_share": forward["unknown_share"],
            "reverse_nll_per_token": reverse["nll_per_token"],
            "reverse_unknown_share": reverse["unknown_share"],
            "reverse_unknown_share_of_generated": reverse["train_unknown_share"],
            "seconds_of_both_language_models": seconds,
            # What a vocabulary without an unknown word in the training text does.
            "reverse_nll_per_token_all_words_known": reverse_nll(generated, test, all_words)["nll_per_token"],
            "frechet_distance": frechet_distance(embedded, real),
        }
        if with_mauve:
            rows[name]["mauve"] = mauve_score(real, embedded)["mauve"]
    by_size = {
        str(size): {
            "reverse_nll_per_token": reverse_nll(sample[:size], test, vocabulary)["nll_per_token"],
            "frechet_distance": frechet_distance(hashed_ngram_embedding(sample[:size]), real[:size]),
        }
        for size in SIZES
    }
    return {"rows": rows, "real sample by size": by_size, "vocabulary_size": len(vocabulary)}


def measure_categories(corpus: Path, seed: int) -> dict:
    """The classifier learns from a half of the training text; the other half stands for a generator."""
    train, test = read(corpus / "train.txt"), read(corpus / "test.txt")
    labels, test_labels = (
        [line.strip() for line in (corpus / f"{part}.labels.txt").read_text().splitlines()]
        for part in ("train", "test")
    )
    order = list(range(len(train)))
    source = random.Random(seed)
    source.shuffle(order)
    half = len(order) // 2
    learned, sample = order[:half], order[half : 2 * half]
    sentences, asked = [train[i] for i in sample], [labels[i] for i in sample]
    rows = {
        "real sample": (sentences, asked),
        "real, words shuffled": ([source.sample(row, len(row)) for row in sentences], asked),
        "real, labels ignored": (sentences, source.sample(asked, len(asked))),
    }
    return {
        name: category_accuracy(
            generated, requested, [train[i] for i in learned], [labels[i] for i in learned], test, test_labels
        )
        for name, (generated, requested) in rows.items()
    }


def summary(runs: list[dict]) -> dict:
    """Means and standard deviations over the seeds of a tree of numbers."""
    if isinstance(runs[0], dict):
        return {key: summary([run[key] for run in runs if key in run]) for key in runs[0]}
    spread = statistics.stdev(runs) if len(runs) > 1 else None
    return {"mean": statistics.fmean(runs), "sd": spread, "seeds": len(runs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    arguments = parser.parse_args()
    has_mauve = importlib.util.find_spec("mauve") is not None
    result = {
        "command": "python benchmarks/metric_calibration_models.py --data_dir DATA_DIR",
        "environment": describe(),
        "mauve_text": importlib.metadata.version("mauve-text") if has_mauve else None,
        "sentences_of_each_part": SIZE,
        "seeds": list(SEEDS),
    }
    for corpus, files in CORPORA.items():
        runs = [measure(arguments.data_dir / corpus, files, seed, has_mauve and seed == SEEDS[0]) for seed in SEEDS]
        result[corpus] = summary(runs)
        print(corpus)
        for name, row in result[corpus]["rows"].items():
            print(f"  {name:40}", *(f"{key} {value['mean']:.4f}" for key, value in row.items()))
    result["movie_review15"] = summary([measure_categories(arguments.data_dir / "movie_review15", s) for s in SEEDS])
    for name, row in result["movie_review15"].items():
        print(f"  {name:40}", *(f"{key} {value['mean']:.4f}" for key, value in row.items()))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "metric_calibration_models.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
