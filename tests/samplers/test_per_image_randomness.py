"""Per-image randomness: a pure function of (seed, image index)."""

import numpy as np
import pytest
import torch

from samplers import PerImageRandomness

SHAPE = (3, 4, 4)


def draws(seed, indices, steps=3, shape=SHAPE):
    """Labels, x_T and the first step noises, stacked per image."""
    source = PerImageRandomness(seed, indices, shape)
    labels, initial = source.labels(1000), source.initial()
    return labels, initial, torch.stack([source.step() for _ in range(steps)], dim=1)


def test_values_are_those_of_the_documented_seeds():
    """Catches: another seeding, stream order or draw, which changes every published image."""
    labels, initial, steps = draws(7, [5])
    generators = []
    for stream in range(3):
        state = np.random.SeedSequence([7, 5, stream]).generate_state(1, np.uint64)[0]
        generators.append(torch.Generator().manual_seed(int(state)))
    assert labels.item() == torch.randint(1000, (), generator=generators[0]).item()
    assert torch.equal(initial[0], torch.randn(SHAPE, generator=generators[1]))
    for k in range(3):
        assert torch.equal(steps[0, k], torch.randn(SHAPE, generator=generators[2]))


@pytest.mark.parametrize("batches", [[[0], [1], [2], [3]], [[3, 1], [0, 2]], [[2, 3, 0], [1]]])
def test_batch_composition_does_not_matter(batches):
    """Catches: one generator for the batch; a seed from the rank or the place in the batch."""
    whole = draws(0, [0, 1, 2, 3])
    for indices in batches:
        for part, full in zip(draws(0, indices), whole, strict=True):
            assert torch.equal(part, full[indices])


def test_streams_are_independent():
    """Catches: labels or step noise drawn from x_T's stream, so that a label mode shifts noise."""
    source = PerImageRandomness(0, [0, 1], SHAPE)
    first = source.step()
    initial = source.initial()
    labels = source.labels(10)
    again = PerImageRandomness(0, [0, 1], SHAPE)
    assert torch.equal(again.labels(10), labels)
    assert torch.equal(again.initial(), initial)
    assert torch.equal(again.step(), first)
    assert not torch.equal(initial, first)


def test_repeated_calls():
    """Catches: x_T or a label that changes when asked again; step noise that does not."""
    source = PerImageRandomness(0, [4], SHAPE)
    assert torch.equal(source.initial(), source.initial())
    assert torch.equal(source.labels(10), source.labels(10))
    assert not torch.equal(source.step(), source.step())


def test_no_two_images_or_seeds_share_noise():
    """Catches: seed + index arithmetic, under which (0, 1) equals (1, 0)."""
    noises = [draws(seed, range(8)) for seed in range(8)]
    flat = torch.cat([torch.cat([x[:, None], s], dim=1) for _, x, s in noises]).flatten(0, 1)
    assert len({noise.numpy().tobytes() for noise in flat}) == 8 * 8 * 4


def test_distributions():
    """Catches: uniform for normal noise, a label never drawn, an off-by-one class range."""
    labels, initial, _ = draws(0, range(2000), steps=1, shape=(1, 8, 8))
    assert initial.mean().abs() < 0.01 and (initial.std() - 1).abs() < 0.01
    counts = torch.bincount(PerImageRandomness(0, range(2000), (1,)).labels(10), minlength=10)
    assert counts.shape == (10,) and counts.min() > 150 and counts.max() < 250
    assert labels.min() >= 0 and labels.max() < 1000


def test_types():
    """Catches: labels or noise of another dtype, a scalar dimension lost."""
    source = PerImageRandomness(2**63 - 1, (10**9, 0), SHAPE, device="cpu")
    assert source.labels(1).tolist() == [0, 0] and source.labels(1).dtype == torch.int64
    for noise in (source.initial(), source.step()):
        assert noise.shape == (2, *SHAPE) and noise.dtype == torch.float32


def test_global_generators_are_untouched():
    """Catches: a global seed that couples image noise to whatever else draws numbers."""
    torch.manual_seed(3)
    np.random.seed(3)
    kept, kept_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = draws(0, [0, 1])
    assert torch.equal(torch.get_rng_state(), kept)
    assert (np.random.get_state()[1] == kept_numpy).all()
    torch.manual_seed(4)
    for a, b in zip(first, draws(0, [0, 1]), strict=True):
        assert torch.equal(a, b)


def test_default_dtype_does_not_matter():
    """Catches: noise that follows torch's default dtype instead of float32."""
    kept = torch.get_default_dtype()
    expected = draws(0, [0])[1]
    try:
        torch.set_default_dtype(torch.float64)
        assert torch.equal(draws(0, [0])[1], expected)
    finally:
        torch.set_default_dtype(kept)
