"""Per-image randomness: label and noise of image i depend on (seed, i) only.

Not on the batch it is drawn in, the rank that draws it, or what was drawn before. Each image
has independent CPU streams, so that a label mode never shifts the noise.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from .checks import check_integer, check_list

LABEL, INITIAL, STEP = 0, 1, 2
NULL = 3  # and one more for each further denoiser


def image_generator(seed: int, index: int, stream: int) -> torch.Generator:
    """The CPU generator of one image's stream: LABEL, INITIAL (x_T), STEP (step noise) or NULL."""
    state = np.random.SeedSequence([seed, index, stream]).generate_state(1, np.uint64)
    return torch.Generator("cpu").manual_seed(int(state[0]))


class PerImageRandomness:
    """Labels, x_T and step noise of a batch of images; the global generators stay untouched.

    Args:
        seed: of the run, an integer from 0 to 2**63 - 1.
        indices: global image indices of the batch, N of them, from 0.
        shape: of one image, e.g. (C, H, W).
        device: where the results go; drawing is always on the CPU, so that all devices agree.

    Raises:
        ValueError: on a value out of range; the message is `name=value: what is allowed`.
    """

    def __init__(
        self,
        seed: int,
        indices: Sequence[int],
        shape: tuple[int, ...],
        device: torch.device | str = "cpu",
    ) -> None:
        self.seed = check_integer("seed", seed, 0, 2**63 - 1)
        values = check_list("indices", indices, "a list of image indices")
        if not values:
            raise ValueError("indices=[]: choose at least one image index")
        self.indices = tuple(check_integer("indices", i, 0, 2**63 - 1) for i in values)
        self.shape = tuple(shape)
        self.device = torch.device(device)
        self._step_generators = self._generators(STEP)

    def _generators(self, stream: int) -> list[torch.Generator]:
        return [image_generator(self.seed, i, stream) for i in self.indices]

    def _normal(self, generators: list[torch.Generator]) -> Tensor:
        return self._filled(
            generators, self.shape, lambda image, generator: image.normal_(generator=generator)
        )

    def _filled(
        self,
        generators: list[torch.Generator],
        shape: tuple[int, ...],
        fill: Callable[[Tensor, torch.Generator], Tensor],
    ) -> Tensor:
        # Pinned memory is copied to the GPU without waiting for it.
        pinned = self.device.type == "cuda"
        size = (len(generators), *shape)
        values = torch.empty(size, dtype=torch.float32, pin_memory=pinned)
        for image, generator in zip(values, generators, strict=True):
            fill(image, generator)
        return values.to(self.device, non_blocking=pinned)

    def labels(self, num_classes: int) -> Tensor:
        """Uniform labels in 0..num_classes-1, (N,) int64; the same at every call."""
        check_integer("num_classes", num_classes, 1, 2**31 - 1)
        generators = self._generators(LABEL)
        draws = [torch.randint(num_classes, (), generator=g) for g in generators]
        return torch.stack(draws).to(self.device)

    def initial(self) -> Tensor:
        """x_T, standard normal, (N, *shape) float32; the same at every call."""
        return self._normal(self._generators(INITIAL))

    def step(self) -> Tensor:
        """The next step noise, standard normal, (N, *shape) float32; new at every call."""
        return self._normal(self._step_generators)

    def null(self, model: int, shape: tuple[int, ...]) -> Tensor:
        """What a denoiser has in place of a null condition, uniform in [0, 1); each its own.

        Args:
            model: the denoiser's place in the pair, from 0.
            shape: for one image.

        Returns:
            (N, *shape) float32; the same at every call.
        """
        generators = self._generators(NULL + check_integer("model", model, 0, 2**31 - 1))
        return self._filled(
            generators, shape, lambda image, generator: image.uniform_(generator=generator)
        )
