"""
The values of the n-gram metrics on text of known quality, as scales to read other values by.

    python benchmarks/metric_calibration.py --data_dir DATA_DIR

DATA_DIR has image_coco/{train,test}.tok.txt and emnlp_news/{train,test}.txt. Each corpus is its two files together, in
one random order: the first lines are the training set, the next ones the references, and those after them the real
sentences to score. Beside these, as many sentences of four other kinds:

- `shuffled`: the real sentences with their words in random order;
- `bigram`: sentences of the first-order Markov chain of the training set;
- `half_modes`: real sentences repeated to the full number, so that half of the set is missing;
- `copied`: sentences of the training set.

Also measures the same sentences by each tool's definition, and the first file against the second one: the two files of
Image COCO have different distributions. Writes benchmarks/results/metric_calibration_ngrams.json.
"""

import random
import time
from collections import defaultdict
from pathlib import Path

from common import make_parser, write_result
from environment import describe

from hf_textgan.metrics import load
from hf_textgan.metrics.variants import BLEU_VARIANTS, SELF_BLEU_VARIANTS


FILES = {
    "image_coco": ("image_coco/train.tok.txt", "image_coco/test.tok.txt"),
    "emnlp_news": ("emnlp_news/train.txt", "emnlp_news/test.txt"),
}
TRAINING = REFERENCES = 5000
SIZES = (1000, 5000)  # predictions
NAMES = ("textgan_bleu", "self_bleu", "ngram_jsd", "distinct_n", "novelty", "ms_jaccard")


def read(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.strip()]


def markov(sentences: list[str], count: int, rng: random.Random) -> list[str]:
    """Draws sentences of the first-order Markov chain of words, ends included."""
    following = defaultdict(list)
    for sentence in sentences:
        words = [None, *sentence.split(), None]
        for word, successor in zip(words, words[1:], strict=False):
            following[word].append(successor)
    drawn = []
    while len(drawn) < count:
        words = [rng.choice(following[None])]
        while words[-1] is not None:
            words.append(rng.choice(following[words[-1]]))
        drawn.append(" ".join(words[:-1]))
    return drawn


def kinds(real: list[str], training: list[str], rng: random.Random) -> dict[str, list[str]]:
    half = real[: len(real) // 2]
    return {
        "real": real,
        "shuffled": [" ".join(rng.sample(words, len(words))) for words in map(str.split, real)],
        "bigram": markov(training, len(real), rng),
        "half_modes": half + half,
        "copied": training[: len(real)],
    }


def measure(sentences: list[str], references: list[str], training: list[str], **interval: int) -> dict:
    modules = {name: load(name).compute for name in NAMES}
    equal_number = references[: len(sentences)]
    return {
        "textgan_bleu": modules["textgan_bleu"](predictions=sentences, references=references, **interval),
        "self_bleu": modules["self_bleu"](predictions=sentences, **interval),
        "distinct_n": modules["distinct_n"](predictions=sentences),
        "ngram_jsd": modules["ngram_jsd"](predictions=sentences, references=equal_number),
        "ngram_jsd_iwgan": modules["ngram_jsd"](predictions=sentences, references=references, variant="iwgan"),
        "ms_jaccard": modules["ms_jaccard"](predictions=sentences, references=equal_number),
        "novelty": modules["novelty"](predictions=sentences, references=training),
    }


def variants(sentences: list[str], references: list[str]) -> dict:
    """Measures the same text by each tool's definition."""
    bleu, self_bleu = load("textgan_bleu").compute, load("self_bleu").compute
    others = {"textgan-pytorch": {"references": sentences[200:]}}
    return {
        "textgan_bleu": {
            name: bleu(predictions=sentences, references=references, variant=name) for name in BLEU_VARIANTS
        },
        "self_bleu": {
            name: self_bleu(predictions=sentences, variant=name, **others.get(name, {})) for name in SELF_BLEU_VARIANTS
        },
    }


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num_bootstrap", type=int, default=200)
    options = parser.parse_args(argv)
    interval = {"num_bootstrap": options.num_bootstrap, "seed": options.seed}
    command = "python benchmarks/metric_calibration.py --data_dir DATA_DIR"
    command += f" --seed {options.seed} --num_bootstrap {options.num_bootstrap}"
    start, values = time.perf_counter(), {}
    for corpus, (first, second) in FILES.items():
        first, second = read(options.data_dir / first), read(options.data_dir / second)
        rng = random.Random(options.seed)
        lines = rng.sample(first + second, len(first) + len(second))
        training, references = lines[:TRAINING], lines[TRAINING : TRAINING + REFERENCES]
        real = lines[TRAINING + REFERENCES :]
        values[corpus] = {
            str(size): {
                kind: measure(sentences, references, training, **interval)
                for kind, sentences in kinds(real[:size], training, rng).items()
            }
            for size in SIZES
        }
        values[corpus]["variants"] = variants(real[:1000], references)
        sample = rng.sample(first, 1000)
        values[corpus]["published_split"] = {
            str(limit): {"textgan_bleu": load("textgan_bleu").compute(predictions=sample, references=second[:limit])}
            for limit in (500, 10000)
        }
        print(f"{corpus}: {time.perf_counter() - start:.0f} s", flush=True)
    record = {"command": command, "environment": describe(), "values": values}
    path = options.output_dir / "metric_calibration_ngrams.json"
    write_result(path, record)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
