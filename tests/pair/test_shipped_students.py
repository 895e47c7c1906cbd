"""The shipped students: that they were trained, and beat the teacher's own single pass."""

import numpy as np
import pytest

from tstitch import load

WORDS = ("run.device=cpu", "evaluation=none")
COUNT = 16


def images(pair: str, *more: str) -> np.ndarray:
    return load(pair, *WORDS, *more)(classes=list(range(COUNT)), seed=3).astype(float)


@pytest.fixture(scope="module")
def teacher():
    """By four guided steps, of the same noise and captions."""
    return images("emoji", "stitch.fraction=0", "sampler=ddim_leading")


@pytest.fixture(scope="module")
def untrained():
    """By one pass of the teacher: what the student with one encoder began as."""
    return images(
        "emoji", "stitch.fraction=0", "sampler=ddim_leading", "stitch.propagate=4",
        "guidance.scale=1",
    )  # fmt: skip


@pytest.mark.parametrize("pair", ["emoji_tiue", "emoji_m4"])
def test_students_are_sharper_than_their_beginning(pair, teacher, untrained):
    """Catches: the teacher's weights shipped for a student's, a plan that is not the student's.

    A single pass of the teacher is the mean of many images: it has less contrast.
    """
    found = images(pair)
    contrast = [part.std(axis=(1, 2, 3)).mean() for part in (untrained, found, teacher)]
    assert contrast[1] > 1.05 * contrast[0]
    assert np.abs(found - untrained).mean() > 5
    # Of the same captions: nearer to the teacher's images than those are to one another.
    own = np.square(found - teacher).mean()
    assert own < 0.8 * np.square(np.roll(teacher, 1, axis=0) - teacher).mean()
