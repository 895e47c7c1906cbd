"""From data set items to the latents a step trains on: encoded on the fly, or cached once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tstitch.data.items import Items
from tstitch.files.writing import write_json
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError
from tstitch.runtime.transfer import to_device
from tstitch.training.checkpoint import writing
from tstitch.training.provenance import DataIdentity, content_record, difference, make_record

CACHE_BATCH = 64
RECORD = ".json"  # beside the moments: what they were made of
# One step's latents (n, C, H, W) float32 and, on the host, labels (n,); all that is random in
# them is drawn by the step's generator, on its device.
NextLatents = Callable[[torch.Generator], tuple[Tensor, Tensor]]


def to_float(images: Tensor) -> Tensor:
    """uint8 images of 0..255 as float32 in [-1, 1]."""
    return images.float() / 127.5 - 1.0


def encoded(items: Iterator[Any], space: Any, device: torch.device, flip: bool) -> NextLatents:
    """Latents of images as they come, half of them mirrored if flip is set.

    Args:
        items: (images uint8 (n, C, H, W), labels (n,)) per step.
        space: encodes images of [-1, 1].

    Raises:
        UserError: from the first step, images that are encoded to values that are not finite.
    """
    encodes = False

    def following(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        images, labels = next(items)
        images = to_float(to_device(images, device))
        if flip:
            mirrored = torch.rand(len(images), generator=generator, device=device) < 0.5
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        latents = space.encode(images, generator)
        nonlocal encodes
        if not encodes:  # later ones end in the loss
            distributed.everywhere(lambda: _check_finite(latents, space))
            encodes = True
        return latents, labels

    return following


def _check_finite(latents: Tensor, space: Any) -> None:
    if not torch.isfinite(latents).all():
        raise UserError(
            f"pair.space.dtype={getattr(space, 'precision', 'fp32')}: images are encoded to values "
            "that are infinite or not a number; choose fp32, or check the autoencoder's weights"
        )


def cached(items: Iterator[Any], space: Any) -> NextLatents:
    """Latents drawn from cached moments; items are (moments (n, V, 2, C, H, W), labels (n,))."""

    def following(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        moments, labels = next(items)
        device, n = generator.device, len(moments)
        moments = to_device(moments, device)
        views = torch.randint(moments.shape[1], (n,), generator=generator, device=device)
        mean, std = moments[torch.arange(n, device=device), views].float().unbind(1)
        noise = torch.randn(mean.shape, generator=generator, device=device)
        return space.scaled(mean + std * noise), labels

    return following


class CachedMoments(Dataset[Any]):
    """Posterior mean and deviation of every image, computed once, all ranks taking their share.

    The file holds float16 (N, V, 2, C, H, W): V = 2 views, the image and its mirror image, if
    flip is set, else 1. Beside it lie the labels and a record of the images and the autoencoder
    that it was made of; it is used again for the same ones.

    Args:
        dataset: (image uint8 (C, H, W), label) items.
        space: has encode_moments, as VAESpace does.
        path: .npy file to read or to make.

    Raises:
        UserError: pixel space, which has nothing to cache; a file that is damaged, or of other
            images or another autoencoder; an image that cannot be read.
    """

    def __init__(
        self, dataset: Items, space: Any, path: Path, device: torch.device, flip: bool
    ) -> None:
        if not hasattr(space, "encode_moments"):
            raise UserError("train.latents=cache: pixel space has no encoder; choose encode")
        shape, data = (len(dataset), 2 if flip else 1, 2, *space.shape), DataIdentity(dataset)
        if distributed.on_main(path.is_file):
            distributed.on_main(lambda: _check(path, shape, data, space))
        else:
            record = distributed.on_main(lambda: make_record(data, space))
            _encode_all(dataset, space, path, device, shape, record)
        self._moments, self._labels = _open(path)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(np.array(self._moments[index])), int(self._labels[index])


def _labels_path(path: Path) -> Path:
    return path.with_suffix(".labels.npy")


def _open(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Moments, left on the disk, and their labels."""
    try:
        return np.load(path, mmap_mode="r"), np.load(_labels_path(path))
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"train.dir: {path} or {_labels_path(path).name} beside it cannot be read ({reason}); "
            "remove the file or choose another train.dir"
        ) from error


def _check(path: Path, shape: tuple[int, ...], data: DataIdentity, space: Any) -> None:
    """Refuses moments that are not those of this training."""
    moments, labels = _open(path)
    if moments.shape != shape:
        problem: str | None = f"moments of shape {moments.shape}, this training needs {shape}"
    elif labels.shape != shape[:1]:
        problem = f"moments of {shape[0]} images beside labels of shape {labels.shape}"
    else:
        problem = difference(path.with_suffix(RECORD), data, space, path, labels)
    if problem is not None:
        raise UserError(
            f"train.dir: {path} holds {problem}; remove the file or choose another train.dir"
        )


def _encode_all(
    dataset: Items,
    space: Any,
    path: Path,
    device: torch.device,
    shape: tuple[int, ...],
    record: dict[str, Any],
) -> None:
    """Every rank writes its strided share into one memory-mapped file, renamed when whole."""
    temporary = path.with_name(f".{path.name}.tmp")

    def make() -> None:
        with writing(path.parent):
            np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape).flush()

    distributed.on_main(make)
    shares = distributed.gather(
        distributed.everywhere(lambda: _encode_share(dataset, space, temporary, device))
    )

    def finish() -> None:
        merged = {i: label for share in shares for i, label in share.items()}
        labels = np.array([merged[i] for i in range(len(dataset))], np.int64)
        with writing(path.parent):
            np.save(_labels_path(path), labels)
            write_json(path.with_suffix(RECORD), record | content_record(temporary, labels))
            temporary.rename(path)  # last: with it there, the others are

    distributed.on_main(finish)


def _encode_share(
    dataset: Items, space: Any, temporary: Path, device: torch.device
) -> dict[int, int]:
    """Fills in this rank's rows of the moments; returns their labels by index."""
    moments = np.lib.format.open_memmap(temporary, mode="r+")
    own = range(distributed.rank(), len(dataset), distributed.world_size())
    labels: dict[int, int] = {}
    for first in range(0, len(own), CACHE_BATCH):
        indices = own[first : first + CACHE_BATCH]
        items = [dataset[i] for i in indices]
        images = to_float(torch.stack([image for image, _ in items])).to(device)
        for view, pixels in enumerate((images, images.flip(3))[: moments.shape[1]]):
            mean, std = space.encode_moments(pixels)
            half = torch.stack([mean, std], 1).half()
            if not torch.isfinite(half).all():
                raise UserError(
                    f"train.latents=cache: latents of images {indices[0]} to {indices[-1]} are not "
                    "finite in float16, as which they are kept; choose encode, or check pair.space"
                )
            moments[indices, view] = half.cpu().numpy()
        labels |= {i: int(label) for i, (_, label) in zip(indices, items, strict=True)}
    moments.flush()
    return labels
