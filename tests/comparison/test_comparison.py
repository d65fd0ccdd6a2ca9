"""Verdicts by hand and by simulation, what can be compared, and the report."""

import json
import math
from collections import Counter

import numpy as np
import pytest
from datasets import Dataset
from scipy import stats

from hf_textgan.cli.compare import print_comparison
from hf_textgan.comparison.compare import CompareConfig, compare, judge, summary
from hf_textgan.comparison.measure import OracleMeasure, TextMeasure
from hf_textgan.comparison.report import markdown, sentence, write_report
from hf_textgan.comparison.sources import REAL_TEXT_LABEL, LinesSource, MarkovSource, split_in_halves
from hf_textgan.comparison.statistics import (
    Axes,
    Hypothesis,
    holm,
    hypotheses,
    outcome,
    quality_at_equal_diversity,
    welch,
)
from hf_textgan.evaluation.descriptions import describe_metric


AXES = (
    Axes("bleu_4", "self_bleu_4", higher_quality=True, higher_diversity=False),
    Axes("reverse_nll", "forward_nll", higher_quality=False, higher_diversity=False),
)


# ---- Tests and corrections ------------------------------------------------------------------------------------------


def test_welch_by_hand():
    # means 2 and 5, variances 1 and 4, n = 3 and 3: t = -3 / sqrt(1/3 + 4/3), df = (5/3)^2 / ((1/3)^2/2 + (4/3)^2/2)
    t, df = -3 / math.sqrt(5 / 3), (5 / 3) ** 2 / ((1 / 9 + 16 / 9) / 2)
    assert welch([1, 2, 3], [3, 5, 7]) == pytest.approx(2 * stats.t.cdf(t, df), abs=1e-12)
    # One value against three: the variance of the three, 1, and 2 degrees of freedom.
    assert welch([5], [1, 2, 3]) == pytest.approx(2 * stats.t.sf(3 / math.sqrt(4 / 3), 2), abs=1e-12)
    assert welch([1, 2, 3], [5]) == pytest.approx(welch([5], [1, 2, 3]), abs=1e-15)
    assert math.isnan(welch([1], [2]))
    assert welch([1, 1], [1, 1]) == 1.0 and welch([1, 1], [2, 2]) == 0.0


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    adjusted = holm([0.02, math.nan, 0.01])
    assert adjusted[0] == pytest.approx(0.02) and math.isnan(adjusted[1]) and adjusted[2] == pytest.approx(0.02)
    assert holm([]) == []


def test_quality_at_equal_diversity_by_hand():
    # On [1, 2]: the first curve has the quality x, the second 3, the third 2 x - 1 between its points.
    first, second = quality_at_equal_diversity([[(0, 0), (2, 2)], [(1, 3), (3, 3)]], [[(2.5, 4), (1, 1)]])
    assert first == pytest.approx([1.5, 3.0]) and second == pytest.approx([2.0])
    assert quality_at_equal_diversity([[(0, 0), (1, 1)]], [[(2, 0), (3, 1)]]) is None
    assert quality_at_equal_diversity([[(0, 0), (1, 1)]], [[(0.9, 0), (3, 1)]]) is None  # .1 of the shorter one
    assert quality_at_equal_diversity([[(0, 0), (1, 1)]], [[(0.5, 0), (3, 1)]]) is not None


@pytest.mark.parametrize(
    ("tests", "expected"),
    (
        ([(0.1, 0.01), (-0.1, 0.5)], "better"),
        ([(-0.1, 0.05), (-0.1, 0.01)], "worse"),
        ([(0.1, 0.01), (-0.1, 0.01)], "trade-off"),
        ([(0.1, 0.06), (0.2, math.nan)], "no difference"),
        ([], "no difference"),
    ),
)
def test_outcome(tests, expected):
    made = [Hypothesis("x", [], [], difference, p / 10, adjusted=p) for difference, p in tests]
    assert outcome(made, 0.05) == expected


# ---- Verdicts by simulation -----------------------------------------------------------------------------------------


def point(rng, value, skill=0.0, noise=0.01):
    """A point of a generator on the common curve, shifted along it by the temperature and off it by its skill."""
    sharp = -math.log(value)
    return {
        "value": value,
        "metrics": {
            "self_bleu_4": 0.5 + 0.4 * sharp + noise * rng.normal(),
            "bleu_4": 0.4 + 0.3 * sharp + skill + noise * rng.normal(),
            "forward_nll": 3.0 - sharp + noise * rng.normal(),
            "reverse_nll": 3.5 + sharp - skill + noise * rng.normal(),
        },
    }


