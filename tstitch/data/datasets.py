"""Image data sets for training: any map-style data set of (image, label) pairs.

What they refuse is a ValueError whose message begins with the argument: `folder=PATH: ...`.
"""

import gzip
import hashlib
import logging
import os
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset, default_collate

from evaluation.features.image_files import Listing, decode_rgb, list_images
from models.download import sha256_of
from tstitch.data.items import Items
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError

T = TypeVar("T")
IDX_UINT8 = 0x08
SPLITS = {"train": "train", "test": "t10k"}  # and how IDX files call them
TORCHVISION_NAMES = ("FashionMNIST", "MNIST", "CIFAR10")
log = logging.getLogger(__name__)


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
        stem = _path(folder) / f"{SPLITS[split]}-{kind}"
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


def _path(folder: Any) -> Path:
    """The folder of a setting; a number names one too, as 2012 does."""
    if type(folder) not in (str, int) or folder == "":  # of "" Path makes the current folder
        raise ValueError(f"folder={folder!r}: give the path of a folder, as a text")
    return Path(str(folder)).expanduser()


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


class ImageFolder(Dataset[Any]):
    """Folder of class folders, each image scaled and centre-cropped to size x size uint8 RGB.

    Which files count and how they are decoded: evaluation/features/image_files.py. What is left
    out is said.

    Args:
        folder: root of the class folders.
        size: side in pixels.

    Attributes:
        classes: names of the class folders, in alphabetical order.

    Raises:
        ValueError: no class folders, or one without images.
    """

    def __init__(self, folder: str, size: int) -> None:
        from torchvision import transforms

        if type(size) is not int or size < 1:
            raise ValueError(f"size={size}: choose a whole number of at least 1")
        self._root, self._place = _path(folder), f"folder={folder}"
        steps = [transforms.Resize(size), transforms.CenterCrop(size), transforms.PILToTensor()]
        self._transform, self._size = transforms.Compose(steps), size
        try:
            listing = list_images(self._root)
        except OSError as error:
            raise ValueError(f"{self._place}: cannot be read ({error.strerror})") from error
        self.classes = listing.folders
        numbers = {name: number for number, name in enumerate(self.classes)}
        parts = [(name, name.split("/")[0]) for name in listing.files if "/" in name]
        self._items = [(name, numbers[part]) for name, part in parts]
        loose = [name for name in listing.files if "/" not in name]
        self._check_classes(listing, loose)
        if note := listing.note():
            log.warning("data.%s: %s", self._place, note)
        if loose:
            log.warning(
                "data.%s: %d images in no class folder are left out (%s)",
                self._place, len(loose), loose[0],
            )  # fmt: skip

    def _check_classes(self, listing: Listing, loose: list[str]) -> None:
        """Refuses what torchvision refuses too, naming it."""
        filled = {number for _, number in self._items}
        empty = [name for number, name in enumerate(self.classes) if number not in filled]
        note = f" ({listing.note()})" if listing.note() else ""
        if not filled:
            found = f"its {len(loose)} images are in no class folder" if loose else "no images"
            raise ValueError(f"{self._place}: {found}{note}; give a folder with one per class")
        if empty:
            raise ValueError(
                f"{self._place}: class folder {empty[0]} holds no image{note}; fill or remove it"
            )

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Image uint8 (3, size, size) and the number of its class.

        Raises:
            ValueError: a file that cannot be decoded; one line with its name.
        """
        from PIL import Image

        name, label = self._items[index]
        try:
            image = Image.fromarray(decode_rgb(self._root / name, name))
        except ValueError as error:
            raise ValueError(f"{self._place}: {error}") from error
        return self._transform(image), label

    def stamp(self) -> str:
        """Digest of the size, and of every file's name, class, length and dates."""
        return self._digest(lambda status, path: f"{status.st_mtime_ns} {status.st_ctime_ns}")

    def digest(self) -> str:
        """Digest of the size, and of every file's name, class and content; reads all of them."""
        return self._digest(lambda status, path: sha256_of(path))

    def _digest(self, describe: Callable[[os.stat_result, Path], str]) -> str:
        digest = hashlib.sha256(f"{self._size}\n".encode())
        for name, label in self._items:
            path = self._root / name
            try:
                status = path.stat()
                line = f"{name}\0{self.classes[label]}\0{status.st_size} {describe(status, path)}\n"
            except OSError as error:
                raise ValueError(
                    f"{self._place}: {name} cannot be read ({error.strerror})"
                ) from error
            digest.update(line.encode(errors="surrogateescape"))
        return digest.hexdigest()


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


def batches(dataset: Items, sampler: StepBatches, workers: int) -> Iterator[tuple[Any, ...]]:
    """(images uint8 (n, C, H, W), labels (n,)) per step; whole tensors are sliced, not collated.

    Raises:
        UserError: of an item, also of one that another process reads.
    """
    if isinstance(dataset, TensorDataset):
        for indices in sampler:
            yield dataset[torch.tensor(indices)]
        return
    loader = DataLoader(
        _Carrying(dataset), batch_sampler=sampler, num_workers=workers, collate_fn=_collate
    )
    for batch in loader:
        if isinstance(batch, UserError):
            raise batch
        yield batch


def together(items: Iterator[T], count: int) -> Iterator[T]:
    """The first items of this rank; an error of any rank's is raised on all of them.

    A rank that stopped alone would leave the others waiting for its gradients.

    Raises:
        UserError: of `items`, of any rank.
    """
    for _ in range(count):
        yield distributed.everywhere(lambda: next(items))


class _Carrying(Dataset[Any]):
    """Hands a UserError out as an item: raised in a worker it would arrive as a traceback."""

    def __init__(self, dataset: Items) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Any:
        try:
            return self._dataset[index]
        except UserError as error:
            return error


def _collate(items: list[Any]) -> Any:
    failures = [item for item in items if isinstance(item, UserError)]
    return failures[0] if failures else default_collate(items)
