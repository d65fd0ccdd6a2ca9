"""What can be compared: trained generators, files of samples, real text, and trivial ways to write."""

import functools
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedModel

from ..data.oracle import dataset_samples
from ..data.text import collate, encode_text
from ..evaluation import corpus_nll, decode, nll_metrics, sample_nll, sample_sequences
from ..runs import Run, load_run
from ..sampling import RolloutEngine, Samples


REAL = "real text"  # the row that shows what real text scores
LEAST_HELD_OUT = 100  # lines: one half stands for real text, the other is what all are compared with


class ModelSource:
    """
    A trained generator.

    Args:
        path (`str`):
            Folder of a run, a checkpoint, any causal language model, or a repository; `PATH@0.7` fixes a temperature
            with which those of a sweep are multiplied.
    """

    def __init__(self, path: str):
        self.path, self.temperature = path, 1.0
        before, at, after = path.rpartition("@")
        if at and not Path(path).exists():
            try:
                self.path, self.temperature = before, float(after)
            except ValueError:
                raise ValueError(
                    f"{path} ends in @{after}, which is no temperature; write it as in {before}@0.7."
                ) from None
            if not self.temperature > 0:
                raise ValueError(f"{path} has the temperature {after}; set it above 0.")
        self.run: Run = load_run(self.path)
        if not self.swept and self.temperature != 1.0:
            raise ValueError(
                f"{path} names a temperature, but the model takes the most probable symbols; leave it out."
            )

    @property
    def swept(self) -> bool:
        """Whether its draws depend on a temperature."""
        return getattr(self.run.model.config, "readout", "sample") == "sample"

    @property
    def recipe(self) -> str:
        """What the runs of one system have in common: all but the training seed and the place."""
        record = {key: value for key, value in self.run.record.items() if key != "hf_textgan"}
        arguments = self.run.root / "training_args.json" if self.run.root is not None else None
        if arguments is None or not arguments.is_file() or not record:
            return self.path if self.temperature == 1.0 else f"{self.path}@{self.temperature:g}"
        training = json.loads(arguments.read_text(encoding="utf-8"))
        for name in _NOT_THE_RECIPE:
            training.pop(name, None)
        return json.dumps([record, training, self.temperature, self.place], sort_keys=True)

    @property
    def place(self) -> str:
        """Where in its run a checkpoint or a best model lies; empty for the run itself."""
        place = Path(self.path).resolve().relative_to(self.run.root.resolve()).as_posix()
        return "" if place == "." else f"/{place}"

    @property
    def label(self) -> str:
        name = self.path if self.run.root is None else f"{self.run.record['system']}{self.place}"
        return name if self.temperature == 1.0 else f"{name}@{self.temperature:g}"

    def samples(self, num_samples: int, seed: int, temperature: float = 1.0, top_p: float | None = None) -> Samples:
        run, temperature = self.run, temperature * self.temperature
        sequences = sample_sequences(run.model, run.engine, num_samples, seed, temperature, top_p=top_p)
        return run.engine.as_samples(sequences[:num_samples])

    def texts(self, num_samples: int, seed: int, **options: float) -> list[str]:
        return decode(self.run.tokenizer, self.samples(num_samples, seed, **options).sequences)

    def nll_of_texts(self, texts: Sequence[str]) -> float:
        """The negative log-likelihood of texts, their ends included, in nats."""
        run = self.run
        cut = (run.record.get("data") or {}).get("truncate", False)  # then lines that fill the window have no end
        window = run.engine.max_length if cut else None
        encoded = encode_text(Dataset.from_dict({"text": list(texts)}), run.tokenizer, window, truncate=cut).dataset
        collator = functools.partial(collate, pad_token_id=run.engine.pad_token_id)
        return float(corpus_nll(run.model, run.engine, encoded, collator)[0])

    def nll(self, held_out: Any, temperature: float = 1.0) -> float:
        """Of an encoded corpus of sequences of one length, in nats per token."""
        samples = dataset_samples(held_out)
        sums = sample_nll(self.run.model, self.run.engine, samples, temperature * self.temperature)
        return nll_metrics(sums)["nll_per_token"]


