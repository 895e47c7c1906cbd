"""Tables and panels of arms."""

from collections.abc import Mapping

from evaluation.metrics.jackknife import Interval
from evaluation.report.panels import Line, Panel
from evaluation.report.pareto import pareto_front
from evaluation.report.table import Table, table_lines
from tstitch.paper.figure.base import FigureData
from tstitch.paper.kinds.arms_features import FeatureCourse
from tstitch.paper.kinds.arms_rows import Arm, Measurement, arms_of
from tstitch.paper.kinds.arms_timing import ArmTimes
from tstitch.paper.report.answers import text

FID, DIVERSITY = "fid", "diversity"
QUALITY = (FID, "precision", "recall", "coverage", "clip_score", DIVERSITY)
ON_LOAD = "ms / image in batches of {}"
MEANS = (
    "Means over the seeds of an arm; intervals are 95 %, over images (jackknife) and over seeds "
    "(Student's t) together, of arms with one training over images alone. Diversity: mean distance "
    "of two images of one prompt in the features of the metrics, of that of {}. Encoder: its share "
    "of the arithmetic."
)
TIMES = (
    "Times are medians of {} rounds in turn in one process of {}; at one image "
    "of the networks and the sampler alone, under load of everything up to the image. Front: no "
    "other arm is at least as fast with a lower FID."
)

TRAINED = (
    "Per training: steps of the student, images that it made, and processor time of one process (a "
    "GPU's work is not in it). Noise: mean and variance of what each "
    "decoder predicts, by its timestep, in the last fifth of the first seed's training."
)


def arm_tables(data: FigureData) -> list[str]:
    """Markdown: what was measured of every arm, and how its students were trained."""
    arms, measured = arms_of(data), data.measured
    lines = ["## Arms", "", *table_lines(_arms(arms, measured)), ""]
    lines += [MEANS.format(next(iter(arms))), ""]
    if (times := measured.times) is not None:
        lines += [TIMES.format(times.rounds, f"{times.threads} of {times.cores} cores"), ""]
    if measured.course is not None:
        lines += [*_features(data, measured.course), ""]
    if measured.trainings:
        lines += ["## Students", "", *table_lines(_students(measured)), "", TRAINED, ""]
    return lines


def _arms(arms: Mapping[str, Arm], measured: Measurement) -> Table:
    known = [key for key in QUALITY if any(arm.measured(key) for arm in arms.values())]
    names = {key: _name(arms, key) for key in known}
    header = ["arm", "students", *names.values(), "GMACs", "encoder"]
    if measured.times is not None:
        header += ["ms, 1 image", "images / s", "front"]
    front = _front(arms, measured.times)
    rows = []
    for name, arm in arms.items():
        cells = ["-" if (m := arm.mean(key)) is None else text(m) for key in known]
        own = arm.first.measurement.gmacs_per_image
        share = encoder_share(arm, measured.parts)
        row = [
            name,
            str(len(arm.results)) if arm.is_trained else "-",
            *cells,
            f"{own:.3g}",
            "-" if share is None else f"{share:.0%}",
        ]
        if measured.times is not None:
            row += [*_time_cells(measured.times, name), "yes" if name in front else ""]
        rows.append(row)
    return Table(header, rows)


def _name(arms: Mapping[str, Arm], key: str) -> str:
    return next(found[0].name for arm in arms.values() if (found := arm.measured(key)))


def _time_cells(times: ArmTimes, name: str) -> list[str]:
    latency, load = times.latency[name], times.load[name]
    low, high = (1e3 * latency[1], 1e3 * latency[2])
    return [
        f"{1e3 * latency[0]:.3g} ({low:.3g} to {high:.3g})",
        f"{times.batch_size / load[0]:.3g}",
    ]


def _front(arms: Mapping[str, Arm], times: ArmTimes | None) -> set[str]:
    """Arms that no other beats in FID and time under load."""
    if times is None:
        return set()
    names = [name for name, arm in arms.items() if arm.mean(FID) is not None]
    losses = [mean.value for name in names if (mean := arms[name].mean(FID)) is not None]
    return {names[i] for i in pareto_front([times.load[name][0] for name in names], losses)}


