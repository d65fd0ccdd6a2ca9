"""The report of a comparison: a text, a figure, and the numbers as JSON."""

import math
import re
from pathlib import Path
from typing import Any

from ..evaluation.descriptions import describe_metric
from ..runs.folder import BASELINE_FOLDER, PRETRAINED_FOLDER
from ..utils.escaping import markdown_text, printable
from ..utils.files import make_folder, strict_json, write_text, writing_file
from .compare import summary
from .sources import REAL_TEXT_LABEL


_NUM_SHOWN_SAMPLES = 3  # per value of the sweep
_MEANINGS_OF_FOLDERS = {
    PRETRAINED_FOLDER: "the generator with which adversarial training began",
    BASELINE_FOLDER: "the same generator (an LSTM of its size, where it has no likelihood), trained by maximum "
    "likelihood alone for at most as long",
}


def write_report(result: dict[str, Any], folder: Path) -> None:
    """Writes `report.json`, `report.md` and `quality_diversity.png`."""
    make_folder(folder)
    write_text(folder / "report.json", strict_json(result))
    draw_quality_diversity(result, folder / "quality_diversity.png")
    write_text(folder / "report.md", markdown(result))


def sentence(verdict: dict[str, Any]) -> str:
    """Returns a verdict in words."""
    first, second = verdict["first"], verdict["second"]
    text = {
        "better": f"{first} is better than {second}",
        "worse": f"{first} is worse than {second}",
        "trade-off": f"{first} and {second} trade quality for diversity: neither is better",
        "no difference": f"No difference was found between {first} and {second}",
        "no verdict": f"No verdict on {first} and {second}: {', '.join(verdict['notes'])}",
    }[verdict["outcome"]]
    if verdict["scope"] == "these two models":
        text += ". This holds for these two models only: with one training seed each, nothing follows for the systems"
    return f"{text}."


def markdown(result: dict[str, Any]) -> str:
    """Returns the report as Markdown."""
    config, rows = result["config"], result["rows"]
    lines = ["# Comparison", ""]
    for verdict in result["verdicts"]:
        lines.append(f"- **{markdown_text(sentence(verdict))}**")
    for label, notes in result["notes"].items():
        lines.extend(f"- {markdown_text(f'{label} {note}')}." for note in notes)
    lines += ["", "![quality against diversity](quality_diversity.png)", ""]

    columns = [
        key for key in result["columns"] if any(key in draw["metrics"] for r in rows.values() for draw in r["draws"])
    ]
    arrows = {True: " ↑", False: " ↓", None: ""}
    lines += ["## Scores of the models as trained", ""]
    lines.append("| | " + " | ".join(f"{key}{arrows[result['columns'][key]]}" for key in columns) + " |")
    lines.append("|---" * (len(columns) + 1) + "|")
    for label, row in rows.items():
        cells = [_cell(*summary(row, key)) for key in columns]
        lines.append(f"| {markdown_text(label)} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"{config['num_samples']:,} texts per draw, {config['num_seeds']} draws from seed {config['seed']}. ± is one "
        "standard deviation over training runs if a system has several, else over draws. An arrow points to the "
        "better values; without an arrow, the value of real text is the best. Real text, copies and n-gram samplers "
        "are measured in the same way.",
        "",
        *_meanings(columns, result["columns"]),
        *_parts_of_runs(list(rows)),
        "## Verdicts",
        "",
    ]
    for verdict in result["verdicts"]:
        pair = f"{verdict['first']} against {verdict['second']}: {verdict['outcome']}"
        lines += [f"### {markdown_text(pair)}", ""]
        lines.append("| test | difference (positive: the first is better) | p | adjusted p |")
        lines.append("|---|---|---|---|")
        for test in verdict["hypotheses"]:
            numbers = (_number(test["difference"]), _number(test["p_value"]), _number(test["adjusted"]))
            lines.append(f"| {test['name']} | {' | '.join(numbers)} |")
        sizes = (
            {len(test["first"]) for test in verdict["hypotheses"]},
            {len(t["second"]) for t in verdict["hypotheses"]},
        )
        counts = " and ".join("/".join(map(str, sorted(size))) or "0" for size in sizes)
        lines += [
            "",
            f"{verdict['test']} on the means of {counts} units (unit: {verdict['unit']}), two-sided, adjusted by "
            f"{verdict['correction']} over all tests of this report, level {verdict['level']:g}. The verdict holds "
            f"for {verdict['scope']}.",
            "",
        ]
    swept = [label for label, row in rows.items() if len({draw["value"] for draw in row["draws"]}) > 1]
    if swept:
        keys = list(dict.fromkeys(key for axes in result["axes"] for key in (axes["quality"], axes["diversity"])))
        lines += [f"## Sweep over {config['sweep']}", "", f"| | {config['sweep']} | " + " | ".join(keys) + " |"]
        lines.append("|---" * (len(keys) + 2) + "|")
        for label in swept:
            for value in config["values"]:
                cells = [_cell(*summary(rows[label], key, value)) for key in keys]
                lines.append(f"| {markdown_text(label)} | {value:g} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += ["## Samples", "", "The first samples of the first seed, without selection.", ""]
    for label, by_value in result["samples"].items():
        for value, texts in by_value.items():
            title = f"{label}, {config['sweep']} {value}" if label in swept else label
            lines += [f"{markdown_text(title)}:", "", *_fenced(texts[:_NUM_SHOWN_SAMPLES]), ""]
    return "\n".join(lines)


def _fenced(texts: list[str]) -> list[str]:
    """Returns texts in a code block with a fence that is longer than any in the texts."""
    fence = "`" * max([3, *(len(run) + 1 for text in texts for run in re.findall("`+", text))])
    return [fence, *(printable(" ".join(text.split())) for text in texts), fence]


def _meanings(keys: list[str], columns: dict[str, bool | None]) -> list[str]:
    """Returns a list that says what each metric measures, and which values are good."""
    good = {True: "higher is better", False: "lower is better", None: "best near the value of real text"}
    lines = []
    for key in keys:
        described = describe_metric(key)
        if described is not None:
            meaning = described.meaning.removesuffix("; best near real text")
            lines.append(f"- `{key}`: {meaning} ({good[columns[key]]})")
    return [*lines, ""] if lines else []


def _parts_of_runs(labels: list[str]) -> list[str]:
    """Returns a list that says what the models within the folder of a run are."""
    lines = [
        f"- {markdown_text(label)}: {meaning}"
        for label in labels
        for folder, meaning in _MEANINGS_OF_FOLDERS.items()
        if label.endswith(f"/{folder}")
    ]
    return [*lines, ""] if lines else []


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3g}"


