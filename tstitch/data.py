"""Image data sets for training: any map-style data set of (image, label) pairs.

What they refuse is a ValueError whose message begins with the argument: `folder=PATH: ...`.
"""

import gzip
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

IDX_UINT8 = 0x08
SPLITS = {"train": "train", "test": "t10k"}  # and how IDX files call them
TORCHVISION_NAMES = ("FashionMNIST", "MNIST", "CIFAR10")


def read_idx(path: Path) -> np.ndarray:
    """Array of an IDX file of unsigned bytes, plain or gzipped (the format of MNIST).

    Raises:
        ValueError: not such a file, or shorter than its header says.
    """
    place = f"folder={path.parent}: {path.name}"
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            raw = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{place} cannot be read ({error}); fetch it again") from error
    if len(raw) < 4 or raw[:3] != bytes([0, 0, IDX_UINT8]) or len(raw) < 4 + 4 * raw[3]:
        raise ValueError(f"{place} is no IDX file of unsigned bytes; check the folder")
    ndim = raw[3]
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", count=ndim, offset=4))
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim)
    if values.size != int(np.prod(shape)):
        raise ValueError(f"{place} holds {values.size} values for shape {shape}; fetch it again")
    return values.reshape(shape)


def idx_folder(folder: str, split: str = "train") -> TensorDataset:
    """Fashion-MNIST, or any data set in its four IDX files, from a local folder.

    Returns:
        uint8 images (N, 1, H, W) and int64 labels (N,).
    """
    _check_choice("split", split, SPLITS)
    arrays = []
    for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        stem = Path(folder).expanduser() / f"{SPLITS[split]}-{kind}"
        found = [p for p in (stem, stem.with_name(stem.name + ".gz")) if p.is_file()]
        if not found:
            raise ValueError(f"folder={folder}: {stem.name}[.gz] is missing there")
        arrays.append(read_idx(found[0]))
    images, labels = arrays
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(f"folder={folder}: has images {images.shape}, labels {labels.shape}")
    return TensorDataset(
        torch.from_numpy(images.copy())[:, None], torch.from_numpy(labels.astype(np.int64))
    )


def torchvision_arrays(name: str, root: str, split: str = "train") -> TensorDataset:
    """FashionMNIST, MNIST or CIFAR10 through torchvision, downloaded once into root.

    Returns:
        uint8 images (N, C, H, W) and int64 labels (N,).
    """
    from torchvision import datasets

    _check_choice("name", name, TORCHVISION_NAMES)
    _check_choice("split", split, SPLITS)

    try:
        source = getattr(datasets, name)(root, train=split == "train", download=True)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"root={root}: {name} cannot be downloaded ({reason}); "
            "connect, or point data=idx_folder data.folder=PATH at local files"
        ) from error
    images = torch.as_tensor(source.data)
    images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
    return TensorDataset(images, torch.as_tensor(source.targets, dtype=torch.int64))


class ImageFolder(Dataset):
    """Folder of class folders, each image scaled and centre-cropped to size x size uint8 RGB.

    Args:
        folder: root of the class folders.
        size: side in pixels.
    """

    def __init__(self, folder: str, size: int) -> None:
        from torchvision import datasets, transforms

        steps = [transforms.Resize(size), transforms.CenterCrop(size), transforms.PILToTensor()]
        try:
            self._source = datasets.ImageFolder(
                str(Path(folder).expanduser()), transforms.Compose(steps)
            )
        except (OSError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"folder={folder}: {reason}") from error
        self.classes = tuple(self._source.classes)  # folder names in alphabetical order

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._source[index]


def _check_choice(name: str, value: str, options: Collection[str]) -> None:
    if value not in options:
        raise ValueError(f"{name}={value}: choose one of {', '.join(options)}")


def epoch_order(num_items: int, seed: int, epoch: int) -> np.ndarray:
    """The order of one epoch, a function of (seed, epoch) alone."""
    return np.random.default_rng([seed, epoch]).permutation(num_items)


class StepBatches:
    """Batch sampler of one rank, from a given step on: resuming is starting at a later step."""

    def __init__(
        self, num_items: int, *, batch_size: int, seed: int, steps: range, rank: int, world: int
    ) -> None:
        self._args = (num_items, batch_size, seed)
        self._steps, self._share = steps, slice(rank, None, world)

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[int]]:
        num_items, batch_size, seed = self._args
        cached_epoch, order = -1, np.empty(0, np.int64)
        for step in self._steps:
            indices = []
            for position in range(step * batch_size, (step + 1) * batch_size):
                epoch, place = divmod(position, num_items)
                if epoch != cached_epoch:
                    cached_epoch, order = epoch, epoch_order(num_items, seed, epoch)
                indices.append(int(order[place]))
            yield indices[self._share]


def batches(dataset: Dataset, sampler: StepBatches, workers: int) -> Iterator[tuple]:
    """(images uint8 (n, C, H, W), labels (n,)) per step; whole tensors are sliced, not collated."""
    if isinstance(dataset, TensorDataset):
        for indices in sampler:
            yield dataset[torch.tensor(indices)]
        return
    yield from DataLoader(dataset, batch_sampler=sampler, num_workers=workers)