# Where and when a run took place, and what it said of itself.
_NOT_THE_RECIPE = (
    "seed",
    "data_seed",
    "output_dir",
    "run_name",
    "logging_dir",
    "disable_tqdm",
    "report_to",
    "hub_model_id",
    "push_to_hub",
    "resume_from_checkpoint",
)


class OracleSource:
    """
    The oracle of the synthetic task as its own generator.

    Args:
        oracle (`PreTrainedModel`):
            The oracle.
        length (`int`):
            Tokens of a sequence.
    """

    swept = False
    label = recipe = path = REAL

    def __init__(self, oracle: PreTrainedModel, length: int):
        bos = oracle.config.bos_token_id
        self.run = Run(oracle, None, RolloutEngine(length, bos, bos), {})
        self.temperature = 1.0

    samples = ModelSource.samples
    nll = ModelSource.nll


class LinesSource:
    """
    Given lines: a file of samples, real text, copies.

    Args:
        label (`str`):
            Its name.
        lines (`Sequence[str]`):
            The lines; a draw takes some of them, each once while there are enough.
    """

    swept = False

    def __init__(self, label: str, lines: Sequence[str]):
        self.label, self.lines = label, lines
        self.recipe = self.path = label

    def texts(self, num_samples: int, seed: int, **options: float) -> list[str]:
        rng = np.random.default_rng([seed, 1])
        order = rng.permutation(len(self.lines))
        while len(order) < num_samples:
            order = np.concatenate([order, rng.permutation(len(self.lines))])
        return [self.lines[place] for place in order[:num_samples]]


class MarkovSource:
    """
    Draws each symbol from its frequencies after the `order - 1` symbols before it in real text: order 1 is a bag of
    words, order 3 a trigram sampler.

    Args:
        sentences (`Sequence[Sequence[str]]`):
            Real text.
        order (`int`):
            The length of the n-grams.
        join (`Callable[[list[str]], str]`):
            Puts symbols together.
        longest (`int`):
            Most symbols of a draw.
    """

    swept = False

    def __init__(self, label: str, sentences: Sequence[Sequence[str]], order: int, join, longest: int):
        self.label = self.recipe = self.path = label
        self.order, self.join, self.longest = order, join, longest
        counts: dict[tuple, Counter] = defaultdict(Counter)
        for sentence in sentences:
            context: tuple = (None,) * (order - 1)
            for symbol in (*sentence, None):
                counts[context][symbol] += 1
                context = (*context, symbol)[1:] if order > 1 else ()
        self.table = {
            context: (list(seen), np.cumsum(np.fromiter(seen.values(), float, len(seen))))
            for context, seen in counts.items()
        }

    def texts(self, num_samples: int, seed: int, **options: float) -> list[str]:
        rng, texts = np.random.default_rng([seed, 2, self.order]), []
        for _ in range(num_samples):
            sentence: list[str] = []
            context: tuple = (None,) * (self.order - 1)
            while len(sentence) < self.longest:
                symbols, cumulative = self.table[context]
                symbol = symbols[int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))]
                if symbol is None:
                    break
                sentence.append(symbol)
                context = (*context, symbol)[1:] if self.order > 1 else ()
            texts.append(self.join(sentence))
        return texts


def halves(lines: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """Held-out text cut in two at random: what stands in the place of samples, and what all are compared with."""
    lines = sorted(lines)  # the cut does not depend on the order of the file
    order = np.random.default_rng([seed, 3]).permutation(len(lines))
    middle = len(lines) // 2
    return [lines[place] for place in order[:middle]], [lines[place] for place in order[middle:]]


__all__ = ["LEAST_HELD_OUT", "REAL", "LinesSource", "MarkovSource", "ModelSource", "OracleSource", "halves"]
