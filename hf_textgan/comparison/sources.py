"""Sources of texts to compare: trained generators, files of samples, real text, and trivial samplers."""

import functools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from datasets import Dataset
from transformers import PreTrainedModel

from ..data.collator import collate
from ..data.encoding import encode_text
from ..data.oracle import dataset_samples
from ..evaluation.classes import reads_labels, reads_sources
from ..evaluation.generators import corpus_nll, decode, given_rows, nll_metrics, sample_nll, sample_sequences
from ..runs.folder import BASELINE_FOLDER, Run, load_run, read_record, run_folder
from ..sampling.capabilities import capabilities_of
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples
from ..utils.files import read_object


REAL_TEXT_LABEL = "real text"  # the row with the scores of real text


class Source(Protocol):
    """A source of texts or of sequences of token ids, from which a [`Measure`] draws."""

    @property
    def path(self) -> str:
        """The name in messages."""
        ...

    @property
    def label(self) -> str:
        """The name in a report."""
        ...

    @property
    def swept(self) -> bool:
        """Returns whether the draws depend on a temperature."""
        ...


class TextSource(Source, Protocol):
    """A source of texts."""

    def texts(self, num_samples: int, seed: int, **options: float) -> list[str]:
        """Draws texts; `options` are those of a sweep, `temperature` or `top_p`."""
        ...

    def labels(self, num_samples: int, seed: int) -> list[int] | None:
        """Returns the classes of the texts of a draw, if they have some."""
        ...


class SequenceSource(Source, Protocol):
    """A source of sequences of token ids, with their likelihood."""

    def samples(self, num_samples: int, seed: int, temperature: float = 1.0) -> Samples:
        """Draws sequences."""
        ...

    def nll(self, held_out: Dataset, temperature: float = 1.0) -> float:
        """Returns the NLL per token (nats) of encoded sequences of one length."""
        ...


