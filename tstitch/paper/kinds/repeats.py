"""The same run several times in a row: whether images stay the same, and what each takes."""

import hashlib
import time
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import model_validator

from evaluation.cost.timing import StageTimer
from evaluation.report.table import Table, table_lines
from tstitch.config import fields
from tstitch.maker.batches import draw_unit
from tstitch.maker.protocol import ImageMaker
from tstitch.maker.units import Unit
from tstitch.paper.figure.base import Answer, Figure, FigureData
from tstitch.paper.figure.kept import measure_once, measurement_key
from tstitch.paper.figure.measure import ModelCache, Result
from tstitch.paper.figure.plan import CurvePoint, plan_points
from tstitch.paper.figure.settings import Reproduction


@dataclass(frozen=True, slots=True)
class Repeat:
    """One run of a batch: what it made and took."""

    digest: str  # SHA-256 of the images
    seconds: float
    small_steps: int


def c26(data: FigureData) -> Answer:
    repeats: list[Repeat] = data.measured
    alike = len({(r.digest, r.small_steps) for r in repeats}) == 1
    later = [r.seconds for r in repeats[1:]]
    numbers = (
        f"{len(repeats)} runs in a row of one batch: images "
        f"{'equal to the byte' if alike else 'that differ'}, {repeats[0].small_steps} small steps "
        f"in the first; {repeats[0].seconds:.2f} s, then {min(later):.2f} to {max(later):.2f} s"
    )
    if not alike:
        return False, numbers
    if data.figure.is_stand_in:  # type: ignore[attr-defined]
        return None, (
            f"{numbers}; SDXL and its ControlNets were not run here: their published weights are "
            "needed (scale=full)"
        )
    return True, numbers


class RepeatsFigure(Figure):
    """One batch of the curve's only point, several times."""

    kind: ClassVar = "repeats"
    needs_curves: ClassVar = True
    claim_tests: ClassVar = {"C26": c26}

    runs: Annotated[int, fields.whole(2, 100)]
    is_stand_in: fields.Flag  # whether other models stand for the paper's

    @model_validator(mode="after")
    def _check_curve(self) -> Self:
        if len(self.curves) != 1 or not self.curves[0].is_row or len(self.curves[0].shares) != 1:
            raise fields.refusal("curves", "give one curve of one fraction", show=False)
        return self

    @property
    def measurement(self) -> dict[str, Any]:
        return {"runs": self.runs}

    def plan(self, settings: Reproduction, *, trial: bool = False) -> tuple[CurvePoint, ...]:
        """None: nothing is kept of the images."""
        plan_points(self.curves, settings, trial=trial, scored=False)
        return ()

    def measure(
        self, settings: Reproduction, cache: ModelCache, results: list[Result]
    ) -> list[Repeat]:
        (point,) = plan_points(self.curves, settings, scored=False)
        shared = cache.of(point.experiment)

        def measure() -> dict[str, Any]:
            maker = shared.maker(point.experiment)
            return {"repeats": [asdict(_run(maker)) for _ in range(self.runs)]}

        key = measurement_key(point.experiment, self, shared)
        return [Repeat(**row) for row in measure_once(self, settings, key, measure)["repeats"]]

    def tables(self, data: FigureData) -> list[str]:
        rows = [
            [str(k), f"{repeat.seconds:.3f}", repeat.digest[:12]]
            for k, repeat in enumerate(data.measured, 1)
        ]
        lines = table_lines(Table(["run", "seconds of a batch", "SHA-256 of its images"], rows))
        return ["## Runs in a row", "", *lines, ""]


def _run(maker: ImageMaker) -> Repeat:
    """The first batch, on every rank alike."""
    batch, _ = draw_unit(maker, Unit(0, maker.experiment.run.batch_size))
    started = time.perf_counter()
    images = maker.sample(batch, StageTimer(maker.engine.device)).wait()
    seconds = time.perf_counter() - started
    steps = next(iter(maker.experiment.steps_per_denoiser.values()))
    return Repeat(hashlib.sha256(images.tobytes()).hexdigest(), seconds, steps)
