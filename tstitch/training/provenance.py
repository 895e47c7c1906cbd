"""What cached moments were made of: a record beside them, compared before they are used."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import TensorDataset

from models.download import sha256_of
from tstitch.data.items import CheckedItems, Items
from tstitch.files.writing import write_json
from tstitch.runtime.errors import errors_of


class DataIdentity:
    """Content of a data set, as a digest that is read only where it must be.

    Args:
        dataset: as tstitch.training.dataset.open_data gives it.
    """

    def __init__(self, dataset: Items) -> None:
        self._dataset = dataset
        inner = dataset.dataset if isinstance(dataset, CheckedItems) else dataset
        self._inner = inner
        labels = dataset.labels if isinstance(dataset, CheckedItems) else None
        self._labels = "own" if labels is None else " ".join(map(str, labels))

    def stamp(self) -> str | None:
        """Digest of names, lengths and dates of its files; None for other data than files.

        The dates are those of the content and of the file system's entry, which no copy keeps: an
        equal stamp means equal content, another one nothing.

        Raises:
            UserError: a file that is gone.
        """
        if not hasattr(self._inner, "stamp"):
            return None
        with errors_of("data."):
            return _joined(self._inner.stamp(), self._labels)

    def digest(self) -> str:
        """Digest of every image and label; reads all of them.

        Raises:
            UserError: an item that cannot be read.
        """
        if hasattr(self._inner, "digest"):
            with errors_of("data."):
                return _joined(self._inner.digest(), self._labels)
        digest = hashlib.sha256()
        if isinstance(self._dataset, TensorDataset):
            for tensor in self._dataset.tensors:
                digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
                digest.update(np.ascontiguousarray(tensor.numpy()).data)
        else:
            for image, label in (self._dataset[i] for i in range(len(self._dataset))):
                digest.update(f"{tuple(image.shape)} {label}\n".encode())
                digest.update(np.ascontiguousarray(image.numpy()).data)
        return digest.hexdigest()


def make_record(data: DataIdentity, space: Any) -> dict[str, Any]:
    """What moments depend on: data, and the autoencoder with its scale and precision.

    Raises:
        UserError: data that cannot be read.
    """
    return {"stamp": data.stamp(), "data": data.digest(), "autoencoder": space.digest()}


def content_record(moments: Path, labels: np.ndarray) -> dict[str, Any]:
    """What tells moments and labels from edited ones; reads the file of moments."""
    return {
        "labels": array_digest(labels),
        "written": moments.stat().st_mtime_ns,
        "moments": sha256_of(moments),
    }


def difference(
    path: Path, data: DataIdentity, space: Any, moments: Path, labels: np.ndarray
) -> str | None:
    """Why the moments beside a record are not those of this training; None if they are.

    Where only dates of files differ, the files are read, and the record gets the new dates.

    Args:
        moments: their file.
        labels: int64 (N,), as they lie beside the moments.

    Raises:
        UserError: data that cannot be read.
    """
    try:
        record = json.loads(path.read_text())
        stamp, digest, autoencoder = (record[key] for key in ("stamp", "data", "autoencoder"))
        own_labels, written, own = (record[key] for key in ("labels", "written", "moments"))
    except (OSError, ValueError, KeyError, TypeError):
        return "moments without a record of their images and autoencoder"
    if autoencoder != space.digest():
        return "moments of another autoencoder, or of other settings of it"
    if own_labels != array_digest(labels):
        return "moments of which the labels have changed"
    date = moments.stat().st_mtime_ns
    if date != written and own != sha256_of(moments):
        return "moments that have changed since they were made"
    now = data.stamp()
    if (now is None or now != stamp) and digest != data.digest():
        return "moments of other images or labels"
    dated = record | {"stamp": now, "written": date}
    if dated != record:
        write_json(path, dated)
    return None


def array_digest(array: np.ndarray) -> str:
    """SHA-256 of an array's values, whatever their order in memory."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _joined(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