def row(rng, runs, values, skill=0.0, sharpness=1.0, run_noise=0.01, draws=5):
    made = []
    for source in range(runs):
        own = skill + run_noise * rng.normal()
        for value in values:
            for seed in range(draws):
                draw = point(rng, value * sharpness, own)
                made.append({"source": source, "seed": seed, **draw, "value": value})
    return {"sources": [f"run-{number}" for number in range(runs)], "draws": made, "is_compared": True}


def verdict_of(first, second, level=0.05):
    return judge(["a", "b"], {"a": first, "b": second}, AXES, level, {})[0]


SWEEP = (0.7, 0.85, 1.0, 1.15)


@pytest.mark.parametrize("runs", ((4, 4), (1, 5), (2, 3)))
def test_equal_systems_are_called_different_no_more_often_than_promised(runs):
    rng = np.random.default_rng(0)
    number = 150
    wrong = sum(
        verdict_of(row(rng, runs[0], SWEEP), row(rng, runs[1], SWEEP)).outcome != "no difference"
        for _ in range(number)
    )
    # Beyond this a level of .05 would be met once in 1,000 times.
    assert wrong <= stats.binom.ppf(0.999, number, 0.05)


def test_a_better_system_is_found():
    rng = np.random.default_rng(1)
    found = [verdict_of(row(rng, 4, SWEEP, skill=0.1), row(rng, 4, SWEEP)) for _ in range(20)]
    assert all(verdict.outcome == "better" for verdict in found)
    assert verdict_of(row(rng, 4, SWEEP), row(rng, 4, SWEEP, skill=0.1)).outcome == "worse"
    one = found[0]
    assert (one.scope, one.unit, one.test, one.correction) == ("systems", "training run", "Welch's t-test", "Holm")
    assert [test.name for test in one.hypotheses] == [
        "bleu_4 at equal self_bleu_4",
        "reverse_nll at equal forward_nll",
    ]
    assert all(test.difference > 0 and len(test.first) == len(test.second) == 4 for test in one.hypotheses)


def test_a_sharper_temperature_is_no_difference():
    """Half the temperature is the same curve further on: without a sweep a trade-off, with one no difference."""
    rng = np.random.default_rng(2)
    swept = [verdict_of(row(rng, 4, SWEEP, sharpness=0.8), row(rng, 4, SWEEP)).outcome for _ in range(30)]
    assert set(swept) == {"no difference"} or swept.count("no difference") >= 27
    plain = verdict_of(row(rng, 4, (1.0,), sharpness=0.7), row(rng, 4, (1.0,)))
    assert plain.outcome == "trade-off"
    assert [test.name for test in plain.hypotheses] == ["bleu_4", "self_bleu_4", "reverse_nll", "forward_nll"]
    apart = verdict_of(row(rng, 4, (1.0, 1.05), sharpness=0.5), row(rng, 4, (1.0, 1.05)))
    assert apart.outcome == "trade-off" and "bleu_4" in {test.name for test in apart.hypotheses}


def test_one_training_seed_each_gives_a_verdict_on_two_models():
    rng = np.random.default_rng(3)
    verdict = verdict_of(row(rng, 1, SWEEP, skill=0.2), row(rng, 1, SWEEP))
    assert (verdict.outcome, verdict.scope, verdict.unit) == ("better", "these two models", "draw")
    assert all(len(test.first) == len(test.second) == 5 for test in verdict.hypotheses)
    text = sentence(verdict.to_dict())
    assert text.startswith("a is better than b.") and "for these two models only" in text
    unequal = verdict_of(row(rng, 1, SWEEP), row(rng, 4, SWEEP))
    assert (unequal.scope, unequal.test, unequal.unit) == ("systems", "Student's t-test", "training run")


def test_the_correction_covers_all_pairs():
    rng = np.random.default_rng(4)
    rows = {label: row(rng, 3, SWEEP) for label in "abc"}
    verdicts = judge(["a", "b", "c"], rows, AXES, 0.05, {})
    assert [(v.first, v.second) for v in verdicts] == [("a", "b"), ("a", "c"), ("b", "c")]
    tests = [test for verdict in verdicts for test in verdict.hypotheses]
    assert len(tests) == 6
    smallest = min(tests, key=lambda test: test.p_value)
    assert smallest.adjusted == pytest.approx(min(1.0, 6 * smallest.p_value))


