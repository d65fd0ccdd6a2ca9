"""`textgan data`."""

import json
from dataclasses import dataclass, field, fields
from pathlib import Path

from ..data.report import format_report
from ..data.sources import SUFFIXES
from ..runs.arguments import OptionParser
from ..runs.data import DataArguments, describe_texts, load_texts, make_tokenizer, raise_if_set
from ..utils.names import is_hub_name, unknown_name
from .errors import user_errors


@dataclass
class ReportArguments:
    """The options of the report."""

    max_length: int | None = field(
        default=None, metadata={"help": "Most tokens of a line, its end included; the report counts longer lines."}
    )
    json: bool = field(default=False, metadata={"help": "Print the report as JSON."})


USAGE = """\
usage: textgan data report FILE [OPTIONS]

Describes the text of a file, a folder or a data set on the Hub as the trainer will see it: lengths, unknown tokens,
repeated lines, classes, and what is likely to spoil the training.

the options most used:
  --eval_file FILE             held-out text
  --max_length N               count the lines that are longer
  --truncate                   they are cut, not left out: count the lines that lose tokens
  --level word|character       the units of the text
  --tokenizer_name_or_path DIR take this tokenizer
  --json                       print JSON

`textgan data report --help` lists all options.
"""


def main(argv: list[str]) -> int:
    """Reports on texts; see `textgan data --help`."""
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    with user_errors():
        if argv[0] != "report":
            raise ValueError(unknown_name("command of `textgan data`", argv[0], ["report"]))
        data, options = _parse(argv[1:])
        texts = load_texts(data)
        tokenizer = make_tokenizer(data, texts)
        report = describe_texts(data, texts, tokenizer, options.max_length)
    print(json.dumps(report, ensure_ascii=False, indent=1) if options.json else format_report(report))
    return 0


def _parse(words: list[str]) -> tuple[DataArguments, ReportArguments]:
    words = list(words)
    name = words.pop(0) if words and not words[0].startswith("-") else None
    parser = OptionParser(
        [DataArguments, ReportArguments],
        prog="textgan data report FILE",
        description="Describes text as the trainer will see it.",
        allow_abbrev=False,
        help_command="textgan data report --help",
    )
    data, options, rest = parser.parse_args_into_dataclasses(
        words, return_remaining_strings=True, look_for_args_file=False
    )
    for word in rest:
        if word.startswith("--"):
            known = {f.name for c in (DataArguments, ReportArguments) for f in fields(c)}
            raise ValueError(unknown_name("option of `textgan data report`", word[2:].partition("=")[0], known))
        raise ValueError(f"The word {word!r} belongs to no option; put FILE first, or quote a value with blanks.")
    if name is not None:
        raise_if_set(data, ("train_file", "dataset_name"), f"the file {name}")
        path = Path(name)
        on_hub = not path.exists() and path.suffix.lower() not in SUFFIXES and is_hub_name(name)
        data_set = path.is_dir() or on_hub or (name == "grammar" and not path.exists())
        setattr(data, "dataset_name" if data_set else "train_file", name)
    return data, options
