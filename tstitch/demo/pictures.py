"""What the page shows, as HTML: images, steps, times, the curve."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from PIL import Image

from evaluation.report.plots import GREY, new_figure, style
from tstitch.notebook.sampler import Made

THUMBNAIL, PICTURE = 96, 512  # pixels; larger images are made smaller before they are sent
TONES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")  # of denoisers, small to large


def message(text: str = "", *, bad: bool = False) -> str:
    """One line above the results; an error is announced to screen readers, too."""
    if not text:
        return ""
    kind, role = ("bad", "alert") if bad else ("busy", "status")
    return f'<p class="ts-line ts-{kind}" role="{role}">{escape(text)}</p>'


def chosen(
    fraction: float,
    made: Made,
    schedule: Sequence[int],
    conditions: Sequence[str],
    whole_s: float | None,
) -> str:
    """The images of one fraction, and which denoiser ran each step.

    Args:
        made: N images.
        schedule: the denoiser of each step, noisiest first, 0 = smallest.
        conditions: N texts.
        whole_s: seconds of the same images by the largest denoiser alone; None = not known.
    """
    names = list(made.steps)
    cards = "".join(
        f"<figure>{_image(image, f'{text}, fraction {fraction:g}', PICTURE)}"
        f"<figcaption>{escape(text)}</figcaption></figure>"
        for image, text in zip(made.images, conditions, strict=True)
    )
    bar = "".join(
        f'<i style="background:{_tone(model)}" title="step {number}: {escape(names[model])}"></i>'
        for number, model in enumerate(schedule, 1)
    )
    steps = ", ".join(f"<b>{_count(count)}</b> {escape(n)}" for n, count in made.steps.items())
    time = f"{_milliseconds(made)} ms per image"
    if whole_s is not None and fraction > 0:
        time += f", <b>{whole_s / made.seconds:.2f}x</b> as fast as {escape(names[-1])} alone"
    return (
        f'<div class="ts-chosen"><p>At fraction <b>{fraction:g}</b>: {steps} steps; {time}.</p>'
        f'<div class="ts-bar" role="img" aria-label="denoiser of each step">{bar}</div>'
        f'<div class="ts-ends"><span>noise</span>{_legend(names)}<span>image</span></div>'
        f'<div class="ts-cards">{cards}</div></div>'
    )


def side_by_side(
    fractions: Sequence[float],
    made: Mapping[float, Made],
    conditions: Sequence[str],
    names: Sequence[str],
    marked: float | None = None,
) -> str:
    """The same images at every fraction, and below each column its steps and its time.

    Args:
        fractions: columns; those that `made` has not are still to come.
        conditions: rows, a text per image.
        names: of the denoisers, small to large.
        marked: the column that is chosen.
    """

    def row(kind: str, title: str, cells: Sequence[str], tag: str = "td") -> str:
        marks = [' class="ts-mark"' if f == marked else "" for f in fractions]
        inner = "".join(f"<{tag}{m}>{c}</{tag}>" for m, c in zip(marks, cells, strict=True))
        return f'<tr class="ts-{kind}"><th scope="row">{title}</th>{inner}</tr>'

    ends = {0.0: f"{names[-1]} alone", 1.0: f"{names[0]} alone"}
    heads = [f"{f:g}<small>{escape(ends.get(f, ''))}</small>" for f in fractions]
    body = [row("head", "fraction", heads, "th")]
    for place, text in enumerate(conditions):
        cells = [
            _image(made[f].images[place], f"{text}, fraction {f:g}", THUMBNAIL)
            if f in made
            else '<span class="ts-wait"></span>'
            for f in fractions
        ]
        body.append(row("images", escape(text), cells))
    for place, name in enumerate(names):
        counts = [_count(made[f].steps[name]) if f in made else "" for f in fractions]
        title = f'<i style="background:{_tone(place)}"></i>{escape(name)} steps'
        body.append(row("number", title, counts))
    body.append(row("number", "ms / image", [_milliseconds(made.get(f)) for f in fractions]))
    whole = made.get(0.0)
    gains = [
        f"{whole.seconds / made[f].seconds:.2f}x" if whole and f in made else "" for f in fractions
    ]
    body.append(row("number", "speed", gains))
    return f'<div class="ts-scroll"><table class="ts-table">{"".join(body)}</table></div>'


def curve(apart: Sequence[float], schedule: Sequence[int], names: Sequence[str]) -> str:
    """Disagreement of the smallest denoiser and the largest at each step, as SVG.

    Args:
        apart: relative disagreement, noisiest step first.
        schedule: the denoiser of each step at the chosen fraction; empty = not known yet.
        names: of the denoisers, small to large.
    """
    import matplotlib

    figure = new_figure(5.6, 2.7)
    axes = figure.add_subplot()
    steps = range(1, len(apart) + 1)
    axes.plot(steps, apart, color=GREY, linewidth=1.0)
    for model, name in enumerate(names):
        own = [k for k, m in enumerate(schedule) if m == model]
        if own:
            axes.scatter(
                [k + 1 for k in own], [apart[k] for k in own],
                color=_tone(model), s=22, zorder=3, label=f"step of {name}",
            )  # fmt: skip
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("step, noisiest first")
    axes.set_ylabel("relative disagreement")
    axes.set_ylim(bottom=0)
    style(axes)
    if schedule:
        axes.legend(frameon=False, fontsize=9, loc="best")
    target = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "curve"}):  # the same curve, the same text
        figure.savefig(target, format="svg", metadata={"Date": None}, transparent=True)
    drawing = target.getvalue()
    label = f"disagreement of {names[0]} and {names[-1]} at each step"
    return (
        f'<div class="ts-curve" role="img" aria-label="{escape(label)}">'
        f"{drawing[drawing.index('<svg') :]}</div>"
    )


def _image(image: np.ndarray, text: str, most: int) -> str:
    picture = Image.fromarray(image)
    if max(picture.size) > most:
        picture.thumbnail((most, most), Image.Resampling.LANCZOS)
    target = io.BytesIO()
    picture.save(target, format="PNG")
    content = base64.b64encode(target.getvalue()).decode()
    label = escape(text, quote=True)
    return f'<img alt="{label}" title="{label}" src="data:image/png;base64,{content}">'


def _legend(names: Sequence[str]) -> str:
    return "".join(
        f'<span class="ts-key"><i style="background:{_tone(place)}"></i>{escape(name)}</span>'
        for place, name in enumerate(names)
    )


def _tone(place: int) -> str:
    return TONES[place % len(TONES)]


def _count(count: float) -> str:
    return f"{count:.3g}"


def _milliseconds(made: Made | None) -> str:
    if made is None:
        return ""
    each = 1e3 * made.seconds / len(made.images)
    return f"{each:.0f}" if each >= 100 else f"{each:.3g}"
