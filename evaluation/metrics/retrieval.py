"""Whether an image is nearer to its own caption than to those of other subjects, or other styles.

The accuracy of zero-shot classification by CLIP (arXiv 2103.00020, Section 3.1), apart for the two
things that a caption says.
"""

from functools import partial

import torch
from torch import Tensor

from evaluation.metrics.blocks import row_blocks
from evaluation.metrics.comparison import ReferenceStatistics, Samples
from evaluation.metrics.metric import Estimate, Metric, share_of


def subject_found(images: Tensor, captions: Tensor, numbers: Tensor) -> Tensor:
    """Whether each image's subject is the nearest of all, in the image's style: (N,) bool.

    Args:
        images: (N, E) float64 unit vectors.
        captions: (S, T, E) float64 unit vectors of S subjects in T styles.
        numbers: (N,) int64, subject * T + style of each image.
    """
    return _found(images, captions, numbers // captions.shape[1], numbers % captions.shape[1])


def style_found(images: Tensor, captions: Tensor, numbers: Tensor) -> Tensor:
    """Whether each image's style is the nearest of all, for the image's subject: (N,) bool."""
    styles = captions.shape[1]
    return _found(images, captions.transpose(0, 1), numbers % styles, numbers // styles)


def _found(images: Tensor, captions: Tensor, right: Tensor, given: Tensor) -> Tensor:
    """Whether captions[right, given] is nearest among captions[:, given], of each image."""
    found = torch.empty(len(images), dtype=torch.bool, device=images.device)
    for value in given.unique():
        here = (given == value).nonzero()[:, 0]
        choices = captions[:, value]
        for rows in row_blocks(len(here), len(choices)):
            similar = images[here[rows]] @ choices.T
            found[here[rows]] = similar.argmax(1) == right[here[rows]]
    return found


def _estimate(of_style: bool, samples: Samples, _reference: ReferenceStatistics) -> Estimate | None:
    texts = samples.texts
    if texts is None or texts.choices is None or (images := samples.all("embedding")) is None:
        return None
    found = style_found if of_style else subject_found
    hits = found(images, texts.choices.embeddings, texts.choices.numbers)
    return share_of(hits, samples.numbers)


def _metric(key: str, title: str, *, of_style: bool) -> Metric:
    return Metric(
        key, title, higher_is_better=True, estimate=partial(_estimate, of_style),
        kinds=("embedding",), against_reference=False, is_share=True,
    )  # fmt: skip


SUBJECT_RETRIEVAL = _metric("subject_retrieval", "subject retrieval", of_style=False)
STYLE_RETRIEVAL = _metric("style_retrieval", "style retrieval", of_style=True)
