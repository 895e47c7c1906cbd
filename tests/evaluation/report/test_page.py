"""report.html: complete, self-contained, escaped."""

import base64
import dataclasses
import io
import json
import re
from html import unescape
from html.parser import HTMLParser

import plotly.graph_objects
import pytest
from PIL import Image
from plotly.offline import get_plotlyjs
from sweep_points import (
    NAMES,
    PROTOCOL,
    noise,
    point_json,
    point_of,
    real_images,
    three_denoisers,
    two_denoisers,
)

from evaluation.report.page import render_page
from evaluation.report.sheets import draw_strip

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Reader(HTMLParser):
    """Tags, texts outside of scripts and styles, and whether elements are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.scripts, self.open = "", [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif not self.open or self.open[-1] != "style":
            self.text += data


def png() -> bytes:
    file = io.BytesIO()
    strip = draw_strip(noise(3, 2, 28), ["0", "0.5", "1"], ["Bag", "Coat"])
    strip.save(file, format="PNG")
    return file.getvalue()


def page_of(points, floor=None, title="A sweep", protocol=PROTOCOL) -> str:
    return render_page(points, floor, protocol, title=title, pictures=[("The strip", png())])


SWEEPS = {
    "two": [*two_denoisers("one"), *two_denoisers("two", 60.0)],
    "three": three_denoisers(),
    "single": two_denoisers()[:1],
    "untimed": [point_of(point_json({"small": 5, "large": 15}, 3.0, timed=False))],
}


@pytest.fixture(scope="module", params=SWEEPS, ids=str)
def sweep(request):
    points = SWEEPS[request.param]
    return points, page_of(points, real_images())


def figures_of(page: str) -> list[dict]:
    (text,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', page)
    return json.loads(text)


def test_page_is_complete(sweep):
    """Catches: a run, a metric, a section or the protocol left out; elements left open."""
    points, page = sweep
    reader = Reader(page)
    assert reader.open == []
    for point in points:
        assert point.label in reader.text and point.series in reader.text
        assert point.run_dir in reader.text
    heads = re.findall(r"<h2>(.*?)</h2>", page)
    assert [h for h in heads if "Metrics" not in h] == [
        "Findings", "Samples", "Quality against cost", "All runs", "Protocol", "Run directories",
    ]  # fmt: skip
    for text in ("Fashion-MNIST train", "torch 2.6.0", "a CPU", "jackknife", *NAMES.values()):
        assert text in reader.text


def test_nothing_is_loaded_from_elsewhere(sweep):
    """Catches: a font, script or picture that needs the network or another file."""
    _, page = sweep
    tags = Reader(page).tags
    for tag, attributes in tags:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        assert tag != "script" or "src" not in attributes
        assert "srcset" not in attributes and not (attributes.get("style") or "").count("url(")
        assert (attributes.get("src") or "data:").startswith("data:")
        assert "://" not in (attributes.get("href") or "")
    style = re.search(r"<style>(.*?)</style>", page, re.S).group(1)
    assert "url(" not in style and "@import" not in style
    assert "://" not in page.replace(get_plotlyjs(), "")


def test_plotly_is_there_once_and_uploads_nothing(sweep):
    """Catches: megabytes repeated per plot, and plotly.js's button that sends data to a server."""
    _, page = sweep
    assert page.count(get_plotlyjs()) == 1
    own = page.replace(get_plotlyjs(), "")
    for setting in ("displayModeBar: false", "showSendToCloud: false", 'plotlyServerURL: ""'):
        assert own.count(setting) == own.count("Plotly.react(") == 1


def test_figures_are_valid_and_have_a_place(sweep):
    """Catches: a misspelt property that plotly.js ignores, a figure without its element."""
    points, page = sweep
    figures = figures_of(page)
    timed = any(p.seconds_per_image for p in points)
    assert len(figures) == len(NAMES) + 1 + timed
    places = [a["id"] for tag, a in Reader(page).tags if a.get("class") == "plot"]
    assert places == [figure["id"] for figure in figures]
    for figure in figures:
        plotly.graph_objects.Figure(data=figure["data"], layout=figure["layout"])


