"""Images that a schedule is found by: the noise of no run, the classes of this one."""

from collections.abc import Iterator
from typing import Any

import torch

from tstitch.maker.labels import choose_labels
from tstitch.maker.protocol import ImageMaker, TracedMaker
from tstitch.maker.units import cut
from tstitch.runtime.errors import UserError

FIRST = 2**40  # index of the first image, beyond those of runs: noise is a function of both


def traced(maker: ImageMaker, wanted_by: str) -> TracedMaker:
    """The maker, if its trajectories can be looked into.

    Args:
        wanted_by: setting, for the message.

    Raises:
        UserError: it makes images as a whole only.
    """
    if not isinstance(maker, TracedMaker):
        raise UserError(
            f"{wanted_by}: trajectories of pair {maker.experiment.name} cannot be looked into; "
            "choose another pair, or stitch=fraction"
        )
    return maker


def calibration_batches(maker: ImageMaker, inputs: int, seed: int) -> Iterator[Any]:
    """Batches of run.batch_size that the maker drew, whose classes are random ones of the run's.

    In turn, as `balanced` has them, the first few would be of neighbouring classes.

    Args:
        inputs: how many images in all.
        seed: of noise and classes; the same as a run's gives other images than its.
    """
    run, conditions = maker.experiment.run, len(maker.experiment.conditions)
    classes = torch.tensor(range(conditions) if isinstance(run.classes, str) else run.classes)
    for unit in cut(inputs, run.batch_size):
        indices = range(FIRST + unit.first, FIRST + unit.end)
        chosen = choose_labels("random", indices, seed=seed, num_classes=len(classes))
        yield maker.draw(indices, classes[chosen], seed=seed)
