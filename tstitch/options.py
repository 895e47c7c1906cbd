"""Files of configuration groups, as the command line would choose them."""

import copy
from functools import cache
from typing import Any

from tstitch.cli import compose


def option(group: str, name: str) -> dict[str, Any]:
    """A fresh copy of configs/GROUP/NAME.yaml, composed.

    Raises:
        UserError: no such file.
    """
    return copy.deepcopy(_composed(group, name))


@cache
def _composed(group: str, name: str) -> dict[str, Any]:
    return compose("sample", [f"{group}={name}"])[group]


def figure_section(name: str) -> dict[str, Any]:
    """configs/paper/NAME.yaml, composed.

    Raises:
        UserError: no such file.
    """
    return compose("reproduce", [f"paper={name}"])["paper"]
