"""
Renders the page of each system, and the tables of systems, from the records in hf_textgan/systems.

    python docs/render_systems.py            # writes the pages
    python docs/render_systems.py --check    # changes nothing; fails if a page differs from its record
"""

import argparse
import inspect
import re
import sys
from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from hf_textgan import models
from hf_textgan.data.caption_grammar import CAPTION_COLUMNS
from hf_textgan.objectives import OBJECTIVES
from hf_textgan.systems import SYSTEMS, SystemSpec
from hf_textgan.systems.spec import FROM_DATA, MODES, Copy, Of, config_fields
from hf_textgan.utils.docstrings import argument_descriptions


ROOT = Path(__file__).parent.parent
STATUS = {
    "experimental": "experimental: no outcome over at least three training seeds backs it yet",
    "validated": "validated: a measured outcome over at least three training seeds backs it",
}
TABLE = re.compile(r"(<!-- systems: make docs -->\n).*?(<!-- /systems -->)", re.DOTALL)


def render_all() -> dict[Path, str]:
    """Returns the text of each rendered file by its path."""
    pages = {ROOT / "docs" / "systems" / f"{name}.md": page(system) for name, system in SYSTEMS.items()}
    for path, folder in ((ROOT / "README.md", "docs/systems/"), (ROOT / "docs" / "index.md", "systems/")):
        pages[path] = with_table(path.read_text(encoding="utf-8"), folder)
    return pages


def with_table(text: str, folder: str) -> str:
    """Returns a page with the table of systems between its two markers; `folder` leads from it to their pages."""
    if not TABLE.search(text):
        raise ValueError("The page has no table of systems; write <!-- systems: make docs --> and <!-- /systems -->.")
    rows = [
        (f"[`{name}`]({folder}{name}.md)", MODES[system.mode], system.status, paper(system))
        for name, system in SYSTEMS.items()
    ]
    return TABLE.sub(lambda match: match[1] + table(("system", "mode", "status", "paper"), rows) + match[2], text)


def page(system: SystemSpec) -> str:
    """Returns the page of a system."""
    objective_class = OBJECTIVES[system.objective[0]]
    columns = grammar_columns(system)
    parts = [
        f"<!-- Rendered from hf_textgan/systems/{system.name}.py by `make docs`. Edit the record, not this page. -->",
        f"# {system.name}",
        f"{paper(system)}.",
        f"- Mode: {MODES[system.mode]}\n- Status: {STATUS[system.status]}{needs(system)}",
        "## Train",
        "```\n"
        f"textgan train {system.name} --dataset_name grammar{''.join(f' --{o} {c}' for o, c in columns.items())} "
        f"--preset laptop --output_dir runs/{system.name}\n"
        f"textgan generate runs/{system.name} --num_samples 10\n"
        "```",
        "The first line trains on the built-in [caption grammar](../data.md#the-caption-grammar). `--train_file` and "
        f"`--eval_file` train on text of your own, and `textgan train {system.name} --help` lists every option. "
        "In Python:",
        "```python\n"
        "from hf_textgan import build_run\n\n"
        f'trainer = build_run("{system.name}", dataset="grammar", preset="laptop", output_dir="runs/{system.name}"'
        + "".join(f', {option}="{column}"' for option, column in columns.items())
        + ")\n"
        "trainer.train()\n"
        "trainer.save_model()\n"
        "```",
        "## Players",
        "The options of a player are given as `--PLAYER.OPTION VALUE`. Vocabulary, length and special tokens follow "
        "from the data.",
    ]
    for player in system.players:
        parts += player_section(system, player)
    parts += [
        "## Objective",
        f"`{objective_class.__name__}`: {introduction(objective_class)}",
        *hyperparameters(system, objective_class),
        "## Training",
        "What the system sets beside the defaults of [`AdversarialConfig`](../cli.md#defaults):",
        table(
            ("option", "value"), [(f"`{k}`", value(v)) for k, v in flatten({**system.training, **system.data}).items()]
        ).rstrip(),
        "## Presets",
        "Without `--preset` the values above hold. A preset changes:",
        presets(system),
        "## Deviations from the paper",
        "\n".join(f"- {sentence}" for sentence in system.deviations) or "None is known.",
        "## Citation",
        f"```bibtex\n{system.paper.bibtex}\n```",
        f"What was measured with this system stands on its [card](../../model_cards/{system.name}.md#measured).",
    ]
    return "\n\n".join(parts) + "\n"


def needs(system: SystemSpec) -> str:
    """Returns a line of the list of a system that says what its data must have; nothing where text is enough."""
    named = {"labels": "a label of each text", "conditions": "a source text of each text"}
    return f"\n- Data: {' and '.join(named[need] for need in system.needs)}" if system.needs else ""


