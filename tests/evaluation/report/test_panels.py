"""Small multiples: what is drawn where."""

import pytest

from evaluation.report.panels import Line, Panel, draw_panels
from evaluation.report.plots import GREY, colour


def test_colours_and_legend():
    """Catches: a name with two colours, a published line that looks like ours or like another."""
    ours = Line("a", [0, 1], [1, 2], [0.5, 1.5], [1.5, 2.5])
    lines = [Line("b", [0, 1], [2, 1]), ours, Line("paper, a", [0], [1], published=True, like="a")]
    other = Panel("second", "x", "y", [ours, Line("paper", [0, 1], [1, 1], published=True)])
    figure = draw_panels([Panel("first", "x", "y", lines), other])
    first, second = ([line for line in axes.lines if len(line.get_xdata())] for axes in figure.axes)
    tone = {line.get_color() for line in second if line.get_linestyle() == "-"}
    assert tone == {colour(1)}
    dashed = [line.get_color() for line in first + second if line.get_linestyle() == "--"]
    assert dashed == [colour(1), GREY]
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["b", "a", "paper, a", "paper"]


def test_nothing_to_draw():
    """Catches: an empty picture."""
    with pytest.raises(ValueError, match="panels="):
        draw_panels([])
