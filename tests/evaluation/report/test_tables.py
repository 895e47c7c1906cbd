"""report.md of a sweep, and the sentences in it."""

import dataclasses
import json
import re

import pytest
from sweep_points import PROTOCOL, point_json, point_of, real_images, three_denoisers, two_denoisers

from evaluation.report.markdown import render_markdown
from evaluation.report.page import render_page
from evaluation.report.points import Point
from evaluation.report.tables import (
    floor_row,
    front_marks,
    interval,
    protocol_lines,
    result_table,
    significant,
    speed_up,
    warnings,
)
from evaluation.report.verdict import judge, verdict_text

NAMES = {"fid": "FID", "recall": "recall"}


def run(fraction: float, difference: float | None) -> Point:
    small = round(20 * fraction)
    fid = 2.5 + (difference or 0)
    steps = {"small": small, "large": 20 - small}
    return point_of(point_json(steps, fid, difference, fraction=fraction))


def tables_of(markdown: str) -> list[list[list[str]]]:
    """Cells of each table, split at bars that are not escaped."""
    tables, current = [], []
    for line in [*markdown.splitlines(), ""]:
        if line.startswith("|"):
            current.append([c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif current:
            tables.append(current)
            current = []
    return tables


SWEEPS = {
    "two": [*two_denoisers("a | b"), *two_denoisers("c\nd", 40.0)],
    "three": three_denoisers(),
    "one": two_denoisers()[:1],
    "untimed": [point_of(point_json({"small": 5, "large": 15}, 3.0, fraction=0.25, timed=False))],
    "no fraction": [
        point_of(point_json({"small": 10, "large": 10}, 3.0) | {"label": "inter|leave"})
    ],
}


@pytest.mark.parametrize("points", SWEEPS.values(), ids=SWEEPS)
@pytest.mark.parametrize("floor", [None, real_images()], ids=["", "floor"])
def test_tables_are_rectangular_and_complete(points, floor):
    """Catches: a cell too many, a bar in a name that adds one, a run or series left out."""
    markdown = render_markdown(points, floor, PROTOCOL, title="A sweep")
    tables = tables_of(markdown)
    series = {point.series for point in points}
    assert len(tables) == 2 * len(series)
    for table in tables:
        assert {len(row) for row in table} == {len(table[0])}
    assert sum(len(t) - 2 for t in tables[1::2]) == len(points)
    assert sum(len(t) - 2 for t in tables[::2]) == len(points) + bool(floor) * len(series)
    for point in points:
        assert point.run_dir in markdown


def test_row_of_a_run():
    """Catches: exchanged columns, the speed-up upside down, bounds of another metric."""
    points = two_denoisers()
    table = result_table(points, points[0].series, NAMES)
    rows = [dict(zip(table.header, row, strict=True)) for row in table.rows]
    large, half = rows[0], rows[5]
    assert half["fraction"] == "0.5" and half["steps"] == "small 10, large 10"
    assert (half["NFE"], half["GMACs / image"], half["ms / image"]) == ("40", "6.400", "6.900")
    assert large["ms / image"] == "12.50" and half["speed-up"] == f"{12.5 / 6.9:.2f}x"
    fid, recall = points[5].metrics["fid"], points[5].metrics["recall"]
    assert half["FID"] == f"{fid.value:.2f} [{fid.low:.2f}, {fid.high:.2f}]"
    assert half["recall"] == f"{recall.value:.3f} [{recall.low:.3f}, {recall.high:.3f}]"
    paired = points[5].differences["fid"]
    text = f"{paired.difference:+.2f} [{paired.low:+.2f}, {paired.high:+.2f}]"
    assert half["difference of FID"] == text and large["difference of FID"] == "-"


def test_floor_stands_below_its_columns():
    """Catches: the floor's FID under recall."""
    points = two_denoisers()
    table = result_table(points, points[0].series, NAMES)
    row = dict(zip(table.header, floor_row(real_images(), NAMES), strict=True))
    assert row["FID"] == "0.80 [0.68, 0.92]" and row["recall"].startswith("0.79")
    assert row["Pareto"] == row["ms / image"] == "-"


def test_fronts_are_of_the_whole_sweep():
    """Catches: marks per series, and a run without a time on the front of times."""
    better = [dataclasses.replace(p, series="better") for p in two_denoisers(worst=0.0)]
    points = [*two_denoisers(), *better]
    marks = front_marks(points)
    assert marks[10] == "" and marks[21] == "time, FLOPs"
    untimed = dataclasses.replace(better[10], seconds_per_image=None)
    assert front_marks([*points[:21], untimed])[21] == "FLOPs"


def test_verdict_follows_the_paired_intervals():
    """Catches: overlap of unpaired intervals as a test, bounds exchanged, a gap passed over."""
    series = [run(0, None), run(0.1, -0.5), run(0.2, 0.3), run(0.3, 0.05), run(0.4, 0.9)]
    verdict = judge(series)
    assert verdict.large is series[0] and verdict.equal is series[3]
    assert verdict.better == [series[1]] and verdict.worse_before == [series[2]]
    text = verdict_text(verdict)
    assert "not significantly worse is 0.3 (difference +0.05 [-0.05, +0.15]" in text
    assert speed_up(series[3], series[0]) in text
    assert "Before it, significantly worse: 0.2." in text and text.endswith("better: 0.1.")


def test_verdict_at_the_ends():
    """Catches: an error, or praise, where every run is worse or nothing can be compared."""
    text = verdict_text(judge([run(0, None), run(0.5, 1.0)]))
    assert "Every other fraction has a significantly worse FID." in text
    assert text.endswith("No fraction is significantly better.")
    for alone in ([run(0, None)], [run(0.5, None)], [run(0.5, 0.1)]):
        assert verdict_text(judge(alone)).startswith("There is no pair")
    touching = run(0.5, 0.1)  # low is exactly 0: the interval contains it
    assert judge([run(0, None), touching]).equal is touching


def wider(point: Point, half: float, count: int = 24) -> Point:
    paired = point.differences["fid"]
    middle = paired.difference
    paired = dataclasses.replace(paired, low=middle - half, high=middle + half)
    return dataclasses.replace(point, num_images=count, differences={"fid": paired})


def test_no_finding_without_power():
    """Catches: a headline that few images cannot carry, and no word of how many could."""
    series = [run(0, None), wider(run(0.5, 0.1), 0.5), wider(run(0.9, 0.3), 0.5)]
    verdict = judge(series)
    assert verdict.equal is None and verdict.unresolved == series[1:]
    text = verdict_text(verdict)
    assert "significantly" not in text and "No finding." in text
    assert "24 images" in text and "20% of the FID" in text and "about 390 images" in text
    sharp = [run(0, None), wider(run(0.5, 0.1), 0.01)]  # of an FID that is mostly bias
    assert judge(sharp).equal is None and "at least 200 images" in verdict_text(judge(sharp))
    page = render_page(series, None, {}, title="t")
    assert 'class="big"' not in page


def test_runs_without_power_are_named_beside_a_finding():
    """Catches: the largest fraction being one that no number of its images could refuse; a clear
    rise called unresolved because it is uncertain by much against a small FID."""
    half = wider(run(0.9, 0.1), 0.2, 500)
    clear = wider(run(1.0, 20.0), 1.0, 500)
    verdict = judge([run(0, None), run(0.2, 0.0), half, clear])
    assert verdict.equal.fraction == 0.2 and verdict.unresolved == [half]
    text = verdict_text(verdict)
    assert "not significantly worse is 0.2 " in text and "Not resolved: 0.9." in text
    assert "No resolved fraction is significantly better" in text


def test_verdict_of_three_denoisers_names_the_cheapest():
    """Catches: the largest first fraction reported where fractions have no order."""
    verdict = judge(three_denoisers())
    allowed = [p for p in verdict.compared if p.differences["fid"].low <= 0]
    assert verdict.equal is min(allowed, key=lambda p: p.gmacs_per_image)
    assert "cheapest run" in verdict_text(verdict)


def test_equal_steps_are_not_the_all_large_run():
    """Catches: a fraction too small for one step taken for the run that others are compared to."""
    tiny = dataclasses.replace(run(0, 0.0), fraction=0.01)
    large = run(0, None)
    assert judge([tiny, large]).large is large


def test_warnings():
    """Catches: FIDs of different numbers of images side by side without a word."""
    points = two_denoisers()
    assert warnings(points, real_images(500)) == []
    assert "10000" in warnings(points, real_images(10000))[0]
    more = dataclasses.replace(points[0], num_images=600)
    assert "500, 600" in warnings([*points, more], None)[0]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [((3.2147, 3.0112, 3.4182), "3.21 [3.01, 3.42]"), ((0.00123, 0.001, 0.0015),
     "0.00123 [0.00100, 0.00150]"), ((1.0, 1.0, 1.0), "1.000 [1.000, 1.000]"),
     ((812.4, 700.0, 925.0), "812 [700, 925]"), ((0.0, 0.0, 0.0), "0 [0, 0]")],
)  # fmt: skip
def test_digits_of_an_interval(arguments, text):
    """Catches: KID shown as 0.00, digits that the interval does not support."""
    assert interval(*arguments) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (12345.6, "12346"), (115.74, "115.7"), (0.02345, "0.02345"), (9.99999, "10.000"),
     (-0.5, "-0.5000"), (1e-9, "1e-09")],
)  # fmt: skip
def test_significant_digits(value, text):
    """Catches: scientific notation in a table, a logarithm of zero."""
    assert significant(value) == text


