"""Makes sure that `models`, `samplers` and `evaluation` are this project's own packages.

Python looks for them in the current folder first (in a notebook, with `python -c`) or beside the
user's script, where other projects keep files of the same names.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

NAMES = ("models", "samplers", "evaluation")
ROOT = Path(__file__).resolve().parents[2]


class SiblingFinder(MetaPathFinder):
    """Finds the packages beside this one, whatever else the import path holds."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The package, for its name alone; modules in it are found as always."""
        if fullname not in NAMES:
            return None
        folder = ROOT / fullname
        return spec_from_file_location(
            fullname, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )


def claim() -> None:
    """Puts the finder first; once.

    Raises:
        ImportError: another package of one of the names is in use already, or ours is not there;
            one line.
    """
    for name in NAMES:
        if not (ROOT / name / "__init__.py").is_file():
            raise ImportError(
                f"{ROOT / name} is missing: tstitch is used from its clone; install it there with "
                "pip install -e ."
            )
        other = sys.modules.get(name)
        if other is not None and not _is_own(name, other):
            raise ImportError(
                f"tstitch has a package {name}, but another one is imported already "
                f"({_place(other)}): import tstitch before it, or use them in two processes"
            )
    if not any(isinstance(finder, SiblingFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, SiblingFinder())


def other_clone(script: str) -> Path | None:
    """The clone that a script lies in, if this package is another one's."""
    path = Path(script)
    root = path.resolve().parent.parent
    other = path.is_file() and (root / "tstitch" / "__init__.py").is_file() and root != ROOT
    return root if other else None


def _is_own(name: str, module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve() == ROOT / name / "__init__.py"


def _place(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or str([*getattr(module, "__path__", ["built in"])][0])
