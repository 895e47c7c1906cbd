"""What every process does before it computes: its device, the group of its ranks, its threads."""

import torch

from tstitch.runtime import distributed
from tstitch.runtime.device import choose_device
from tstitch.runtime.threads import set_threads


def start_process(device: str, field: str) -> torch.device:
    """Joins the other ranks and takes this process's share of the cores.

    Returns:
        The device of this rank; arguments and errors are those of `choose_device`.
    """
    chosen = choose_device(device, field)
    distributed.start()
    set_threads()
    return chosen
