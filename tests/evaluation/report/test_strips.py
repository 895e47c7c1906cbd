"""Schedules beside their values: the right steps are coloured, far anchors are written."""

import pytest
from matplotlib.colors import to_hex

from evaluation.metrics.jackknife import Interval
from evaluation.report.plots import colour
from evaluation.report.strips import FILL, Column, Strip, draw_strips


def strip(label, models, value, **kinds):
    return Strip(label, models, [Interval(value, value - 0.1, value + 0.1)], **kinds)


STRIPS = [
    strip("all large", [1, 1, 1], 0.0, beside=True),
    strip("first", [0, 0, 1], 0.2, strong=True),
    strip("last", [1, 0, 0], 0.5),
    strip("all small", [0, 0, 0], 9.0, beside=True),
]


def drawn(strips):
    return draw_strips("title", strips, [Column("difference", 0.0)], ("small", "large")).axes


def test_steps_are_those_of_the_schedule():
    """Catches: strips upside down, colours of the other model."""
    steps, _ = drawn(STRIPS)
    found = [to_hex(patch.get_facecolor()) for patch in steps.patches]
    wanted = [FILL[model].lower() for one in STRIPS for model in one.models]
    assert found == wanted and colour(0).lower() in found
    assert [label.get_text() for label in steps.get_yticklabels()] == [s.label for s in STRIPS]
    assert steps.get_ylim()[0] > steps.get_ylim()[1]  # the first on top
    assert [t.get_weight() for t in steps.get_yticklabels()][:2] == ["normal", "bold"]


def test_a_far_anchor_is_written():
    """Catches: one value that squeezes all others into a corner, or that is lost."""
    _, values = drawn(STRIPS)
    assert values.get_xlim()[1] < 1 and [t.get_text()[:1] for t in values.texts] == ["9"]
    _, near = drawn([*STRIPS[:3], strip("all small", [0, 0, 0], 0.9, beside=True)])
    assert near.get_xlim()[1] > 1 and not near.texts


def test_values_without_a_column_are_refused():
    """Catches: values drawn on an axis of something else."""
    with pytest.raises(ValueError, match="give each 2 values"):
        draw_strips("", STRIPS, [Column("a", 0), Column("b", 0)], ("small", "large"))
    with pytest.raises(ValueError, match="strips=0"):
        draw_strips("", [], [], ())
