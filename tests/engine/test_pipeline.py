"""Batches in a row: order, what is stored after an error, labels and noise of the right batch."""

import numpy as np
import pytest

from tstitch.cli import compose
from tstitch.engine.settings import choose_engine
from tstitch.errors import UserError
from tstitch.experiment import parse_experiment
from tstitch.loaded import LoadedPair
from tstitch.pipeline import sample_units
from tstitch.shards import cut
from tstitch.stitcher import Stitcher


@pytest.fixture(scope="module")
def stitcher():
    experiment = parse_experiment(
        compose(
            "sample",
            [
                "pair.denoisers.small.weights=random",
                "pair.denoisers.large.weights=random",
                "sampler=ddpm",
                "sampler.steps=3",
                "run.device=cpu",
            ],
        )
    )
    engine = choose_engine(experiment.engine, experiment.run)
    return Stitcher(
        experiment, LoadedPair(experiment.pair, engine, dict.fromkeys(("small", "large")))
    )


def test_every_unit_once_and_in_order(stitcher):
    """Catches: a batch that is lost, doubled, or stored under the next one's name."""
    stored = []

    def store(unit, images, labels, times):
        stored.append((unit, images, labels, times))

    units = cut(10, 3)
    sample_units(stitcher, units, store)
    assert [entry[0] for entry in stored] == units
    assert [len(entry[1]) for entry in stored] == [3, 3, 3, 1]
    assert np.concatenate([entry[2] for entry in stored]).tolist() == list(range(10))
    assert [entry[3]["warmup"] for entry in stored] == [True, False, False, False]
    alone = []
    sample_units(stitcher, units[2:3], lambda *entry: alone.append(entry))
    assert np.array_equal(alone[0][1], stored[2][1])


def test_no_units(stitcher):
    """Catches: a rank without work that fails."""
    sample_units(stitcher, [], lambda *entry: pytest.fail("stored something"))


def test_error_while_storing(stitcher):
    """Catches: a full disk that nobody notices until the end, or that hides behind a hang."""
    stored = []

    def store(unit, images, labels, times):
        if unit.first == 3:
            raise UserError("the disk is full")
        stored.append(unit)

    with pytest.raises(UserError, match="the disk is full"):
        sample_units(stitcher, cut(15, 3), store)
    assert [unit.first for unit in stored] == [0]
