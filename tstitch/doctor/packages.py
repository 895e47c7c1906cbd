"""Packages that the project wants, and what is installed of them."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

PROJECT = "tstitch"
# What an extra of setup.py is for.
EXTRAS = {
    "cluster": "hydra/launcher=submitit_slurm",
    "demo": "scripts/demo.py",
    "video": "run.export=mp4",
    "test": "the tests",
    "docs": "the site of the docs",
}


@dataclass(frozen=True, slots=True)
class Package:
    """One requirement.

    Attributes:
        wanted: its range of versions, as setup.py writes it.
        found: the installed version; None = none.
        extra: of setup.py; empty = the project cannot do without it.
    """

    name: str
    wanted: str
    found: str | None
    extra: str = ""

    @property
    def fits(self) -> bool:
        """Whether a version of the range is installed."""
        wanted = Requirement(f"x{self.wanted}").specifier
        return self.found is not None and wanted.contains(self.found, prereleases=True)


def wanted_packages() -> list[Package] | None:
    """All requirements, those of extras last; None if the project itself is not installed."""
    try:
        lines = requires(PROJECT) or []
    except PackageNotFoundError:
        return None
    found = []
    for need in map(Requirement, lines):
        marker = need.marker
        extras = [e for e in EXTRAS if marker is not None and marker.evaluate({"extra": e})]
        if marker is None or marker.evaluate({"extra": ""}):
            extras = [""]
        there = _version(need.name)
        found += [Package(need.name, str(need.specifier), there, extra) for extra in extras]
    return sorted(found, key=lambda package: package.extra)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
