"""Precision and recall against torch-fidelity, plain loops and sets where they are known."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_prc import (
    KEY_METRIC_PRECISION,
    KEY_METRIC_RECALL,
    prc_features_to_metric,
)

import evaluation.metrics.blocks
from evaluation.metrics.neighbours import NEIGHBOURS, groups_that_cover, inside_any, squared_radii

DIMENSION = 16


def features(count: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(count, DIMENSION, generator=generator, dtype=torch.float64) + 3


def precision_recall(samples: torch.Tensor, real: torch.Tensor) -> tuple[float, float]:
    """Ours: samples in balls of real images, real images in balls of samples."""
    precision = inside_any(samples, real, squared_radii(real))
    recall = inside_any(real, samples, squared_radii(samples))
    return float(precision.double().mean()), float(recall.double().mean())


@pytest.fixture(params=[None, 500, 1], ids=["one block", "few rows", "one row"])
def blocks(request, monkeypatch):
    """The same with blocks of another size."""
    if request.param:
        monkeypatch.setattr(evaluation.metrics.blocks, "BLOCK_ELEMENTS", request.param)


@pytest.mark.parametrize(("count", "real_count", "scale"), [(90, 130, 0.7), (130, 90, 1.3)])
def test_agrees_with_torch_fidelity(blocks, count, real_count, scale):
    """Catches: swapped sets, a k-th neighbour that counts the vector itself, lost blocks."""
    samples, real = features(count, scale=scale), features(real_count, seed=1)
    expected = prc_features_to_metric(
        samples, real, prc_neighborhood=3, prc_batch_size=64, save_cpu_ram=False, verbose=False
    )
    wanted = (expected[KEY_METRIC_PRECISION], expected[KEY_METRIC_RECALL])
    assert wanted[0] != pytest.approx(wanted[1], abs=0.05)  # or a swap would not show
    assert precision_recall(samples, real) == pytest.approx(wanted, abs=1e-6)


def test_radii_reach_the_third_other_vector(blocks):
    """Catches: a radius of the second neighbour, a root that is taken or not taken."""
    values = features(60)
    found = squared_radii(values)
    distances = np.linalg.norm(values.numpy()[:, None] - values.numpy()[None], axis=2)
    expected = np.sort(distances, axis=1)[:, 3] ** 2  # column 0 is the vector itself
    assert NEIGHBOURS == 3
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_allclose(squared_radii(values, 5), np.sort(distances, 1)[:, 5] ** 2)


def test_a_copy_is_another_vector(blocks):
    """Catches: duplicates that are taken for the vector itself, and left out together."""
    line = torch.arange(6, dtype=torch.float64)[:, None].repeat(1, 2)
    radii = squared_radii(torch.cat([line[:1], line]))
    assert radii.tolist() == [8.0, 8.0, 2.0, 8.0, 8.0, 8.0, 18.0]


def test_more_copies_than_neighbours_have_no_radius(blocks):
    """Catches: rounding that lets a ball of radius zero miss, or exceed, its own centre."""
    values = features(40)
    copies = values[:1].expand(10, -1).contiguous()
    everything = torch.cat([values, copies])
    radii = squared_radii(everything)
    assert radii[0] == 0 and not radii[40:].any() and radii[1:40].min() > 1
    assert inside_any(copies, copies, squared_radii(copies)).all()
    assert inside_any(values[:1], copies, squared_radii(copies)).all()
    assert not inside_any(values[1:], copies, squared_radii(copies)).any()


@pytest.mark.parametrize("dimension", [7, 343, 2048])
@pytest.mark.parametrize(("count", "copied"), [(1, 300), (5, 33), (50, 5), (301, 300)])
def test_zero_radius_in_products_of_any_shape(dimension, count, copied):
    """Catches: the same where a matrix product rounds as its shape has it."""
    pool = torch.rand(count, dimension, generator=torch.Generator().manual_seed(0)).double()
    copies = pool[count // 2 :][:1].expand(copied, -1).contiguous()
    radii = squared_radii(copies)
    assert inside_any(pool, copies, radii).nonzero().tolist() == [[count // 2]]
    assert not radii.any()


def test_identical_sets_reach_one(blocks):
    """Catches: balls without their own centre."""
    values = features(50)
    assert precision_recall(values, values) == (1.0, 1.0)


def test_collapsed_samples_are_precise_without_recall():
    """Catches: precision and recall swapped."""
    real = features(200)
    collapsed = real[:1] + 1e-3 * features(100, seed=1)
    precision, recall = precision_recall(collapsed, real)
    assert precision == 1 and recall <= 0.01


def test_samples_all_over_recall_without_precision():
    """Catches: precision and recall swapped."""
    precision, recall = precision_recall(features(200, scale=10), features(200, seed=1))
    assert precision < 0.1 and recall > 0.9


def test_sets_far_apart_share_nothing():
    """Catches: distances of centred or normalised features."""
    assert precision_recall(features(50), features(50, seed=1) + 100) == (0.0, 0.0)


def test_border_belongs_to_the_ball():
    """Catches: < in place of <=."""
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0]], dtype=torch.float64)
    radii = torch.tensor([4.0, 1.0], dtype=torch.float64)
    points = torch.tensor([[2.0, 0], [2.1, 0], [9.0, 0], [12.0, 0]], dtype=torch.float64)
    assert inside_any(points, centres, radii).tolist() == [True, False, True, False]


def test_groups_that_cover(blocks):
    """Catches: groups of unequal size that are cut at other places."""
    points, centres = features(30, seed=2), features(70)
    groups = torch.tensor([0] * 20 + [1] * 9 + [2] * 41)
    radii = squared_radii(centres)
    found = groups_that_cover(points, centres, radii, groups)
    assert found.shape == (30, 3)
    for group in range(3):
        own = groups == group
        assert torch.equal(found[:, group], inside_any(points, centres[own], radii[own]))
    assert torch.equal(found.any(1), inside_any(points, centres, radii))


def test_balls_of_the_points(blocks):
    """Catches: radii of the points given to the centres, as coverage must not have them."""
    points, centres = features(30, seed=2), features(70)
    groups, radii = torch.tensor([0] * 20 + [1] * 50), squared_radii(points, 5)
    found = groups_that_cover(points, centres, radii[:, None], groups)
    squared = np.square(points.numpy()[:, None] - centres.numpy()[None]).sum(2)
    inside = squared <= radii.numpy()[:, None]
    expected = np.stack([inside[:, :20].any(1), inside[:, 20:].any(1)], 1)
    assert (found.numpy() == expected).all() and 0 < expected.mean() < 1
