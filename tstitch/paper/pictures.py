"""The picture of a figure: panels of its points, the paper's values beside where they are known."""

from collections.abc import Sequence

from evaluation.report.panels import Line, Panel
from tstitch.paper.curve_settings import ROLES, Curve
from tstitch.paper.figures import FigureData
from tstitch.paper.measure import Result
from tstitch.paper.verdicts_curves import denoise_seconds, front, rows, step_seconds

FRACTION, MS = "fraction of the smaller model", "ms / image (steps of each model)"
CHANGE = "change, relative to f = 1"


def panels_of(data: FigureData) -> list[Panel]:
    """What to draw; empty for a table alone."""
    kind = data.figure.kind
    if kind == "similarity":
        return _similarity(data)
    if kind == "spectrum":
        return [_spectrum(data)]
    if kind == "predict":
        return _predictions(data)
    if not data.results or kind != "curves" or data.figure.name.startswith("table"):
        return []
    if any(len(r.spot.models) == 3 for r in data.results):
        return _mixes(data)
    return _fractions(data)


def _fractions(data: FigureData) -> list[Panel]:
    """FID against fraction, a panel per number of steps where samplers differ."""
    found = rows(data.results)
    several = len({row[0].spot.sampler for row in found}) > 1
    panels: dict[str, Panel] = {}
    name = _metric(found[0][0], "fid")
    # Levels of different numbers of images cannot be compared, their differences can.
    paired = len({row[0].spot.images for row in found}) > 1
    for row in found:
        title = f"{row[0].spot.steps} steps" if several else ""
        label = "FID(f) - FID(0)" if paired else name
        panel = panels.setdefault(title, Panel(title, FRACTION, label))
        panel.lines.append(_line(row, _label(row, found), "fid", paired))
        panel.lines.extend([] if paired else _published(row))
    result = list(panels.values())
    if len(found) == 1:
        known = found[0][0].evaluation["metrics"]
        result += [_panel_of(found[0], m) for m in ("precision", "recall") if m in known]
    if "timing" in data.extra:
        timing = data.extra["timing"]
        ms = [[1e3 * s / timing["batch_size"] for s in row] for row in timing["seconds"]]
        lines = [
            Line(_label(found[0], found), timing["fractions"], *map(list, zip(*ms, strict=True)))
        ]
        result.append(Panel("time, interleaved rounds", FRACTION, "ms / image", lines))
    shape = _shape(found, data.figure.published)
    return [*result, *([shape] if shape else [])]


def _panel_of(row: list[Result], metric: str) -> Panel:
    return Panel(
        metric, FRACTION, _metric(row[0], metric), [_line(row, _label(row, [row]), metric)]
    )


def _metric(result: Result, metric: str) -> str:
    return result.evaluation["metrics"][metric]["name"]


def _label(row: list[Result], every: list[list[Result]]) -> str:
    """What tells a row from the others."""
    spots = [one[0].spot for one in every]
    own, parts = row[0].spot, []
    if len({spot.models for spot in spots}) > 1 or len(every) == 1:
        parts.append(" + ".join(own.models))
    if len({spot.sampler for spot in spots}) > 1:
        parts.append(row[0].spot.planned.protocol.rsplit(f" {own.steps} steps", 1)[0])
    elif len({spot.steps for spot in spots}) > 1:
        parts.append(f"{own.steps} steps")
    if len({spot.images for spot in spots}) > 1:
        parts.append(f"{own.images} images")
    if own.variant:
        parts.append(own.variant)
    return ", ".join(parts) or "ours"


def _line(row: list[Result], name: str, metric: str, paired: bool = False) -> Line:
    bounds = [r.minus(row[0], metric) if paired else r.estimate(metric) for r in row]
    return Line(
        name,
        [r.spot.fraction for r in row],
        [b.value for b in bounds],
        [b.low for b in bounds],
        [b.high for b in bounds],
    )


def _published(row: list[Result]) -> list[Line]:
    known = [r for r in row if "fid" in r.spot.expected]
    if not known:
        return []
    return [
        Line(
            "paper",
            [r.spot.fraction for r in known],
            [r.spot.expected["fid"] for r in known],
            published=True,
        )
    ]