class ModelSource:
    """
    A trained generator.

    Args:
        path (`str`):
            The folder of a run, a checkpoint, any causal language model, or a repository; `PATH@0.7` fixes a
            temperature that multiplies those of a sweep.
    """

    def __init__(self, path: str):
        self.path, self.temperature = path, 1.0
        before, at, after = path.rpartition("@")
        if at and not Path(path).exists():
            try:
                self.path, self.temperature = before, float(after)
            except ValueError:
                raise ValueError(
                    f"{path} ends in @{after}, which is no temperature; write one like {before}@0.7."
                ) from None
            if not self.temperature > 0:
                raise ValueError(f"{path} has the temperature {after}; set it above 0.")
        self.run = load_run(self.path)
        self.given: Dataset | None = None  # the rows that samples are drawn for
        self.root, self.record = self.run.root, self.run.record
        if self.root is not None and self.root.name == BASELINE_FOLDER:  # a baseline is a part of its run
            outer = self.root.parent
            self.root, self.record = run_folder(outer) or self.root, read_record(outer) or self.record
        if not self.swept and self.temperature != 1.0:
            raise ValueError(
                f"{path} names a temperature, but the model takes the most probable tokens; leave it out."
            )

    @property
    def swept(self) -> bool:
        """Returns whether the draws depend on a temperature."""
        return capabilities_of(self.run.model).temperature

    def likelihood_given(self, texts: Dataset) -> Literal["exact", "bound"] | None:
        """Returns the likelihood of texts with the labels and sources that they have, see [`Capabilities`]."""
        known = capabilities_of(self.run.model)
        columns = {"class_labels": "label", "condition_ids": "condition", "condition_mask": "condition"}
        missing = [name for name in (*known.row_inputs, *known.step_inputs) if columns.get(name) not in texts.features]
        # What a generator draws makes its likelihood a bound at best, and labels that it draws belong to other texts.
        if known.likelihood == "exact" and missing or any(name in columns for name in missing):
            return None
        return known.likelihood

    @property
    def run_config(self) -> str:
        """The arguments that define a system: those of the run without the training seed and the folder."""
        record = {key: value for key, value in self.record.items() if key != "hf_textgan"}
        arguments = self.root / "training_args.json" if self.root is not None else None
        if arguments is None or not arguments.is_file() or not record:
            return self.path if self.temperature == 1.0 else f"{self.path}@{self.temperature:g}"
        training = read_object(arguments)
        for name in _NOT_RUN_CONFIG:
            training.pop(name, None)
        return json.dumps([record, training, self.temperature, self.location], sort_keys=True)

    @property
    def location(self) -> str:
        """The path within the folder of the run, as of a checkpoint or a baseline; empty for the run itself."""
        if self.root is None:
            return ""
        inner = Path(self.path).resolve().relative_to(self.root.resolve()).as_posix()
        return "" if inner == "." else f"/{inner}"

    @property
    def label(self) -> str:
        """The system of the run, or the path of any other model."""
        name = self.path if self.root is None else f"{self.record['system']}{self.location}"
        return name if self.temperature == 1.0 else f"{name}@{self.temperature:g}"

    def samples(self, num_samples: int, seed: int, temperature: float = 1.0, top_p: float | None = None) -> Samples:
        """Draws sequences of token ids."""
        return _draw(self.run, num_samples, seed, temperature * self.temperature, top_p, self.given)

    def texts(self, num_samples: int, seed: int, **options: float) -> list[str]:
        """Draws texts."""
        return decode(self.run.tokenizer, self.samples(num_samples, seed, **options).sequences)

    def draw_for(self, texts: Dataset) -> None:
        """Draws further samples for the labels and sources of these texts: sample `i` for those of row `i`."""
        if reads_labels(self.run.model) or reads_sources(self.run.model):
            self.given = self._encode(texts)

    def labels(self, num_samples: int, seed: int) -> list[int] | None:
        """Returns the classes that the samples are drawn for, if they are given."""
        if self.given is None or "labels" not in self.given.column_names or not reads_labels(self.run.model):
            return None
        return [int(row["labels"]) for row in given_rows(self.given, range(num_samples))]

    def nll_of_texts(self, texts: Dataset) -> float:
        """
        Returns the negative log-likelihood of texts given their labels and sources, their ends included, in nats; or a
        bound on it, see [`~evaluation.corpus_nll`].
        """
        encoded = self._encode(texts)
        collator = functools.partial(collate, pad_token_id=self.run.engine.pad_token_id)
        return float(corpus_nll(self.run.model, self.run.engine, encoded, collator)[0])

    def _encode(self, texts: Dataset) -> Dataset:
        run = self.run
        if run.tokenizer is None:
            raise ValueError(f"{self.path} writes token ids and no text; compare it with runs on its oracle.")
        truncate = (run.record.get("data") or {}).get("truncate", False)  # lines that fill the window have no end
        window = run.engine.max_length if truncate else None
        return encode_text(texts, run.tokenizer, window, truncate=truncate).dataset

    def nll(self, held_out: Dataset, temperature: float = 1.0) -> float:
        """Returns the NLL per token (nats) of encoded sequences of one length."""
        return _nll(self.run, held_out, temperature * self.temperature)


def _draw(
    run: Run,
    num_samples: int,
    seed: int,
    temperature: float,
    top_p: float | None = None,
    given: Dataset | None = None,
) -> Samples:
    engine = run.engine.at(temperature)
    return sample_sequences(run.model, engine, num_samples, seed, given=given, top_p=top_p)[:num_samples]


def _nll(run: Run, held_out: Dataset, temperature: float) -> float:
    return nll_metrics(sample_nll(run.model, run.engine.at(temperature), dataset_samples(held_out)))["nll_per_token"]


