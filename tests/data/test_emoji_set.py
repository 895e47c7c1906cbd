"""The shipped emojis: counts, captions, licences; folders that are no such set."""

import json
import shutil

import pytest
import torch

from tstitch.data.captioned import CaptionedImages
from tstitch.data.emoji_set import SHIPPED, emoji_set

COUNTS = {
    "google": 1621, "twitter": 1623, "glossy": 1594, "flat": 1592, "blob": 1157, "firefox": 876,
    "black and white": 1580,
}  # fmt: skip


@pytest.fixture(scope="module")
def emojis() -> CaptionedImages:
    return emoji_set()


def test_counts(emojis):
    """Catches: an atlas that is cut off, tiles of another style, a split that was lost."""
    assert emojis.images.shape == (10043, 3, 64, 64)
    assert (len(emojis.training()), len(emojis.kept())) == (9039, 1004)
    found = torch.bincount(emojis.styles).tolist()
    assert dict(zip(emojis.style_names, found, strict=True)) == COUNTS
    assert emojis.subjects.max() == 1622 and len(set(emojis.captions)) == 10043


def test_captions_say_what_is_shown(emojis):
    """Catches: images and captions in another order, channels that are swapped."""
    hue = {}
    for caption in (
        "red circle, flat style",
        "green circle, flat style",
        "blue circle, flat style",
    ):
        centre = emojis.images[emojis.captions.index(caption), :, 28:36, 28:36].float()
        hue[caption] = centre.mean((1, 2)).argmax().item()
    assert list(hue.values()) == [0, 1, 2]
    grey = emojis.images[emojis.styles == emojis.style_names.index("black and white")]
    assert torch.equal(grey[:, 0], grey[:, 1]) and torch.equal(grey[:, 0], grey[:, 2])


def test_held_out_ones_are_known_otherwise(emojis):
    """Catches: a held-out emoji that nothing was learned of."""
    trained = torch.bincount(emojis.subjects[emojis.training()], minlength=1623)
    assert trained[emojis.subjects[emojis.kept()]].min() >= 2
    assert torch.bincount(emojis.subjects[emojis.kept()]).max() == 1


def test_smaller_sides_are_box_averages(emojis):
    """Catches: every second pixel taken, rounding down."""
    small = emoji_set(side=32).images[:50].double()
    blocks = emojis.images[:50].double().reshape(50, 3, 32, 2, 32, 2).mean((3, 5))
    assert (small - blocks).abs().max() <= 0.5
    assert abs((small - blocks).mean()) < 0.2


def test_licences_are_beside_the_images():
    """Catches: images shipped without what their licences ask for."""
    said = (SHIPPED / "README.md").read_text()
    meta = json.loads((SHIPPED / "emoji.json").read_text())
    for style in meta["styles"]:
        assert f"emoji64_{style['key']}.webp" in said
    for words in ("rasterised", "Microsoft", "Google", "Mozilla", "Twitter", "licenses/by/4.0"):
        assert words in said
    assert "Permission is hereby granted" in (SHIPPED / "LICENSE-MIT.txt").read_text()
    assert "Apache License" in (SHIPPED / "LICENSE-Apache-2.0.txt").read_text()
    assert sum(p.stat().st_size for p in SHIPPED.iterdir()) < 14e6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"side": 48}, "side=48: choose one of 1, 2, 4, 8, 16, 32, 64"),
        ({"side": True}, "side=True: choose"),
        ({"folder": ""}, "folder='': give the path"),
        ({"folder": "/nowhere"}, "folder=/nowhere: cannot be read (No such file or directory)"),
    ],
)
def test_bad_arguments(arguments, message):
    """Catches: a traceback for a misspelt folder."""
    with pytest.raises(ValueError) as caught:
        emoji_set(**arguments)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("emoji.json", b"{", "is no set of emojis"),
        ("emoji.json", b'{"style": []}', "is no set of emojis ('item')"),
        ("emoji64_noto.webp", b"RIFF", "cannot be read"),
    ],
)
def test_damaged_folder(tmp_path, name, content, message):
    """Catches: an error of Pillow's or json's own, which names no folder."""
    for path in (SHIPPED / "emoji.json", SHIPPED / "emoji64_noto.webp"):
        shutil.copy(path, tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as caught:
        emoji_set(str(tmp_path))
    assert str(caught.value).startswith(f"folder={tmp_path}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(2, 3, 4, 5, dtype=torch.uint8)}, "images: are torch.uint8"),
        ({"images": torch.zeros(2, 3, 4, 4)}, "images: are torch.float32"),
        ({"styles": torch.zeros(3)}, "styles: has 3 for 2 captions"),
        ({"held_out": torch.tensor([False, False])}, "held_out: leaves nothing"),
    ],
)
def test_parts_that_do_not_fit(change, message):
    """Catches: a user's data set that fails in the middle of a training."""
    parts = {
        "images": torch.zeros(2, 3, 4, 4, dtype=torch.uint8), "captions": ("a", "b"),
        "subjects": torch.tensor([0, 1]), "styles": torch.tensor([0, 0]), "style_names": ("plain",),
        "held_out": torch.tensor([True, False]),
    }  # fmt: skip
    assert CaptionedImages(**parts).side == 4
    with pytest.raises(ValueError, match=message):
        CaptionedImages(**parts | change)
