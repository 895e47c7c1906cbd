"""report.html of a sweep: one file that needs no network and no other file."""

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from html import escape
from string import Template
from typing import Any
from urllib.parse import quote, urlsplit

from evaluation.report.charts import metric_figure, pareto_figure
from evaluation.report.pareto import FLOPS, TIME, cost_of
from evaluation.report.plots import colour
from evaluation.report.points import LOSS, Floor, Point, by_series, has_fractions, metric_names
from evaluation.report.speed import comparable_times
from evaluation.report.table import Table
from evaluation.report.tables import (
    FLOOR,
    FRONTS,
    INTERVALS,
    NOTHING,
    cost_table,
    direction,
    floor_row,
    protocol_lines,
    result_table,
    warnings,
)
from evaluation.report.templates import PAGE, SCRIPT, STYLE
from evaluation.report.verdict import headline_speed, judge, verdict_text

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
UNTIMED = "No plot against time: there are no times that can be compared (see the findings' notes)."
MIN_PICTURE = 720  # pixels a picture keeps on a narrow screen, where it scrolls
TEXT_COLUMNS = ("series", "fraction", "run", "steps", "Pareto", "directory")


def render_page(
    points: Sequence[Point],
    floor: Floor | None,
    protocol: Mapping[str, Any],
    *,
    title: str,
    pictures: Sequence[tuple[str, bytes]] = (),
) -> str:
    """The HTML document; every text of the input is escaped.

    Args:
        points: runs of all series; their run_dir is relative to the folder of the page.
        floor: metrics of real test images, if measured.
        protocol: nested plain JSON: evaluation, versions, machine.
        title: of the document.
        pictures: (caption, bytes of a PNG) each, the strip first.

    Raises:
        ValueError: no points, metrics of different feature spaces, or a picture that is no PNG.
    """
    from plotly.offline import get_plotlyjs

    names, series = metric_names(points, floor), by_series(points)
    points, notes = comparable_times(points)
    figures = [metric_figure(points, floor, key) for key in names]
    pareto = [k for k in (TIME, FLOPS) if any(cost_of(p, k) is not None for p in points)]
    fronts = [pareto_figure(points, floor, kind) for kind in pareto]
    axis = "fraction" if has_fractions(points) else "cost"
    titles = [_title(key, name) for key, name in names.items()]
    body = [
        _section("Findings", _findings(points, floor, notes)),
        *([_section("Samples", "".join(map(_picture, pictures)))] if pictures else []),
        _section(f"Metrics against {axis}", _legend(series, floor), _plots(figures, titles)),
        _section(
            "Quality against cost",
            _legend(series, floor, front=True),
            _plots(
                fronts,
                [escape(f"{names[LOSS]} against {kind} per image") for kind in pareto],
                "two",
            ),
            *([] if TIME in pareto else [_note(UNTIMED)]),
            _note(FRONTS),
        ),
        _section("All runs", *_tables(points, floor, names)),
        _section("Protocol", _protocol(points, protocol)),
        _section("Run directories", _runs(points)),
    ]
    counts = ", ".join(map(str, sorted({p.num_images for p in points})))
    runs = f"{len(points)} runs, {len(series)} series, {counts} images per run"
    return Template(PAGE).substitute(
        title=escape(title),
        subtitle=escape(runs),
        style=STYLE,
        body="\n".join(body),
        plotly=get_plotlyjs(),
        figures=_script_json([*figures, *fronts]),
        script=SCRIPT,
    )


