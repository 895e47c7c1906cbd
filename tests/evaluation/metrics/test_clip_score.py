"""The CLIP score against its definition."""

import pytest
import torch
from prompted import GROUPS, samples, unit

from evaluation.metrics.clip_score import CLIP_SCORE
from evaluation.metrics.comparison import ReferenceStatistics
from evaluation.metrics.texts import Texts

REFERENCE = ReferenceStatistics({})


def test_is_the_mean_cosine_times_100():
    """Catches: a prompt of another image, a scale of 2.5, a clip of every image, replicates that
    keep the group they leave out."""
    images, prompts = unit(20, seed=0), unit(3, seed=1)
    labels = torch.arange(20) % 3
    found = CLIP_SCORE.estimate(samples(images, Texts(prompts, labels)), REFERENCE)
    cosines = torch.tensor(
        [float(images[i] @ prompts[k]) for i, k in enumerate(labels.tolist())]
    ).double()
    if cosines.mean() < 0:  # of random vectors: the mirrored ones
        images, cosines = -images, -cosines
        found = CLIP_SCORE.estimate(samples(images, Texts(prompts, labels)), REFERENCE)
    assert (cosines < 0).any() and found.value == pytest.approx(100 * float(cosines.mean()))
    left = torch.arange(20) // (20 // GROUPS) != 2
    assert found.replicates[2] == pytest.approx(max(0.0, 100 * float(cosines[left].mean())))
    assert len(found.replicates) == GROUPS
    below = CLIP_SCORE.estimate(samples(-images, Texts(prompts, labels)), REFERENCE)
    assert below.value == 0 and min(below.replicates) == 0


def test_nothing_without_prompts():
    """Catches: a score of images of classes."""
    assert CLIP_SCORE.estimate(samples(unit(20, seed=0), None), REFERENCE) is None
