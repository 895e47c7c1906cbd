"""A pair of two processes of noise: quality against the fraction, by how its small model is matched
(Table 5)."""

from dataclasses import replace
from math import log
from typing import Annotated, ClassVar, Self

from pydantic import model_validator

from evaluation.report.panels import Panel
from samplers import MATCHES
from tstitch.config import fields
from tstitch.maker.protocol import Experiment
from tstitch.paper.figure.base import Answer, Figure, FigureData
from tstitch.paper.figure.measure import Result
from tstitch.paper.figure.own_pair import TWO, OwnWeights, of_own_pair
from tstitch.paper.figure.plan import CurvePoint, plan_points
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.kinds.curves_fractions import brightness
from tstitch.paper.kinds.curves_picture import fraction_panels
from tstitch.paper.report.answers import fid_course, listed, rises, rows, text

NAMES = {"snr": "log-SNR", "t": "t"}
# FID of DiT-S alone: in Table 5, and with the same sampler and steps in its own process (Fig. 8).
ALONE, ALONE_IN_FIG_8 = 121.95, 35.3


def c15(data: FigureData) -> Answer:
    """By log-SNR, where both models do what they were trained for; by t beside it."""
    by = {row[0].point.variant: row for row in rows(data.results)}
    answers, parts = {}, []
    for variant, row in by.items():
        changes = rises(row, 0, 0.4)
        course = fid_course(changes, row[0])
        answers[variant] = course.answer
        mark = {True: "does not rise", False: "rises", None: "not resolved"}[course.answer]
        parts.append(
            f"{variant}: {mark} ({listed(changes)}; {course.note}{brightness(row, 0, 0.4)})"
        )
    base = next(iter(by.values()))[0]
    numbers = f"FID(0) {text(base.estimate())}; " + "; ".join(parts)
    ends = {match: by[variant_of(match)][-1] for match in NAMES if variant_of(match) in by}
    if len(ends) == len(NAMES):
        numbers += f"; {small_alone(ends['t'], ends['snr'])}"
    return answers[variant_of("snr")], numbers


def small_alone(by_t: Result, by_snr: Result) -> str:
    """Whether matching by t is what makes the small model alone as bad as in Table 5."""
    change, ratio = by_t.minus(by_snr), by_t.value() / by_snr.value()
    paper = ALONE / ALONE_IN_FIG_8
    told = (
        f"all small by t {by_t.value():.3g}, by log-SNR {by_snr.value():.3g} ({text(change, '+')}, "
        f"{ratio:.2g} times; the paper's {ALONE:g} is {paper:.2g} times Fig. 8's): "
    )
    if change.low <= 0:
        return told + "matching by t does not explain it"
    share = log(ratio) / log(paper)
    return told + f"matching by t explains {'it' if share >= 1 else 'a part of it'}"


def variant_of(match: str) -> str:
    """`matched by log-SNR`."""
    return f"matched by {NAMES[match]}"


class MatchingFigure(Figure):
    """Curves of one pair, for each way to match its small model's process with the large one's."""

    kind: ClassVar = "matching"
    needs_curves: ClassVar = True
    shows_paper: ClassVar = True
    claim_tests: ClassVar = {"C15": c15}

    pair: fields.Text  # in place of the scale's
    weights: OwnWeights = {}  # of that pair
    matches: Annotated[tuple[str, ...], fields.EACH_ONCE, fields.names(MATCHES)] = MATCHES

    @model_validator(mode="after")
    def _check_curve_and_matches(self) -> Self:
        if MATCHES[0] not in self.matches:
            raise fields.refusal("matches", f"give {MATCHES[0]} among them: it decides the claim")
        curve = self.curves[0]
        if len(self.curves) > 1 or curve.models != TWO or not curve.is_row:
            remedy = "give one of models [small, large], with one steps and guidance, no variants"
            raise fields.refusal("curves", remedy, show=False)
        if curve.kinds != ("fraction",) or not {0, 0.4, 1} <= set(curve.fractions):
            remedy = "give one of fractions with 0, 0.4 and 1 among them, no kinds"
            raise fields.refusal("curves", remedy, show=False)
        return self

    def plan(self, settings: Reproduction, *, trial: bool = False) -> tuple[CurvePoint, ...]:
        """As every figure's, for each matching; all large is one run, which none changes."""
        by = {
            match: plan_points(self.curves, self._settings(settings, match), trial=trial)
            for match in self.matches
        }
        return tuple(
            _named(point, match, (alike if point.fraction == 0 else point).experiment)
            for match, points in by.items()
            for point, alike in zip(points, by[MATCHES[0]], strict=True)
        )

    def panels(self, data: FigureData) -> list[Panel]:
        first = variant_of(self.matches[0])
        # The paper's values once, not with every matching.
        shown = [
            r if r.point.variant == first else replace(r, point=replace(r.point, expected={}))
            for r in data.results
        ]
        return fraction_panels(shown, None, ())

    def _settings(self, settings: Reproduction, match: str) -> Reproduction:
        """With the figure's own pair, under a matching."""
        field = f"paper.{settings.scale.name}.pair"
        own = of_own_pair(settings, self.pair, self.weights, field)
        matched = f"++pair.denoisers.small.match={match}"
        return own.model_copy(update={"overrides": (*own.overrides, matched)})


def _named(point: CurvePoint, match: str, experiment: Experiment) -> CurvePoint:
    """The point as a variant of its curve."""
    variant = variant_of(match)
    series = f"{point.planned.series}, {variant}"
    planned = replace(point.planned, series=series, experiment=experiment)
    return replace(point, variant=variant, planned=planned)
