"""The texts of a run."""

from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from datasets import ClassLabel, Dataset, Features, Value
from transformers import PreTrainedTokenizerBase

from ..data.caption_grammar import CAPTION_COLUMNS, CaptionGrammar
from ..data.encoding import encode_text, truncate_texts
from ..data.errors import DataError
from ..data.lines import iterate_texts
from ..data.loading import load_text, load_tokenizer, split_names
from ..data.report import data_report
from ..data.tokenizers import character_tokenizer, word_tokenizer
from ..utils.names import unknown_name
from ..utils.numbers import check_memory


@dataclass
class DataArguments:
    """The texts."""

    train_file: str | None = field(
        default=None, metadata={"help": "Training text: .txt (one sentence a line), .csv, .tsv, .jsonl or .parquet."}
    )
    eval_file: str | None = field(default=None, metadata={"help": "Held-out text, a file of the same kinds."})
    dataset_name: str | None = field(
        default=None,
        metadata={
            "help": "`grammar`: captions of the built-in grammar, whose true likelihood is known; `oracle`: sequences "
            "of a random LSTM; else a folder with a data set, or one on the Hub as org/name."
        },
    )
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of the data set on the Hub."})
    dataset_train_split: str = field(default="train", metadata={"help": "Split of the data set to train on."})
    dataset_eval_split: str | None = field(
        default=None, metadata={"help": "Split with the held-out text (default: test or validation, if there is one)."}
    )
    streaming: bool = field(
        default=False, metadata={"help": "Read the data set on the Hub row by row instead of downloading it first."}
    )
    text_column: str | None = field(
        default=None, metadata={"help": "Column of the text (default: `text`, else the only one with text)."}
    )
    label_column: str | None = field(
        default=None,
        metadata={
            "help": "Column of the classes (default: `label` or `labels`, if there is one); of the grammar `subject`."
        },
    )
    source_column: str | None = field(
        default=None,
        metadata={
            "help": "Column of the texts that condition the others, as in translation; of the grammar `keywords`."
        },
    )
    target_column: str | None = field(
        default=None, metadata={"help": "Column of the texts to learn, beside source_column."}
    )
    delimiter: str | None = field(
        default=None,
        metadata={"help": "Between the fields of a .csv or .tsv file (default: found in its first lines)."},
    )
    no_header: bool = field(
        default=False,
        metadata={
            "help": "The first line of a .csv or .tsv file is a row, and the columns are called 0, 1 and so on."
        },
    )
    tokenizer_name_or_path: str | None = field(
        default=None, metadata={"help": "A tokenizer's folder or repository, instead of one built from the text."}
    )
    level: Literal["word", "character"] = field(
        default="word", metadata={"help": "Units of the text: words between blanks, or characters."}
    )
    lowercase: bool = field(default=False, metadata={"help": "Put the text into lower case."})
    vocab_size: int | None = field(
        default=None, metadata={"help": "Largest number of tokens, the four special ones included."}
    )
    min_count: int = field(default=1, metadata={"help": "Rarer tokens become <unk>."})
    min_length: int | None = field(
        default=None, metadata={"help": "Fewest tokens of a line, its end not included; shorter lines are dropped."}
    )
    truncate: bool = field(
        default=False, metadata={"help": "Cut lines at max_length tokens instead of leaving longer ones out."}
    )
    metric_level: Literal["word", "character"] | None = field(
        default=None, metadata={"help": "Units of the n-grams of metrics (default: those of the text)."}
    )
    grammar_train_size: int = field(default=10000, metadata={"help": "Training captions drawn from the grammar."})
    grammar_eval_size: int = field(default=2000, metadata={"help": "Held-out captions drawn from the grammar."})
    grammar_seed: int = field(default=0, metadata={"help": "Seed of the captions, independent of the training seed."})

    @property
    def split(self) -> Callable[[str], list[str]]:
        """Cuts a text into the units of the metrics."""
        return str.split if (self.metric_level or self.level) == "word" else list

    @property
    def join(self) -> Callable[[Iterable[str]], str]:
        """Makes a text of these units again."""
        return " ".join if (self.metric_level or self.level) == "word" else "".join


@dataclass
class Texts:
    """
    The texts of a run.

    Args:
        train (`datasets.Dataset`):
            Training text, as [`~data.load_text`] returns it.
        eval (`datasets.Dataset`, *optional*):
            Held-out text.
        grammar ([`CaptionGrammar`], *optional*):
            The grammar that wrote them.
        label_names (`list[str]`, *optional*):
            The classes in the order of their numbers, if they have names.
    """

    train: Dataset
    eval: Dataset | None = None
    grammar: CaptionGrammar | None = None
    label_names: list[str] | None = None


