"""Directories of any name that the file system takes, and how to write them on a command line."""

import os
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

import samplers
from tstitch.config.cli import compose, override
from tstitch.maker.identity import Identity
from tstitch.maker.parse import parse_experiment
from tstitch.run.generate import run_sampling
from tstitch.runtime.errors import UserError

NAMES = ("\u00f6", "a b", "a=b", "~", "a~b", "#1 (x) [y] {z}", "a,b", "100%", "it's", 'a"b', "a\\b",
         "o\u0308", "\u65e5\u672c", "-x", ".hidden", "a&b!", "a:b@c+d")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_run_finishes_and_is_found_again(tmp_path, sample, whole, name):
    """Catches: a rule for names that is stricter than the file system's, a name that is read as a
    pattern or as another one."""
    config = {"run.dir": str(tmp_path / name)}
    for _ in range(2):
        (word,) = (override(key, value) for key, value in config.items())
        found = sample(tmp_path / "unused", word)
        assert os.fspath(found) == config["run.dir"]
    assert (found / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("text", [*NAMES, "a\\", '\\"', 'a"\\', "$x", "[1]", "null", "1"])
def test_override_keeps_the_text(text):
    """Catches: a quotation mark or a backslash that ends the value, or is doubled."""
    parsed = OverridesParser.create().parse_override(override("run.dir", text))
    assert parsed.value() == text


def test_home_directory(tmp_path, sample, monkeypatch):
    """Catches: a folder called ~ where the home directory is meant."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sample(tmp_path, "run.dir='~/run'") == tmp_path / "run"


def test_number_is_a_name(tmp_path, sample, monkeypatch):
    """Catches: run.dir=2024, which arrives as a number, refused as no text."""
    monkeypatch.chdir(tmp_path)
    assert os.fspath(sample(tmp_path, "run.dir=2024")) == "2024"
    with pytest.raises(UserError, match=r"^run.dir=1.5: give a .* quotes, 'run.dir=\"1.5\"'$"):
        sample(tmp_path, "run.dir=1.50")  # its spelling is lost


def test_letters_need_no_quotes(tmp_path, sample, caplog):
    """Catches: letters that Hydra's grammar does not know."""
    folder = tmp_path / "\u00fcbung 1"
    with caplog.at_level("INFO", logger="tstitch"):
        sample(folder, "run.num_images=1")
    assert (folder / "samples.npz").is_file() and f"{folder}: grid.png" in caplog.text


def test_derived_directory_below_a_root_of_any_name(tmp_path, tiny):
    """Catches: a root that only an explicit directory may have; a pair's name likewise."""
    root = tmp_path / "r \u00f6=1"
    words = [*tiny, override("run.root", str(root)), override("pair.name", "m\u00f6wen v1.2")]
    assert run_sampling(compose("sample", words)).parent == root / "m\u00f6wen v1.2"


def directory(root, *words: str) -> str:
    """Name of the directory of a run with some digest."""
    config = compose("sample", [*words, f"run.root={root}"])
    return Path(parse_experiment(config).directory(Identity({}))).name


def test_directories_tell_kinds_of_schedules(tmp_path):
    """Catches: schedules that differ by the digest alone, a run that is begun anew because its
    directory was named before kinds were.
    """
    words = ("sampler=ddim", "sampler.steps=5")
    plain = directory(tmp_path, *words)
    names = {
        kind: directory(tmp_path, *words, f"stitch={kind}")
        for kind in ("decreasing", "large_to_small")
    }
    assert plain.startswith("ddim5-steps2-3-cfg1.5-seed0-")
    assert names["large_to_small"] == plain.replace("-steps", "-largetosmall-steps")
    assert names["decreasing"].startswith("ddim5-decreasing-steps")
    old = names["decreasing"].replace("decreasing-", "")
    (tmp_path / "fashion_mnist" / old).mkdir(parents=True)
    assert directory(tmp_path, *words, "stitch=decreasing") == old


def test_directories_tell_a_samplers_name_from_its_steps(tmp_path, monkeypatch):
    """Catches: a sampler AB2 of 10 steps in `ab210`."""
    own = type("AB2", (samplers.DDIM,), {})
    monkeypatch.setattr(samplers, "AB2", own, raising=False)
    words = ("sampler=ddim", "sampler._target_=samplers.AB2", "sampler.steps=10")
    assert directory(tmp_path, *words).startswith("ab2-10-steps4-6-")
