"""What `stitch` is told: schedules of every kind, bad values, and what is no pipeline."""

import pytest
import torch
from tiny_families import FAMILIES
from tiny_parts import euler

from samplers import Budget, Explicit, Interleave, SketchRender, TopK, Window
from tstitch import UserError, realised, stitch, unstitch

SD = FAMILIES["SD"]
SCHEDULES = [
    ({"fraction": 0.3}, "sssLLLLLLL"),
    ({"fraction": 0.3, "axis": "time"}, "sssLLLLLLL"),  # t = 900 is 0.1 of the time
    ({"boundary": 0.6}, "ssssLLLLLL"),
    ({"schedule": "interleave", "fraction": 0.5}, "sLsLsLsLsL"),
    ({"schedule": "large_to_small", "fraction": 0.3}, "LLLLLLLsss"),
    ({"schedule": {"kind": "window", "start": 0.2, "end": 0.5}}, "LLsssLLLLL"),
    ({"schedule": {"kind": "boundary", "boundary": 0.6, "high_noise": "large"}}, "LLLLssssss"),
    ({"schedule": {"kind": "last", "steps": 2}}, "LLLLLLLLss"),
    ({"schedule": {"kind": "fractions", "fractions": [0.2, 0.8]}}, "ssLLLLLLLL"),
    ({"schedule": [0, 1] * 5}, "sLsLsLsLsL"),
    ({"schedule": Interleave(fraction=0.5)}, "sLsLsLsLsL"),
    ({"schedule": Window(start=0, end=0.3, axis="step")}, "sssLLLLLLL"),
    ({"schedule": TopK(steps=2, models=[1, 0, 0, *[1] * 7])}, "LssLLLLLLL"),
]


@pytest.mark.parametrize(("arguments", "expected"), SCHEDULES)
def test_schedules(arguments, expected):
    """Catches: a kind that is not wired, or counts by another axis than it says."""
    pipe = stitch(SD.make("large"), SD.network("small"), **arguments)
    SD.run(pipe)
    assert "".join("sL"[model] for model in realised(pipe).models) == expected
    SD.run(unstitch(pipe))


def test_random_schedules_are_seeded():
    """Catches: an order that changes from run to run."""
    for kind in ({"kind": "random", "steps": 4, "seed": 3}, {"kind": "decreasing", "seed": 3}):
        pipe = stitch(SD.make("large"), SD.network("small"), schedule=kind)
        first, _, second = SD.run(pipe), SD.run(pipe, 5), SD.run(pipe)
        assert torch.equal(first, second)
    assert 0 < sum(realised(pipe).models) < 10


def test_the_axis_of_shifted_flows():
    """Catches: a fraction of time taken for one of steps, where a shift sets them apart."""
    family = FAMILIES["SD3"]  # t = 3u / (1 + 2u)
    pipe = family.make("large")
    small = family.network("small")
    for axis, steps in (("step", 4), ("time", 7)):
        family.run(stitch(pipe, small, 0.4, axis=axis))
        assert realised(pipe).models.count(0) == steps


def test_three_networks():
    """Catches: a medium network that never runs, or does so in the wrong place."""
    networks = [SD.network("small"), SD.network("small", layers_per_block=2)]
    pipe = SD.make("large")
    stitch(pipe, networks, schedule={"kind": "fractions", "fractions": [0.3, 0.3, 0.4]})
    out = SD.run(pipe)
    assert realised(pipe).models == (0, 0, 0, 1, 1, 1, 2, 2, 2, 2)
    assert realised(pipe).steps_per_network == {"small": 3, "medium": 3, "large": 4}

    def swap(pipe, i, t, tensors):
        pipe.unet = {2: networks[1], 5: large}.get(i, pipe.unet)
        return tensors

    large = pipe.unet
    by_hand = SD.around(networks[0])
    unstitch(pipe)
    assert torch.equal(SD.run(by_hand, callback_on_step_end=swap), out)


BAD = [
    ({"fraction": 1.5}, r"^fraction=1.5: choose a number from 0 to 1"),
    ({"fraction": "0.4"}, r"^fraction='0.4': choose a number"),
    ({"axis": "steps"}, r"^axis='steps': choose time or step"),
    ({"boundary": 2}, r"^boundary=2: choose a number"),
    ({"boundary": 0.5, "fraction": 0.4}, r"^fraction=0.4: leave it out beside boundary=0.5"),
    ({"schedule": "fractoin"}, r"^schedule='fractoin': choose fraction, "),
    ({"schedule": "window"}, r"^schedule=window: give .*'start'.*'end'"),
    ({"schedule": {"kind": "last", "step": 3}}, r"^schedule.step: last has steps"),
    ({"schedule": "topk"}, r"^schedule=topk: its steps are measured; give what tstitch.calibrate"),
    ({"schedule": Budget(speedup=2)}, r"^schedule=Budget: its steps are measured"),
    ({"schedule": SketchRender()}, r"^schedule=SketchRender: it decides per image"),
    ({"schedule": [0, 1], "fraction": 0.4}, r"^fraction=0.4: leave it out"),
    ({"schedule": "decreasing", "fraction": 0.4}, r"^fraction=0.4: leave it out"),
    ({"schedule": 3}, r"^schedule=3: give a kind"),
    ({"schedule": [0, 2.5]}, r"^models=\[0, 2.5\]: choose a list"),
    ({"small_guidance": 1}, r"^small_guidance=1: choose a number above 1"),
]


@pytest.fixture(scope="module")
def pair():
    return SD.make("large"), SD.network("small")


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_values(pair, arguments, message):
    """Catches: a traceback of ours, or a value that is ignored."""
    with pytest.raises(UserError, match=message) as caught:
        stitch(*pair, **arguments)
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_the_run(pair):
    """Catches: a list of ten networks that runs twelve steps, a third network of a pair."""
    pipe, small = pair
    stitch(pipe, small, schedule=[0, 1])
    with pytest.raises(UserError, match=r"^schedule: models=\[0, 1\]: choose 10 indices"):
        SD.run(pipe)
    stitch(pipe, small, schedule=Explicit(models=[2] * 10))
    with pytest.raises(UserError, match=r"^schedule: models=.*: choose indices from 0 to 1"):
        SD.run(pipe)
    unstitch(pipe)
    pipe.scheduler = euler(timestep_type="continuous", prediction_type="v_prediction")
    stitch(pipe, small, axis="time")
    with pytest.raises(UserError, match="^axis=time: timesteps of EulerDiscreteScheduler"):
        SD.run(pipe)
    unstitch(pipe)


def test_what_is_no_pair(pair):
    """Catches: an AttributeError where something else than pipelines is given."""
    pipe, small = pair
    with pytest.raises(UserError, match="^pipe=dict: it has no unet or transformer"):
        stitch({}, small)
    with pytest.raises(UserError, match="^small=str: it has no unet, as the large pipeline has"):
        stitch(pipe, "a path")
    for same in (pipe, pipe.unet, [small, small], []):
        with pytest.raises(UserError, match="^small: give at least one network"):
            stitch(pipe, same)
    with pytest.raises(UserError, match="^pipe=StableDiffusionPipeline: it is not stitched"):
        unstitch(pipe)
    with pytest.raises(UserError, match="^pipe: it did not run since it was stitched"):
        realised(stitch(pipe, small))
    with pytest.raises(UserError, match="^small: it is the large network of a stitched pipeline"):
        stitch(SD.make("large"), pipe)
    unstitch(pipe)
