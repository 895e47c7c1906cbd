"""`scripts/reference.py`: statistics of real images, and what other real images reach."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from evaluation.features.reference import STATISTICS, labelled_counts
from tstitch.config import fields
from tstitch.config.cli import instantiate
from tstitch.config.settings import Device
from tstitch.data.items import CheckedItems, Items
from tstitch.files.npz import NpzWriter
from tstitch.files.writing import write_json, writing_file
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError
from tstitch.runtime.start import start_process
from tstitch.scoring.evaluator import Evaluator
from tstitch.scoring.extractor import LoadedExtractor
from tstitch.scoring.real_images import measure_real_images
from tstitch.scoring.settings import MIN_IMAGES, EvaluationSettings


class ReferenceSettings(fields.Settings):
    """The whole configuration; described in configs/reference.yaml."""

    output: fields.PathText
    features: Annotated[int, fields.whole(MIN_IMAGES)]
    floor: fields.PathText | None
    floor_images: Annotated[tuple[int, ...], fields.wholes(MIN_IMAGES)]
    device: Device
    data: Any
    evaluation: Any


class DatasetImages:
    """A data set of (uint8 (C, H, W), label) as a source of images to evaluate.

    Args:
        dataset: map-style, of one image size.
        count: only its first images; None = all.

    Raises:
        UserError: items that are no such images, here or when they are read.
    """

    def __init__(self, dataset: Items, count: int | None = None) -> None:
        self._dataset = CheckedItems(dataset)
        self._count = len(dataset) if count is None else count
        self.height, self.width = self._dataset.shape[1:]

    def __len__(self) -> int:
        return self._count

    @cached_property
    def labels(self) -> np.ndarray:
        """int64 (N,) class of each image."""
        return np.array([self._dataset[i][1] for i in range(self._count)])

    @property
    def prompts(self) -> tuple[str, ...] | None:
        """The data set's `prompts`, where its labels are numbers of texts."""
        return getattr(self._dataset.dataset, "prompts", None)

    def read(self, first: int, end: int) -> np.ndarray:
        """Images first..end-1, uint8 (n, H, W, 3)."""
        images = torch.stack([self._dataset[index][0] for index in range(first, end)])
        return images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().numpy()


def make_reference(config: dict[str, Any]) -> None:
    """Writes the reference of data.split=train, and the floor: its test images against it.

    Raises:
        UserError: bad input, on every rank alike.
    """
    given = ReferenceSettings.parse(config)
    settings = EvaluationSettings.parse(given.evaluation)
    if settings.extractor is None:
        raise UserError("evaluation.extractor=null: choose a feature space, evaluation=NAME")
    device = start_process(given.device, "device")
    images = DatasetImages(distributed.main_first(lambda: instantiate(given.data, "data")))
    if given.features > len(images):
        raise UserError(f"features={given.features}: the data has only {len(images)} images")
    test = None if given.floor is None else _open_test(given.data, given.floor_images)
    extractor = LoadedExtractor(settings, device)
    _write_statistics(images, extractor, given.features, Path(given.output))
    if test is not None and given.floor is not None:
        _write_floor(test, settings, device, given, Path(given.floor))


def _write_statistics(
    images: DatasetImages, extractor: LoadedExtractor, num_features: int, output: Path
) -> None:
    extractor.check(images.height, images.width, "data")
    names = [name for name in STATISTICS if name in extractor.dimensions(images)]
    moments, features = measure_real_images(
        extractor, images, names, num_features=num_features, field="data"
    )

    def write() -> None:
        arrays = {
            "num_images": np.array(len(images)),
            "extractor": np.array(extractor.identity["weights_sha256"]),
        }
        if (counts := labelled_counts(images)) is not None:
            arrays["class_counts"] = np.array(counts)
        for name, gaussian in moments.items():
            mean, covariance = STATISTICS[name]
            arrays[mean] = gaussian.mean.cpu().numpy()
            arrays[covariance] = gaussian.covariance.cpu().numpy()
        assert features is not None  # on rank 0
        arrays["features"] = _compact(features.numpy())
        with writing_file(output, "output"), NpzWriter(output) as writer:
            for name, array in arrays.items():
                writer.add_array(name, array)

    distributed.on_main(write)


def _compact(features: np.ndarray) -> np.ndarray:
    """float16 where all values fit it, else float32 as they are."""
    with np.errstate(over="ignore"):
        half = features.astype(np.float16)
    return half if np.isfinite(half).all() else features


def _open_test(data: dict[str, Any], sizes: tuple[int, ...]) -> Items:
    if "split" not in data:
        raise UserError("floor: the data set has no data.split; choose floor=null")
    test = distributed.main_first(lambda: instantiate(data | {"split": "test"}, "data"))
    for size in sizes:
        if size > len(test):
            raise UserError(f"floor_images={size}: the test split has only {len(test)} images")
    return test


def _write_floor(
    test: Items,
    settings: EvaluationSettings,
    device: torch.device,
    given: ReferenceSettings,
    floor: Path,
) -> None:
    """Evaluates the first images of the test split, for each number of images."""
    settings = settings.model_copy(update={"reference": given.output, "floor": None})
    evaluator = Evaluator(settings, device)
    floors = [evaluator.evaluate(DatasetImages(test, n), "data") for n in given.floor_images]

    def write() -> None:
        # The floor is compared with, not paired.
        paired = {"metrics": {"__all__": {"replicates"}}}
        content = [entry.model_dump(exclude=paired, exclude_unset=True) for entry in floors]
        with writing_file(floor, "floor"):
            write_json(floor, content)

    distributed.on_main(write)
