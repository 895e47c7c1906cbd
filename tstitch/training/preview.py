"""Sample grids along a training, from the averaged weights."""

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from evaluation.report.sheets import draw_grid
from models.guidance import GuidedDenoiser
from samplers import DDIM, Fractions, PerImageRandomness, sample
from samplers.discrete_vp import DiscreteVP
from tstitch.files.pictures import save_image
from tstitch.pair.spec import PairSpec

STEPS = 25
PER_CLASS = 4
MAX_CLASSES = 10


def averaged_network(network: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """A copy of the network with averaged weights, in evaluation mode, on the same device."""
    averaged = copy.deepcopy(network).eval()
    averaged.load_state_dict(weights)
    return averaged


def save_preview(
    network: nn.Module, pair: PairSpec, process: DiscreteVP, path: Path, seed: int
) -> None:
    """Draws a few images of each class with DDIM on its process; writes them as a labelled grid."""
    device = next(network.parameters()).device
    shown = min(pair.num_classes, MAX_CLASSES)
    classes = np.tile(np.arange(shown), PER_CLASS)
    sampler = DDIM(STEPS, process=process, stitch=Fractions(fractions=[1.0]), num_models=1)
    randomness = PerImageRandomness(seed, range(len(classes)), pair.space.shape, device=device)

    scale = pair.guidance.scale if getattr(network, "has_null", True) else 1.0
    denoiser = GuidedDenoiser(
        network, scale=scale, channels=pair.guidance.channels, null_class=pair.num_classes
    )
    labels = torch.from_numpy(classes).to(device)
    x_0 = sample(sampler, [denoiser], randomness.initial(), labels, randomness.step)
    images = pair.space.decode(x_0).cpu().numpy()
    names = [pair.class_names[c] for c in classes]
    save_image(draw_grid(images, names, columns=shown), path)
