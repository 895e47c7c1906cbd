"""The points of a sweep, from what its runs have written."""

import os
from dataclasses import replace
from pathlib import Path
from statistics import median_low

from evaluation.report.points import Point
from tstitch.maker.protocol import DENOISE
from tstitch.maker.provenance import describe
from tstitch.run.finished import FinishedRun
from tstitch.run.first_images import run_name
from tstitch.scoring.compare import compare
from tstitch.scoring.evaluation import Evaluation
from tstitch.sweep.plan import Plan, PlannedPoint
from tstitch.sweep.timing import Rounds


def collect_points(
    plan: Plan, runs: list[FinishedRun], report: Path, rounds: Rounds | None = None
) -> list[Point]:
    """One point per run, with its paired differences to the all-large run of its protocol.

    Args:
        runs: in the plan's order.
        report: folder of the report, to which the points name their directories.
        rounds: the runs' times in turn, which replace those of their own batches.

    Raises:
        UserError: a run without a current evaluation.
    """
    evaluations = [run.evaluated for run in runs]
    baselines = {
        point.protocol: evaluation
        for point, evaluation in zip(plan.points, evaluations, strict=True)
        if _all_large(point)
    }
    points = [
        make_point(planned, run, _other(baselines, planned), report)
        for planned, run in zip(plan.points, runs, strict=True)
    ]
    if rounds is None:
        return points
    return [_retimed(p, rounds, run_name(r.folder)) for p, r in zip(points, runs, strict=True)]


def _retimed(point: Point, rounds: Rounds, run: str) -> Point:
    seconds = rounds.seconds[run]
    where = f"{describe(rounds.conditions)}, in {len(seconds)} rounds in turn"
    return replace(
        point,
        seconds_per_image=median_low(seconds),
        seconds_per_denoiser=rounds.denoisers[run],
        round_seconds=tuple(seconds),
        timed_in=(where,),
        protocol=point.protocol | {"timed in": where},
    )


def _all_large(point: PlannedPoint) -> bool:
    *others, largest = point.experiment.steps_per_denoiser.values()
    # The costliest course of an online schedule is not its run.
    return largest > 0 and not any(others) and point.experiment.online is None


def _other(baselines: dict[str, Evaluation], planned: PlannedPoint) -> Evaluation | None:
    return None if _all_large(planned) else baselines.get(planned.protocol)


def make_point(
    planned: PlannedPoint, run: FinishedRun, baseline: Evaluation | None, report: Path
) -> Point:
    """The record of a run that is evaluated.

    Args:
        baseline: evaluation of the run to compare with, if there is one.
        report: folder of the report, to which the point names the run's.
    """
    metrics, evaluation = run.metrics, run.evaluated
    seconds, denoisers = metrics.seconds_per_image, metrics.denoisers
    where = tuple(describe(group) for group in metrics.conditions)
    return Point(
        series=planned.series,
        label=planned.label,
        fraction=planned.fraction,
        fractions=planned.fractions,
        steps_per_denoiser={name: row.steps for name, row in denoisers.items()},
        evaluations_per_denoiser={n: row.evaluations_per_image for n, row in denoisers.items()},
        nfe=metrics.nfe_per_image,
        seconds_per_image=seconds.total if seconds else None,
        seconds_per_denoiser={
            stage.removeprefix(DENOISE): value
            for stage, value in (seconds.stages.items() if seconds else ())
            if stage.startswith(DENOISE)
        },
        gmacs_per_image=metrics.gmacs_per_image,
        gmacs_per_evaluation={n: row.mean_gmacs_per_evaluation for n, row in denoisers.items()},
        flops_per_image=metrics.flops_per_image,
        num_images=evaluation.num_images,
        metrics=evaluation.metrics,
        differences=compare(evaluation, baseline) if baseline else {},
        run_dir=os.path.relpath(run.folder, report),
        protocol=metrics.protocol.method | {"timed in": " and ".join(where) or "not timed"},
        timed_in=where,
    )
