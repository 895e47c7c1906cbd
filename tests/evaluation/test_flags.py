"""Which values are flagged: few images, other classes; and what chance alone explains."""

import json

import numpy as np
import pytest
from sweep_points import point_json

from evaluation.flags import few_images, other_classes
from evaluation.markdown import render_markdown
from evaluation.page import render_page
from evaluation.points import Point
from evaluation.verdict import judge, verdict_text

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


def test_no_finding_from_flagged_values():
    """Catches: a headline of a sweep whose FIDs mean nothing; values without their mark."""
    sound = [point_json({"large": 25}, 3.0, fraction=0.0)]
    sound.append(point_json({"small": 10, "large": 15}, 3.1, 0.1, fraction=0.4))
    flagged = json.loads(json.dumps(sound))
    flagged[1]["metrics"]["fid"]["flags"] = ["few images"]
    texts = []
    for entries in (sound, flagged):
        points = [Point.from_json(entry) for entry in entries]
        verdict = judge(points)
        texts.append(
            (verdict_text(verdict), render_markdown(points, None, {}, title="a"),
             render_page(points, None, {}, title="a"), verdict.equal)
        )  # fmt: skip
    assert texts[0][3] is not None and "few images" not in "".join(texts[0][:3])
    assert texts[1][3] is None
    assert texts[1][0].startswith("No finding: the FID is flagged (few images)")
    for text in texts[1][1:3]:
        assert "(few images)" in text and "No finding" in text
        assert "the speed <small>" not in text
