"""Batches in a row: order, what is stored after an error, labels and noise of the right batch."""

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

from tstitch.config.cli import compose
from tstitch.engine.settings import choose_engines
from tstitch.maker.batches import sample_units
from tstitch.maker.parse import parse_experiment
from tstitch.maker.protocol import ImageMaker
from tstitch.maker.units import cut
from tstitch.runtime.errors import UserError


def build(*words: str) -> ImageMaker:
    experiment = parse_experiment(
        compose(
            "sample",
            [
                "pair.denoisers.small.weights=random",
                "pair.denoisers.large.weights=random",
                "sampler=ddpm",
                "sampler.steps=3",
                "run.device=cpu",
                *words,
            ],
        )
    )
    engine = choose_engines(experiment.engine, experiment.run)[0]
    return experiment.maker(experiment.load(engine))


@pytest.fixture(scope="module")
def pipeline():
    return build()


@pytest.fixture
def threads():
    """torch's number, which the test may change."""
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def test_every_unit_once_and_in_order(pipeline):
    """Catches: a batch that is lost, doubled, or stored under the next one's name."""
    stored = []

    def store(unit, images, labels, times):
        stored.append((unit, images, labels, times))

    units = cut(10, 3)
    sample_units(pipeline, units, store)
    assert [entry[0] for entry in stored] == units
    assert [len(entry[1]) for entry in stored] == [3, 3, 3, 1]
    assert np.concatenate([entry[2] for entry in stored]).tolist() == list(range(10))
    assert [entry[3]["warmup"] for entry in stored] == [True, False, False, False]
    alone = []
    sample_units(pipeline, units[2:3], lambda *entry: alone.append(entry))
    assert np.array_equal(alone[0][1], stored[2][1])


def test_no_units(pipeline):
    """Catches: a rank without work that fails."""
    sample_units(pipeline, [], lambda *entry: pytest.fail("stored something"))


def test_error_while_storing(pipeline):
    """Catches: a full disk that nobody notices until the end, or that hides behind a hang."""
    stored = []

    def store(unit, images, labels, times):
        if unit.first == 3:
            raise UserError("the disk is full")
        stored.append(unit)

    with pytest.raises(UserError, match="the disk is full"):
        sample_units(pipeline, cut(15, 3), store)
    assert [unit.first for unit in stored] == [0]


@pytest.mark.parametrize("compile", [pytest.param("true", marks=pytest.mark.slow), "false"])
def test_threads_follow_other_commands(compile, threads):
    """Catches: a network that is compiled anew, and refused in the end, whenever another command
    comes or goes; one that is not compiled and keeps the number of threads it began with."""
    words = ("stitch.fraction=1", "run.batch_size=2", f"engine.compile={compile}")
    pipeline = build(*words, f"engine.threads={threads}")
    torch.set_num_threads(threads + 1)  # as with one command less
    pipeline.prepare()
    before = counters["stats"]["unique_graphs"]
    sample_units(pipeline, cut(4, 2), lambda *entry: None)
    assert counters["stats"]["unique_graphs"] == before
    assert torch.get_num_threads() == (threads + 1 if compile == "true" else threads)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1, 1.5])
def test_nothing_is_compiled_within_a_batch(scale):
    """Catches: a preparation with other tensors than those of the batches, after which the
    first batch compiles once more and reports it as sampling."""
    pipeline = build("engine.compile=true", "run.batch_size=2", f"guidance.scale={scale}")
    pipeline.prepare()
    before = counters["stats"]["unique_graphs"]
    sample_units(pipeline, cut(4, 2), lambda *entry: None)
    assert counters["stats"]["unique_graphs"] == before > 0
