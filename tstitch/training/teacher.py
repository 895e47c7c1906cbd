"""The trained denoiser of a pair that another one learns from."""

from collections.abc import Callable

import torch
from torch import Tensor

from tstitch.pair.spec import PairSpec, load_network, locate_weights
from tstitch.runtime.errors import UserError
from tstitch.training.settings import TrainSettings

Teacher = Callable[[Tensor, Tensor, Tensor], Tensor]


def load_teacher(pair: PairSpec, settings: TrainSettings, device: torch.device) -> Teacher | None:
    """pair.denoisers[train.teacher] as (x_t, t, y) -> (N, C, H, W) noise; None if none is named.

    Raises:
        UserError: weights that are missing, do not fit, or are random.
    """
    if settings.teacher is None:
        return None
    spec = next(spec for spec in pair.denoisers if spec.name == settings.teacher)
    path = locate_weights(spec)
    if path is None:
        raise UserError(
            f"pair.denoisers.{spec.name}.weights={spec.weights}: train.teacher={spec.name} learns "
            "from it; give trained weights"
        )
    network = load_network(pair, spec, path).to(device)
    runner = torch.compile(network, dynamic=False) if settings.compile else network

    @torch.no_grad()
    def predict(x_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return runner(x_t, t, y).float()[:, : x_t.shape[1]]

    return predict
