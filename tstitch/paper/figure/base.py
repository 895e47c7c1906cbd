"""What all figures and tables have in common, and what a kind of them provides."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from pydantic import Field, field_validator

from evaluation.report.panels import Panel, draw_panels
from tstitch.config import fields
from tstitch.paper.figure.curves import Curve
from tstitch.paper.figure.measure import ModelCache, Result
from tstitch.paper.figure.plan import CurvePoint, plan_points
from tstitch.paper.figure.settings import USUAL, Reproduction

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

Answer = tuple[bool | None, str]  # None: what was measured does not tell


class Figure(fields.Settings):
    """A figure or table of the paper at one scale; each kind of figure is a subclass.

    A kind declares the fields of its section for a scale in configs/paper/, and overrides the
    methods in which it differs; the machinery around asks them and knows no kind by name.
    Validated as a `Curve` is.
    """

    computed: ClassVar[tuple[str, ...]] = (
        "name", "title", "claims", "members", "picture", "published",
    )  # fmt: skip
    kind: ClassVar[str]  # in configs/paper/
    needs_curves: ClassVar[bool] = False
    fixed_images: ClassVar[bool] = False  # `images=` does not count
    shows_paper: ClassVar[bool] = False  # beside its own values
    claim_tests: ClassVar[Mapping[str, Callable[..., Answer]]] = {}  # by claim, of FigureData
    panel_columns: ClassVar[int] = 3  # of the picture
    resolves: ClassVar[bool] = True  # whether its points are a curve, whose resolution is told

    minutes: fields.NotNegative | None = None  # on 2 cores; None = not stated
    about: fields.Text  # what the scale changes
    of: fields.Text | None = None  # the miniature that has its models; None = any
    curves: tuple[Curve, ...] = Field((), validate_default=True)
    name: str = ""
    title: str = ""
    claims: tuple[str, ...] = ()
    members: tuple[str, ...] = ()  # other figures that it gathers
    picture: bool = True  # whether to draw one
    published: tuple[Curve, ...] = ()  # those at full scale that have values of the paper

    @field_validator("curves", mode="before")
    @classmethod
    def _check_curves(cls, curves: Any) -> Any:
        if not fields.is_list(curves) or (cls.needs_curves and not curves):
            raise ValueError("give a list of curves")
        return curves

    @classmethod
    def check_members(cls, members: tuple[str, ...]) -> None:
        """Raises ValueError with the remedy for names of figures that it does not gather."""
        if members:
            raise ValueError("are for the ledger; leave them out")

    def adapted(self) -> Self:
        """The figure with what its own settings change of the fields of all figures."""
        return self

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
        return Path(settings.root) / "paper" / f"{self.name}-{settings.scale.label}"

    def unfit(self, settings: Reproduction) -> str | None:
        """Why the scale's models are none for it, in one line; None if they are."""
        scale = settings.scale
        if self.of not in (None, scale.miniature):
            return (
                f"miniature={scale.miniature}: has no models for {self.name}; choose "
                f"miniature={self.of}"
            )
        missing = {role for curve in self.curves for role in curve.models} - set(scale.roles)
        if missing:
            return (
                f"miniature={scale.miniature}: has no {' or '.join(sorted(missing))} model, which "
                f"{self.name} takes; choose miniature={USUAL}"
            )
        return None

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

    def pictures(self, data: "FigureData") -> "dict[str, Picture]":
        """By name: its panels in one picture, or none; a kind may draw others."""
        panels = self.panels(data)
        return {self.name: draw_panels(panels, self.panel_columns)} if panels else {}

    def tables(self, data: "FigureData") -> list[str]:
        """Markdown of what it measured besides its points."""
        return []

    def conclusions(self, data: "FigureData") -> list[str]:
        """Items of a Markdown list: what it found besides the paper's claims."""
        return []


class FigureData(NamedTuple):
    """What a figure shows; filled on rank 0."""

    figure: Figure
    results: list[Result]
    measured: Any = None  # the record that the kind's `measure` gives
