"""Handing over under schedulers of every sort: no step is split, no solver loses its history."""

import diffusers
import pytest
import torch
from tiny_families import FAMILIES, swapped_by_hand
from tiny_parts import BETAS

from tstitch import realised, stitch

KARRAS = {"use_karras_sigmas": True}
# Scheduler and calls of a step.
SCHEDULERS = {
    "PNDM": (lambda: diffusers.PNDMScheduler(**BETAS, skip_prk_steps=True, steps_offset=1), 1),
    "Heun": (lambda: diffusers.HeunDiscreteScheduler(**BETAS), 2),
    "KDPM2": (lambda: diffusers.KDPM2DiscreteScheduler(**BETAS), 2),
    "KDPM2-ancestral": (lambda: diffusers.KDPM2AncestralDiscreteScheduler(**BETAS), 2),
    "Euler-Karras": (lambda: diffusers.EulerDiscreteScheduler(**BETAS, **KARRAS), 1),
    "Heun-Karras": (lambda: diffusers.HeunDiscreteScheduler(**BETAS, **KARRAS), 2),
    "DPM++2M": (lambda: diffusers.DPMSolverMultistepScheduler(**BETAS), 1),
    "UniPC": (lambda: diffusers.UniPCMultistepScheduler(**BETAS), 1),
    "LMS": (lambda: diffusers.LMSDiscreteScheduler(**BETAS), 1),
    "DDPM": (lambda: diffusers.DDPMScheduler(**BETAS), 1),
    "Euler-ancestral": (lambda: diffusers.EulerAncestralDiscreteScheduler(**BETAS), 1),
    "DPM++-singlestep": (lambda: diffusers.DPMSolverSinglestepScheduler(**BETAS), 1),
}
QUICK = ("PNDM", "Heun", "KDPM2-ancestral", "DPM++2M")
NAMES = [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in SCHEDULERS]
SD = FAMILIES["SD"]


@pytest.mark.parametrize("name", NAMES)
def test_the_handover(name):
    """Catches: an order-2 step of which the small network computes one half; a step given away
    since PNDM asks for the second timestep twice."""
    make, order = SCHEDULERS[name]
    pipe = SD.make("large")
    pipe.scheduler = make()
    stitch(pipe, SD.network("small"), 0.4)
    found = SD.run(pipe)
    run = realised(pipe)
    assert run.models == (0,) * 4 + (1,) * 6
    calls = run.evaluations[0]
    assert calls == (5 if name == "PNDM" else 4 * order)
    assert torch.equal(found, swapped_by_hand(SD, calls, make()))


@pytest.mark.slow
def test_heun_of_flows():
    """Catches: a rescaled timestep at the first evaluation, a split step of a flow."""
    family = FAMILIES["SD3"]
    pipe = family.make("large")
    pipe.scheduler = diffusers.FlowMatchHeunDiscreteScheduler(shift=3.0)
    stitch(pipe, family.network("small"), 0.4)
    found = family.run(pipe)
    assert realised(pipe).evaluations == (8, 11)
    scheduler = diffusers.FlowMatchHeunDiscreteScheduler(shift=3.0)
    assert torch.equal(found, swapped_by_hand(family, 8, scheduler))


def test_a_scheduler_that_is_changed_later():
    """Catches: a clock that reads the scheduler of the pipeline as it was."""
    pipe = stitch(SD.make("large"), SD.network("small"), 0.4)
    SD.run(pipe)
    pipe.scheduler = diffusers.DPMSolverMultistepScheduler(**BETAS)
    found = SD.run(pipe)
    assert torch.equal(
        found, swapped_by_hand(SD, 4, diffusers.DPMSolverMultistepScheduler(**BETAS))
    )
    assert realised(pipe).models == (0,) * 4 + (1,) * 6


def test_sdxl_cut_in_two_is_the_same_for_euler():
    """Catches: a handover one step off diffusers' own, which cuts at a noise level."""
    family, image = FAMILIES["SDXL"], FAMILIES["SDXL-img2img"]
    noisy = family.run(family.make("small"), denoising_end=0.4)
    refiner = image.make("large")
    cut = image.run(refiner, image=noisy, denoising_start=0.4)
    whole = family.run(stitch(family.make("large"), family.network("small"), 0.4))
    assert torch.equal(cut, whole)


@pytest.mark.slow
def test_wan_cut_at_a_boundary_is_the_same():
    """Catches: a boundary that means another t/T than Wan 2.2's own."""
    from tiny_videos import wan_pipeline

    family = FAMILIES["Wan2.1"]
    experts = wan_pipeline(
        family.network("small"), transformer_2=family.network("large"), boundary_ratio=0.8
    )
    experts.set_progress_bar_config(disable=True)
    pipe = stitch(family.make("large"), family.network("small"), boundary=0.8)
    assert torch.equal(family.run(pipe), family.run(experts))
    assert 0 < sum(realised(pipe).models) < 10
