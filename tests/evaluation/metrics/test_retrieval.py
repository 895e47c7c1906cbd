"""Retrieval accuracies against a search over all captions, one image at a time."""

import pytest
import torch
from prompted import samples, unit

from evaluation.metrics.comparison import ReferenceStatistics
from evaluation.metrics.retrieval import STYLE_RETRIEVAL, SUBJECT_RETRIEVAL
from evaluation.metrics.texts import Choices, Texts

SUBJECTS, STYLES, COUNT = 7, 3, 60
REFERENCE = ReferenceStatistics({})


@pytest.fixture(scope="module")
def case():
    """Captions, the numbers of those of each image, and images near them."""
    captions = unit(SUBJECTS, STYLES, seed=0)
    numbers = torch.randint(SUBJECTS * STYLES, (COUNT,), generator=torch.Generator().manual_seed(1))
    images = captions.flatten(0, 1)[numbers] + 0.8 * unit(COUNT, seed=2)
    return images, captions, numbers


def expected(images, captions, numbers, of_style: bool) -> list[bool]:
    hits = []
    for image, number in zip(images, numbers.tolist(), strict=True):
        subject, style = divmod(number, STYLES)
        choices = captions[subject] if of_style else captions[:, style]
        nearest = max(range(len(choices)), key=lambda k: float(image @ choices[k]))
        hits.append(nearest == (style if of_style else subject))
    return hits


@pytest.mark.parametrize("metric", [SUBJECT_RETRIEVAL, STYLE_RETRIEVAL], ids=lambda m: m.key)
def test_against_a_search(case, metric):
    """Catches: subjects and styles that change places, captions of other styles among the choices,
    hits in the order of styles in place of that of images."""
    images, captions, numbers = case
    texts = Texts(unit(1, seed=3), torch.zeros(COUNT, dtype=torch.long), Choices(captions, numbers))
    found = metric.estimate(samples(images, texts), REFERENCE)
    hits = expected(images, captions, numbers, metric is STYLE_RETRIEVAL)
    assert 0.3 < sum(hits) / COUNT < 1 and found.value == pytest.approx(sum(hits) / COUNT)
    rest = hits[COUNT // 5 :]
    assert found.replicates[0] == pytest.approx(sum(rest) / len(rest))


def test_nothing_for_prompts_of_another_form(case):
    """Catches: an accuracy of prompts that are no captions."""
    images, _, _ = case
    texts = Texts(unit(1, seed=3), torch.zeros(COUNT, dtype=torch.long))
    assert SUBJECT_RETRIEVAL.estimate(samples(images, texts), REFERENCE) is None
    assert STYLE_RETRIEVAL.estimate(samples(images, None), REFERENCE) is None
