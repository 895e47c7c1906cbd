"""Which times of a sweep may be compared, and that no false speed-up is told or drawn."""

import dataclasses
import re

import pytest
from sweep_points import PROTOCOL, two_denoisers

from evaluation.report.markdown import render_markdown
from evaluation.report.page import render_page
from evaluation.report.plots import plot_pareto
from evaluation.report.points import Point
from evaluation.report.speed import comparable_times, speed_range, speed_ratio

ONE = ("1 process of 2 CPU threads, on a CPU",)
TWO = ("2 processes of 1 CPU thread, on a CPU",)
SPEED_UP = re.compile(r"\d\.\d\dx")


def slowed(point: Point, times: float, where: tuple[str, ...] = ()) -> Point:
    """The point as a machine this much slower would have timed it."""
    seconds = {name: s * times for name, s in point.seconds_per_denoiser.items()}
    return dataclasses.replace(
        point,
        seconds_per_image=point.seconds_per_image * times,
        seconds_per_denoiser=seconds,
        timed_in=where or point.timed_in,
    )


def everything(points) -> str:
    """What is told: report.md and the page's own text."""
    page = render_page(points, None, PROTOCOL, title="t")
    return render_markdown(points, None, PROTOCOL, title="t") + page.partition("<script>")[0]


def timed_plots(points) -> int:
    """Points in the picture of FID against time, and in the page's."""
    page = render_page(points, None, PROTOCOL, title="t")
    figure = plot_pareto(points)
    panels = [axes for axes in figure.axes if axes.get_xlabel() == "ms / image"]
    assert len(panels) == page.count('id="pareto-time"')
    return sum(len(bars.lines[0].get_xdata()) for axes in panels for bars in axes.containers)


def test_steady_runs_of_one_measurement():
    """Catches: speed-ups that are refused although all times are of the same conditions."""
    points = [dataclasses.replace(p, timed_in=ONE) for p in two_denoisers()]
    kept, notes = comparable_times(points)
    assert kept == points and notes == []
    assert "1.81x" in everything(points) and timed_plots(points) == 11


def test_points_of_other_processes():
    """Catches: reused points of another number of processes compared with the rest."""
    points = [dataclasses.replace(p, timed_in=TWO) for p in two_denoisers()]
    points[9] = slowed(points[9], 0.6, ONE)
    kept, (note,) = comparable_times(points)
    assert kept[9].seconds_per_image is None and kept[8] == points[8]
    assert note.startswith("Mixed timings: fraction 0.9 (1 process of 2") and TWO[0] in note
    assert timed_plots(points) == 10
    row = next(line for line in everything(points).splitlines() if line.startswith("| 0.9 |"))
    assert not SPEED_UP.search(row)
    # Where the all-large run is the odd one, there is nothing to compare with.
    points[0] = slowed(points[0], 2.0, ONE)
    assert not SPEED_UP.search(everything(points))


def test_a_run_in_two_pieces():
    """Catches: a median over batches of two conditions taken for a time of one."""
    points = [dataclasses.replace(p, timed_in=TWO) for p in two_denoisers()]
    points[4] = dataclasses.replace(points[4], timed_in=(*TWO, *ONE))
    kept, (note,) = comparable_times(points)
    assert [p.seconds_per_image is None for p in kept].index(True) == 4 and "fraction 0.4" in note


@pytest.mark.parametrize("place", [1, 5, 10])
@pytest.mark.parametrize("times", [0.5, 1.6])
def test_a_load_that_changes_in_the_middle(place, times):
    """Catches: speed-ups between runs of a busy and of an idle machine."""
    points = [slowed(p, times) if i >= place else p for i, p in enumerate(two_denoisers())]
    kept, (note,) = comparable_times(points)
    assert all(p.seconds_per_image is None for p in kept) and "load" in note
    assert "sweep.timing_rounds" in note
    assert not SPEED_UP.search(everything(points)) and timed_plots(points) == 0


def test_two_runs_beyond_arithmetic():
    """Catches: a speed-up above the ratio of FLOPs where no third run betrays the load."""
    large, *_, small = two_denoisers()
    seconds = {"small": 0.0, "large": 0.024}
    points = [dataclasses.replace(large, seconds_per_image=0.0245, seconds_per_denoiser=seconds)]
    points.append(small)
    kept, (note,) = comparable_times(points)
    assert speed_ratio(points[1], points[0]) is None
    assert "fraction 1 measured above what the arithmetic allows (15.0x)" in note
    assert kept[0].seconds_per_image is None and not SPEED_UP.search(everything(points))


def in_turn(point: Point, *factors: float) -> Point:
    seconds = tuple(point.seconds_per_image * factor for factor in factors)
    return dataclasses.replace(point, round_seconds=seconds, timed_in=ONE)


def test_rounds_are_compared_round_by_round():
    """Catches: a load that grows from round to round taken for a speed-up or a loss."""
    points = [in_turn(p, 1.0, 3.0, 2.0) for p in two_denoisers()]
    kept, notes = comparable_times(points)
    assert notes == [] and speed_ratio(kept[5], kept[0]) == pytest.approx(12.5 / 6.9)
    assert speed_range(kept[5], kept[0]) == pytest.approx((12.5 / 6.9, 12.5 / 6.9))
    uneven = in_turn(points[5], 1.0, 6.0, 2.2)
    assert speed_range(uneven, kept[0])[0] == pytest.approx(12.5 / 6.9 / 2)


def test_rounds_beyond_arithmetic_are_told():
    """Catches: 12.73x the speed at 14 % of the multiply-adds as a headline."""
    points = [in_turn(p, 1.0, 1.0, 1.0) for p in two_denoisers()]
    points[9] = in_turn(two_denoisers()[9], 0.4, 0.4, 0.4)
    kept, (note,) = comparable_times(points)
    assert speed_ratio(kept[9], kept[0]) is None and speed_ratio(kept[8], kept[0]) is not None
    assert "fraction 0.9 measured above what the arithmetic allows (6.2x)" in note
