"""Every replicate is the metric, computed from scratch, of the images outside its group."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from evaluation.metrics import inception_score as scores
from evaluation.metrics.class_accuracy import CLASS_ACCURACY
from evaluation.metrics.comparison import ReferenceStatistics, Samples
from evaluation.metrics.frechet import FID, SFID, FrechetReference
from evaluation.metrics.jackknife import group_ranges
from evaluation.metrics.kernel_distance import KID, kernel_sums, mean_off_diagonal
from evaluation.metrics.metric import Estimate, share_of
from evaluation.metrics.moments import Moments
from evaluation.metrics.neighbours import COVERAGE, PRECISION, RECALL, squared_radii

COUNT, REAL, DIMENSION, CLASSES, GROUPS = 103, 140, 9, 6, 8
RANGES = group_ranges(COUNT, GROUPS)  # of 12 and 13 images
NUMBERS = torch.repeat_interleave(torch.tensor([len(group) for group in RANGES]))


def features(count: int, seed: int, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, DIMENSION, generator=generator, dtype=torch.float64) + shift


def samples(labels: Tensor | None = None, **kinds: Tensor) -> Samples:
    """All groups of these features."""
    own = {
        number: {kind: values[group.start : group.stop] for kind, values in kinds.items()}
        for number, group in enumerate(RANGES)
    }
    sizes = {kind: values[0].numel() for kind, values in kinds.items()}
    return Samples(own, RANGES, sizes, labels=labels)


POOL, REFERENCE = features(COUNT, 0, 0.4), features(REAL, 1)
MOMENTS = Moments.of(REFERENCE)
STATISTICS = ReferenceStatistics({"pool": (MOMENTS.mean, MOMENTS.covariance)}, REFERENCE)


def check(estimate: Estimate, measure: Callable[[Tensor], float], rel: float = 1e-9) -> None:
    """Against measure(indices of the images that are kept)."""
    everything = torch.arange(COUNT)
    assert estimate.value == pytest.approx(measure(everything), rel=rel)
    expected = [measure(everything[group != NUMBERS]) for group in range(GROUPS)]
    assert list(estimate.replicates) == pytest.approx(expected, rel=rel)
    assert len(set(expected)) > GROUPS / 2  # or the order of groups would not show


def test_frechet():
    """Catches: a group that is taken away twice, or from the mean alone."""
    reference = FrechetReference(MOMENTS.mean, MOMENTS.covariance)

    def measure(kept: Tensor) -> float:
        values = POOL[kept]
        return reference.distance(values.mean(0), values.T.cov())

    check(FID.estimate(samples(pool=POOL), STATISTICS), measure)


@pytest.mark.parametrize("splits", [1, 3])
def test_inception_score(splits, monkeypatch):
    """Catches: splits whose borders move when a group is left out."""
    monkeypatch.setattr(scores, "SPLIT_SIZE", COUNT // splits)
    logits = 3 * torch.randn(COUNT, CLASSES, generator=torch.Generator().manual_seed(2))
    split = scores.split_of(range(COUNT), COUNT)
    assert len(split.unique()) == splits
    check(
        scores.INCEPTION_SCORE.estimate(samples(logits=logits), STATISTICS),
        lambda kept: scores.inception_score(scores.score_sums(logits[kept], split[kept], splits)),
    )


def test_kid():
    """Catches: pairs across groups that are counted, or left out, twice."""
    mean = mean_off_diagonal(REFERENCE)

    def measure(kept: Tensor) -> float:
        one = torch.zeros(len(kept), dtype=torch.long)
        return kernel_sums(POOL[kept], one, REFERENCE, mean).distance()

    check(KID.estimate(samples(pool=POOL), STATISTICS), measure)


def test_precision():
    """Catches: precision and recall swapped, groups in another order."""

    def measure(kept: Tensor) -> float:
        inside = torch.cdist(POOL[kept], REFERENCE) ** 2 <= squared_radii(REFERENCE)
        return float(inside.any(1).double().mean())

    check(PRECISION.estimate(samples(pool=POOL), STATISTICS), measure)


def test_recall():
    """Catches: a real image that is lost although the balls of another group hold it."""
    radii = squared_radii(POOL)

    def measure(kept: Tensor) -> float:
        inside = torch.cdist(REFERENCE, POOL[kept]) ** 2 <= radii[kept]
        return float(inside.any(1).double().mean())

    estimate = RECALL.estimate(samples(pool=POOL), STATISTICS)
    check(estimate, measure)
    assert max(estimate.replicates) <= estimate.value


def test_coverage():
    """Catches: balls around the samples, or an image that is lost though another group is near."""
    radii = squared_radii(REFERENCE, 5)

    def measure(kept: Tensor) -> float:
        inside = torch.cdist(REFERENCE, POOL[kept]) ** 2 <= radii[:, None]
        return float(inside.any(1).double().mean())

    check(COVERAGE.estimate(samples(pool=POOL), STATISTICS), measure)
    few = ReferenceStatistics(STATISTICS.gaussians, REFERENCE[:5])
    assert COVERAGE.estimate(samples(pool=POOL), few) is None


def test_class_accuracy():
    """Catches: replicates divided by the number of all images, labels of other images."""
    labels = torch.arange(COUNT) % 5
    classes = labels * (torch.rand(COUNT, generator=torch.Generator().manual_seed(3)) < 0.4)
    check(
        CLASS_ACCURACY.estimate(samples(labels, classes=classes), STATISTICS),
        lambda kept: float((classes == labels)[kept].double().mean()),
    )


def test_share_of_all_and_none():
    """Catches: a division by zero where nothing is hit."""
    none = torch.zeros(COUNT, dtype=torch.bool)
    assert share_of(none, NUMBERS) == Estimate(0.0, (0.0,) * GROUPS)
    assert share_of(~none, NUMBERS) == Estimate(1.0, (1.0,) * GROUPS)


def test_what_is_not_known_is_not_measured():
    """Catches: a crash, or a number, where the reference has no such statistics or features."""
    found = samples(pool=POOL, spatial=POOL, classes=NUMBERS)
    nothing = ReferenceStatistics({})
    for metric in (FID, SFID, KID, PRECISION, RECALL, COVERAGE, CLASS_ACCURACY):
        assert metric.estimate(found, nothing) is None
    assert SFID.estimate(found, STATISTICS) is None and FID.estimate(found, STATISTICS) is not None