def test_error_bars_and_hover_are_of_the_point(sweep):
    """Catches: bars of another metric, hover texts one point off, bounds taken for lengths."""
    points, page = sweep
    for figure in figures_of(page):
        kind, key = figure["id"].split("-", 1)
        key = "fid" if kind == "pareto" else key
        traces = [t for t in figure["data"] if "error_y" in t]
        shown = 0
        for trace in traces:
            bars = trace["error_y"]
            columns = (trace["y"], bars["arrayminus"], bars["array"], trace["hovertext"])
            for y, minus, plus, text in zip(*columns, strict=True):
                (point,) = [p for p in points if p.series in text and f"{p.label}<br>" in text]
                metric = point.metrics[key]
                assert (y, y - minus, y + plus) == pytest.approx(
                    (metric.value, metric.low, metric.high)
                )
                assert f"NFE {point.nfe}" in text and "ms" in text and "GMACs" in text
                assert "difference of FID" in text and NAMES["fid"] in text
                shown += 1
        timed = [p for p in points if p.seconds_per_image]
        assert shown == len(timed if figure["id"] == "pareto-time" else points)


def test_pictures_are_inside():
    """Catches: a picture by its path, other bytes than those given, one that is no PNG."""
    page = page_of(two_denoisers())
    (source,) = [a["src"] for tag, a in Reader(page).tags if tag == "img"]
    data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    assert data == png()
    with Image.open(io.BytesIO(data)) as image:
        image.load()
    with pytest.raises(ValueError, match="^pictures='x'.*PNG"):
        render_page(two_denoisers(), None, {}, title="t", pictures=[("x", b"GIF89a")])


EVIL = '</script><script>alert(1)</script><img src="//x" onerror=alert(1)>&"\''


def test_everything_is_escaped():
    """Catches: a name that becomes an element, in the page, in a script or in a hover text."""
    points = [
        dataclasses.replace(
            p, series=EVIL, label=f"{EVIL} {p.fraction}", run_dir=EVIL, protocol={EVIL: EVIL}
        )
        for p in two_denoisers()
    ]
    for place, point in enumerate(points):
        metrics = {k: dataclasses.replace(m, name=EVIL + k) for k, m in point.metrics.items()}
        metrics[EVIL] = metrics["kid"]
        points[place] = dataclasses.replace(point, metrics=metrics)
    page = page_of(points, title=EVIL, protocol={EVIL: {EVIL: EVIL}})
    reader = Reader(page)
    assert len(reader.scripts) == 3 and reader.open == []
    assert [tag for tag, _ in reader.tags].count("img") == 1
    assert all("onerror" not in attributes for _, attributes in reader.tags)
    assert EVIL in reader.text
    for figure in figures_of(page):
        for trace in figure["data"]:
            for text in trace.get("hovertext", []):
                assert "<img" not in text and "<script" not in text
                assert points[0].series in unescape(text) or "real images" in text


@pytest.mark.parametrize(
    ("run_dir", "linked"),
    [("runs/a b#c", "runs/a%20b%23c/"), ("../runs/x", "../runs/x/"), ("/abs/x", None),
     ("javascript:alert(1)", None), ("https://example.org/x", None), ("//host/x", None)],
)  # fmt: skip
def test_run_directories_are_linked_only_if_relative(run_dir, linked):
    """Catches: a link that runs a script or leaves the folder's machine, an unquoted name."""
    point = dataclasses.replace(two_denoisers()[0], run_dir=run_dir)
    reader = Reader(page_of([point]))
    links = [a["href"] for tag, a in reader.tags if tag == "a"]
    assert links == ([linked] if linked else []) and run_dir in reader.text


def test_logarithmic_axes_have_full_ticks():
    """Catches: 50 written as 5, as plotly.js does between powers of ten."""
    (figure,) = [f for f in figures_of(page_of(SWEEPS["two"])) if f["id"] == "pareto-time"]
    axis = figure["layout"]["yaxis"]
    assert axis["type"] == "log" and axis["ticktext"][:3] == ["1", "2", "5"]
    assert [float(t) for t in axis["ticktext"]] == axis["tickvals"]


def test_table_has_a_cell_per_column():
    """Catches: a row that is shifted against its header."""
    page = page_of(SWEEPS["two"], real_images())
    for table in re.findall(r"<table>.*?</table>", page, re.S):
        columns = table.count("<th ")
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", table)[1:]:
            assert row.count("<td") == columns
