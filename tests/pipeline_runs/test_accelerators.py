"""DeepCache and token merging in both networks of a run."""

import sys

import numpy as np
import pytest

from tstitch import load

PAIRS = {
    "DeepCache": "{kind: deepcache, cache_interval: 2, cache_branch_id: 0}",
    "tomesd": "{kind: tome, ratio: 0.5, max_downsample: 2}",
}


@pytest.mark.parametrize("package", PAIRS)
def test_images_change_and_stay(package, sd, sample, images, tmp_path):
    """Catches: an acceleration that is not applied, or one that keeps a batch for the next."""
    pytest.importorskip(package)
    accelerated = (*sd, f"+pair.accelerate={PAIRS[package]}", "stitch.fraction=0.5")
    plain = images(sample(tmp_path / "plain", *sd, "stitch.fraction=0.5"))
    one = images(sample(tmp_path / "one", *accelerated))
    assert not np.array_equal(one, plain)
    sampler = load(accelerated[0].removeprefix("pair="), *accelerated[1:])
    labels = list(range(len(one)))
    assert np.array_equal(sampler(labels), one) and np.array_equal(sampler(labels), one)


def test_an_unknown_kind(sd, refusal):
    """Catches: a word that is ignored."""
    message = refusal(*sd, "+pair.accelerate={kind: turbo}")
    assert message == "pair.accelerate.kind=turbo: choose one of deepcache, tome"


def test_a_missing_package(sd, refusal, monkeypatch):
    """Catches: a traceback, or a run without the acceleration that was asked for."""
    monkeypatch.setitem(sys.modules, "DeepCache", None)
    message = refusal(*sd, f"+pair.accelerate={PAIRS['DeepCache']}")
    assert message == "pair.accelerate: needs the package DeepCache; pip install DeepCache"
