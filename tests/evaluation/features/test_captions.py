"""Captions of subjects in styles: which of them a prompt is."""

import pytest

from evaluation.features.captions import CaptionGrid

GRID = CaptionGrid(subjects=("red apple", "Moon"), styles=("flat", "old", "black and white"))


def test_places():
    """Catches: captions in another order than their numbers, letters or spaces that hide one."""
    assert GRID.captions[1] == "red apple, old style" and len(GRID.captions) == 6
    assert GRID.places(GRID.captions) == [*range(6)]
    found = GRID.places(["MOON,  flat style ", "a moon, flat style", ""])
    assert found == [3, None, None]


def test_digest_is_of_the_captions():
    """Catches: values of other choices that pass for the same evaluation."""
    other = CaptionGrid(subjects=GRID.subjects, styles=GRID.styles, form="{style} {subject}")
    assert GRID.digest != other.digest and other.captions[0] == "flat red apple"


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"subjects": ("one",)}, "subjects: give two"),
        ({"styles": ("flat", "flat")}, "styles: give two"),
        ({"form": "{subject}"}, "form='{subject}'"),
    ],
)
def test_bad_grids(changes, start):
    """Catches: a retrieval that is always right, or captions that do not differ."""
    with pytest.raises(ValueError, match=f"^{start}"):
        CaptionGrid(**{"subjects": ("a", "b"), "styles": ("c", "d"), **changes})
