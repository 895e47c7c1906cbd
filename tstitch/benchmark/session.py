"""A benchmark under way: cases in turns, within a time, and nothing of it lost."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tstitch.benchmark.budget import Budget, Costs
from tstitch.benchmark.crew import Crew
from tstitch.benchmark.measure import Measured, measure_once, rotated, running, start
from tstitch.benchmark.settings import BenchmarkSettings, Case
from tstitch.runtime.errors import UserError

FIRST_SHARE = 0.25  # of the time: a round of the first case, so that some others fit
HEADLINE = 0.4  # the fraction that the paper speaks of
NO_TIME = "benchmark.minutes={:g} do not reach for it"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something asked for that was not measured."""

    name: str
    reason: str
    seconds: float | None  # that it would have cost, None = that is not why


@dataclass(slots=True)
class Session:
    """Measures groups of cases, the most important first, and hands over what it has.

    Args:
        config: of a run, without the section `benchmark`.
        settings: what to time; fractions that the time does not reach for leave it.
        folder: where shards are written, and removed again.
        save: called with the groups' results so far after every measurement.
    """

    config: dict[str, Any]
    settings: BenchmarkSettings
    folder: Path
    save: Callable[[list[list[Measured]]], None]
    left_out: list[LeftOut] = field(default_factory=list)
    results: list[list[Measured]] = field(default_factory=list)
    budget: Budget = field(init=False)
    costs: Costs = field(default_factory=Costs)

    def __post_init__(self) -> None:
        self.budget = Budget(60 * self.settings.minutes)

    def run(self, groups: Sequence[Sequence[Case]]) -> None:
        """Measures each group in rounds in which its cases take turns.

        The first case is measured whatever it takes: without it nothing can be compared.

        Raises:
            UserError: what the first case cannot do here, or too little memory in the middle.
        """
        for place, group in enumerate(groups):
            later = [case for other in groups[place + 1 :] for case in other]
            self.results.append([])
            with running([], self.config) as crews:
                for case in group:
                    self._first_round(case, crews)
                self._further_rounds(crews, later)

    def leave_out(
        self, name: str, reason: str, seconds: float | None = None, each: str = ""
    ) -> None:
        """Names something that is not measured, here and in the report.

        Args:
            seconds: that it would have cost.
            each: what costs them, if not `name`.
        """
        self.left_out.append(LeftOut(name, reason, seconds))
        price = "" if seconds is None else f" (some {seconds:.0f} s{each})"
        log.warning("%s: left out%s: %s", name, price, reason)

    def _first_round(self, case: Case, crews: list[Crew]) -> None:
        """Starts a case and measures it once, or says why not."""
        group = self.results[-1]
        cost = self.costs.of_first(case)
        if case.engine != "plain" and not any(case.compares_with(r.case) for r in group):
            self.leave_out(case.name, "plain PyTorch, its measure, was left out", cost)
            return
        if cost > max(0.0, self.budget.left()):
            self.leave_out(case.name, NO_TIME.format(self.settings.minutes), cost)
            return
        log.info("%s: starting (%.0f s left)", case.name, self.budget.left())
        begun = time.monotonic()
        crew = start(case, self.config)
        crews.append(crew)
        try:
            result = Measured(case, crew.ask("prepare", self.settings.fractions)[0])
            if len(crews) == 1 == len(self.results):
                self._choose_fractions(result, crew)
            if not case.is_peer:
                self._compare_latents(result, crew, crews[0])
            ready = time.monotonic()
            measure_once(result, crew, self.settings, 0, self.folder)
        except UserError as error:
            if not any(self.results):
                raise
            crews.pop().end()
            self.leave_out(case.name, str(error))
            return
        group.append(result)
        self.costs.note(case, ready - begun, time.monotonic() - ready)
        self._done(result, 0)

    def _further_rounds(self, crews: list[Crew], later: Sequence[Case]) -> None:
        """As many as were asked for, or as fit beside the first rounds of later groups."""
        group = self.results[-1]
        for number in range(1, self.settings.rounds if group else 0):
            cost = sum(self.costs.of_round(result.case) for result in group)
            kept = min(sum(map(self.costs.of_first, later)), self.budget.left() / 2)
            if cost > self.budget.left() - max(kept, 0.0):
                rounds = self.settings.rounds
                name = f"batch {group[0].case.batch_size}: rounds {number + 1} to {rounds}"
                cost *= rounds - number
                self.leave_out(name, NO_TIME.format(self.settings.minutes), cost)
                return
            for result, crew in rotated(list(zip(group, crews, strict=True)), number):
                measure_once(result, crew, self.settings, number, self.folder)
                self._done(result, number)

    def _choose_fractions(self, result: Measured, crew: Crew) -> None:
        """Drops fractions that would take most of the time, before anything is sampled."""
        seconds = result.setup["seconds_by_fraction"]
        limit, kept = FIRST_SHARE * self.budget.left(), [0.0]
        total = seconds[0.0] * self.settings.batches
        for fraction in sorted(self.settings.fractions, key=lambda f: abs(f - HEADLINE)):
            cost = seconds[fraction] * self.settings.batches
            if fraction == 0:
                continue
            if total + cost > limit:
                name = f"fraction {fraction:g}, in every case"
                cost *= self.settings.rounds
                self.leave_out(name, NO_TIME.format(self.settings.minutes), cost, " in each case")
            else:
                total += cost
                kept.append(fraction)
        self.settings = self.settings.model_copy(update={"fractions": tuple(sorted(kept))})

    def _compare_latents(self, result: Measured, crew: Crew, first: Crew) -> None:
        """Relative error |x - x_ref| / |x_ref| of x_0 against the group's first case."""
        if crew is not first:
            reference = first.ask("latents", 0.0)[0]
            difference = np.linalg.norm(crew.ask("latents", 0.0)[0] - reference)
            result.deviation = float(difference / np.linalg.norm(reference))

    def _done(self, result: Measured, number: int) -> None:
        log.info(
            "%s: round %d of %d, %.3g images/s at fraction 0 (%.0f s left)",
            result.case.name, number + 1, self.settings.rounds, result.rates[0.0][-1],
            self.budget.left(),
        )  # fmt: skip
        self.save(self.results)