# The arguments of a run that do not define its system: seeds, folders and logging.
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
    The oracle of the synthetic task as a generator.

    Args:
        oracle (`PreTrainedModel`):
            The oracle.
        length (`int`):
            The number of tokens of a sequence.
    """

    swept = False
    label = path = REAL_TEXT_LABEL

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
            The name.
        lines (`Sequence[str]`):
            The lines. A draw takes each of them once, and again only if there are fewer lines than samples.
        line_labels (`Sequence[int]`, *optional*):
            The classes of the lines.
    """

    swept = False

    def __init__(self, label: str, lines: Sequence[str], line_labels: Sequence[int] | None = None):
        self.label = self.path = self.run_config = label
        self.lines, self.line_labels = lines, line_labels

    def texts(self, num_samples: int, seed: int, **options: float) -> list[str]:
        """Draws lines; `options` have no effect."""
        return [self.lines[index] for index in self._order(num_samples, seed)]

    def labels(self, num_samples: int, seed: int) -> list[int] | None:
        """Returns the classes of the lines of a draw, if they have some."""
        if self.line_labels is None:
            return None
        return [self.line_labels[index] for index in self._order(num_samples, seed)]

    def _order(self, num_samples: int, seed: int) -> list[int]:
        rng = np.random.default_rng([seed, 1])
        order = rng.permutation(len(self.lines))
        while len(order) < num_samples:
            order = np.concatenate([order, rng.permutation(len(self.lines))])
        return order[:num_samples].tolist()


class MarkovSource:
    """
    A Markov chain of real text: draws each token by its frequency after the `order - 1` tokens before it. Order 1 is a
    bag of words, order 3 a trigram sampler.

    Args:
        label (`str`):
            The name.
        sentences (`Sequence[Sequence[str]]`):
            Real text.
        order (`int`):
            The length of the n-grams.
        join (`Callable[[list[str]], str]`):
            Joins tokens to a text.
        max_length (`int`):
            Maximum number of tokens of a text.
    """

    swept = False

    def __init__(
        self,
        label: str,
        sentences: Sequence[Sequence[str]],
        order: int,
        join: Callable[[list[str]], str],
        max_length: int,
    ):
        self.label = self.path = label
        self.order, self.join, self.max_length = order, join, max_length
        counts: dict[tuple, Counter] = defaultdict(Counter)  # by context; the end of a sentence counts as None
        for sentence in sentences:
            context: tuple = (None,) * (order - 1)
            for token in (*sentence, None):
                counts[context][token] += 1
                context = (*context, token)[1:]
        self.table = {
            context: (list(counter), np.cumsum([*counter.values()], dtype=float))
            for context, counter in counts.items()
        }

    def texts(self, num_samples: int, seed: int, **options: float) -> list[str]:
        """Draws texts; `options` have no effect."""
        rng = np.random.default_rng([seed, 2, self.order])
        return [self.join(self._sentence(rng)) for _ in range(num_samples)]

    def labels(self, num_samples: int, seed: int) -> None:
        """Returns no classes, because the texts have none."""

    def _sentence(self, rng: np.random.Generator) -> list[str]:
        sentence: list[str] = []
        context: tuple = (None,) * (self.order - 1)
        while len(sentence) < self.max_length:
            tokens, cumulative = self.table[context]
            token = tokens[int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))]
            if token is None:
                break
            sentence.append(token)
            context = (*context, token)[1:]
        return sentence


def split_in_halves(texts: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """
    Splits held-out text at random: one half is compared like samples, the other is the reference of all sources.
    """
    columns = [texts[name][:] for name in ("text", "label", "condition") if name in texts.column_names]
    rows = list(zip(*columns, strict=True))
    # The split does not depend on the order of the file.
    order = np.array(sorted(range(len(rows)), key=rows.__getitem__))
    order = order[np.random.default_rng([seed, 3]).permutation(len(rows))]
    middle = len(rows) // 2
    return texts.select(order[:middle]), texts.select(order[middle:])


__all__ = [
    "LinesSource",
    "MarkovSource",
    "ModelSource",
    "OracleSource",
    "REAL_TEXT_LABEL",
    "SequenceSource",
    "Source",
    "TextSource",
    "split_in_halves",
]
