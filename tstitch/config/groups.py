"""Files of configuration groups, as the command line would choose them."""

import copy
from functools import cache
from typing import Any

from tstitch.config.cli import compose


def group_option(group: str, name: str) -> dict[str, Any]:
    """A fresh copy of configs/GROUP/NAME.yaml, composed.

    Raises:
        UserError: no such file.
    """
    return copy.deepcopy(_composed(group, name))


def all_large(num_models: int) -> dict[str, Any]:
    """The stitch section that leaves every step to the largest of any number of denoisers."""
    return group_option("stitch", "fractions") | {"fractions": [0.0] * (num_models - 1) + [1.0]}


@cache
def _composed(group: str, name: str) -> dict[str, Any]:
    return compose("sample", [f"{group}={name}"])[group]


def figure_section(name: str) -> dict[str, Any]:
    """configs/paper/NAME.yaml, composed.

    Raises:
        UserError: no such file.
    """
    return compose("reproduce", [f"paper={name}"])["paper"]
