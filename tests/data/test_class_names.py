"""Classes by name: folders of a data set, and what is asked for in a notebook."""

import numpy as np
import pytest
import torch
from timm.data import ImageNetInfo

from tstitch.data.class_names import label_of, labels_of, match_classes

PETS = ("cat", "dog", "frog")
IMAGENET = tuple(text.split(",")[0] for text in ImageNetInfo().label_descriptions())


@pytest.mark.parametrize(
    ("names", "known", "labels"),
    [
        (["dog", "frog"], PETS, (1, 2)),  # not (0, 1)
        (["frog", "cat", "dog"], PETS, (2, 0, 1)),
        (["Ankle_boot", "t-shirt top"], ("T-shirt/top", "Ankle boot"), (1, 0)),
        (["a+", "a-"], ("a-", "a+"), (1, 0)),
        (["cafe\u0301", "b"], ("b", "caf\u00e9"), (1, 0)),  # as macOS writes names of files
        (["c++"], ("c", "C++"), (1,)),
        (["1", "10", "2"], tuple(map(str, range(11))), (1, 10, 2)),
        (["001", "002"], ("a", "b", "c"), (1, 2)),
        (["n01443537", "n01440764"], IMAGENET, (1, 0)),
        (["cat", "dog"], ("0", "1"), (0, 1)),  # the pair has no names
    ],
)
def test_labels_by_name(names, known, labels):
    """Catches: labels by the position of a folder in the alphabet, which train dog as cat."""
    assert match_classes(names, known) == labels


@pytest.mark.parametrize(
    ("names", "known", "says"),
    [
        (["dog", "horse"], PETS, "has classes that the pair has not (horse)"),
        (["dog", "Dog"], PETS, "dog and Dog are one class"),
        (["cat", "dog"], ("0", "1", "2"), "give pair.classes=[cat,dog]"),
        (["1", "2", "3"], ("0", "1", "2"), "give pair.classes=[1,2,3]"),
        (["a", "b", "c"], PETS, "has classes that the pair has not (a, b, c)"),
        (["c++"], ("c", "java"), "has classes that the pair has not (c++)"),
        (["-5"], ("5", "6"), "has classes that the pair has not (-5)"),
        (["1.5"], ("15", "16"), "has classes that the pair has not (1.5)"),
        (["\u0915\u093f"], ("\u0915\u093e", "x"), "has classes that the pair has not"),  # vowels
        (["crane"], IMAGENET, "names several classes"),
        (["n01443537", "n99999999"], IMAGENET, "n01443537"),
    ],
)
def test_names_that_do_not_agree_are_refused(names, known, says):
    """Catches: a class trained under the name of another one."""
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        match_classes(names, known)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "classes",
    [[1, 2], (1, 2), range(1, 3), np.array([1, 2]), np.uint8([1, 2]), torch.tensor([1, 2]),
     [np.int64(1), torch.tensor(2)], ["dog", "frog"], ["Dog", 2], np.array(["dog", "frog"])],
    ids=str,
)  # fmt: skip
def test_labels_in_every_form(classes):
    """Catches: a kind of integer, or a name, that a notebook has and the interface refuses."""
    assert labels_of(classes, PETS) == [1, 2]


@pytest.mark.parametrize(
    "classes",
    [[], [5.7], [1.0], [True], [None], [3], [-1], ["fox"], [[1]], 1, "dog", b"\x01", None, {1},
     np.array([1.5]), np.array([[1]]), torch.tensor([True]), torch.tensor([1.0])],
    ids=str,
)  # fmt: skip
def test_what_is_no_class_is_one_line(classes):
    """Catches: 5.7 cut to 5, true taken for 1, a TypeError from inside torch."""
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        labels_of(classes, PETS)


def test_a_name_of_two_classes_is_refused():
    """Catches: one of ImageNet's two cranes chosen by chance."""
    cranes = [label for label, name in enumerate(IMAGENET) if name == "crane"]
    with pytest.raises(ValueError, match=f"{cranes[0]}, {cranes[1]}"):
        label_of("crane", IMAGENET)
