"""What tells one run's images from another's."""

import pytest

from tstitch.maker.identity import Identity

VALUES = {"stitch": [0, 1], "guidance": {"scale": 1.5, "channels": 3}, "run": {"seed": 0}}


def test_fingerprint_is_of_the_values_alone():
    """Catches: a digest that depends on the order of keys, on 2 and 2.0 or on tuple and list; one
    that does not see a value far inside."""
    one = Identity(VALUES).fingerprint
    other = {"run": {"seed": 0.0}, "guidance": {"channels": 3, "scale": 1.5}, "stitch": (0, 1)}
    assert Identity(other).fingerprint == one and Identity(other).short == one[:8]
    assert Identity(VALUES | {"guidance": {"scale": 1.5, "channels": 4}}).fingerprint != one


def test_differences_name_the_keys():
    """Catches: a whole section named for one value in it; a key that only one side has left out."""
    now = Identity(VALUES | {"guidance": {"scale": 4, "channels": 3}, "engine": {"compile": True}})
    assert Identity(VALUES).differences(now) == [
        "engine.compile: null -> true",
        "guidance.scale: 1.5 -> 4",
    ]
    assert Identity(VALUES).differences(Identity(VALUES)) == []


@pytest.mark.parametrize("content", ["", "decides: 5", "[1, 2", "decides: {}\n- 1", "\0"])
def test_damaged_files_are_of_no_run(tmp_path, content):
    """Catches: a traceback for a config.yaml that an editor broke."""
    (tmp_path / "config.yaml").write_text(content)
    assert Identity.read(tmp_path / "config.yaml") is None


def test_strange_values_can_be_compared(tmp_path):
    """Catches: a traceback for keys that are no texts, and for dates, which YAML reads as such."""
    (tmp_path / "config.yaml").write_text("decides: {1: 2, a: 2024-01-01}")
    before = Identity.read(tmp_path / "config.yaml")
    assert before is not None
    assert before.differences(Identity({})) == ["1: 2 -> null", 'a: "2024-01-01" -> null']