def test_a_copy_gets_no_verdict():
    rng = np.random.default_rng(5)
    rows = {"copy": row(rng, 4, SWEEP, skill=0.2), "honest": row(rng, 4, SWEEP)}
    notes = {"copy": ["copies the training text in 100.0% of its texts"], "honest": []}
    (verdict,) = judge(list(rows), rows, AXES, 0.05, notes)
    assert verdict.outcome == "no verdict" and "copy copies the training text" in sentence(verdict.to_dict())
    (verdict,) = judge(["honest", "copy"], rows, AXES, 0.05, notes)
    assert verdict.outcome == "no verdict"


def test_hypotheses_without_values_are_left_out():
    points = [[{"value": 1.0, "bleu_4": 0.1, "self_bleu_4": 0.2, "reverse_nll": math.nan, "forward_nll": 1.0}]] * 2
    assert [test.name for test in hypotheses(AXES, points, points)] == ["bleu_4", "self_bleu_4"]


# ---- Sources --------------------------------------------------------------------------------------------------------


def test_lines_are_drawn_once_while_there_are_enough():
    source = LinesSource("x", [str(number) for number in range(10)])
    assert sorted(source.texts(10, 0), key=int) == source.lines
    assert Counter(Counter(source.texts(25, 0)).values()) == {2: 5, 3: 5}
    assert source.texts(7, 3) == source.texts(7, 3) != source.texts(7, 4)


def test_markov_samplers_follow_the_counts():
    sentences = [["a", "b"], ["a", "c"], ["a", "b"], ["d"]]
    trigrams = Counter(MarkovSource("x", sentences, 3, " ".join, 9).texts(20_000, 0))
    assert set(trigrams) == {"a b", "a c", "d"}
    assert stats.chisquare([trigrams["a b"], trigrams["a c"], trigrams["d"]], [10_000, 5_000, 5_000]).pvalue > 1e-3
    words = Counter(" ".join(MarkovSource("x", sentences, 1, " ".join, 50).texts(20_000, 0)).split())
    # 7 words and 4 ends: an average of 7/4 words; 3, 2, 1, 1 of each
    assert stats.chisquare([words[w] for w in "abcd"], words.total() * np.array([3, 2, 1, 1]) / 7).pvalue > 1e-3
    assert words.total() / 20_000 == pytest.approx(7 / 4, rel=0.03)
    assert max(map(len, MarkovSource("x", [["a"] * 50], 1, "".join, 3).texts(50, 0))) == 3


def test_halves_do_not_depend_on_the_order_of_the_lines():
    lines = [str(number) for number in range(101)]

    def halves(lines, seed):
        labels = [int(line) % 3 for line in lines]
        parts = split_in_halves(Dataset.from_dict({"text": lines, "label": labels}), seed)
        assert all(
            label == int(text) % 3 for part in parts for text, label in zip(part["text"], part["label"], strict=True)
        )
        return tuple(part["text"][:] for part in parts)

    real, references = halves(lines, 0)
    assert len(real) == 50 and sorted(real + references) == sorted(lines)
    assert halves(lines[::-1], 0) == (real, references) != halves(lines, 1)


def test_lines_keep_their_labels_in_every_draw():
    source = LinesSource("x", ["1", "2", "3"], [1, 2, 3])
    assert [int(text) for text in source.texts(7, 4)] == source.labels(7, 4)
    assert LinesSource("x", ["1", "2"]).labels(2, 0) is None


# ---- The comparison and its report ----------------------------------------------------------------------------------


class Constant:
    """A source whose metrics are known."""

    def __init__(self, path, swept=True, **metrics):
        self.path = self.label = path
        self.swept, self.metrics = swept, metrics


class Known:
    axes = AXES
    columns = {"bleu_4": True, "self_bleu_4": False, "reverse_nll": False, "copied": None}

    def __call__(self, source, num_samples, seed, **options):
        (value,) = options.values()
        metrics = {key: base + 0.001 * seed for key, base in source.metrics.items()}
        metrics["self_bleu_4"] = metrics["self_bleu_4"] - 0.4 * math.log(value)
        return metrics, [f"{source.path} ```` {value} {seed}", "- two\n lines"]


