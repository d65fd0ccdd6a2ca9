"""Sources of texts to compare: trained generators, files of samples, real text, and trivial samplers."""

import functools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from datasets import Dataset
from transformers import PreTrainedModel

from ..data.collator import collate
from ..data.encoding import encode_text
from ..data.oracle import dataset_samples
from ..evaluation.generators import corpus_nll, decode, nll_metrics, sample_nll, sample_sequences
from ..runs.folder import Run, load_run
from ..sampling.capabilities import capabilities_of
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples


REAL_TEXT_LABEL = "real text"  # the row with the scores of real text


class Source(Protocol):
    """
    A source of texts.

    Attributes:
        path (`str`):
            Its name for messages.
        label (`str`):
            Its name in a report.
        run_config (`str`):
            Equal for the runs of one system that differ in their training seed only.
        swept (`bool`):
            Whether its draws depend on a temperature.
        is_model (`bool`):
            Whether it is a trained generator.
    """

    path: str
    label: str
    run_config: str
    swept: bool
    is_model: bool

    def texts(self, num_samples: int, seed: int, **options: float) -> list[str]: ...


class ModelSource:
    """
    A trained generator.

    Args:
        path (`str`):
            Folder of a run, a checkpoint, any causal language model, or a repository; `PATH@0.7` fixes a temperature
            with which those of a sweep are multiplied.
    """

    is_model = True

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
                f"{path} names a temperature, but the model takes the most probable tokens; leave it out."
            )

    @property
    def swept(self) -> bool:
        """Whether its draws depend on a temperature."""
        return capabilities_of(self.run.model).temperature

    @property
    def likelihood(self) -> bool:
        """Whether it gives texts an exact likelihood."""
        return capabilities_of(self.run.model).likelihood == "exact"

    @property
    def run_config(self) -> str:
        """The arguments that the runs of one system have in common: all but the training seed and the folder."""
        record = {key: value for key, value in self.run.record.items() if key != "hf_textgan"}
        arguments = self.run.root / "training_args.json" if self.run.root is not None else None
        if arguments is None or not arguments.is_file() or not record:
            return self.path if self.temperature == 1.0 else f"{self.path}@{self.temperature:g}"
        training = json.loads(arguments.read_text(encoding="utf-8"))
        for name in _NOT_RUN_CONFIG:
            training.pop(name, None)
        return json.dumps([record, training, self.temperature, self.location], sort_keys=True)

    @property
    def location(self) -> str:
        """The path of a checkpoint or a best model within its run; empty for the run itself."""
        inner = Path(self.path).resolve().relative_to(self.run.root.resolve()).as_posix()
        return "" if inner == "." else f"/{inner}"

    @property
    def label(self) -> str:
        """The system of the run, or the path of any other model."""
        name = self.path if self.run.root is None else f"{self.run.record['system']}{self.location}"
        return name if self.temperature == 1.0 else f"{name}@{self.temperature:g}"

    def samples(self, num_samples: int, seed: int, temperature: float = 1.0, top_p: float | None = None) -> Samples:
        """Draws sequences of token ids."""
        return _draw(self.run, num_samples, seed, temperature * self.temperature, top_p)

    def texts(self, num_samples: int, seed: int, **options: float) -> list[str]:
        """Draws texts."""
        return decode(self.run.tokenizer, self.samples(num_samples, seed, **options).sequences)

    def nll_of_texts(self, texts: Sequence[str]) -> float:
        """Returns the negative log-likelihood of texts, their ends included, in nats."""
        run = self.run
        cut = (run.record.get("data") or {}).get("truncate", False)  # then lines that fill the window have no end
        window = run.engine.max_length if cut else None
        encoded = encode_text(Dataset.from_dict({"text": list(texts)}), run.tokenizer, window, truncate=cut).dataset
        collator = functools.partial(collate, pad_token_id=run.engine.pad_token_id)
        return float(corpus_nll(run.model, run.engine, encoded, collator)[0])

    def nll(self, held_out: Dataset, temperature: float = 1.0) -> float:
        """Returns the NLL per token (nats) of encoded sequences of one length."""
        return _nll(self.run, held_out, temperature * self.temperature)