def grammar_columns(system: SystemSpec) -> dict[str, str]:
    """Returns the options that give a system the columns of the caption grammar that it needs."""
    options = {"labels": "label_column", "conditions": "source_column"}
    return {options[need]: next(iter(CAPTION_COLUMNS[options[need]])) for need in system.needs}


def player_section(system: SystemSpec, player: str) -> list[str]:
    """Returns the heading and the table of the options of a player."""
    own = system.players[player]
    if isinstance(own, Copy):
        return [f"### {player}", f"A frozen copy of the `{own.player}`, which has no options of its own."]
    class_name, values = system.player(player)
    config_class = getattr(models, class_name)
    descriptions = argument_descriptions(config_class)
    names = sorted(config_fields(config_class) - FROM_DATA - {"model_type"})
    rows = [
        (
            f"`{player}.{name}`",
            value(values.get(name, getattr(config_class, name, None))),
            descriptions.get(name, ""),
        )
        for name in names
    ]
    return [f"### {player}", f"Configuration: `{class_name}`.", table(("option", "value", "meaning"), rows).rstrip()]


def hyperparameters(system: SystemSpec, objective_class: type) -> list[str]:
    """Returns the table of the hyperparameters of an objective, if it has any."""
    descriptions = argument_descriptions(objective_class)
    rows = []
    for f in fields(objective_class):
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        rows.append((f"`{f.name}`", value(system.objective[1].get(f.name, default)), descriptions.get(f.name, "")))
    return [table(("option", "value", "meaning"), rows).rstrip()] if rows else []


def introduction(cls: type) -> str:
    """Returns the docstring of a class up to its arguments, with a line per paragraph."""
    doc = inspect.cleandoc(cls.__doc__ or "")
    text, *_ = re.split(r"^(?:Args|Inputs|Relations|Deviations|Example)\b.*", doc, flags=re.MULTILINE)
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in plain(text).strip().split("\n\n"))


def presets(system: SystemSpec) -> str:
    """Returns the table of what the presets change."""
    flat = {name: flatten(preset) for name, preset in system.presets.items()}
    keys = list(dict.fromkeys(key for preset in flat.values() for key in preset))
    rows = [(f"`{key}`", *(value(preset[key]) if key in preset else "" for preset in flat.values())) for key in keys]
    return table(("option", *(f"`{name}`" for name in flat)), rows).rstrip()


def flatten(options: dict[str, Any]) -> dict[str, Any]:
    """Returns options with the optimizers of the players under dotted names."""
    flat: dict[str, Any] = {}
    for name, option in options.items():
        if name == "player_optimizers":
            flat.update({f"{player}.{key}": v for player, values in option.items() for key, v in values.items()})
        else:
            flat[name] = option
    return flat


def paper(system: SystemSpec) -> str:
    """Returns the title of the paper, with a link if there is one."""
    source = system.paper
    return f"[{source.title}]({source.url}), arXiv {source.arxiv_id}" if source.url else source.title


def value(option: Any) -> str:
    """Returns a value as code; an empty cell for none."""
    if option is None:
        return ""
    if isinstance(option, Of):
        return f"that of `{option}`"
    if isinstance(option, list | tuple):
        return f"`{list(option)}`"
    return f"`{option}`"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Returns a table of Markdown, with a line break at its end."""
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join("| " + " | ".join(plain(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def plain(text: str) -> str:
    """Returns text without the links and the double quotes of docstrings."""
    return re.sub(r"\[`~?(?:\w+\.)*(\w+)`\](?!\()", r"`\1`", text).replace("``", "`")


def write_or_check(pages: dict[Path, str], folder: Path, check: bool) -> int:
    """
    Writes the pages that differ from their files and removes the other pages of a folder; returns 0. With `check` it
    changes nothing, and returns 1 if there are such pages.
    """
    removed = [path for path in sorted(folder.glob("*.md")) if path not in pages]
    stale = [p for p, text in pages.items() if not p.is_file() or p.read_text(encoding="utf-8") != text]
    for path in [*stale, *removed]:
        state = "stale" if check else "written" if path in pages else "removed"
        sys.stdout.write(f"{state}: {path.relative_to(ROOT)}\n")
    if check:
        return 1 if stale or removed else 0
    folder.mkdir(exist_ok=True)
    for path in stale:
        path.write_text(pages[path], encoding="utf-8")
    for path in removed:
        path.unlink()
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a page is stale")
    return write_or_check(render_all(), ROOT / "docs" / "systems", parser.parse_args(argv).check)


if __name__ == "__main__":
    sys.exit(main())
