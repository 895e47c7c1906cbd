"""The configured feature extractor on this rank's device, and its share of the images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evaluation.features.extraction import Images, extract
from evaluation.features.resizing import METHOD, Resized
from evaluation.metrics.moments import Moments
from tstitch.config.cli import instantiate, locate, not_a
from tstitch.pair.weights import weights_digest
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError, errors_of
from tstitch.scoring.fetch import fetch_file
from tstitch.scoring.settings import EvaluationSettings

INCEPTION = "evaluation.features.inception.InceptionExtractor"
EMBEDDING = "embedding"  # the features that meet those of texts
TEXTS = 256  # that a rank embeds at once


class LoadedExtractor:
    """A feature extractor, ready to run; collective calls share the images out over ranks.

    With `evaluation.clip` a second network takes the place of the extractor's own text side.

    Raises:
        UserError: no such weights, or weights that do not fit.
    """

    def __init__(self, settings: EvaluationSettings, device: torch.device) -> None:
        self.device = device
        # Statistics are float64, which mps does not have.
        self.statistics_device = torch.device("cpu") if device.type == "mps" else device
        self._batch_size, self._resize = settings.batch_size, settings.resize
        path = distributed.main_first(lambda: locate_extractor(settings))
        self._module = _load(settings.extractor, path, "evaluation", device)
        self._clip: Any = None
        self.space: str = self._module.space
        self.num_classes: int | None = self._module.num_classes
        self.identity: dict[str, str] = _identity(settings.extractor, path, self._module)
        if settings.resize is not None:
            self.identity["resize"] = f"{settings.resize}x{settings.resize}, {METHOD}"
        if (clip := settings.clip) is not None:
            path = distributed.main_first(
                lambda: _fetch(clip.extractor, clip.weights, "evaluation.clip")
            )
            self._clip = _load(clip.extractor, path, "evaluation.clip", device)
            if not hasattr(self._clip, "embed_texts"):
                raise not_a(clip.extractor, "evaluation.clip.extractor", "network that reads texts")
            own = _identity(clip.extractor, path, self._clip) | {"name": self._clip.space}
            self.identity |= {f"clip_{key}": value for key, value in own.items()}
        self._embedded: dict[tuple[str, ...], Tensor] = {}

    @property
    def reads_texts(self) -> bool:
        """Whether there is a network that embeds prompts where images are."""
        return hasattr(self._reader, "embed_texts")

    @property
    def _reader(self) -> Any:
        return self._module if self._clip is None else self._clip

    def space_of(self, kind: str) -> str:
        """Name of the feature space of a kind of features, empty for Inception's."""
        return self._reader.space if kind == EMBEDDING else self.space

    def seen(self, height: int, width: int) -> tuple[int, int]:
        """Size of images of this size once they are resized, where they are."""
        return (height, width) if self._resize is None else (self._resize, self._resize)

    def check(self, height: int, width: int, field: str) -> None:
        """Refuses images of a size that the extractor cannot take.

        Raises:
            UserError: naming the field.
        """
        with errors_of(f"{field}: "):
            for module in self._modules():
                module.check(*self.seen(height, width))

    def dimensions(self, images: Any) -> dict[str, int]:
        """Number of values per image of each kind of features."""
        size = self.seen(images.height, images.width)
        blank = torch.zeros(1, 3, *size, dtype=torch.uint8, device=self.device)
        with torch.inference_mode():
            return {name: values[0].numel() for name, values in self._features(blank).items()}

    def embed_texts(self, texts: tuple[str, ...]) -> Tensor:
        """Unit vectors (N, E) float64 of texts, on rank 0; empty on the others.

        Every rank calls it; the texts are shared out. They are kept: runs of a sweep share them.
        """
        if texts not in self._embedded:
            chunks = range(0, len(texts), TEXTS)
            own = chunks[distributed.rank() :: distributed.world_size()]

            def embed() -> dict[int, Tensor]:
                return {n: self._reader.embed_texts([*texts[n : n + TEXTS]]).cpu() for n in own}

            parts = collect_groups(distributed.everywhere(embed))
            found = torch.cat(parts).double() if parts else torch.empty(0)
            self._embedded[texts] = found.to(self.statistics_device)
        return self._embedded[texts]

    def _modules(self) -> list[Any]:
        return [self._module] if self._clip is None else [self._module, self._clip]

    def _features(self, images: Tensor) -> dict[str, Tensor]:
        features: dict[str, Tensor] = self._module(images)
        if self._clip is not None:
            features = features | {EMBEDDING: self._clip(images)[EMBEDDING]}
        return features

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
            if self._resize is not None:
                images = Resized(images, self._resize)
            return extract(self._features, images, indices, self._batch_size, self.device)
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
    """The local file or folder of the extractor's weights, downloaded if need be.

    Raises:
        UserError: none given, no such file, or no connection.
    """
    source = settings.weights
    if _target(settings.extractor) == INCEPTION:
        from evaluation.features.inception import locate_inception_weights

        source = str(locate_inception_weights(source))
    return _fetch(settings.extractor, source, "evaluation")


def _fetch(section: dict[str, Any] | None, source: str | None, path: str) -> Path:
    if source is None:
        raise UserError(
            f"{path}.weights=null: the extractor needs trained weights; give their path or URL"
        )
    target = locate(_target(section), f"{path}.extractor._target_")
    return fetch_file(source, f"{path}.weights", getattr(target, "companions", ()))


def _target(section: dict[str, Any] | None) -> str:
    return (section or {}).get("_target_", "")


def _identity(section: dict[str, Any] | None, path: Path, module: Any) -> dict[str, str]:
    """What decides the values of a network."""
    own: dict[str, str] = getattr(module, "identity", {})
    name = _target(section).rpartition(".")[2]
    return {"class": name, "weights_sha256": weights_digest(path), **own}


def _load(section: dict[str, Any] | None, weights: Path, path: str, device: torch.device) -> Any:
    return distributed.everywhere(lambda: _build(section, weights, path)).to(device)


def _build(section: dict[str, Any] | None, weights: Path, path: str) -> Any:
    field = f"{path}.extractor"
    try:
        module = instantiate(section, field, weights=weights)
    except UserError as error:  # the weights stand beside the extractor's section
        line = str(error).replace(f"{field}.weights", f"{path}.weights", 1)
        raise UserError(line) from error
    wanted = ("space", "num_classes", "check", "forward")
    if not all(hasattr(module, name) for name in wanted):
        raise not_a(section, field, "feature extractor")
    return module.eval().requires_grad_(False)
