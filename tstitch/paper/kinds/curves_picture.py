"""The picture of curves: panels of their points, the paper's values beside where they are known."""

from collections.abc import Sequence

from evaluation.report.panels import Line, Panel
from tstitch.paper.figure.curves import Curve
from tstitch.paper.figure.measure import Result
from tstitch.paper.kinds.curves_mixes import denoise_seconds, front, step_seconds
from tstitch.paper.kinds.curves_timing import Timing
from tstitch.paper.report.answers import rows

BESIDE_FID = ("clip_score", "precision", "recall")  # where they are known, of a single curve
FRACTION, MS = "fraction of the smaller model", "ms / image (steps of each model)"


def fraction_panels(
    results: Sequence[Result], timing: Timing | None, published: Sequence[Curve]
) -> list[Panel]:
    """FID against fraction, a panel per number of steps where samplers differ.

    Args:
        published: curves with the paper's values.
    """
    every = rows(results)
    several = len({row[0].point.sampler for row in every}) > 1
    panels: dict[str, Panel] = {}
    name = _metric(every[0][0], "fid")
    # Levels of different numbers of images cannot be compared, their differences can.
    paired = len({row[0].point.images for row in every}) > 1
    for row in every:
        title = f"{row[0].point.steps} steps" if several else ""
        label = "FID(f) - FID(0)" if paired else name
        panel = panels.setdefault(title, Panel(title, FRACTION, label))
        panel.lines.append(_line(row, _label(row, every), "fid", paired))
        panel.lines.extend([] if paired else _published(row))
    drawn = list(panels.values())
    if len(every) == 1:
        known = every[0][0].metrics
        drawn += [_panel_of(every[0], m) for m in BESIDE_FID if m in known]
    if timing is not None:
        ms = [[1e3 * s / timing.batch_size for s in row] for row in timing.seconds]
        middle, low, high = map(list, zip(*ms, strict=True))
        lines = [Line(_label(every[0], every), timing.fractions, middle, low, high)]
        drawn.append(Panel("time, interleaved rounds", FRACTION, "ms / image", lines))
    shape = _shape(every, published)
    return [*drawn, *([shape] if shape else [])]


def _panel_of(row: list[Result], metric: str) -> Panel:
    line = _line(row, _label(row, [row]), metric)
    return Panel(metric.replace("_", " "), FRACTION, _metric(row[0], metric), [line])


def _metric(result: Result, metric: str) -> str:
    return result.metrics[metric].name


def _label(row: list[Result], every: list[list[Result]]) -> str:
    """What tells a row from the others."""
    points = [one[0].point for one in every]
    own, parts = row[0].point, []
    if len({point.models for point in points}) > 1 or len(every) == 1:
        parts.append(" + ".join(own.models))
    if len({point.sampler for point in points}) > 1:
        parts.append(row[0].point.planned.protocol.rsplit(f" {own.steps} steps", 1)[0])
    elif len({point.steps for point in points}) > 1:
        parts.append(f"{own.steps} steps")
    if len({point.images for point in points}) > 1:
        parts.append(f"{own.images} images")
    if own.variant:
        parts.append(own.variant)
    return ", ".join(parts) or "ours"


def _line(row: list[Result], name: str, metric: str, paired: bool = False) -> Line:
    bounds = [r.minus(row[0], metric) if paired else r.estimate(metric) for r in row]
    return Line(
        name,
        [r.point.fraction for r in row],
        [b.value for b in bounds],
        [b.low for b in bounds],
        [b.high for b in bounds],
    )


def _published(row: list[Result]) -> list[Line]:
    known = [r.point for r in row if "fid" in r.point.expected]
    x, y = [p.fraction for p in known], [p.expected["fid"] for p in known]
    return [Line("paper", x, y, published=True)] if known else []


def _shape(every: list[list[Result]], published: Sequence[Curve]) -> Panel | None:
    """How far FID has come from all large to all small, beside the paper's curve."""
    lines = []
    for row in every:
        curve = _nearest(row[0], published)
        ends = row[0].value(), row[-1].value()
        if curve is None or row[0].point.variant or ends[0] == ends[1] or len(row) < 5:
            continue
        name = _label(row, every)
        own = [(r.value() - ends[0]) / (ends[1] - ends[0]) for r in row]
        lines.append(Line(name, [r.point.fraction for r in row], own))
        theirs = curve.published("fid")
        first, last = theirs.get(0.0), theirs.get(1.0)
        if first is None or last is None or first == last:
            continue
        scaled = [(v - first) / (last - first) for v in theirs.values()]
        label = f"paper, {' + '.join(curve.models)}"
        lines.append(Line(label, list(theirs), scaled, published=True, like=name))
    if not lines or len(every) > 3 or len({row[0].point.sampler for row in every}) > 1:
        return None
    return Panel(
        "shape, beside the paper's", FRACTION, "(FID(f) - FID(0)) / (FID(1) - FID(0))", lines
    )


def _nearest(result: Result, published: Sequence[Curve]) -> Curve | None:
    """The paper's curve of the same models, and of as many steps if there is one."""
    same = [curve for curve in published if curve.models == result.point.models]
    of_steps = [curve for curve in same if result.point.steps in curve.steps]
    return next(iter([*of_steps, *same]), None)


def mix_panels(results: Sequence[Result]) -> list[Panel]:
    """FID against time of three-model mixes, a panel per guidance, fewer steps beside."""
    steps, panels = step_seconds(results), []
    for guidance in sorted({r.point.guidance for r in results}):
        own = [r for r in results if r.point.guidance == guidance]
        mixes = [r for r in own if len(r.point.models) == 3]
        if not mixes:
            continue
        fewer = sorted((r for r in own if len(r.point.models) == 2), key=lambda r: r.point.steps)
        two = [r for r in mixes if 0 in r.point.shares]
        three = [r for r in mixes if 0 not in r.point.shares]
        along = front(mixes, steps)
        lines = [
            Line(name, *_places(some, steps), joined=joined)
            for name, some, joined in (
                ("one or two models", two, False),
                ("three models", three, False),
                ("front of mixes", along, True),
                ("large alone, fewer steps", fewer, True),
            )
            if some
        ]
        title = f"guidance {guidance:g}"
        panels.append(Panel(title, MS, _metric(mixes[0], "fid"), lines))
    return panels


def _places(results: Sequence[Result], steps: dict[str, float]) -> tuple[list[float], list[float]]:
    return [1e3 * denoise_seconds(r, steps) for r in results], [r.value() for r in results]
