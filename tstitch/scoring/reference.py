"""The reference of an evaluation in the extractor's features, computed once and on all ranks."""

import torch
from torch import Tensor

from evaluation.features.reference import STATISTICS, Reference
from evaluation.metrics.comparison import ReferenceStatistics
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError
from tstitch.scoring.extractor import LoadedExtractor
from tstitch.scoring.real_images import measure_real_images
from tstitch.scoring.settings import MIN_IMAGES


def prepare_reference(
    reference: Reference, extractor: LoadedExtractor, dimensions: dict[str, int]
) -> ReferenceStatistics:
    """Statistics of a reference; its images go through the extractor where it has no others.

    Every rank calls it; the images are shared out.

    Raises:
        UserError: statistics of another feature space, or too few images.
    """
    made_with, used = reference.extractor, extractor.identity["weights_sha256"]
    if made_with is not None and made_with != used:
        raise UserError(
            f"reference={reference.label}: was made with other weights ({made_with[:8]}) than "
            f"evaluation.weights ({used[:8]}); make it anew with scripts/reference.py"
        )
    gaussians = _stored(reference, dimensions)
    features = None if reference.features is None else torch.from_numpy(reference.features)
    if features is not None:
        _check_dimension(reference, "features", features.shape[1], dimensions["pool"])
        if len(features) < MIN_IMAGES:
            raise UserError(
                f"reference={reference.label}: has features of {len(features)} images; it needs at "
                f"least {MIN_IMAGES}"
            )
    if reference.images is not None:
        if len(reference.images) < MIN_IMAGES:
            raise UserError(
                f"reference={reference.label}: holds {len(reference.images)} images; give at "
                f"least {MIN_IMAGES}, better thousands"
            )
        images = reference.images
        extractor.check(images.height, images.width, f"reference={reference.label}")
        missing = [n for n in STATISTICS if n in dimensions and n not in gaussians]
        field = f"reference={reference.label}"
        moments, features = measure_real_images(
            extractor, images, missing, num_features=len(images), field=field
        )
        gaussians |= {name: (found.mean, found.covariance) for name, found in moments.items()}
    device, main = extractor.statistics_device, distributed.is_main()
    return ReferenceStatistics(
        {
            n: (mean.to(device), covariance.to(device))
            for n, (mean, covariance) in gaussians.items()
        },
        features.double().to(device) if features is not None and main else None,
        _count(reference),
    )


def _count(reference: Reference) -> int | None:
    """How many images the statistics are of; ADM's files do not say it."""
    if reference.images is None or "pool" in reference.gaussians:
        return reference.num_images
    return reference.num_images or len(reference.images)


def _stored(reference: Reference, dimensions: dict[str, int]) -> dict[str, tuple[Tensor, Tensor]]:
    gaussians = {}
    for name, (mean, covariance) in reference.gaussians.items():
        if name in dimensions:
            _check_dimension(reference, STATISTICS[name][0], len(mean), dimensions[name])
            gaussians[name] = (torch.from_numpy(mean), torch.from_numpy(covariance))
    return gaussians


def _check_dimension(reference: Reference, key: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise UserError(
            f"reference={reference.label}: its {key} has {found} values, the extractor gives "
            f"{wanted}; choose a reference that was made with this extractor, or one of images"
        )