def _draw(run: Run, num_samples: int, seed: int, temperature: float, top_p: float | None = None) -> Samples:
    engine = run.engine.at(temperature)
    return engine.as_samples(sample_sequences(run.model, engine, num_samples, seed, top_p=top_p)[:num_samples])


def _nll(run: Run, held_out: Dataset, temperature: float) -> float:
    return nll_metrics(sample_nll(run.model, run.engine.at(temperature), dataset_samples(held_out)))["nll_per_token"]


# The place and time of a run, and its logging.
_NOT_RUN_CONFIG = (
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

    swept, is_model = False, False
    label = run_config = path = REAL_TEXT_LABEL

    def __init__(self, oracle: PreTrainedModel, length: int):
        bos = oracle.config.bos_token_id
        self.run = Run(oracle, None, RolloutEngine(length, bos, bos), {})

    def samples(self, num_samples: int, seed: int, temperature: float = 1.0, top_p: float | None = None) -> Samples:
        """Draws sequences of token ids."""
        return _draw(self.run, num_samples, seed, temperature, top_p)

    def nll(self, held_out: Dataset, temperature: float = 1.0) -> float:
        """Returns the NLL per token (nats) of encoded sequences of one length."""
        return _nll(self.run, held_out, temperature)


class LinesSource:
    """
    Given lines: a file of samples, real text, copies.

    Args:
        label (`str`):
            Its name.
        lines (`Sequence[str]`):
            The lines; a draw takes some of them, each once while there are enough.
    """

    swept, is_model = False, False

    def __init__(self, label: str, lines: Sequence[str]):
        self.label, self.lines = label, lines
        self.run_config = self.path = label

    def texts(self, num_samples: int, seed: int, **options: float) -> list[str]:
        rng = np.random.default_rng([seed, 1])
        order = rng.permutation(len(self.lines))
        while len(order) < num_samples:
            order = np.concatenate([order, rng.permutation(len(self.lines))])
        return [self.lines[index] for index in order[:num_samples]]


class MarkovSource:
    """
    A Markov chain of real text: draws each token from its frequencies after the `order - 1` tokens before it. Order 1
    is a bag of words, order 3 a trigram sampler.

    Args:
        sentences (`Sequence[Sequence[str]]`):
            Real text.
        order (`int`):
            The length of the n-grams.
        join (`Callable[[list[str]], str]`):
            Makes a text of tokens.
        longest (`int`):
            Largest number of tokens of a text.
    """

    swept, is_model = False, False

    def __init__(
        self,
        label: str,
        sentences: Sequence[Sequence[str]],
        order: int,
        join: Callable[[list[str]], str],
        longest: int,
    ):
        self.label = self.run_config = self.path = label
        self.order, self.join, self.longest = order, join, longest
        counts: dict[tuple, Counter] = defaultdict(Counter)
        for sentence in sentences:
            context: tuple = (None,) * (order - 1)
            for token in (*sentence, None):
                counts[context][token] += 1
                context = (*context, token)[1:] if order > 1 else ()
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
                tokens, cumulative = self.table[context]
                token = tokens[int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))]
                if token is None:
                    break
                sentence.append(token)
                context = (*context, token)[1:] if self.order > 1 else ()
            texts.append(self.join(sentence))
        return texts


def halves(lines: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """
    Splits held-out text at random: one half takes the place of samples, the other is the reference of all sources.
    """
    lines = sorted(lines)  # the cut does not depend on the order of the file
    order = np.random.default_rng([seed, 3]).permutation(len(lines))
    middle = len(lines) // 2
    return [lines[index] for index in order[:middle]], [lines[index] for index in order[middle:]]


__all__ = [
    "LinesSource",
    "MarkovSource",
    "ModelSource",
    "OracleSource",
    "REAL_TEXT_LABEL",
    "Source",
    "halves",
]
