"""The images that samples are compared with: their statistics, features, or themselves."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.features.image_files import list_images
from evaluation.features.images import IMAGES, ImageSource, open_images
from evaluation.features.npz_stream import array_names, load_array

MOST_CLASSES = 10**6
SYMMETRY = 1e-5  # relative to the largest entry; float32 statistics meet it
# Mean and covariance of each kind of features, as ADM's files call them.
STATISTICS = {"pool": ("mu", "sigma"), "spatial": ("mu_s", "sigma_s")}
KINDS = "arr_0 (images), or mu and sigma (their statistics)"
# By digest: the shipped file was made before class_counts were stored.
SHIPPED_CLASSES = {"8c684304c919ce3d713fefb9899b5f460e429af331632475af2ef8e1a57487cb": (6000,) * 10}


@dataclass(frozen=True, eq=False)
class Reference:
    """What is known of the reference images; None where the file does not say.

    Attributes:
        gaussians: float64 mean (D,) and covariance (D, D) by kind of features.
        images: images to extract features from; their labels are not needed.
        features: float32 (M, D) "pool" features, for precision, recall and KID.
        num_images: how many images the gaussians are of.
        extractor: SHA-256 of the extractor's weights.
        label: short name.
        digest: SHA-256 of the file; of a folder, of the names, sizes and dates of its images.
        class_counts: images per class, by its number.
    """

    gaussians: dict[str, tuple[np.ndarray, np.ndarray]]
    images: ImageSource | None
    features: np.ndarray | None
    num_images: int | None
    extractor: str | None
    label: str
    digest: str
    class_counts: tuple[int, ...] | None = None


def open_reference(path: str | Path, field: str, side: int | None = None) -> Reference:
    """Opens a reference: statistics are read and checked, images are not read.

    Args:
        path: an npz with any of mu, sigma, mu_s, sigma_s, arr_0 (uint8 images), features,
            num_images, extractor, class_counts, as ADM publishes them (or pytorch-fid: mu, sigma);
            or images alone, in any form that `open_images` takes from a path.
        field: name of the setting, for messages.
        side: to which images of a folder are resized, which may then be of any sizes.

    Returns:
        Images, or the gaussian of "pool", or both are there.

    Raises:
        ValueError: nothing there, unreadable, or arrays that do not fit together; one line.
    """
    file, place = Path(path).expanduser(), f"{field}={path}"
    if file.is_dir() or not file.is_file() or file.suffix.lower() == ".npy":
        images = open_images(path, field, side=side)
        return _of_images(images, file)
    try:
        names = array_names(file)
        if IMAGES not in names and not set(STATISTICS["pool"]) & set(names):
            raise ValueError(f"has {', '.join(names) or 'no arrays'}; store {KINDS}")
        found = {kind: _moments(file, names, *keys) for kind, keys in STATISTICS.items()}
        gaussians = {kind: gaussian for kind, gaussian in found.items() if gaussian is not None}
        features = _features(file, gaussians.get("pool")) if "features" in names else None
        num_images = _count(file) if "num_images" in names else None
        extractor = str(load_array(file, "extractor")) if "extractor" in names else None
        class_counts = _class_counts(file) if "class_counts" in names else None
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
    stored = open_images(path, field, need_labels=False) if IMAGES in names else None
    digest = _digest(file)
    counts = class_counts or SHIPPED_CLASSES.get(digest) or labelled_counts(stored)
    return Reference(gaussians, stored, features, num_images, extractor, file.stem, digest, counts)


def array_reference(array: np.ndarray, field: str) -> Reference:
    """A reference of images in memory.

    Args:
        array: uint8 (N, H, W, 3), (N, H, W, 1) or (N, H, W).
        field: name of the setting, for messages.

    Raises:
        ValueError: not such images; one line.
    """
    images = open_images(array, field)
    digest = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
    return Reference({}, images, None, None, None, "array", digest)


def _of_images(images: ImageSource, path: Path) -> Reference:
    label = path.resolve().name if path.is_dir() else path.stem
    counts = labelled_counts(images)
    return Reference({}, images, None, None, None, label, _digest(path), counts)


def labelled_counts(images: Any) -> tuple[int, ...] | None:
    """Images per class, by its number; None unless every image has one, which prompts are not.

    Args:
        images: ImageSource, or anything with its labels; None = none.
    """
    labels = None if images is None or images.prompts is not None else images.labels
    if labels is None or labels.min() < 0 or labels.max() >= MOST_CLASSES:
        return None
    return tuple(np.bincount(labels).tolist())


def _digest(path: Path) -> str:
    if path.is_file():
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for name in list_images(path).files:
        status = (path / name).stat()
        digest.update(
            f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape")
        )
    return digest.hexdigest()


def _moments(
    path: Path, names: list[str], mean: str, covariance: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """A mean and its covariance, float64; None if the file has neither."""
    for here, absent in ((mean, covariance), (covariance, mean)):
        if here in names and absent not in names:
            raise ValueError(f"has {here} without {absent}; store both or neither")
    if mean not in names:
        return None
    mu, sigma = _floats(path, mean), _floats(path, covariance)
    if mu.ndim != 1 or mu.size == 0:
        raise ValueError(f"{mean} is {mu.shape}; store the mean feature vector, (D,)")
    if sigma.shape != (mu.size, mu.size):
        wanted = f"{mean} has {mu.size} values"
        raise ValueError(f"{covariance} is {sigma.shape} while {wanted}; store a square one")
    if np.abs(sigma - sigma.T).max() > SYMMETRY * np.abs(sigma).max():
        raise ValueError(f"{covariance} is not symmetric; store a covariance matrix")
    if sigma.diagonal().min() < 0:
        raise ValueError(f"{covariance} has negative variances; store a covariance matrix")
    return mu, sigma


def _floats(path: Path, name: str) -> np.ndarray:
    """A floating point array as float64, all values finite."""
    array = load_array(path, name)
    if array.dtype.kind != "f":
        raise ValueError(f"{name} is {array.dtype}; store floating point numbers")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has values that are not finite; compute the reference again")
    return array.astype(np.float64)


def _features(path: Path, gaussian: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    features = _floats(path, "features").astype(np.float32)
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"features is {features.shape}; store one row per image, (M, D)")
    if gaussian is not None and features.shape[1] != gaussian[0].size:
        wanted = f"mu has {gaussian[0].size} values"
        raise ValueError(f"features is {features.shape} while {wanted}; use one extractor")
    return features


def _count(path: Path) -> int:
    count = load_array(path, "num_images")
    if count.size != 1 or count.dtype.kind not in "iu" or count.item() < 1:
        raise ValueError("num_images is no whole number of at least 1; store a single integer")
    return int(count.item())


def _class_counts(path: Path) -> tuple[int, ...]:
    counts = load_array(path, "class_counts")
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or counts.size == 0 or counts.min() < 0:
        raise ValueError("class_counts are no whole numbers; store one per class, or none of them")
    return tuple(counts.tolist())
