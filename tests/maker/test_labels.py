"""The class label of each image."""

import pytest
import torch

from tstitch.maker.labels import choose_labels


def labels(classes, indices, seed: int = 0, num_classes: int = 10) -> list[int]:
    chosen = choose_labels(classes, indices, seed=seed, num_classes=num_classes)
    assert chosen.dtype == torch.int64
    return chosen.tolist()


def test_balanced():
    """Catches: a cycle that starts at each batch, unequal counts."""
    assert labels("balanced", range(12)) == [*range(10), 0, 1]
    assert labels("balanced", [25, 3, 1009]) == [5, 3, 9]
    assert torch.bincount(torch.tensor(labels("balanced", range(500)))).tolist() == [50] * 10


@pytest.mark.parametrize("classes", [[7, 2, 2], (7, 2, 2)])
def test_list_is_repeated(classes):
    """Catches: a list that is cut off, or repeated per batch rather than per image."""
    assert labels(classes, range(7)) == [7, 2, 2, 7, 2, 2, 7]
    assert labels(classes, [5, 3]) == [2, 7]
    assert labels([4], [0, 99]) == [4, 4]


def test_random_is_a_function_of_seed_and_index():
    """Catches: labels that depend on the batch, on the order, or on torch's generator."""
    whole = labels("random", range(40), seed=3)
    torch.manual_seed(99)
    assert labels("random", range(20, 40), seed=3) == whole[20:]
    assert labels("random", [39, 0, 7], seed=3) == [whole[39], whole[0], whole[7]]
    assert labels("random", range(40), seed=4) != whole


def test_random_is_uniform_over_all_classes():
    """Catches: the last class left out, the null class drawn, a number of classes ignored."""
    counts = torch.bincount(torch.tensor(labels("random", range(4000))), minlength=10)
    assert len(counts) == 10 and counts.min() > 320 and counts.max() < 480
    assert set(labels("random", range(100), num_classes=3)) == {0, 1, 2}
    assert set(labels("random", range(10), num_classes=1)) == {0}
