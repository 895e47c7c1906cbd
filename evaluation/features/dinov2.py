"""DINOv2 (arXiv 2304.07193), whose Frechet distance is FD-DINOv2 (Stein et al., arXiv 2306.04675).

torch-fidelity 0.4 has this feature extractor too, but takes its network from torch.hub alone, which
runs code that it downloads. Here images are prepared by torch-fidelity's own function, and the
network is transformers', from a folder of tensors.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from evaluation.features.clip_text import load_frozen
from evaluation.features.float32 import full_float32

SIDE = 224  # pixels that the network sees, 16 x 16 patches of 14
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of 0..1
WHITE = 255.0


class Dinov2Extractor(nn.Module):
    """The normalised class token, float32.

    Args:
        weights: folder of transformers' Dinov2Model.
        name: of the model, part of the name of every metric measured with it.

    Raises:
        ValueError: files that are missing or damaged, or no name; one line.
    """

    num_classes: int | None = None
    mean: Tensor
    deviation: Tensor

    def __init__(self, weights: Path, name: str) -> None:
        super().__init__()
        from transformers import Dinov2Model

        if not name:
            raise ValueError("name='': would pass for Inception's features; name the model")
        self.space = name
        self._network = load_frozen(Dinov2Model, Path(weights))
        shape = (1, 3, 1, 1)
        for key, values in (("mean", MEAN), ("deviation", DEVIATION)):
            self.register_buffer(key, torch.tensor(values).mul(WHITE).view(shape))

    def check(self, height: int, width: int) -> None:
        """Raises ValueError for images without pixels; all others are resized to 224 x 224."""
        if height < 1 or width < 1:
            raise ValueError(f"{width}x{height} images have no pixels; give larger ones")

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Of uint8 images (N, 3, H, W): "pool" (N, D), 1,024 values of ViT-L/14."""
        from torch_fidelity.interpolate_compat_tensorflow import (
            interpolate_bilinear_2d_like_tensorflow1x,
        )

        with full_float32():
            resized = interpolate_bilinear_2d_like_tensorflow1x(
                images.float(), size=(SIDE, SIDE), align_corners=False
            )
            states = self._network((resized - self.mean) / self.deviation).last_hidden_state
        return {"pool": states[:, 0]}