def known_result(name="honest", path="run/1", **changes):
    honest = {
        "bleu_4": 0.3,
        "self_bleu_4": 0.4,
        "forward_nll": 3.0,
        "reverse_nll": 3.0,
        "copied": 0.0,
        "repeated": 0.0,
    }
    copier = {**honest, "copied": 0.5, "bleu_4": 0.5}
    real = Constant(REAL_TEXT_LABEL, swept=False, **honest)
    config = CompareConfig(values=(0.8, 1.0), num_samples=50, num_seeds=3, **changes)
    groups = {name: [Constant(path, **honest)], "copier": [Constant("run/2", **copier)]}
    seen = []
    return compare(groups, [real], Known(), config, seen.append), seen


def test_a_comparison_from_end_to_end(tmp_path):
    result, seen = known_result()
    assert len(seen) == 2 * 2 * 3 + 3 and seen[0] == "run/1, temperature 0.8, seed 0"
    assert [len(row["draws"]) for row in result["rows"].values()] == [6, 6, 3]
    assert summary(result["rows"]["honest"], "bleu_4") == pytest.approx((0.301, 0.001))
    assert result["notes"]["honest"] == []
    assert result["notes"]["copier"][0].startswith("copies the training text in 50.1% of its texts")
    assert "above that of real text" in result["notes"]["copier"][1]
    assert result["verdicts"][0]["outcome"] == "no verdict"
    write_report(result, tmp_path / "report")
    read = json.loads((tmp_path / "report" / "report.json").read_text())
    assert read["config"]["values"] == [0.8, 1.0] and set(read["rows"]) == {"honest", "copier", REAL_TEXT_LABEL}
    assert (tmp_path / "report" / "quality_diversity.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "No verdict on honest and copier: copier copies the training text" in text
    assert "| honest | 0.301 ± 0.001 |" in text and "`````" in text  # a fence longer than the one in a sample
    assert "| copier | 0.8 |" in text and "level 0.05" in text and "Welch's t-test" in text


def test_the_report_explains_its_metrics_and_its_rows():
    result = known_result()[0]
    result["rows"]["honest/mle_baseline"] = result["rows"]["honest"]
    text = markdown(result)
    assert "- `bleu_4`: BLEU-4 of the samples against held-out text (higher is better)" in text
    assert (
        "- `copied`: share of the samples that stand in the training text (best near the value of real text)" in text
    )
    assert "- honest/mle_baseline: the same generator" in text
    for columns in (TextMeasure.columns, OracleMeasure.columns):
        assert all(describe_metric(key) is not None for key in (*columns, "grammar_share"))
        for key, higher in columns.items():
            assert describe_metric(key).higher_is_better is higher, key


def test_names_of_others_have_no_effect_in_the_report(tmp_path, capsys):
    name = "_x</td><script> | $\\frac$ `a` \x1b[2J"
    result = known_result(name=name, path="\x1b[31mred")[0]
    write_report(result, tmp_path)
    report = (tmp_path / "report.md").read_text()
    assert "<script>" not in report and "\x1b" not in report
    shown = r"_x&lt;/td&gt;&lt;script&gt; \| $\\frac$ \`a\` \\x1b\[2J"
    assert f"| {shown} | 0.301 ± 0.001 |" in report and f"{shown}, temperature 0.8:" in report
    assert "\n\\x1b[31mred " in report  # a sample
    table = next(part for part in report.split("\n\n") if shown in part and "|---" in part).splitlines()
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1  # as many cells in each row
    print_comparison(result, tmp_path)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed and r"_x</td><script> | $\frac$ `a` \x1b[2J" in printed


def test_the_report_of_a_top_p_sweep():
    text = markdown(known_result(sweep="top_p")[0])
    assert "## Sweep over top_p" in text and "copier, top_p 0.8:" in text


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"values": (0.5, 0.0, 1.0)}, "temperature is 0.0; set it above 0"),
        ({"values": (0.5,)}, "The values 0.5 of temperature lack 1, the value of training; add it."),
        ({"sweep": "top_p", "values": (1.0, 1.5)}, "top_p is 1.5; set it above 0 and at most to 1"),
        ({"sweep": "beams"}, "sweep is 'beams'; set it to 'temperature' or 'top_p'."),
        ({"num_samples": 10}, "num_samples is 10; set it to 50 or more."),
        ({"num_seeds": 1}, "num_seeds is 1; set it to 2 or more."),
        ({"level": 0.0}, "level is 0.0; set it between 0 and 1."),
    ),
)
def test_options_without_meaning(options, message):
    with pytest.raises(ValueError, match=message):
        CompareConfig(**options)
