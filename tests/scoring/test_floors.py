"""Evaluations of real images, which runs are compared with."""

import json

import pytest

from tstitch.pair.weights import PRETRAINED
from tstitch.runtime.errors import UserError
from tstitch.scoring.compare import nearest_floor, read_floors

SPACE = "Fashion-MNIST classifier"
PATH = PRETRAINED / "fashion_mnist" / "floor.json"


@pytest.fixture
def stored():
    """The shipped floors in plain JSON, which have neither replicates nor flags."""
    return json.loads(PATH.read_text())


def test_shipped_floors(stored):
    """Catches: floors of before there were flags that are refused, values of another number."""
    digest = stored[0]["protocol"]["reference"]["digest"]
    floors = read_floors(str(PATH), SPACE, digest)
    assert [floor.num_images for floor in floors] == [floor["num_images"] for floor in stored]
    for floor, values in zip(floors, stored, strict=True):
        assert floor.metrics["fid"].value == values["metrics"]["fid"]["value"]
        assert nearest_floor(floors, floor.num_images + 1) is floor
    assert read_floors(str(PATH), SPACE, "another") == []


@pytest.mark.parametrize("key", ["space", "metrics", "num_images", "protocol", "low"])
def test_what_is_no_evaluation(stored, tmp_path, key):
    """Catches: a traceback, or many lines, for a file that lacks a key."""
    del (stored[0]["metrics"]["fid"] if key == "low" else stored[0])[key]
    path = tmp_path / "floor.json"
    path.write_text(json.dumps(stored))
    with pytest.raises(UserError) as caught:
        read_floors(str(path), SPACE, "digest")
    message = str(caught.value)
    assert message.startswith(f"evaluation.floor={path}: is no evaluation; give a JSON file")
    assert "\n" not in message
