"""Every family of pipelines: fraction 0 and 1 are the plain ones, 0.4 is a swap by hand."""

import inspect

import pytest
import torch
from tiny_families import FAMILIES, swapped_by_hand

from tstitch import realised, stitch

QUICK = ("SD", "SDXL", "SD-ControlNet", "SD-img2img", "FLUX-true-cfg", "SANA-Sprint")
NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAMILIES]


@pytest.mark.parametrize("name", NAMES)
def test_ends_are_the_plain_pipelines(name):
    """Catches: a hook that changes what networks compute, or a first or last step given away."""
    family = FAMILIES[name]
    plain = {size: family.run(family.make(size)) for size in ("large", "small")}
    assert not torch.equal(plain["large"], plain["small"])
    for fraction, size in ((0, "large"), (1, "small")):
        pipe = stitch(family.make("large"), family.make("small"), fraction)
        for _ in range(2):
            assert torch.equal(family.run(pipe), plain[size]), fraction


@pytest.mark.parametrize("name", NAMES)
def test_the_middle_is_a_swap_by_hand(name):
    """Catches: a step handed over too early or late, or lost in pairs of evaluations."""
    family = FAMILIES[name]
    pipe = stitch(family.make("large"), family.network("small"), 0.4)
    found = family.run(pipe)
    run = realised(pipe)
    assert torch.equal(family.run(pipe), found)
    switch = run.num_steps * 4 // 10
    assert run.models == tuple(int(step >= switch) for step in run.steps)
    assert run.models.count(1) or name == "Wan2.2"  # whose other network runs the last steps
    assert run.evaluations[0] == family.evaluations * run.models.count(0)
    if "callback_on_step_end" in inspect.signature(type(pipe).__call__).parameters:
        assert torch.equal(found, swapped_by_hand(family, run.models.count(0)))
