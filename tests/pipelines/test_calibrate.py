"""topk for pipelines: what is measured, and the schedule that follows."""

import pytest
import torch
from tiny_families import FAMILIES
from tiny_parts import noise

from tstitch import UserError, calibrate, realised, stitch
from tstitch.pipelines.hook import hook_of

SD = FAMILIES["SD"]
INPUTS = [
    {**SD.inputs, "prompt_embeds": noise(1, 7, 32, seed=seed)} for seed in (20, 21)
]  # in place of two prompts


def by_hand(family, large, small, seed, inputs, steps):
    """Relative distance of guided predictions along the large network's trajectory."""
    pipe = family.around(large)
    found, original = [], pipe.scheduler.step

    def step(prediction, t, sample, **options):
        text = torch.cat([inputs["negative_prompt_embeds"], inputs["prompt_embeds"]])
        both = small(torch.cat([sample] * 2), t, encoder_hidden_states=text).sample
        other = both[:1] + inputs["guidance_scale"] * (both[1:] - both[:1])
        found.append(((other - prediction).norm() / prediction.norm()).item())
        return original(prediction, t, sample, **options)

    pipe.scheduler.step = step
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        pipe(**inputs, num_inference_steps=steps, output_type="latent", generator=generator)
    return found


def test_the_curve_is_that_of_guided_predictions():
    """Catches: unguided predictions, another trajectory, a seed that every prompt shares."""
    pipe, small = SD.make("large"), SD.network("small")
    found = calibrate(pipe, small, INPUTS, options={"num_inference_steps": 6}, seed=3)
    assert hook_of(pipe.unet) is None and "step" not in vars(pipe.scheduler)
    assert len(found.curves) == 2
    for seed, (curve, inputs) in enumerate(zip(found.curves, INPUTS, strict=True), 3):
        assert curve == pytest.approx(by_hand(SD, pipe.unet, small, seed, inputs, 6), rel=1e-5)
    models = found.topk(2).models
    assert {i for i, k in enumerate(models) if k == 0} == set(
        sorted(range(6), key=lambda i: found.mean[i])[:2]
    )
    stitch(pipe, small, 0.4, schedule=found)
    SD.run(pipe, 6)
    assert realised(pipe).models == found.topk(2).models


@pytest.mark.parametrize(
    "name",
    ["FLUX-true-cfg", *(pytest.param(n, marks=pytest.mark.slow) for n in ("Wan2.1", "SD3"))],
)
def test_other_guidance(name):
    """Catches: a curve of the wrong length where guidance asks twice a step."""
    family = FAMILIES[name]
    options = {"num_inference_steps": 4}
    pipe, small = family.make("large"), family.network("small")
    plain = family.run(family.make("large"))
    found = calibrate(pipe, small, [dict(family.inputs)], options=options)
    assert len(found.mean) == 4 and min(found.mean) > 0
    itself = calibrate(pipe, family.network("large"), [dict(family.inputs)], options=options)
    assert itself.mean == (0,) * 4
    assert torch.equal(family.run(pipe), plain)


def test_bad_values():
    """Catches: a curve of steps that never ran, a calibration of one stitched network."""
    pipe, small = SD.make("large"), SD.network("small")
    for prompts in ("a cat", [], None):
        with pytest.raises(UserError, match="^prompts: give a list of texts"):
            calibrate(pipe, small, prompts)
    with pytest.raises(UserError, match="^seed=-1: choose an integer"):
        calibrate(pipe, small, INPUTS, seed=-1)
    family = FAMILIES["SD-img2img"]
    options = {"num_inference_steps": 10, "strength": 0.5}
    inputs = {k: v for k, v in family.inputs.items() if k != "strength"}
    with pytest.raises(UserError, match="^prompts: steps 0 to 4 of 10 did not run"):
        calibrate(family.make("large"), small, [inputs], options=options)
    found = calibrate(pipe, small, INPUTS[:1], options={"num_inference_steps": 3})
    with pytest.raises(UserError, match="^calibration: steps=4: choose at most 3"):
        found.topk(4)
    with pytest.raises(UserError, match="^axis='time': a calibration counts steps"):
        stitch(pipe, small, schedule=found, axis="time")
    stitch(pipe, small, schedule=found)
    with pytest.raises(UserError, match="^schedule: models=.*: choose 10 indices"):
        SD.run(pipe)
    with pytest.raises(UserError, match="^pipe: it is stitched already"):
        calibrate(pipe, small, INPUTS)
