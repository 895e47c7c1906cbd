"""report.md: what a run did and what it cost, for a reader."""

from itertools import groupby
from pathlib import Path
from typing import Any

from evaluation.cost.timing import Seconds
from evaluation.report.table import Table, table_lines
from tstitch.files.writing import write_text
from tstitch.maker.provenance import describe, load_text, milliseconds, options_text
from tstitch.run.directory import SCHEDULE_PICTURE
from tstitch.run.finished import GRID, REPORT, FinishedRun
from tstitch.run.metrics import DenoiserMetrics, RunMetrics, RunProtocol
from tstitch.scoring.evaluation import Evaluation
from tstitch.scoring.table import render_table

COSTS = [
    "denoiser", "steps", "evaluations / image", "parameters", "GMACs / evaluation", "ms / image"
]  # fmt: skip


def write_report(run: FinishedRun, floor: Evaluation | None = None) -> None:
    """Writes report.md.

    Args:
        floor: the evaluation of real images.

    Raises:
        OSError: not writable, or no space.
    """
    pictures = [name for name in (SCHEDULE_PICTURE,) if (run.folder / name).is_file()]
    write_text(run.folder / REPORT, _render(run.metrics, run.evaluation, floor, pictures))


def _render(
    metrics: RunMetrics,
    evaluation: Evaluation | None,
    floor: Evaluation | None,
    pictures: list[str],
) -> str:
    """Markdown of a run's metrics and, if the images were evaluated, of their evaluation.

    Args:
        pictures: of how the schedule was found, files beside the report.
    """
    protocol, seconds = metrics.protocol, metrics.seconds_per_image
    rows = metrics.denoisers.items()
    stages = seconds.stages if seconds else {}
    prompts = "" if protocol.prompts is None else f" of {protocol.prompts} prompts"
    lines = [
        f"# {protocol.pair}: {protocol.num_images} stitched images\n",
        f"![samples]({GRID})\n",
        *table_lines(Table(COSTS, [_cost(key, row, stages) for key, row in rows])),
        *(f"\n![{Path(name).stem}]({name})" for name in pictures),
    ]
    if evaluation is not None:
        lines += ["", "## Quality", "", render_table(evaluation, floor), "", "## Cost"]
    lines += [
        f"\n- Time: {_timing(seconds)}",
        *_conditions(metrics),
        f"- Arithmetic: {metrics.gmacs_per_image:.4g} GMACs per image "
        f"({metrics.flops_per_image:.4g} FLOPs, 2 per multiply-add, attention included), "
        f"{metrics.flops_ratio_to_all_large:.3f} of the largest denoiser{_and_guide(protocol)} "
        "alone.",
        f"- NFE: {metrics.nfe_per_image:g} network evaluations per image{_each(metrics)}.",
        *_encoders(metrics),
        *_own_steps(metrics),
        "",
        "## Protocol\n",
        *_method(protocol, list(metrics.denoisers)),
        f"- Images: {protocol.num_images}{prompts}, classes {protocol.classes}, "
        f"seed {protocol.seed}.",
        f"- Computed in {protocol.dtype}, engine {options_text(protocol.engine)}, on "
        f"{', '.join(protocol.devices)}.",
        "- Versions: " + ", ".join(f"{k} {v}" for k, v in metrics.versions.items()) + ".",
        f"- Fingerprint: `{metrics.fingerprint}`.\n",
    ]
    return "\n".join(lines)


def _and_guide(protocol: RunProtocol) -> str:
    return " and its guide" if "guide" in (protocol.guidance or {}) else ""


def _each(metrics: RunMetrics) -> str:
    """Of which denoiser, where the steps do not say it."""
    if not _and_guide(metrics.protocol):
        return ""
    counts = [f"{row.evaluations_per_image:g} of {n}" for n, row in metrics.denoisers.items()]
    return f", {' and '.join(counts)}"


def _encoders(metrics: RunMetrics) -> list[str]:
    """Where steps share an encoding: how often each part ran, and what it takes."""
    rows = {n: row for n, row in metrics.denoisers.items() if row.evaluations_per_image}
    parts = [
        f"{row.encoder_evaluations_per_image} of {row.evaluations_per_image:g} evaluations of "
        f"{name} ({row.encoder_flops_per_evaluation / 2e9:.4g} GMACs, the decoder "
        f"{row.decoder_flops_per_evaluation / 2e9:.4g})"
        for name, row in rows.items()
        if row.encoder_flops_per_evaluation and row.decoder_flops_per_evaluation
    ]
    return [f"- Steps share encodings: the encoder runs in {', '.join(parts)}."] if parts else []


