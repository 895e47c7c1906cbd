"""benchmark.md and benchmark.png."""

from pathlib import Path
from typing import Any

from evaluation.report.table import Table, table_lines
from tstitch.maker.provenance import milliseconds

COLUMNS = [
    "engine", "images/s at fraction 0", "over plain", "ms per step", "share of matmul peak",
    "not denoising", "peak memory", "prepared in", "latents differ by",
]  # fmt: skip


def render_benchmark(document: dict[str, Any]) -> str:
    """The Markdown report of a benchmark.json."""
    protocol, cases = document["protocol"], document["cases"]
    lines = [
        f"# {protocol['pair']}: how fast it samples\n",
        *_missing(document),
        "![images per second against fraction](benchmark.png)\n",
        *table_lines(Table(COLUMNS, [*map(_row, cases), *map(_peer_row, document["peers"])])),
        "",
        "Medians of the rounds, smallest and largest in brackets. *ms per step*: one guided "
        "evaluation of a whole batch. *Share of matmul peak*: FLOPs of the denoiser over the rate "
        "of large square products in the same precision, measured in the same process and round. "
        "*Not denoising*: sampler update, noise, decoding, writing and waiting, at fraction 0. "
        "*Latents differ by*: |x_0 - x_ref| / |x_ref| of the first batch at fraction 0, x_ref "
        "from the first row's engine of the same batch size. *diffusers*: its DiTPipeline with the "
        "same weights and autoencoder, all in the dtype that the row names; DDIM with as many "
        "steps; from the noise to uint8 on the host, ours to the files.",
    ]
    for case in cases:
        lines += ["", f"## {case['name']}", "", *_fractions(case), "", _details(case)]
    lines += [
        "\n*Ideal*: the time of all large steps over the time of the schedule's steps, from the "
        "times per step above.\n",
        "## Protocol\n",
        *(f"- {name.replace('_', ' ')}: {_text(value)}" for name, value in protocol.items()),
        "",
    ]
    return "\n".join(lines)


def _row(case: dict[str, Any]) -> list[str]:
    denoisers = case["denoisers"]
    return [
        case["name"],
        _spread(case["fractions"][0]["images_per_second"], "{:.3g}"),
        _spread(case["speedup_over_plain"], "{:.2f}", "x"),
        "; ".join(
            f"{n} {_spread(_milli(d['seconds_per_step']), '{:.3g}')}" for n, d in denoisers.items()
        ),
        "; ".join(f"{n} {_percent(d['share_of_matmul_peak'])}" for n, d in denoisers.items()),
        _percent(case["not_denoising"]),
        f"{case['peak_bytes'] / 2**30:.2f} GiB",
        _prepared(case),
        f"{case['latent_deviation']:.1e}",
    ]


def _missing(document: dict[str, Any]) -> list[str]:
    """What a reader must know before the table."""
    lines = []
    if not document["finished"]:
        lines += ["**Incomplete: it was stopped, or is still at work.** Below is what it has.", ""]
    if document["left_out"]:
        lines += ["Left out:", ""]
        for entry in document["left_out"]:
            seconds = entry["seconds"]
            price = "" if seconds is None else f", some {seconds:.0f} s"
            lines.append(f"- {entry['name']}{price}: {entry['reason']}")
        lines.append("")
    return lines


def _peer_row(row: dict[str, Any]) -> list[str]:
    cells = dict.fromkeys(COLUMNS, "-") | {
        "engine": row["name"],
        "images/s at fraction 0": _spread(row["images_per_second"], "{:.3g}"),
        "over plain": _spread(row["speedup_over_plain"], "{:.2f}", "x"),
        "peak memory": f"{row['peak_bytes'] / 2**30:.2f} GiB",
        "prepared in": _prepared(row),
    }
    return list(cells.values())


def _prepared(case: dict[str, Any]) -> str:
    seconds = case["prepare_seconds"].items()
    return "; ".join(f"{name} {value:.0f} s" for name, value in seconds) or "-"


def _fractions(case: dict[str, Any]) -> list[str]:
    header = ["fraction", "steps", "images/s", "speed-up", "ideal", "measured / ideal"]
    rows = [
        [
            f"{row['fraction']:g}",
            " + ".join(str(count) for count in row["steps"].values()),
            _spread(row["images_per_second"], "{:.3g}"),
            f"{row['speedup']['median']:.2f}x",
            f"{row['ideal_speedup']['median']:.2f}x",
            _spread(row["share_of_ideal"], "{:.3f}"),
        ]
        for row in case["fractions"]
    ]
    return table_lines(Table(header, rows), labels=False)


def save_plot(document: dict[str, Any], path: Path) -> None:
    """A PNG: images per second against fraction, one line per case; the ideal is dashed."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    from evaluation.report.plots import DPI, MARKERS, colour

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for place, case in enumerate(document["cases"]):
        rows = case["fractions"]
        at = [row["fraction"] for row in rows]
        rates = [row["images_per_second"] for row in rows]
        middle = [rate["median"] for rate in rates]
        below = [rate["median"] - rate["low"] for rate in rates]
        above = [rate["high"] - rate["median"] for rate in rates]
        axes.errorbar(
            at, middle, (below, above), label=case["name"], color=colour(place),
            marker=MARKERS[place % len(MARKERS)], markersize=4, capsize=2,
        )  # fmt: skip
        ideal = [middle[at.index(0.0)] * row["ideal_speedup"]["median"] for row in rows]
        axes.plot(at, ideal, "--", color=colour(place), linewidth=0.8)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.set_xlabel("fraction of the small denoiser")
    axes.set_ylabel("images / s")
    axes.set_title(f"{document['protocol']['pair']} (dashed: ideal)")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=DPI, format="png")


def _details(case: dict[str, Any]) -> str:
    used = [name for name, value in case["options"].items() if value]
    return (
        f"{case['rounds']} round(s); {', '.join(used) or 'no options'}; "
        f"{case['threads_per_process']} CPU thread(s) per process. Milliseconds per image at "
        f"fraction 0: {milliseconds(case['seconds_per_image'])}; at the same time as these: "
        f"{milliseconds(case['seconds_per_image_beside'])}. Matrix products: "
        f"{_spread(case['matmul_flops_per_second'], '{:.3g}')} FLOP/s."
    )


def _percent(values: dict[str, float]) -> str:
    return _spread({name: 100 * value for name, value in values.items()}, "{:.3g}", " %")


def _milli(values: dict[str, float]) -> dict[str, float]:
    return {name: 1000 * value for name, value in values.items()}


def _spread(values: dict[str, float], form: str, unit: str = "") -> str:
    low, middle, high = (form.format(values[name]) for name in ("low", "median", "high"))
    return f"{middle}{unit}" if low == high else f"{middle}{unit} [{low}, {high}]"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(entry)}" for name, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
