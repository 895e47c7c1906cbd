"""Records of a sweep and points.csv."""

import csv
import dataclasses
import math

import pytest
from sweep_points import NAMES, point_json, point_of, real_images, three_denoisers, two_denoisers

from evaluation.report.points import (
    Floor,
    by_series,
    has_fractions,
    metric_names,
    points_csv,
)
from evaluation.report.speed import comparable_times


def rows_of(path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def number(text: str) -> float | None:
    return float(text) if text else None


@pytest.mark.parametrize("points", [two_denoisers(), three_denoisers()], ids=["two", "three"])
def test_csv_round_trip(points, tmp_path):
    """Catches: rounded numbers, exchanged bounds, differences of another run, lost rows."""
    (tmp_path / "points.csv").write_text(points_csv(points), newline="")
    rows = rows_of(tmp_path / "points.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["points.csv"]
    assert len(rows) == len(points)
    for row, point in zip(rows, points, strict=True):
        assert (row["series"], row["label"], row["run_dir"]) == (
            point.series,
            point.label,
            point.run_dir,
        )
        assert number(row["fraction"]) == point.fraction
        assert tuple(map(float, row["fractions"].split())) == (point.fractions or ())
        for name in ("nfe", "seconds_per_image", "gmacs_per_image", "flops_per_image"):
            assert number(row[name]) == getattr(point, name)
        assert int(row["num_images"]) == point.num_images
        for name, steps in point.steps_per_denoiser.items():
            assert int(row[f"steps_{name}"]) == steps
            assert float(row[f"seconds_{name}"]) == point.seconds_per_denoiser[name]
            assert float(row[f"gmacs_per_evaluation_{name}"]) == point.gmacs_per_evaluation[name]
        for key, metric in point.metrics.items():
            bounds = (metric.value, metric.low, metric.high)
            assert tuple(float(row[k]) for k in (key, f"{key}_low", f"{key}_high")) == bounds
            assert row[f"{key}_name"] == NAMES[key]
        paired = point.differences.get("fid")
        for column in ("difference", "low", "high"):
            name = "fid_difference" + ("" if column == "difference" else f"_{column}")
            assert number(row[name]) == getattr(paired, column, None)


def test_csv_columns_do_not_depend_on_the_points(tmp_path):
    """Catches: columns that move when the first run has no difference or is not timed."""
    points = two_denoisers()
    untimed = point_of(point_json({"small": 0, "large": 20}, 2.5, fraction=0.0, timed=False))
    headers = []
    for place, some in enumerate((points, points[:1], points[::-1], [untimed])):
        (tmp_path / f"{place}.csv").write_text(points_csv(some), newline="")
        headers.append(list(rows_of(tmp_path / f"{place}.csv")[0]))
    assert all(header == headers[0] for header in headers)
    assert rows_of(tmp_path / "3.csv")[0]["seconds_per_image"] == ""


def test_csv_quotes(tmp_path):
    """Catches: a comma, a quote or a line break in a name that moves the columns."""
    series = 'a, "b"\nc'
    point = point_of(point_json({"small": 1}, 2.5, series=series, fraction=1.0))
    (tmp_path / "points.csv").write_text(points_csv([point]), newline="")
    (row,) = rows_of(tmp_path / "points.csv")
    assert row["series"] == series and float(row["fid"]) == 2.5


def changed(path: str, value: object) -> dict:
    values = point_json({"small": 5, "large": 15}, 2.5, 0.1, fraction=0.25)
    *folders, name = path.split(".")
    place = values
    for folder in folders:
        place = place[folder]
    place[name] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [("metrics.fid.value", math.nan, "FID"), ("metrics.fid.low", None, "FID"),
     ("metrics.kid.low", 1.0, "KID"), ("differences.fid.high", -1.0, "difference"),
     ("metrics", {}, "metrics="), ("fraction", 1.2, "fraction=1.2"),
     ("steps_per_denoiser", {}, "steps_per_denoiser"), ("nfe", 0, "nfe=0"),
     ("seconds_per_image", 0.0, "seconds_per_image"), ("flops_per_image", math.inf, "flops"),
     ("gmacs_per_evaluation", {"small": 1.0}, "gmacs_per_evaluation")],
)  # fmt: skip
def test_bad_records_are_refused(path, value, field):
    """Catches: NaN in a report, bounds exchanged, a division by zero seconds."""
    with pytest.raises(ValueError, match=f"^{field}") as caught:
        point_of(changed(path, value))
    assert "\n" not in str(caught.value)


def test_bad_floors_are_refused():
    """Catches: NaN as the line that runs are compared with."""
    metrics = real_images().metrics
    fid = dataclasses.replace(metrics["fid"], high=math.nan)
    with pytest.raises(ValueError, match="^FID"):
        Floor(metrics=metrics | {"fid": fid}, num_images=5)


def test_two_feature_spaces_are_refused():
    """Catches: FIDs of different networks in one plot."""
    other = point_json({"small": 1}, 2.5)
    other["metrics"]["fid"]["name"] = "FID"
    with pytest.raises(ValueError, match="^points: fid is .*extractor"):
        metric_names([*two_denoisers(), point_of(other)])
    with pytest.raises(ValueError, match="^points="):
        metric_names([])


def test_metrics_have_one_order():
    """Catches: columns in the order of whichever run came first."""
    points = two_denoisers()
    shuffled = dict(reversed(points[0].metrics.items()))
    first = dataclasses.replace(points[0], metrics=shuffled)
    assert list(metric_names([first])) == list(metric_names(points, real_images()))
    assert next(iter(metric_names([first]))) == "fid"


def test_order_in_a_series():
    """Catches: lines that run back and forth because runs finished in another order."""
    points = [*two_denoisers("a")[::-1], *two_denoisers("b")]
    series = by_series(points)
    assert list(series) == ["a", "b"]
    for members in series.values():
        assert [points[i].fraction for i in members] == [round(0.1 * k, 1) for k in range(11)]
    simplex = three_denoisers()
    (members,) = by_series(simplex).values()
    costs = [simplex[i].gmacs_per_image for i in members]
    assert costs == sorted(costs, reverse=True)
    assert has_fractions(points) and not has_fractions(simplex)


def test_all_large_is_found_by_arithmetic():
    """Catches: an all-small run taken for the all-large one because of the order of names."""
    steps = {"large": 0, "small": 20}
    assert not point_of(point_json(steps, 2.5)).all_large
    assert point_of(point_json({"large": 20, "small": 0}, 2.5)).all_large
    assert [p.short for p in three_denoisers() if p.all_large] == ["0/0/1"]
    assert [p.fraction for p in two_denoisers() if p.all_large] == [0.0]


def test_arithmetic_of_denoisers_adds_up():
    """Catches: guidance's second evaluation left out of a denoiser's share."""
    for point in (*two_denoisers(), *three_denoisers()):
        shares = sum(point.gmacs_of(name) for name in point.steps_per_denoiser)
        assert shares == pytest.approx(point.gmacs_per_image)


def test_evaluations_as_a_guide():
    """Catches: a denoiser that guides the others' steps and has no arithmetic or times in its
    own, which look like another load of the machine then."""
    points = []
    for large in (20, 10, 0):
        values = point_json({"small": 20 - large, "large": large}, 2.5, fraction=1 - large / 20)
        evaluations = {"small": 20, "large": large}
        gmacs = {n: evaluations[n] * values["gmacs_per_evaluation"][n] for n in evaluations}
        seconds = {name: value / 1e3 for name, value in gmacs.items()}
        total = sum(gmacs.values())
        values |= {"evaluations_per_denoiser": evaluations, "nfe": 20 + large}
        values |= {"seconds_per_denoiser": seconds, "gmacs_per_image": total}
        values |= {"seconds_per_image": total / 1e3 + 5e-4, "flops_per_image": 2e9 * total}
        points.append(point_of(values))
        assert {name: points[-1].gmacs_of(name) for name in gmacs} == pytest.approx(gmacs)
    kept, notes = comparable_times(points)
    assert kept == points and notes == []