def test_protocol_says_where_runs_differ():
    """Catches: the first run's precision reported for all."""
    points = two_denoisers()
    points[3].protocol["dtype"] = "bf16"
    lines = dict(protocol_lines(points, PROTOCOL))
    assert lines["dtype"] == [("", "fp32 (10 of 11); bf16 (1 of 11)")]
    assert ("name", "DDIM 20 steps") in lines["sampler"]
    assert ("reference.num_images", "60000") in lines["evaluation"]
    assert lines["machine"] == [("device", "a CPU"), ("threads", "1")]


def test_markdown_is_escaped():
    """Catches: a name that becomes HTML, emphasis or a link."""
    points = [dataclasses.replace(p, series="<b>*x*</b> [a](b)") for p in two_denoisers()]
    markdown = render_markdown(points, None, {"k": {"v": "<i>"}}, title="<script>")
    assert not re.search(r"(?<!\\)<", markdown) and "](" not in markdown
    linked = render_markdown(points, None, {}, title="t", pictures=[("strip", "strip.png")])
    assert "![strip](strip.png)" in linked


def test_no_finding_from_flagged_values():
    """Catches: a headline of a sweep whose FIDs mean nothing; values without their mark."""
    sound = [point_json({"large": 25}, 3.0, fraction=0.0)]
    sound.append(point_json({"small": 10, "large": 15}, 3.1, 0.1, fraction=0.4))
    flagged = json.loads(json.dumps(sound))
    flagged[1]["metrics"]["fid"]["flags"] = ["few images"]
    texts = []
    for entries in (sound, flagged):
        points = [point_of(entry) for entry in entries]
        verdict = judge(points)
        texts.append(
            (verdict_text(verdict), render_markdown(points, None, {}, title="a"),
             render_page(points, None, {}, title="a"), verdict.equal)
        )  # fmt: skip
    assert texts[0][3] is not None and "few images" not in "".join(texts[0][:3])
    assert texts[1][3] is None
    assert texts[1][0].startswith("No finding: the FID is flagged (few images)")
    for text in texts[1][1:3]:
        assert "(few images)" in text and "No finding" in text
        assert "the speed <small>" not in text
