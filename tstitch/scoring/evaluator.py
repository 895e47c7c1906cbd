"""Measures sets of images against one reference: values with intervals."""

import logging
from pathlib import Path

import torch
from torch import Tensor

from evaluation.cost.machine import device_name, versions
from evaluation.features.extraction import Images
from evaluation.features.images import ImageSource
from evaluation.features.reference import Reference, labelled_counts, open_reference
from evaluation.metrics.catalogue import METRICS
from evaluation.metrics.comparison import ReferenceStatistics, Samples
from evaluation.metrics.jackknife import group_ranges, interval
from evaluation.metrics.measured import Measured
from evaluation.metrics.metric import Estimate, Metric
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError, errors_of
from tstitch.scoring.evaluation import (
    Evaluation,
    EvaluationIdentity,
    EvaluationProtocol,
    ReferenceProtocol,
)
from tstitch.scoring.extractor import LoadedExtractor, add_over_ranks, collect_groups
from tstitch.scoring.fetch import fetch_file
from tstitch.scoring.flagging import ClassCounts, flagged
from tstitch.scoring.reference import prepare_reference
from tstitch.scoring.samples import report_left_out
from tstitch.scoring.settings import MIN_IMAGES, EvaluationSettings
from tstitch.scoring.texts import TextReader

log = logging.getLogger(__name__)