def _section(title: str, *parts: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def _note(text: str) -> str:
    return f'<p class="muted">{escape(text)}</p>'


def _findings(points: Sequence[Point], floor: Floor | None, notes: Sequence[str]) -> str:
    cards = []
    for name, members in by_series(points).items():
        verdict = judge([points[i] for i in members])
        faster = headline_speed(verdict).partition(" ")[0]  # its range is in the text
        run = f"<small>at {escape(verdict.equal.label)}</small>" if verdict.equal else ""
        big = f'<span class="big">{faster} the speed {run}</span>' if faster != NOTHING else ""
        text = escape(verdict_text(verdict))
        cards.append(f'<div class="card"><h3>{escape(name)}</h3>{big}<p>{text}</p></div>')
    texts = [*notes, *warnings(points, floor)]
    below = "".join(f"<p><strong>Note.</strong> {escape(text)}</p>" for text in texts)
    if floor:
        below += _note(FLOOR.format(floor.num_images))
    return f'<div class="cards">{"".join(cards)}</div>\n{below}{_note(INTERVALS)}'


def _picture(picture: tuple[str, bytes]) -> str:
    caption, data = picture
    if not data.startswith(PNG_SIGNATURE):
        raise ValueError(f"pictures={caption!r}: these bytes are no PNG; encode the picture as one")
    (width,) = struct.unpack(">I", data[16:20])
    source = f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"
    text = escape(caption)
    return (
        f'<figure><div class="scroll"><img src="{source}" alt="{text}" '
        f'style="min-width: {min(width, MIN_PICTURE)}px"></div>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _legend(series: Mapping[str, list[int]], floor: Floor | None, *, front: bool = False) -> str:
    """Buttons that show and hide a series in every plot."""
    items = [
        f'<button type="button" aria-pressed="true" data-series="{place}">'
        f'<i style="background: {colour(place)}"></i>{escape(name)}</button>'
        for place, name in enumerate(series)
    ]
    if front:
        items.append('<span><i class="rule"></i>Pareto front</span>')
    if floor:
        items.append('<span><i class="rule dashed"></i>real images</span>')
    return f'<div class="legend">{"".join(items)}</div>'


def _title(key: str, name: str) -> str:
    """A metric's short name, below it the feature space and what is better."""
    short, bracket, space = name.partition(" (")
    better = [f"{word} is better"] if (word := direction(key)) else []
    small = ", ".join([bracket.strip() + space, *better] if bracket else better)
    return f"{escape(short)} <small>{escape(small)}</small>"


def _plots(figures: Sequence[dict[str, Any]], titles: Sequence[str], kind: str = "") -> str:
    """Boxes for the script to draw in, under titles in HTML."""
    boxes = [
        f'<div><h3>{title}</h3><div class="plot" id="{escape(figure["id"])}"></div></div>'
        for figure, title in zip(figures, titles, strict=True)
    ]
    return f'<div class="plots {kind}">{"".join(boxes)}</div>'


def _tables(points: Sequence[Point], floor: Floor | None, names: Mapping[str, str]) -> list[str]:
    """All runs in one table to sort, then time and arithmetic per denoiser of each series."""
    series = by_series(points)
    header, rows, front = [], [], []
    for name in series:
        table = result_table(points, name, names)
        place = table.header.index("Pareto")
        header = ["series", "run", *table.header[1:]]
        rows += [[name, *row] for row in table.rows]
        front += [row[place] != NOTHING for row in table.rows]
    foot = [["", *floor_row(floor, names)]] if floor else []
    if len(series) == 1:
        header, rows, foot = header[1:], [row[1:] for row in rows], [row[1:] for row in foot]
    parts = [_table(Table(header, rows), front, foot), _note("Shaded: on a Pareto front.")]
    for name in series:
        caption = f"Time and arithmetic of each denoiser, per image: {name}"
        parts.append(_table(cost_table(points, name), caption=caption))
    return parts


def _table(
    table: Table, front: Sequence[bool] = (), foot: Sequence[list[str]] = (), caption: str = ""
) -> str:
    kinds = [' class="text"' if name in TEXT_COLUMNS else "" for name in table.header]
    wrap = [' class="text wrap"' if name == "series" else k
            for name, k in zip(table.header, kinds, strict=True)]  # fmt: skip
    head = "".join(
        f'<th scope="col"{kind}><button type="button">{_unbroken(name)}</button></th>'
        for kind, name in zip(kinds, table.header, strict=True)
    )
    marks = [' class="front"' if mark else "" for mark in front] or [""] * len(table.rows)
    body = "".join(
        f"<tr{mark}>{_cells(row, wrap)}</tr>\n" for mark, row in zip(marks, table.rows, strict=True)
    )
    end = "".join(f'<tr class="floor">{_cells(row, wrap)}</tr>' for row in foot)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll table"><table>{title}<thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody><tfoot>{end}</tfoot></table></div>"
    )


def _unbroken(name: str) -> str:
    return escape(name).replace(" / ", " /&nbsp;")


def _cells(row: Sequence[str], kinds: Sequence[str]) -> str:
    pairs = zip(row, kinds, strict=True)
    return "".join(f"<td{kind}>{escape(text)}</td>" for text, kind in pairs)


def _protocol(points: Sequence[Point], protocol: Mapping[str, Any]) -> str:
    entries = []
    for head, pairs in protocol_lines(points, protocol):
        lines = [f"{escape(key)} {escape(text)}".strip() for key, text in pairs]
        entries.append(f"<dt>{escape(head)}</dt><dd>{'<br>'.join(lines)}</dd>")
    return f"<dl>{''.join(entries)}</dl>"


def _runs(points: Sequence[Point]) -> str:
    """Links relative to the page; a path that is absolute or a URL stays a text."""
    entries = []
    for members in by_series(points).values():
        for point in (points[i] for i in members):
            text = f"<code>{escape(point.run_dir)}</code>"
            if not point.run_dir.startswith("/") and not urlsplit(point.run_dir).scheme:
                text = f'<a href="{escape(quote(point.run_dir))}/">{text}</a>'
            name = escape(f"{point.series}, {point.label}")
            entries.append(f"<dt>{name}</dt><dd>{text}</dd>")
    return f"<dl>{''.join(entries)}</dl>"


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element that holds it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
