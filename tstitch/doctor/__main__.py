"""python -m tstitch.doctor: what is here, what is missing, and for what; exit code 1 if something
must be mended."""

import platform
import sys
from collections.abc import Iterator

from tstitch import __version__
from tstitch.runtime.siblings import ROOT


def main() -> int:
    """Prints the report."""
    broken = 0
    for title, lines in (
        ("project", _project()),
        ("packages", _packages()),
        ("devices", _devices()),
        ("weights", _weights()),
    ):
        print(title)
        for bad, line in lines:
            broken += bad
            print(f"  {'! ' if bad else ''}{line}")
    print("all is well" if not broken else f"{broken} to mend, marked by !")
    return int(broken > 0)


def _project() -> Iterator[tuple[bool, str]]:
    yield False, f"tstitch {__version__} in {ROOT}"
    old = sys.version_info < (3, 11)
    yield old, f"Python {platform.python_version()}" + (", 3.11 or later is needed" if old else "")


def _packages() -> Iterator[tuple[bool, str]]:
    try:
        from tstitch.doctor.packages import EXTRAS, wanted_packages
    except ModuleNotFoundError as error:
        yield True, f"{error.name}: missing; pip install -e ."
        return
    packages = wanted_packages()
    if packages is None:
        yield True, "tstitch is not installed: pip install -e . in its folder"
        return
    own = [package for package in packages if not package.extra]
    fitting = [f"{package.name} {package.found}" for package in own if package.fits]
    yield False, ", ".join(fitting)
    for package in own:
        if not package.fits:
            state = package.found or "missing"
            yield True, f"{package.name}: {state}, wanted {package.wanted}; pip install -e ."
    for extra, use in EXTRAS.items():
        missing = [p.name for p in packages if p.extra == extra and not p.fits]
        if missing:
            yield False, f"for {use}: {', '.join(missing)}; pip install -e '.[{extra}]'"
        else:
            yield False, f"for {use}: all there"


def _devices() -> Iterator[tuple[bool, str]]:
    try:
        from tstitch.doctor.machine import compiling, devices

        lines = [*devices(), *compiling()]
    except (ImportError, OSError) as error:  # of torch's own libraries, too
        yield True, f"cannot be looked for: {_line(error)}"
        return
    for line in lines:
        yield False, line


def _weights() -> Iterator[tuple[bool, str]]:
    try:
        from tstitch.doctor.files import caches, damaged_weights

        damaged = damaged_weights()
    except (ImportError, OSError) as error:
        yield True, f"cannot be looked for: {_line(error)}"
        return
    for name in damaged:
        yield True, f"models/pretrained/{name}: missing or changed; git checkout models/pretrained"
    if not damaged:
        yield False, "shipped: whole"
    for line in caches():
        yield False, line


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