def _cost(denoiser: str, row: DenoiserMetrics, stages: dict[str, float]) -> list[str]:
    counts = [_steps(row), f"{row.evaluations_per_image:g}"]
    sizes = [f"{row.parameters / 1e6:.2f} M", f"{row.gmacs_per_evaluation:.4g}"]
    return [denoiser, *counts, *sizes, f"{1000 * stages.get(f'denoise/{denoiser}', 0.0):.2f}"]


def _steps(row: DenoiserMetrics) -> str:
    """`10`, or `7.25 (3 to 15)` where each image has its own."""
    if row.steps_range is None:
        return f"{row.steps:g}"
    return f"{row.steps:g} ({row.steps_range[0]} to {row.steps_range[1]})"


def _method(protocol: RunProtocol, denoisers: list[str]) -> list[str]:
    """The sections of Experiment.protocol."""
    lines = []
    if sampler := protocol.sampler:
        name, options = _named(sampler, "steps")
        words = [name, f"{sampler['steps']} steps", *([options] if options else [])]
        lines.append(f"- Sampler: {', '.join(words)}.")
    if schedule := protocol.stitch:
        text = ", ".join(filter(None, _named(schedule, "models")))
        lines.append(f"- Stitch schedule: {text}; realised steps as in the table.")
        if models := schedule.get("models"):
            parts = [f"{denoisers[k]} {len(list(run))}" for k, run in groupby(models)]
            lines.append(f"- Steps, noisiest first: {', '.join(parts)}.")
    if guidance := protocol.guidance:
        scale, channels = guidance["scale"], guidance.get("channels")
        where = "all channels" if channels is None else f"the first {channels} channels"
        own = "".join(f", of {name} {value}" for name, value in guidance.get("scales", {}).items())
        kind = f"Autoguidance by {guidance['guide']}" if "guide" in guidance else "Guidance"
        lines.append(f"- {kind}: scale {scale}{own}, on {where}.")
    if process := protocol.process:
        lines.append(f"- Process of noise: {_values(process)}.")
    for name, seen in (protocol.predictions or {}).items():
        match, path = seen["match"], _values(seen["process"])
        scale, shift = seen.get("latent_scale", 1), seen.get("latent_shift", 0)
        own = "" if (scale, shift) == (1, 0) else f"; its latents are times {scale}, plus {shift}"
        lines.append(f"- {name} predicts {seen['prediction']}, on {path}, matched by {match}{own}.")
    return lines


def _own_steps(metrics: RunMetrics) -> list[str]:
    """What the numbers of a schedule are that each image decides for itself."""
    if all(row.steps_range is None for row in metrics.denoisers.values()):
        return []
    line = (
        "- Each image decided its own steps: the table has means (least to most), from which NFE "
        "and arithmetic follow; `steps` in samples.npz has those of every image."
    )
    if metrics.protocol.engine.get("compile") or metrics.protocol.engine.get("cuda_graphs"):
        line += (
            " Shapes are static: while images of a batch differ, both denoisers compute the whole "
            "batch, which is in the times and not in the arithmetic."
        )
    return [line]


def _values(process: dict[str, Any]) -> str:
    own = [f"{key} {value}" for key, value in process.items() if key != "kind"]
    return f"{process['kind']} ({', '.join(own)})" if own else process["kind"]


def _named(section: dict[str, Any], *without: str) -> tuple[str, str]:
    """The class that a section names, and its arguments but for some that stand elsewhere."""
    arguments = {k: v for k, v in section.items() if k not in ("_target_", *without)}
    name = section["_target_"].rpartition(".")[2]
    return name, ", ".join(f"{k} {v}" for k, v in arguments.items())


def _timing(seconds: Seconds | None) -> str:
    if seconds is None:
        return "not measured: the images come from an earlier samples.npz."
    others = {k: v for k, v in seconds.stages.items() if not k.startswith("denoise/")}
    warm = "warm-up included" if seconds.warmup_included else "after warm-up"
    text = (
        f"{1000 * seconds.total:.2f} ms per image and process, median of "
        f"{seconds.batches} batches, {warm}; beside the denoisers, in ms: "
        f"{milliseconds(others)}; at the same time as these: "
        f"{milliseconds(seconds.background)}."
    )
    if seconds.prepared:
        each = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.prepared.items())
        text += f" Compiled or recorded before the first batch, not included: {each}."
    return text


def _conditions(metrics: RunMetrics) -> list[str]:
    """Where the times come from; a run in pieces may have several sources."""
    groups = metrics.conditions
    lines = []
    for group in groups:
        load = f", {text}" if (text := load_text(group)) else ""
        lines.append(f"  - {group.batches} batches: {describe(group)}{load}.")
    if len(groups) > 1:
        lines.append("  - Mixed conditions: the times hold for none of them alone.")
    return lines
