"""What the images of a batch begin with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Noise and labels; padded to the full size where shapes are static."""

    size: int  # images wanted; the rows after them are padding
    x_T: Tensor  # (N, C, H, W), N >= size
    y: Tensor  # (N,) int64
    step_noise: Callable[[], Tensor]  # next step noise, shape of x_T
    nulls: Mapping[int, Tensor] = field(default_factory=dict)  # (N, ...) by place of the denoiser