def _cell(mean: float, deviation: float) -> str:
    if math.isnan(mean):
        return "-"
    return f"{mean:.3f}" if math.isnan(deviation) else f"{mean:.3f} ± {deviation:.3f}"


def draw_quality_diversity(result: dict[str, Any], path: Path) -> None:
    """Plots quality against diversity: a curve over the sweep for each system, a marker for each reference source."""
    from matplotlib.figure import Figure

    rows, axes = result["rows"], result["axes"]
    figure = Figure(figsize=(6.2 * len(axes), 5.0), layout="constrained")
    for axis, pair in zip(figure.subplots(1, len(axes), squeeze=False)[0], axes, strict=True):
        keys = (pair["diversity"], pair["quality"])
        curves = {label: curve for label, row in rows.items() if (curve := _curve(row, keys))}
        # The limits ignore distant reference sources, such as a bag of words, which would hide the differences.
        near = [label for label in curves if rows[label]["is_compared"] or label == REAL_TEXT_LABEL]
        limits = [_limits([point[i] for label in near for point in curves[label]]) for i in (1, 2)]
        outside = []
        for number, (label, row) in enumerate(rows.items()):
            points = curves.get(label, [])
            if not any(all(low <= point[i + 1] <= high for i, (low, high) in enumerate(limits)) for point in points):
                outside += [label] if points else []
                continue
            style = {"color": f"C{number}" if row["is_compared"] else "0.45", "label": _plain(label), "linewidth": 1.2}
            style["marker"] = "o" if row["is_compared"] else _MARKERS[number % len(_MARKERS)]
            _, x, y, x_spread, y_spread = zip(*points, strict=True)
            axis.errorbar(x, y, xerr=x_spread, yerr=y_spread, markersize=5, **style)
            if len(points) > 1:
                for value, horizontal, vertical, *_ in points:
                    offset = {"textcoords": "offset points", "xytext": (4, 4), "fontsize": 7, "color": style["color"]}
                    axis.annotate(f"{value:g}", (horizontal, vertical), clip_on=True, **offset)
        axis.set_xlim(*limits[0])
        axis.set_ylim(*limits[1])
        # The better end of both axes lies at the top right.
        if not pair["higher_diversity"]:
            axis.invert_xaxis()
        if not pair["higher_quality"]:
            axis.invert_yaxis()
        for key, higher, side, set_label in (
            (keys[0], pair["higher_diversity"], "to the right", axis.set_xlabel),
            (keys[1], pair["higher_quality"], "up", axis.set_ylabel),
        ):
            set_label(f"{key} ({'higher' if higher else 'lower'} is better, and {side})", fontsize=9)
        missing = f"\nfar outside: {', '.join(map(_plain, outside))}" if outside else ""
        axis.set_title(f"better is up and to the right{missing}", fontsize=9)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    if any(len({draw["value"] for draw in row["draws"]}) > 1 for row in rows.values()):
        figure.supxlabel(f"numbers at the points: {result['config']['sweep']}", fontsize=8)
    with writing_file(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


def _curve(row: dict[str, Any], keys: tuple[str, str]) -> list[tuple[float, ...]]:
    """Returns for each value of the sweep the value, the means of both metrics and their standard deviations."""
    curve = []
    for value in sorted({draw["value"] for draw in row["draws"]}):
        (x, x_spread), (y, y_spread) = (summary(row, key, value) for key in keys)
        if not math.isnan(x) and not math.isnan(y):
            curve.append((value, x, y, *(0.0 if math.isnan(spread) else spread for spread in (x_spread, y_spread))))
    return curve


def _limits(means: list[float]) -> tuple[float, float]:
    if not means:
        return 0.0, 1.0
    margin = 0.15 * (max(means) - min(means)) + 1e-3
    return min(means) - margin, max(means) + margin


def _plain(label: str) -> str:
    """Returns a label without a formula, and such that a legend lists it: matplotlib hides those that begin with _."""
    text = printable(label).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


_MARKERS = ("*", "s", "^", "D", "v", "P", "X")


__all__ = ["draw_quality_diversity", "markdown", "sentence", "write_report"]
