"""What all figures and tables have in common, and what a kind of them provides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from evaluation.report.panels import Panel
from tstitch.config.section import Section
from tstitch.paper.figure.curves import Curve
from tstitch.paper.figure.measure import ModelCache, Result
from tstitch.paper.figure.plan import CurvePoint, plan_points
from tstitch.paper.figure.settings import Reproduction

Answer = tuple[bool | None, str]  # None: what was measured does not tell


class Given(NamedTuple):
    """The sections that a figure is parsed from."""

    head: Section  # `paper`
    own: Section  # its part for the scale
    path: str  # of that part
    curves: tuple[Curve, ...]
    settings: Reproduction

    def part(self, name: str, fields: tuple[str, ...]) -> Section:
        """A section within the part for the scale."""
        return Section(self.own.raw(name), f"{self.path}.{name}", fields)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure or table of the paper at one scale; each kind of figure is a subclass.

    A kind names its fields in configs/paper/, and overrides the methods in which it differs; the
    machinery around asks them and knows no kind by name.
    """

    kind: ClassVar[str]  # in configs/paper/
    own_fields: ClassVar[tuple[str, ...]] = ()  # at a scale, besides minutes, about and curves
    defaults: ClassVar[Mapping[str, Any]] = {}  # of those fields that may be missing
    needs_curves: ClassVar[bool] = False
    claim_tests: ClassVar[Mapping[str, Callable[..., Answer]]] = {}  # by claim, of FigureData
    panel_columns: ClassVar[int] = 3  # of the picture

    name: str
    title: str
    claims: tuple[str, ...]
    members: tuple[str, ...]  # other figures that it gathers
    picture: bool  # whether to draw one
    minutes: float | None  # on 2 cores; None = not stated
    about: str  # what the scale changes
    curves: tuple[Curve, ...]

    @classmethod
    def section(cls, config: Any, path: str) -> Section:
        """The part of `paper` for a scale; refuses unknown and missing fields."""
        fields = ("minutes", "about", "curves", *cls.own_fields)
        return Section(config, path, fields, {"minutes": None, "curves": [], **cls.defaults})

    @classmethod
    def parse_own(cls, given: Given) -> dict[str, Any]:
        """The kind's own settings, checked, and what it changes of those above."""
        return {}

    @classmethod
    def parse_members(cls, head: Section) -> tuple[str, ...]:
        """Names of the figures that it gathers: none, unless the kind does."""
        if head.texts("members"):
            raise head.refuse("members", "are for the ledger; leave them out")
        return ()

    @property
    def measurement(self) -> dict[str, Any]:
        """The settings that decide what it measures besides its points, as plain JSON."""
        return {}

    @property
    def images_looked_at(self) -> int:
        """Number of images that it looks into, the points aside."""
        return self.measurement.get("probe", {}).get("images", 0)

    @property
    def looked_at(self) -> str:
        """What it looks into, in words; empty = nothing."""
        return ", ".join(f"{k} {v}" for k, v in self.measurement.get("probe", {}).items())

    def folder(self, settings: Reproduction) -> Path:
        """Where it keeps what has no run directory."""
        return Path(settings.root) / "paper" / f"{self.name}-{settings.scale.name}"

    def plan(self, settings: Reproduction, *, trial: bool = False) -> tuple[CurvePoint, ...]:
        """Its points, checked; see `plan_points`."""
        return plan_points(self.curves, settings, trial=trial)

    def check(self, settings: Reproduction) -> None:
        """Raises UserError for a bad value, which has to be mended; every rank calls it alike."""
        self.plan(settings, trial=True)

    def check_inputs(self, settings: Reproduction) -> None:
        """Raises UserError where the user's own data or weights are missing; all ranks alike."""
        self.plan(settings)

    def cost_lines(self, settings: Reproduction) -> list[str]:
        """What it costs besides its points, for a dry run."""
        return []

    def prepared(self, settings: Reproduction, cache: ModelCache) -> Self:
        """The figure once what its points need is made; every rank calls it alike."""
        return self

    def measure(self, settings: Reproduction, cache: ModelCache, results: list[Result]) -> Any:
        """The kind's record of what it measures besides its points; every rank calls it alike.

        Args:
            results: of its points; empty but on rank 0, which alone needs the record.
        """

    def panels(self, data: "FigureData") -> list[Panel]:
        """What to draw; empty for a table alone."""
        return []

    def tables(self, data: "FigureData") -> list[str]:
        """Markdown of what it measured besides its points."""
        return []


class FigureData(NamedTuple):
    """What a figure shows; filled on rank 0."""

    figure: Figure
    results: list[Result]
    measured: Any = None  # the record that the kind's `measure` gives