def encoder_share(arm: Arm, parts: Mapping[str, tuple[int, int]]) -> float | None:
    """Share of the encoder in an arm's arithmetic; None where several denoisers mix.

    Args:
        parts: FLOPs of the encoder and of the decoder of one evaluation, by denoiser; a student
            has those of the last, its teacher.
    """
    experiment = arm.first.point.experiment
    used = [name for name, steps in experiment.steps_per_denoiser.items() if steps]
    if not parts or len(used) > 1:
        return None
    encoder, decoder = parts.get(used[0], [*parts.values()][-1])
    if (shared := experiment.shared_encoders().get(used[0])) is not None:
        whole = experiment.evaluations_per_image[used[0]] * shared.decoder_flops
        own = shared.evaluations * shared.encoder_flops
        return own / (own + whole)
    if arm.is_trained:  # a student's evaluation is one encoder and all of its decoders
        runs = experiment.evaluations_per_image[used[0]]
        return runs * encoder / arm.first.measurement.flops_per_image
    return encoder / (encoder + decoder)


def _features(data: FigureData, course: FeatureCourse) -> list[str]:
    settings = data.figure.features  # type: ignore[attr-defined]
    encoder, decoder = course.means()
    return [
        f"Cosine similarity of features at neighbouring steps of {settings.arm}, {settings.images} "
        f"images, mean over blocks and steps: encoder {encoder:.3f}, decoder {decoder:.3f}, "
        f"difference {text(course.gap(), '+')}."
    ]


def _students(measured: Measurement) -> Table:
    rows = []
    for name, trainings in measured.trainings.items():
        seconds = [training.core_seconds for training in trainings]
        first = trainings[0]
        noises = "; ".join(f"{t}: {m:+.2f}, {v:.2f}" for t, (m, v) in first.noises.items())
        rows.append([
            name, str(len(trainings)), f"{first.steps:,}", f"{first.images:,}",
            f"{sum(seconds) / len(seconds):,.0f}" if all(seconds) else "-", noises,
        ])  # fmt: skip
    header = ["arm", "seeds", "steps", "images", "seconds", "noise: mean, variance"]
    return Table(header, rows)


def arm_panels(data: FigureData) -> list[Panel]:
    """Quality against time under load, and how alike features are from step to step."""
    arms, measured = arms_of(data), data.measured
    panels = []
    if (times := measured.times) is not None:
        label = ON_LOAD.format(times.batch_size)
        for key in (FID, "coverage", "clip_score", DIVERSITY):
            if any(arm.measured(key) for arm in arms.values()):
                lines = _lines(arms, times, key)
                panels.append(Panel("", label, _name(arms, key), lines, log_x=True))
    if (course := measured.course) is not None:
        lines = [
            Line(name, course.timesteps, [sum(row) / len(row) for row in rows])
            for name, rows in (("encoder", course.encoder), ("decoder", course.decoder))
        ]
        title = "features at neighbouring steps"
        panels.append(Panel(title, "timestep (999 = noise)", "cosine similarity", lines))
    return panels


def _lines(arms: Mapping[str, Arm], times: ArmTimes, key: str) -> list[Line]:
    """A line for each series, joined, and a point for every other arm."""
    rows: dict[str, list[tuple[float, Interval]]] = {}
    joined = {arm.series for arm in arms.values() if arm.series is not None}
    for name, arm in arms.items():
        if (mean := arm.mean(key)) is not None:
            seconds = times.load[name][0] / times.batch_size
            rows.setdefault(arm.series or name, []).append((1e3 * seconds, mean))
    return [
        Line(
            name=name,
            x=[x for x, _ in row],
            y=[y.value for _, y in row],
            low=[y.low for _, y in row],
            high=[y.high for _, y in row],
            joined=name in joined,
        )
        for name, row in rows.items()
    ]
