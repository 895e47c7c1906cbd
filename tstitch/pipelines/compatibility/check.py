"""All that is checked before two networks are stitched."""

from typing import Any

from torch import nn


def check_fit(pipe: Any, large: nn.Module, small: nn.Module, small_pipe: Any) -> None:
    """Refuses a pair that cannot hand a step over.

    Args:
        small_pipe: pipeline of the small network; None if only the network is known.

    Raises:
        UserError: one line, with both values.
    """
