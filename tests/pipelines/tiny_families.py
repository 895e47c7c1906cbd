"""All families of tiny random pipelines, and a stitch by hand to compare with."""

from typing import Any

import torch
from tiny_parts import Family
from tiny_transformers import TRANSFORMERS
from tiny_unets import UNETS
from tiny_videos import VIDEOS

FAMILIES: dict[str, Family] = {**UNETS, **TRANSFORMERS, **VIDEOS}


def swapped_by_hand(
    family: Family, switch: int, scheduler: Any = None, **changes: Any
) -> torch.Tensor:
    """A run whose network is replaced after so many iterations of the loop, small then large."""
    large, small = family.network("large"), family.network("small")
    pipe = family.around(large if switch == 0 else small)
    if scheduler is not None:
        pipe.scheduler = scheduler

    def swap(pipe: Any, i: int, t: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if i + 1 == switch:
            setattr(pipe, family.component, large)
        return tensors

    return family.run(pipe, callback_on_step_end=swap, **changes)
