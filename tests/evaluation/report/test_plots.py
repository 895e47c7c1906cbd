"""Figures of a sweep."""

import dataclasses

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.text import Annotation, Text
from PIL import Image
from sweep_points import (
    metrics_json,
    noise,
    point_json,
    point_of,
    real_images,
    records,
    three_denoisers,
    two_denoisers,
)

from evaluation.report.charts import metric_figure
from evaluation.report.pareto import FLOPS, TIME, front_of
from evaluation.report.plots import COLOURS, plot_metrics, plot_pareto
from evaluation.report.points import Floor
from evaluation.report.sheets import draw_strip
from tstitch.files.pictures import save_figure

FLOOR = real_images()


def bars_of(axes) -> list[ErrorbarContainer]:
    return [c for c in axes.containers if isinstance(c, ErrorbarContainer)]


def drawn_intervals(bars: ErrorbarContainer) -> np.ndarray:
    """(x, low, high) of each bar."""
    (lines,) = bars.lines[2]
    return np.array([(s[0, 0], s[0, 1], s[1, 1]) for s in lines.get_segments()])


def test_metrics_have_their_intervals():
    """Catches: bars of another metric, bounds taken for lengths, values in another order."""
    points = two_denoisers()
    figure = plot_metrics(points[::-1], FLOOR)
    assert len(figure.axes) == len(points[0].metrics)
    for axes, key in zip(figure.axes, ["fid", "kid", "inception_score", "recall"], strict=True):
        (bars,) = bars_of(axes)
        metrics = [p.metrics[key] for p in points]
        expected = [(p.fraction, p.metrics[key].low, p.metrics[key].high) for p in points]
        assert np.allclose(drawn_intervals(bars), expected)
        assert np.allclose(bars.lines[0].get_ydata(), [m.value for m in metrics])
        floor = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert [line.get_ydata()[0] for line in floor] == [FLOOR.metrics[key].value]
        assert axes.get_title().replace("\n", " ") == metrics[0].name


def test_a_far_floor_does_not_flatten_the_curves():
    """Catches: an axis that the floor stretches until the runs are one line; a floor not told."""
    points, far = two_denoisers(), Floor(num_images=500, metrics=records(metrics_json(-20.0)))
    for figure, one in ((plot_metrics(points, far), plot_metrics(points)),
                        (plot_pareto(points, far), plot_pareto(points))):  # fmt: skip
        axes, alone = figure.axes[0], one.axes[0]
        assert axes.get_ylim() == alone.get_ylim()
        assert not [line for line in axes.lines if line.get_linestyle() == "--"]
        notes = [t.get_text() for t in axes.texts if "real" in t.get_text()]
        assert notes == ["real images: -20 \N{DOWNWARDS ARROW}"]
    chart, alone = metric_figure(points, far, "fid"), metric_figure(points, None, "fid")
    assert chart["data"] == alone["data"]
    assert [n["text"] for n in chart["layout"].pop("annotations")] == [
        notes[0].replace("-20", "-20.00")
    ]
    assert chart["layout"] == alone["layout"]


def test_series_are_told_apart():
    """Catches: two series in one colour, a legend without them."""
    figure = plot_metrics([*two_denoisers("one"), *two_denoisers("two")])
    bars = bars_of(figure.axes[0])
    assert [b.lines[0].get_color() for b in bars] == list(COLOURS[:2])
    assert len({b.lines[0].get_marker() for b in bars}) == 2
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["one", "two"]


def test_more_than_one_fraction_is_plotted_against_cost():
    """Catches: points of a simplex joined along the first fraction."""
    points = three_denoisers()
    figure = plot_metrics(points)
    (bars,) = bars_of(figure.axes[0])
    assert sorted(bars.lines[0].get_xdata()) == sorted(p.gmacs_per_image for p in points)
    assert bars.lines[0].get_linestyle() == "None"
    assert "GMACs" in figure.axes[0].get_xlabel()


@pytest.mark.parametrize("points", [two_denoisers(), three_denoisers()], ids=["two", "three"])
def test_front_is_drawn(points):
    """Catches: a line through all points, the front of another cost, a wrong unit."""
    for axes, kind in zip(plot_pareto(points, FLOOR).axes, (TIME, FLOPS), strict=True):
        front = [points[i] for i in front_of(points, kind)]
        line = next(line for line in axes.lines if line.get_label() == "Pareto front")
        if kind == TIME:
            costs = [1e3 * p.seconds_per_image for p in front]
        else:
            costs = [p.flops_per_image / 1e9 for p in front]
        assert np.allclose(line.get_xdata(), costs)
        assert np.allclose(line.get_ydata(), [p.metrics["fid"].value for p in front])
        (bars,) = bars_of(axes)
        assert len(drawn_intervals(bars)) == len(points)


CROWDED = [*two_denoisers("a"), *two_denoisers("b", 3.1), *two_denoisers("c", 60.0)]


@pytest.mark.parametrize(
    "points", [two_denoisers(), three_denoisers(), CROWDED], ids=["two", "three", "crowded"]
)
def test_labels_do_not_overlap(points):
    """Catches: fractions written over each other or outside of the axes."""
    figure = plot_pareto(points, FLOOR)
    figure.draw_without_rendering()  # puts the labels where they are in the file
    for axes in figure.axes:
        renderer = figure.canvas.get_renderer()
        texts = [t for t in axes.texts if isinstance(t, Annotation)]
        boxes = [Text.get_window_extent(t, renderer).extents for t in texts]
        assert len(boxes) >= 6
        left, bottom, right, top = axes.bbox.extents
        for place, box in enumerate(boxes):
            assert box[0] >= left and box[1] >= bottom and box[2] <= right and box[3] <= top
            for other in boxes[:place]:
                sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
                assert (sides <= 0.5).any()


