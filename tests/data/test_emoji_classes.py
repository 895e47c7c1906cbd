"""Emojis with classes: what each holds, and settings that there is nothing for."""

import pytest
import torch

from tstitch.config.cli import compose, instantiate
from tstitch.data.emoji_classes import EmojiClasses
from tstitch.data.emoji_set import emoji_set, emoji_subgroups
from tstitch.runtime.errors import UserError


@pytest.fixture(scope="module")
def opened():
    """Function (split) -> the data set as configured."""
    section = compose("train", ["data=emoji"])["data"]
    return lambda split: instantiate(section | {"split": split}, "data")


def test_nothing_held_out_is_learned(opened):
    """Catches: splits that overlap, an option that counts for nothing."""
    train, test = opened("train"), opened("test")
    assert (len(train), len(test)) == (5759, 627)
    own, other = ({image.numpy().tobytes() for image in data.tensors[0]} for data in (train, test))
    emojis = emoji_set()
    kept = {image.numpy().tobytes() for image in emojis.images[emojis.kept()]}
    assert other <= kept and len(own) > 5700


def test_every_class_has_images(opened):
    """Catches: a class of few images, labels in another order than the names."""
    data = opened("train")
    counts = torch.bincount(data.tensors[1])
    assert len(counts) == len(data.classes) == 36 and counts.min() >= 50
    images = data.tensors[0][data.tensors[1] == data.classes.index("zodiac")].float()
    red, green, blue = images.mean((0, 2, 3))  # purple squares
    assert blue > green + 20 and red > green


def test_subgroups_are_of_their_emojis():
    """Catches: a list in another order than the subjects."""
    emojis, subgroups = emoji_set(), emoji_subgroups()
    at = emojis.subjects[emojis.captions.index("red apple, glossy style")]
    assert subgroups[at] == "food-fruit" and len(subgroups) == 1623
    only = EmojiClasses({"apple": ["food-fruit"]}, styles=["glossy"])
    assert len(only) == 18 and only.classes == ("apple",)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data.split=all", "data.split=all: choose one of train, test"),
        ("data.styles=[oil]", "data.styles=oil: choose from google"),
        ("data.styles=oil", "data.styles='oil': give a list of names"),
        ("data.classes={}", "data.classes={}: give lists of subgroups"),
        ("data.classes.heart=[hart]", "data.classes.heart=hart: choose from face-smiling"),
        ("data.classes.heart=heart", "data.classes.heart='heart': give a list of names"),
        ("data.classes.bird=[heart]", "data.classes.bird=heart: is in another class too"),
        ("+data.folder=/no/such", "data.folder=/no/such: cannot be read"),
        ("+data.side=48", "data.side=48: choose one of 1, 2"),
        ("data.classes=7", "data.classes=7: give lists of subgroups"),
    ],
)
def test_bad_settings(word, message):
    """Catches: a traceback, or a setting that is left as it was."""
    with pytest.raises(UserError) as caught:
        section = compose("train", ["data=emoji", word])["data"]
        if word == "data.classes={}":  # an empty one adds nothing to what is configured
            section = section | {"classes": {}}
        instantiate(section, "data")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