# Options that only some sources of text can use.
_COLUMNS = ("text_column", "label_column", "source_column", "target_column")
_DIALECT = ("delimiter", "no_header")
_FOR_DATASETS = ("dataset_config", "dataset_train_split", "dataset_eval_split", "streaming")
FOR_NEW_TOKENIZERS = ("level", "vocab_size", "min_count")
_FOR_ALL_TEXTS = ("lowercase", "min_length", "truncate", "metric_level")
TEXT_OPTIONS = ("train_file", "eval_file", *_FOR_DATASETS, *_COLUMNS, *_DIALECT, *FOR_NEW_TOKENIZERS, *_FOR_ALL_TEXTS)


def load_texts(data: DataArguments) -> Texts:
    """Loads the training and held-out text that the arguments name."""
    _check_tokenizer_options(data)
    if data.dataset_name == "grammar":
        return _load_grammar(data)
    if data.dataset_name == "oracle":
        raise ValueError("The data set oracle holds sequences of numbers and no text; leave it to a command for it.")
    if data.train_file is not None:
        raise_if_set(data, ("dataset_name",), "--train_file")
        raise_if_set(data, _FOR_DATASETS, "--train_file")
        held_out_file = None if data.eval_file is None else _file(data.eval_file)
        (train_source, train_options), (eval_source, eval_options) = (_file(data.train_file), {}), (held_out_file, {})
    elif data.dataset_name is None:
        raise ValueError("No training text is named; add --train_file FILE or --dataset_name grammar.")
    else:
        (train_source, train_options), (eval_source, eval_options) = _dataset_sources(data, data.dataset_name)
    options: dict[str, Any] = {name: getattr(data, name) for name in (*_COLUMNS, *_DIALECT, "lowercase")}
    train = load_text(train_source, **options, **train_options)
    names = label_names(train)
    if eval_source is None:
        return Texts(train, label_names=names)
    held_out = load_text(eval_source, **options, **eval_options, label_names=names)
    held_out_names = label_names(held_out)
    if names is None and held_out_names is not None and "label" in train.column_names:
        raise DataError(
            f"The training labels are numbers and the held-out labels names such as {held_out_names[0]!r}; "
            "use one kind in both."
        )
    return Texts(train, held_out, label_names=names)


def load_eval(data: DataArguments, path: str) -> Dataset:
    """
    Loads a file of held-out text for a run whose data the arguments describe: the same columns, case and classes.
    """
    options: dict[str, Any] = {name: getattr(data, name) for name in (*_COLUMNS, "lowercase")}
    suffix = Path(path).suffix.lower()
    if suffix == ".txt":
        options.update(dict.fromkeys(_COLUMNS))
    if suffix in (".csv", ".tsv"):
        options.update({name: getattr(data, name) for name in _DIALECT})
    return load_text(_file(path), **options)


def make_tokenizer(data: DataArguments, texts: Texts) -> PreTrainedTokenizerBase:
    """Loads the tokenizer that is named, or builds one from the training text."""
    _check_tokenizer_options(data)
    if data.tokenizer_name_or_path is not None:
        return load_tokenizer(data.tokenizer_name_or_path)
    make = {"word": word_tokenizer, "character": character_tokenizer}[data.level]
    return make(iterate_texts(texts.train), data.vocab_size, data.min_count)


def encode_held_out(texts: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, truncate: bool) -> Dataset:
    """
    Encodes held-out text for a likelihood: cut to `max_length` tokens where the training text is, else of any length.
    """
    return encode_text(texts, tokenizer, max_length if truncate else None, truncate=truncate).dataset


def reference_texts(texts: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, truncate: bool) -> list[str]:
    """Returns held-out text to compare samples with: cut to `max_length` tokens where the samples are."""
    return truncate_texts(texts, tokenizer, max_length) if truncate else list(texts["text"])


def describe_texts(
    data: DataArguments, texts: Texts, tokenizer: PreTrainedTokenizerBase, max_length: int | None
) -> dict[str, Any]:
    """Returns the [`~data.data_report`] of the texts of a run."""
    report = data_report(texts.train, texts.eval, tokenizer, max_length, data.min_length, truncate=data.truncate)
    if texts.grammar is not None:
        report["warnings"] = []  # independent draws repeat, as they should
    return report


