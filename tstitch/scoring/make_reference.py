"""`scripts/reference.py`: statistics of real images, and what other real images reach."""

import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluation.features.reference import STATISTICS, labelled_counts
from tstitch import distributed
from tstitch.cli import instantiate
from tstitch.device import DEVICES, choose_device
from tstitch.errors import UserError
from tstitch.files import write_text, writing_file
from tstitch.items import CheckedItems, Items
from tstitch.npz import NpzWriter
from tstitch.scoring.evaluator import Evaluator
from tstitch.scoring.extractor import LoadedExtractor
from tstitch.scoring.real import measure_real
from tstitch.scoring.settings import MIN_IMAGES, EvaluationSettings, parse_evaluation
from tstitch.section import Section
from tstitch.threads import set_threads

FIELDS = ("output", "features", "floor", "floor_images", "device", "data", "evaluation")


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

    def read(self, first: int, end: int) -> np.ndarray:
        """Images first..end-1, uint8 (n, H, W, 3)."""
        images = torch.stack([self._dataset[index][0] for index in range(first, end)])
        return images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().numpy()


def make_reference(config: dict[str, Any]) -> None:
    """Writes the reference of data.split=train, and the floor: its test images against it.

    Raises:
        UserError: bad input, on every rank alike.
    """
    section = Section(config, "", FIELDS)
    settings = parse_evaluation(config["evaluation"])
    if settings.extractor is None:
        raise UserError("evaluation.extractor=null: choose a feature space, evaluation=NAME")
    output = Path(section.path("output"))
    floor = None if section.raw("floor") is None else Path(section.path("floor"))
    features = section.integer("features", MIN_IMAGES)
    sizes = section.integers("floor_images", MIN_IMAGES)
    device = choose_device(section.choice("device", DEVICES), "device")
    distributed.start()
    set_threads()
    images = DatasetImages(distributed.main_first(lambda: instantiate(config["data"], "data")))
    if features > len(images):
        raise section.refuse("features", f"the data has only {len(images)} images")
    test = None if floor is None else _open_test(config["data"], sizes)
    _write_statistics(images, LoadedExtractor(settings, device), features, output)
    if test is not None and floor is not None:
        _write_floor(test, settings, device, sizes, output, floor)


def _write_statistics(
    images: DatasetImages, extractor: LoadedExtractor, num_features: int, output: Path
) -> None:
    extractor.check(images.height, images.width, "data")
    names = [name for name in STATISTICS if name in extractor.dimensions(images)]
    moments, features = measure_real(
        extractor, images, names, num_features=num_features, field="data"
    )

    def write() -> None:
        arrays = {
            "num_images": np.array(len(images)),
            "extractor": np.array(extractor.identity["weights_sha256"]),
        }
        if (counts := labelled_counts(images)) is not None:
            arrays["class_counts"] = np.array(counts)
        for name, found in moments.items():
            mean, covariance = STATISTICS[name]
            arrays[mean] = found.mean.cpu().numpy()
            arrays[covariance] = found.covariance.cpu().numpy()
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
    sizes: tuple[int, ...],
    output: Path,
    floor: Path,
) -> None:
    """Evaluates the first images of the test split, for each number of images."""
    evaluator = Evaluator(replace(settings, reference=str(output), floor=None), device)
    found = [evaluator.evaluate(DatasetImages(test, size), "data") for size in sizes]

    def write() -> None:
        for entry in found:
            for metric in entry["metrics"].values():
                del metric["replicates"]  # the floor is compared with, not paired
        with writing_file(floor, "floor"):
            write_text(floor, json.dumps(found, indent=1) + "\n")

    distributed.on_main(write)
