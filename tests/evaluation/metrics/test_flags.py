"""Which values are flagged: few images, other classes; and what chance alone explains."""

import numpy as np
import pytest

from evaluation.metrics.flags import few_images, other_classes

TEN = [6000] * 10


def balanced(count: int, classes: int) -> np.ndarray:
    return np.bincount(np.arange(count) % classes, minlength=classes)


def only(classes: list[int], count: int) -> list[int]:
    found = [0] * 10
    for i in range(count):
        found[classes[i % len(classes)]] += 1
    return found


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (only([3, 7], 256), "2 classes, the reference of 10"),
        (only([0, 5, 9], 300), "3 classes, the reference of 10"),
        (only([3, 7], 40), "2 classes, the reference of 10"),
        (only(list(range(9)), 256), "9 classes, the reference of 10"),
        ([*balanced(200, 10), 40], "11 classes, the reference of 10"),
        ([500, *[10] * 9], "in other proportions"),
    ],
)
def test_other_classes(counts, words):
    """Catches: an FID of two classes against ten that looks like any other."""
    assert words in other_classes(counts, TEN)


@pytest.mark.parametrize(("classes", "count"), [(10, 4), (10, 24), (10, 256), (1000, 256),
                                                (1000, 5000), (1000, 50000)])  # fmt: skip
def test_chance_is_no_reason(classes, count):
    """Catches: fewer images than classes, or labels drawn at random, taken for other classes."""
    rng = np.random.default_rng(0)
    reference = np.bincount(rng.integers(0, classes, 10 * classes), minlength=classes)
    assert other_classes(balanced(count, classes), reference) is None
    found = 0
    for _ in range(50):
        drawn = np.bincount(rng.integers(0, classes, count), minlength=classes)
        found += other_classes(drawn, reference) is not None
    assert found <= 1


def test_unknown_classes_are_no_reason():
    """Catches: a flag, or an error, where one side has no labels."""
    assert other_classes(None, TEN) is None and other_classes([1, 2], None) is None
    assert "as the classifier sees them" in other_classes(only([1], 99), TEN, guessed=True)


def test_few_images():
    """Catches: a value of eight images, which is mostly their number, without a word."""
    found = few_images(256, {"FID": 128, "sFID": 343})
    assert (
        list(found) == ["sFID"] and "256 images are fewer than the 343 dimensions" in found["sFID"]
    )
    assert list(few_images(8, {"FID": 128, "sFID": 343})) == ["FID", "sFID"]
    assert few_images(2048, {"FID": 2048}) == {}