def _load_grammar(data: DataArguments) -> Texts:
    unused = ("train_file", "eval_file", *_FOR_DATASETS, "text_column", "target_column", *_DIALECT)
    raise_if_set(data, unused, "--dataset_name grammar")
    grammar = CaptionGrammar()
    if data.grammar_train_size < 2 or data.grammar_eval_size < 2:
        raise ValueError(
            f"grammar_train_size is {data.grammar_train_size} and grammar_eval_size {data.grammar_eval_size}; "
            "set both to 2 or more."
        )
    num_captions = data.grammar_train_size + data.grammar_eval_size
    check_memory(f"A grammar corpus of {num_captions:,} captions", 150 * num_captions, "lower grammar_train_size")
    # One stream of captions, cut in two: held-out captions are drawn like the others, not chosen.
    lines = grammar.sample(data.grammar_train_size + data.grammar_eval_size, seed=data.grammar_seed)
    if data.lowercase:
        lines = [line.lower() for line in lines]
    dataset = _caption_dataset(data, lines)
    train, held_out = (
        Dataset.from_dict(dataset[part], features=dataset.features)
        for part in (slice(data.grammar_train_size), slice(data.grammar_train_size, None))
    )
    return Texts(train, held_out, grammar, label_names(train))


def _caption_dataset(data: DataArguments, captions: list[str]) -> Dataset:
    """Returns captions with the columns of the grammar that the arguments name."""
    columns: dict[str, list] = {"text": captions}
    features = Features({"text": Value("string")})
    for option, role in (("label_column", "label"), ("source_column", "condition")):
        name, known = getattr(data, option), CAPTION_COLUMNS[option]
        if not name:
            continue
        if name not in known:
            raise ValueError(unknown_name(f"column of the grammar for --{option}", name, known))
        columns[role] = [known[name](caption) for caption in captions]
        features[role] = Value("string")
    if "label" in columns:
        names = sorted(set(columns["label"]))
        columns["label"] = [names.index(name) for name in columns["label"]]
        features["label"] = ClassLabel(names=names)
    return Dataset.from_dict(columns, features=features)


def _dataset_sources(data: DataArguments, name: str) -> tuple[tuple[str, dict], tuple[str | None, dict]]:
    """Returns training and held-out text of a folder or of a data set on the Hub, with the options to load them."""
    if "/" not in name and not Path(name).is_dir():
        near = unknown_name("data set", name, ["grammar", "oracle"]).partition("; ")[2]
        hint = near if near.startswith("did") else "take grammar, oracle, a folder, or one on the Hub as org/name."
        raise ValueError(f"There is no data set called {name!r}; {hint}")
    if Path(name).is_file():
        raise ValueError(f"--dataset_name {name} is a file; give it as --train_file.")
    options: dict[str, Any] = {"config_name": data.dataset_config, "streaming": data.streaming}
    train = (name, {**options, "split": data.dataset_train_split})
    if data.eval_file is not None:
        raise_if_set(data, ("dataset_eval_split",), "--eval_file")
        return train, (_file(data.eval_file), {})
    split = data.dataset_eval_split
    if split is None:
        splits = [s for s in split_names(name, data.dataset_config) if s != data.dataset_train_split]
        split = next((s for s in ("test", "validation") if s in splits), None)
    if split == data.dataset_train_split:
        raise ValueError(f"The split {split!r} is named for training and for evaluation; name another one.")
    return train, (None if split is None else name, {**options, "split": split})


def _file(path: str) -> str:
    if Path(path).is_dir():
        raise DataError(f"{path!r} is a folder; give a file, or a folder with a data set as --dataset_name.")
    if not Path(path).exists():  # a name on the Hub looks the same
        raise DataError(f"There is no file {path!r}; give the path of a text file with one sentence a line.")
    return path


def label_names(dataset: Dataset) -> list[str] | None:
    """Returns the names of the classes in the order of their numbers, if they have names."""
    feature = dataset.features.get("label")
    return feature.names if isinstance(feature, ClassLabel) else None


def _check_tokenizer_options(data: DataArguments) -> None:
    if data.tokenizer_name_or_path is not None:
        raise_if_set(data, FOR_NEW_TOKENIZERS, "--tokenizer_name_or_path")


def raise_if_set(arguments: Any, options: tuple[str, ...], other: str) -> None:
    """Raises `ValueError` if one of the options of a dataclass is set, because it contradicts `other`."""
    defaults = {f.name: f.default for f in fields(arguments) if f.default is not MISSING}
    for option in options:
        if getattr(arguments, option) != defaults[option]:
            raise ValueError(f"--{option} and {other} are both given; leave one of them out.")


__all__ = [
    "DataArguments",
    "FOR_NEW_TOKENIZERS",
    "TEXT_OPTIONS",
    "Texts",
    "describe_texts",
    "encode_held_out",
    "label_names",
    "load_eval",
    "load_texts",
    "make_tokenizer",
    "raise_if_set",
    "reference_texts",
]
