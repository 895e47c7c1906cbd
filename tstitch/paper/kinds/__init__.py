"""The kinds of figures: every file here with a class that names its kind; there is no list."""

from importlib import import_module
from pkgutil import iter_modules

from tstitch.paper.figure.base import Figure


def find_kinds() -> dict[str, type[Figure]]:
    """The classes of figures that the files of this folder define, by kind."""
    modules = [import_module(f"{__name__}.{file.name}") for file in iter_modules(__path__)]
    return {
        value.kind: value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Figure)
        and value.__module__ == module.__name__
    }


KINDS = find_kinds()