def _shape(found: list[list[Result]], published: Sequence[Curve]) -> Panel | None:
    """How far FID has come from all large to all small, beside the paper's curve."""
    lines = []
    for row in found:
        curve = next((c for c in published if c.models == row[0].spot.models), None)
        ends = row[0].value(), row[-1].value()
        if curve is None or row[0].spot.variant or ends[0] == ends[1] or len(row) < 5:
            continue
        name = _label(row, found)
        own = [(r.value() - ends[0]) / (ends[1] - ends[0]) for r in row]
        lines.append(Line(name, [r.spot.fraction for r in row], own))
        values = curve.expected.values[: len(curve.shares)]
        theirs = {_fraction(curve, i): v["fid"] for i, v in enumerate(values) if "fid" in v}
        first, last = theirs.get(0.0), theirs.get(1.0)
        if first is None or last is None or first == last:
            continue
        scaled = [(v - first) / (last - first) for v in theirs.values()]
        label = f"paper, {' + '.join(curve.models)}"
        lines.append(Line(label, list(theirs), scaled, published=True, like=name))
    if not lines or len(found) > 3 or len({row[0].spot.sampler for row in found}) > 1:
        return None
    return Panel(
        "shape, beside the paper's", FRACTION, "(FID(f) - FID(0)) / (FID(1) - FID(0))", lines
    )


def _fraction(curve: Curve, place: int) -> float:
    return round(1 - curve.shares[place][ROLES.index(curve.models[-1])], 9)


def _mixes(data: FigureData) -> list[Panel]:
    """FID against time of three-model mixes, a panel per guidance, fewer steps beside."""
    steps, panels = step_seconds(data.results), []
    for guidance in sorted({r.spot.guidance for r in data.results}):
        own = [r for r in data.results if r.spot.guidance == guidance]
        mixes = [r for r in own if len(r.spot.models) == 3]
        if not mixes:
            continue
        fewer = sorted((r for r in own if len(r.spot.models) == 2), key=lambda r: r.spot.steps)
        two = [r for r in mixes if 0 in r.spot.shares]
        three = [r for r in mixes if 0 not in r.spot.shares]
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


def _similarity(data: FigureData) -> list[Panel]:
    x, panels = data.extra["timesteps"], []
    for measure, label in (("cosine", "cosine similarity"), ("distance", "|a - b| / |b|")):
        for kind in ("shared", "separate"):
            lines = [Line(pair, x, course[measure]) for pair, course in data.extra[kind].items()]
            panels.append(Panel(f"{kind} trajectory", "timestep (999 = noise)", label, lines))
    return panels


def _spectrum(data: FigureData) -> Panel:
    every = data.extra["amplitude"]
    count = len(every[0])
    x = [(i + 0.5) / count for i in range(count)]
    names = [f"t = {t:.0f}" for t in data.extra["timesteps"]] + ["x_0"]
    picked = sorted({round(i * (len(every) - 1) / 5) for i in range(6)})
    lines = [Line(names[i], x, every[i]) for i in picked]
    return Panel("before each step, and x_0", "frequency / pi", "log10 amplitude", lines)


def _predictions(data: FigureData) -> list[Panel]:
    panels = []
    for row in data.extra["rows"]:
        lines = [Line("change of the final image", row["fractions"], row["change"])]
        if data.extra["check"]:  # else there is no FID
            lines.insert(0, Line("rise of FID / FID(0), measured", row["fractions"], row["rise"]))
        limit = [row["change_threshold"]] * 2
        lines.append(Line("its threshold", [0, 1], limit, published=True, like=lines[-1].name))
        title = row["protocol"].split(",")[0]
        label = "FID, relative to f = 0; image, to f = 1" if data.extra["check"] else CHANGE
        panels.append(Panel(title, FRACTION, label, lines))
    lines = [
        Line(row["protocol"].split(",")[0], row["fractions"][1:], row["similarity"][1:])
        for row in data.extra["rows"]
    ]
    panels.append(Panel("similarity", FRACTION, "1 - cosine of predictions", lines, log=True))
    return panels
