"""The report of a comparison: a text, a figure, and the numbers as JSON."""

import math
import re
from pathlib import Path
from typing import Any

from ..utils.files import make_folder, strict_json, write_text, writing_file
from .compare import summary
from .sources import REAL_TEXT_LABEL


_NUM_SHOWN_SAMPLES = 3  # per value of the sweep


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
        lines.append(f"- **{sentence(verdict)}**")
    for label, notes in result["notes"].items():
        lines.extend(f"- {label} {note}." for note in notes)
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
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"{config['num_samples']:,} texts per draw, {config['num_seeds']} draws from seed {config['seed']}. ± is one "
        "standard deviation over training runs if a system has several, else over draws. An arrow points to the "
        "better values; without an arrow, the value of real text is the best. Real text, copies and n-gram samplers "
        "are measured in the same way.",
        "",
        "## Verdicts",
        "",
    ]
    for verdict in result["verdicts"]:
        lines += [f"### {verdict['first']} against {verdict['second']}: {verdict['outcome']}", ""]
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
                lines.append(f"| {label} | {value:g} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += ["## Samples", "", "The first samples of the first seed, without selection.", ""]
    for label, by_value in result["samples"].items():
        for value, texts in by_value.items():
            title = f"{label}, {config['sweep']} {value}" if label in swept else label
            lines += [f"{title}:", "", *_fenced(texts[:_NUM_SHOWN_SAMPLES]), ""]
    return "\n".join(lines)


def _fenced(texts: list[str]) -> list[str]:
    """Returns texts in a code block with a fence that is longer than any in the texts."""
    fence = "`" * max([3, *(len(run) + 1 for text in texts for run in re.findall("`+", text))])
    return [fence, *(" ".join(text.split()) for text in texts), fence]


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
    figure = Figure(figsize=(6.2 * len(axes), 4.8), layout="constrained")
    for axis, pair in zip(figure.subplots(1, len(axes), squeeze=False)[0], axes, strict=True):
        x, y = pair["diversity"], pair["quality"]
        for number, (label, row) in enumerate(rows.items()):
            values = sorted({draw["value"] for draw in row["draws"]})
            points = [(value, *(summary(row, key, value) for key in (x, y))) for value in values]
            points = [point for point in points if not any(math.isnan(mean) for mean, _ in point[1:])]
            if not points:
                continue
            style = {"color": f"C{number}" if row["is_compared"] else "0.45", "label": label, "linewidth": 1.2}
            style["marker"] = "o" if row["is_compared"] else _MARKERS[number % len(_MARKERS)]
            spread = {
                f"{name}err": [0.0 if math.isnan(point[index][1]) else point[index][1] for point in points]
                for index, name in ((1, "x"), (2, "y"))
            }
            axis.errorbar([p[1][0] for p in points], [p[2][0] for p in points], markersize=5, **spread, **style)
            if len(points) > 1:
                for value, (horizontal, _), (vertical, _) in points:
                    offset = {"textcoords": "offset points", "xytext": (4, 4), "fontsize": 7, "color": style["color"]}
                    axis.annotate(f"{value:g}", (horizontal, vertical), **offset)
        # The limits ignore distant reference sources, such as a bag of words, which would hide the differences.
        near = [row for label, row in rows.items() if row["is_compared"] or label == REAL_TEXT_LABEL]
        for key, limit in ((x, axis.set_xlim), (y, axis.set_ylim)):
            means = [summary(row, key, draw["value"])[0] for row in near for draw in row["draws"]]
            means = [mean for mean in means if not math.isnan(mean)]
            if means:
                margin = 0.15 * (max(means) - min(means)) + 1e-3
                limit(min(means) - margin, max(means) + margin)
        # The better end of both axes lies at the top right.
        if not pair["higher_diversity"]:
            axis.invert_xaxis()
        if not pair["higher_quality"]:
            axis.invert_yaxis()
        axis.set_xlabel(f"{x} (better to the right)")
        axis.set_ylabel(f"{y} (better at the top)")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    with writing_file(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


_MARKERS = ("*", "s", "^", "D", "v", "P", "X")


__all__ = ["draw_quality_diversity", "markdown", "sentence", "write_report"]
