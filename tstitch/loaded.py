"""A pair's networks and space on this rank's device."""

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from evaluation.machine import device_name
from tstitch.device import choose_device, choose_dtype, set_matmul_precision
from tstitch.pair import PairSpec, load_network, space_errors
from tstitch.settings import RunSettings


class LoadedPair:
    """Everything with weights: loaded once, used by any number of samplers and schedules.

    Args:
        pair: the checked `pair` section.
        run: device and dtype.
        weights: local file of each denoiser's weights by name, None = random weights.

    Raises:
        UserError: device or precision not there, or weights that do not fit.
    """

    def __init__(self, pair: PairSpec, run: RunSettings, weights: Mapping[str, Path | None]):
        self.device = choose_device(run.device, "run.device")
        dtype = choose_dtype(run.dtype, self.device, "run.dtype")
        set_matmul_precision(run.dtype)
        self.networks: dict[str, nn.Module] = {
            spec.name: load_network(pair, spec, weights[spec.name]).to(self.device, dtype)
            for spec in pair.denoisers
        }
        with space_errors():
            self.space = pair.space.to(self.device).load()
        self.device_name = device_name(self.device)