class Evaluator:
    """An extractor and a reference; loaded once, used for many sets of images.

    Every rank makes one and calls it alike: images are shared out by groups of indices.

    Args:
        settings: enabled.
        reference: in place of the one that the settings name.

    Attributes:
        extractor: of the feature space.
        groups: of image indices, for the intervals; fewer if there are fewer images.
        identity: what decides the values of a set of images.

    Raises:
        UserError: weights or reference that are not there or do not fit.
    """

    def __init__(
        self, settings: EvaluationSettings, device: torch.device, reference: Reference | None = None
    ) -> None:
        self.groups = settings.groups
        self.extractor = LoadedExtractor(settings, device)
        self._texts = TextReader(settings, self.extractor)
        self._reference = reference or distributed.main_first(lambda: _open_reference(settings))
        self._statistics: ReferenceStatistics | None = None
        self.identity = EvaluationIdentity(
            reference=self._reference.digest,
            extractor=self._texts.identity,
            groups=settings.groups,
        )

    @property
    def space(self) -> str:
        """Name of the feature space, empty for Inception's."""
        return self.extractor.space

    def evaluate(self, images: Images, field: str) -> Evaluation:
        """All metrics of a set of images; the result is on every rank.

        Args:
            images: with labels, if the class accuracy is wanted; with prompts, if the CLIP score
                is.
            field: configuration's name and value of the images, for messages.

        Raises:
            UserError: too few images, of another size than the reference, or damaged.
        """
        if len(images) < MIN_IMAGES:
            raise UserError(
                f"{field}: holds {len(images)} images; precision and recall with 3 neighbours "
                f"need at least {MIN_IMAGES}"
            )
        self.check_size(images.height, images.width, field)
        dimensions = self.extractor.dimensions(images)
        if self._statistics is None:
            self._statistics = prepare_reference(self._reference, self.extractor, dimensions)
        groups = group_ranges(len(images), self.groups)
        device = self.extractor.statistics_device
        samples = Samples(
            self.extractor.own_groups(images, groups, field), groups, dimensions,
            labels=self._known_labels(images, field), texts=self._texts.read(images, field),
            device=device, collect=collect_groups, add=lambda total: add_over_ranks(total, device),
        )  # fmt: skip
        estimates: list[tuple[Metric, Estimate]] = []
        for metric in METRICS:
            if dimensions.keys() >= set(metric.kinds):
                estimate = metric.estimate(samples, self._statistics)
                estimates += [] if estimate is None else [(metric, estimate)]
        seen = self._classes_seen(samples, images)
        result = None
        if distributed.is_main():
            result = self._describe(len(images), estimates, self._statistics)
            result = flagged(result, dimensions, seen, self._reference.class_counts)
        return distributed.broadcast(result)

    def flag(self, result: Evaluation, images: ImageSource) -> Evaluation:
        """A result of `evaluate`, stored before there were flags, with those of its images."""
        counts = labelled_counts(images)
        seen = None if counts is None else ClassCounts(counts, guessed=False)
        dimensions = self.extractor.dimensions(images)
        return flagged(result, dimensions, seen, self._reference.class_counts)

    def _classes_seen(self, samples: Samples, images: Images) -> ClassCounts | None:
        """Images per class, by their labels or else by the classifier; on rank 0."""
        counts = labelled_counts(images)
        if counts is not None:
            return ClassCounts(counts, guessed=False)
        classes = samples.all("classes")
        if classes is None:
            return None
        return ClassCounts(tuple(classes.bincount().tolist()), guessed=True)

    def check_size(self, height: int, width: int, field: str) -> None:
        """Refuses a size that the extractor cannot take or that the reference does not have.

        Raises:
            UserError: naming the field.
        """
        self.extractor.check(height, width, field)
        real = self._reference.images
        seen = self.extractor.seen
        if real is not None and seen(real.height, real.width) != seen(height, width):
            raise UserError(
                f"{field}: its images are {width}x{height}, those of the reference "
                f"{real.width}x{real.height}; choose a reference of that size"
            )

    def check_labels(self, images: ImageSource, field: str) -> None:
        """Refuses labels beyond the classes of the extractor's classifier.

        Raises:
            UserError: naming the field, the label and the image.
        """
        known = self.extractor.num_classes
        if known is None or images.labels is None or images.prompts is not None:
            return
        if not (images.labels >= known).any():
            return
        first = int((images.labels >= known).argmax())
        raise UserError(
            f"{field}: label {images.labels[first]} of image {first} is no class of the classifier "
            f"(0 to {known - 1}); leave the labels out, or give -1 where they are unknown"
        )

    def _known_labels(self, images: Images, field: str) -> Tensor | None:
        """Labels that the classifier knows, all of them; says how many it does not know."""
        known, labels = self.extractor.num_classes, images.labels
        if known is None or labels is None or images.prompts is not None:
            return None
        strange = int(((labels < 0) | (labels >= known)).sum())
        if strange:
            log.warning(
                "%s: %d of %d images have no label from 0 to %d; no class accuracy",
                field, strange, len(labels), known - 1,
            )  # fmt: skip
        return None if strange else torch.from_numpy(labels)

    def _describe(
        self,
        num_images: int,
        estimates: list[tuple[Metric, Estimate]],
        statistics: ReferenceStatistics,
    ) -> Evaluation:
        metrics = {}
        for metric, estimate in estimates:
            bounds = interval(estimate.value, estimate.replicates)
            low, high = bounds.low, bounds.high
            if metric.is_share:
                low, high = max(low, 0.0), min(high, 1.0)
            metrics[metric.key] = Measured(
                name=metric.name(self.extractor.space_of(metric.kinds[0])),
                value=estimate.value,
                low=low,
                high=high,
                replicates=estimate.replicates,
            )
        return Evaluation(
            space=self.space,
            num_images=num_images,
            groups=min(self.groups, num_images),
            metrics=metrics,
            protocol=EvaluationProtocol(
                reference=ReferenceProtocol(
                    label=self._reference.label,
                    digest=self._reference.digest,
                    num_images=statistics.num_images,
                ),
                extractor=self._texts.identity,
                device=device_name(self.extractor.device),
                dtype="float32 features, float64 statistics",
                versions=versions(),
            ),
        )


def _open_reference(settings: EvaluationSettings) -> Reference:
    source = settings.reference or ""  # enabled settings have one
    folder = Path(source).expanduser()
    path = folder if folder.is_dir() else fetch_file(source, "evaluation.reference")
    with errors_of(""):
        reference = open_reference(path, "reference", settings.resize)
    report_left_out(reference.images, f"reference={source}")
    return reference
