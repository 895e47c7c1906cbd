"""The configured feature extractor on this rank's device, and its share of the images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evaluation.features.extraction import Images, extract
from evaluation.metrics.moments import Moments
from tstitch.config.cli import instantiate, not_a
from tstitch.pair.weights import weights_digest
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError, errors_of
from tstitch.scoring.fetch import fetch_file
from tstitch.scoring.settings import EvaluationSettings

INCEPTION = "evaluation.features.inception.InceptionExtractor"


class LoadedExtractor:
    """A feature extractor, ready to run; collective calls share the images out over ranks.

    Raises:
        UserError: no such weights, or weights that do not fit.
    """

    def __init__(self, settings: EvaluationSettings, device: torch.device) -> None:
        self.device = device
        # Statistics are float64, which mps does not have.
        self.statistics_device = torch.device("cpu") if device.type == "mps" else device
        self._batch_size = settings.batch_size
        path = distributed.main_first(lambda: locate_extractor(settings))
        self._module = distributed.everywhere(lambda: _build(settings, path)).to(device)
        self.space: str = self._module.space
        self.num_classes: int | None = self._module.num_classes
        self.identity: dict[str, str] = {
            "class": _target(settings).rpartition(".")[2],
            "weights_sha256": weights_digest(path),
        }

    def check(self, height: int, width: int, field: str) -> None:
        """Refuses images of a size that the extractor cannot take.

        Raises:
            UserError: naming the field.
        """
        with errors_of(f"{field}: "):
            self._module.check(height, width)

    def dimensions(self, images: Any) -> dict[str, int]:
        """Number of values per image of each kind of features."""
        blank = torch.zeros(
            1, 3, images.height, images.width, dtype=torch.uint8, device=self.device
        )
        with torch.inference_mode():
            return {name: values[0].numel() for name, values in self._module(blank).items()}

    def own_groups(
        self,
        images: Images,
        groups: Sequence[range],
        field: str,
        keep: Callable[[range, dict[str, Tensor]], Any] = lambda indices, features: features,
    ) -> dict[int, Any]:
        """What is kept of this rank's groups of images, every world_size-th, by their number.

        Args:
            field: configuration's name and value of the images, for messages.
            keep: (indices, features of a group) -> what to hold in memory of it.

        Raises:
            UserError: an image that cannot be read or measured, of any rank.
        """

        def extract_own() -> dict[int, Any]:
            own = range(distributed.rank(), len(groups), distributed.world_size())
            return {
                number: keep(groups[number], self._extract(images, groups[number], field))
                for number in own
            }

        return distributed.everywhere(extract_own)

    def _extract(self, images: Images, indices: range, field: str) -> dict[str, Tensor]:
        try:
            return extract(self._module, images, indices, self._batch_size, self.device)
        except ValueError as error:
            # A damaged file is named already; the extractor does not know what it refuses.
            line, name = str(error), field.partition("=")[0]
            named = line.startswith((f"{name}=", f"{name}:"))
            raise UserError(line if named else f"{field}: {line}") from error
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"evaluation.batch_size={self._batch_size}: out of device memory; choose a smaller "
                "one"
            ) from error


def add_over_ranks(total: Moments, device: torch.device) -> Moments:
    """The sum of every rank's moments, on the device."""
    count = sum(distributed.gather(total.count))
    return Moments(
        count, distributed.add(total.total).to(device), distributed.add(total.outer).to(device)
    )


def collect_groups(share: dict[int, Any]) -> list[Any]:
    """Every group's value, in order, on rank 0; an empty list on the others."""
    values: dict[int, Any] = {}
    for part in distributed.collect(share):
        values |= part
    return [values[number] for number in sorted(values)]


def locate_extractor(settings: EvaluationSettings) -> Path:
    """The local file of the extractor's weights, downloaded if need be.

    Raises:
        UserError: none given, no such file, or no connection.
    """
    source = settings.weights
    if _target(settings) == INCEPTION:
        from evaluation.features.inception import locate_inception_weights

        source = str(locate_inception_weights(source))
    path = None if source is None else fetch_file(source, "evaluation.weights")
    if path is None:
        raise UserError(
            f"evaluation.weights={source or 'null'}: the extractor needs trained weights; give "
            "their path or URL"
        )
    return path


def _target(settings: EvaluationSettings) -> str:
    return (settings.extractor or {}).get("_target_", "")


def _build(settings: EvaluationSettings, path: Path) -> Any:
    try:
        module = instantiate(settings.extractor, "evaluation.extractor", weights=path)
    except UserError as error:  # the weights stand beside the extractor's section
        line = str(error).replace("evaluation.extractor.weights", "evaluation.weights", 1)
        raise UserError(line) from error
    wanted = ("space", "num_classes", "check", "forward")
    if not all(hasattr(module, name) for name in wanted):
        raise not_a(settings.extractor, "evaluation.extractor", "feature extractor")
    return module.eval().requires_grad_(False)