def test_a_plain_sweep_is_labelled_throughout():
    """Catches: labels dropped although there is room."""
    figure = plot_pareto(two_denoisers(), FLOOR)
    for axes in figure.axes:
        assert {t.get_text() for t in axes.texts} == {p.short for p in two_denoisers()}


def test_wide_ranges_are_logarithmic():
    """Catches: good runs squeezed onto the floor by a bad one; a logarithm of a negative number."""
    points = two_denoisers(worst=80.0)
    assert plot_pareto(points).axes[0].get_yscale() == "log"
    assert plot_pareto(two_denoisers()).axes[0].get_yscale() == "linear"
    kid = dataclasses.replace(points[0].metrics["kid"], value=0.0, low=-0.001, high=0.001)
    points[0] = dataclasses.replace(points[0], metrics={**points[0].metrics, "kid": kid})
    assert plot_metrics(points).axes[1].get_yscale() == "linear"


def test_untimed_runs():
    """Catches: a run without a time at zero seconds, an empty panel, an error."""
    points = two_denoisers()
    untimed = point_json({"small": 10, "large": 10}, 1.0, fraction=0.5, timed=False)
    time, flops = plot_pareto([*points, point_of(untimed)]).axes
    assert len(drawn_intervals(bars_of(time)[0])) == 11
    assert len(drawn_intervals(bars_of(flops)[0])) == 12
    assert len(plot_pareto([point_of(untimed)]).axes) == 1


def test_missing_metrics_leave_gaps():
    """Catches: an error, or values of other runs, where a metric was not measured."""
    points = two_denoisers()
    points[4] = dataclasses.replace(points[4], metrics={"fid": points[4].metrics["fid"]})
    figure = plot_metrics(points)
    assert [len(drawn_intervals(bars_of(a)[0])) for a in figure.axes] == [11, 10, 10, 10]


@pytest.mark.parametrize("draw", [plot_metrics, plot_pareto])
def test_files(draw, tmp_path):
    """Catches: empty pictures, another resolution, leftovers, bytes that differ by the clock."""
    figure = draw(two_denoisers(), FLOOR)
    save_figure(figure, tmp_path / "plot")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plot.pdf", "plot.png"]
    with Image.open(tmp_path / "plot.png") as image:
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        assert image.height > 400 and len(image.convert("RGB").getcolors(1 << 24)) > 50
    raw = (tmp_path / "plot.pdf").read_bytes()
    assert raw.startswith(b"%PDF") and b"CreationDate" not in raw


@pytest.mark.parametrize(("side", "factor"), [(28, 3), (64, 2), (256, 1)])
def test_strip_shows_every_image_in_its_place(side, factor):
    """Catches: rows and columns exchanged, blurred or transposed pixels."""
    images = noise(5, 3, side)
    strip = np.asarray(draw_strip(images, list("abcde"), ["x", "y", "z"]))
    shown = side * factor
    left, top = strip.shape[1] - 5 * (shown + 4), strip.shape[0] - 3 * (shown + 4)
    for column in range(5):
        for row in range(3):
            x, y = left + column * (shown + 4), top + row * (shown + 4)
            tile = images[column, row].repeat(factor, 0).repeat(factor, 1)
            assert np.array_equal(strip[y : y + shown, x : x + shown], tile)
    assert (strip[:top, left:] < 128).any() and (strip[top:, :left] < 128).any()


def test_strip_without_a_background():
    """Catches: a white sheet on a dark page, labels that only one of both pages shows."""
    images = noise(2, 2, 28)
    plain = np.asarray(draw_strip(images, list("ab"), list("xy")))
    strip = np.asarray(draw_strip(images, list("ab"), list("xy"), clear=True))
    ground = (plain == 255).all(axis=-1)
    assert strip.shape[-1] == 4 and (strip[ground, 3] == 0).mean() > 0.99
    written = strip[:16, :, 3] > 200
    assert written.any() and set(strip[:16][written][:, 0]) <= set(range(100, 141))
    assert np.array_equal(strip[-88:, -88:, :3][:84, :84], plain[-88:, -88:][:84, :84])


def test_strip_labels_stay_in_their_column():
    """Catches: long labels that run into the next column or over the images."""
    images = np.full((2, 1, 28, 28, 3), 255, np.uint8)
    label = "DPM-Solver++ fraction 0.123456 and many more words than fit into it"
    strip = np.asarray(draw_strip(images, [label, ""], [""]))
    assert (strip[:, : strip.shape[1] - 88] < 128).any()
    assert (strip[:, strip.shape[1] - 88 :] == 255).all()
    assert (strip[strip.shape[0] - 88 :] == 255).all()


def test_strip_refuses_other_arrays():
    """Catches: floats shown as black, labels that shift against their images."""
    with pytest.raises(ValueError, match="^images=float64"):
        draw_strip(noise(2, 2, 28) / 255.0, list("ab"), list("xy"))
    with pytest.raises(ValueError, match=r"^images=uint8 \(2, 28"):
        draw_strip(noise(2, 2, 28)[0], list("ab"), list("xy"))
    with pytest.raises(ValueError, match="labels"):
        draw_strip(noise(2, 2, 28), list("abc"), list("xy"))
