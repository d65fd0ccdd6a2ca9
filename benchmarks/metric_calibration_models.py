"""
The values of the metrics that need a model on text of known quality: real text, and real text that was damaged.

    python benchmarks/metric_calibration_models.py --data_dir DATA_DIR

DATA_DIR holds the folders `image_coco` (`train.tok.txt`, `test.tok.txt`), `emnlp_news` (`train.txt`, `test.txt`), with
one sentence a line and blanks between tokens, and `movie_review15` (`train.txt`, `train.labels.txt`, `test.txt`,
`test.labels.txt`). For each seed the lines of a corpus are shuffled together and cut into three parts of 6,000:
training text, a sample in the role of a perfect generator, and test text. Every other row plays a generator of 6,000
sentences, too. MAUVE is computed where mauve-text is installed, for the first seed. Writes
benchmarks/results/metric_calibration_models.json.
"""

import importlib.metadata
import importlib.util
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from common import make_parser, write_result
from environment import describe

from hf_textgan.metrics.category import category_accuracy
from hf_textgan.metrics.embeddings import hashed_ngram_embedding
from hf_textgan.metrics.frechet import frechet_distance
from hf_textgan.metrics.language_model import forward_nll, reverse_nll, training_vocabulary
from hf_textgan.metrics.mauve_scores import mauve_score


CORPORA = {
    "image_coco": ("train.tok.txt", "test.tok.txt"),
    "emnlp_news": ("train.txt", "test.txt"),
}
SIZES = (1000, 2000, 6000)  # sentences of the real sample; the largest number is that of all parts


def read(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines() if line.split()]


def known_generators(train: list[list[str]], sample: list[list[str]], seed: int) -> dict[str, list[list[str]]]:
    """Returns generators of known quality, by name, each with as many sentences as `sample`."""
    rng = random.Random(seed)
    words = [word for sentence in train for word in sentence]
    following: dict[str, list[str]] = {}
    for sentence in train:
        for one, other in zip(["<s>", *sentence], [*sentence, "</s>"], strict=True):
            following.setdefault(one, []).append(other)

    def bigram_sentence() -> list[str]:
        sentence = [rng.choice(following["<s>"])]
        while (word := rng.choice(following[sentence[-1]])) != "</s>":
            sentence.append(word)
        return sentence

    def damaged(share: float) -> list[list[str]]:
        return [[rng.choice(words) if rng.random() < share else word for word in row] for row in sample]

    return {
        "real sample": sample,
        "copies of the training text": train,
        "a tenth of the real sample, ten times": sample[: len(sample) // 10] * 10,
        "real, 10% of the words random": damaged(0.1),
        "real, 20% of the words random": damaged(0.2),
        "real, 50% of the words random": damaged(0.5),
        "real, words shuffled": [rng.sample(row, len(row)) for row in sample],
        "bigram Markov chain": [bigram_sentence() for _ in sample],
        "independent words": damaged(1.0),
    }


def measure(corpus: Path, files: tuple[str, str], seed: int, sizes: Sequence[int], with_mauve: bool) -> dict:
    lines = [sentence for file in files for sentence in read(corpus / file)]
    random.Random(seed).shuffle(lines)
    last = max(sizes)
    train, sample, test = lines[:last], lines[last : 2 * last], lines[2 * last : 3 * last]
    vocabulary, all_words = training_vocabulary(train), training_vocabulary(train, min_count=1)
    real = hashed_ngram_embedding(test)
    rows = {}
    for name, generated in known_generators(train, sample, seed).items():
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
            # With a vocabulary that knows all words of the training text.
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
        for size in sizes
    }
    return {"rows": rows, "real sample by size": by_size, "vocabulary_size": len(vocabulary)}


def measure_categories(corpus: Path, seed: int) -> dict:
    """Trains the classifier on one half of the training text; the other half is in the role of a generator."""
    train, test = read(corpus / "train.txt"), read(corpus / "test.txt")
    labels, test_labels = (
        [line.strip() for line in (corpus / f"{part}.labels.txt").read_text().splitlines()]
        for part in ("train", "test")
    )
    order = list(range(len(train)))
    rng = random.Random(seed)
    rng.shuffle(order)
    half = len(order) // 2
    train_indices, sample = order[:half], order[half : 2 * half]
    sentences, requested = [train[i] for i in sample], [labels[i] for i in sample]
    rows = {
        "real sample": (sentences, requested),
        "real, words shuffled": ([rng.sample(row, len(row)) for row in sentences], requested),
        "real, labels ignored": (sentences, rng.sample(requested, len(requested))),
    }
    return {
        name: category_accuracy(
            generated,
            classes,
            [train[i] for i in train_indices],
            [labels[i] for i in train_indices],
            test,
            test_labels,
        )
        for name, (generated, classes) in rows.items()
    }


def summary(runs: list[dict]) -> dict:
    """Returns means and standard deviations over the seeds, of each number in nested dictionaries."""
    if isinstance(runs[0], dict):
        return {key: summary([run[key] for run in runs if key in run]) for key in runs[0]}
    spread = statistics.stdev(runs) if len(runs) > 1 else None
    return {"mean": statistics.fmean(runs), "sd": spread, "seeds": len(runs)}


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES, help="sentences; the last number is of all parts"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    options = parser.parse_args(argv)
    words = "".join(f" --{n} {' '.join(map(str, getattr(options, n)))}" for n in ("sizes", "seeds"))
    has_mauve = importlib.util.find_spec("mauve") is not None
    result = {
        "command": "python benchmarks/metric_calibration_models.py --data_dir DATA_DIR" + words,
        "environment": describe(),
        "mauve_text": importlib.metadata.version("mauve-text") if has_mauve else None,
        "sentences_of_each_part": max(options.sizes),
        "seeds": list(options.seeds),
    }
    for corpus, files in CORPORA.items():
        runs = [
            measure(options.data_dir / corpus, files, seed, options.sizes, has_mauve and seed == options.seeds[0])
            for seed in options.seeds
        ]
        result[corpus] = summary(runs)
        print(corpus)
        for name, row in result[corpus]["rows"].items():
            print(f"  {name:40}", *(f"{key} {value['mean']:.4f}" for key, value in row.items()))
    reviews = options.data_dir / "movie_review15"
    result["movie_review15"] = summary([measure_categories(reviews, seed) for seed in options.seeds])
    for name, row in result["movie_review15"].items():
        print(f"  {name:40}", *(f"{key} {value['mean']:.4f}" for key, value in row.items()))
    write_result(options.output_dir / "metric_calibration_models.json", result)


if __name__ == "__main__":
    main()
