"""What users do with a pipeline's loop: parts of it, callbacks, interrupts, other pipelines."""

import diffusers
import pytest
import torch
from tiny_families import FAMILIES, swapped_by_hand
from tiny_parts import euler, image

from tstitch import UserError, realised, stitch, unstitch

SD, SDXL = FAMILIES["SD"], FAMILIES["SDXL"]


def stitched(family=SD, fraction=0.4, **options):
    return stitch(family.make("large"), family.network("small"), fraction, **options)


def test_image_to_image_runs_the_rest_of_the_schedule():
    """Catches: a fraction of what is left, which gives noisy steps' network clean ones."""
    family = FAMILIES["SD-img2img"]
    pipe = stitched(family)
    large = family.run(family.make("large"), strength=0.5)
    assert torch.equal(family.run(pipe, strength=0.5), large)
    found = realised(pipe)
    assert (found.steps, found.models) == ((5, 6, 7, 8, 9), (1,) * 5)
    assert str(found) == "5 of 10 steps: small 0, large 5"
    family.run(pipe, strength=0.8)
    assert realised(pipe).models == (0, 0, *(1,) * 6)


def test_numbers_of_steps_change_between_runs():
    """Catches: a schedule that is kept from the first run."""
    pipe = stitched()
    for steps in (10, 5, 20):
        SD.run(pipe, steps)
        assert realised(pipe).models.count(0) == 0.4 * steps


@pytest.mark.parametrize(
    "changes", [{"num_images_per_prompt": 2}, {"guidance_scale": 1.0}, {"eta": 1.0}]
)
def test_other_calls(changes):
    """Catches: a batch, an unguided run or a stochastic one that is handed over elsewhere."""
    found = SD.run(stitched(), **changes)
    assert torch.equal(found, swapped_by_hand(SD, 4, **changes))


def test_a_part_of_the_loop():
    """Catches: steps of SDXL's denoising_end counted anew."""
    pipe = stitched(SDXL)
    found = SDXL.run(pipe, denoising_end=0.7)
    assert realised(pipe).num_steps == 10 and realised(pipe).models.count(0) == 4
    assert torch.equal(found, swapped_by_hand(SDXL, 4, denoising_end=0.7))


def test_interrupts_and_the_next_run():
    """Catches: an interrupted run that the next one goes on with, or is taken for a bypass."""
    pipe = stitched()
    whole = SD.run(pipe)

    def stop(after):
        def callback(pipe, i, t, tensors):
            pipe._interrupt = i == after
            return tensors

        return callback

    SD.run(pipe, callback_on_step_end=stop(5))
    assert realised(pipe).models[:6] == (0, 0, 0, 0, 1, 1)
    assert torch.equal(SD.run(pipe), whole)
    assert realised(pipe).models == (0,) * 4 + (1,) * 6


def test_a_failed_run_and_the_next():
    """Catches: a clock that stays where an exception stopped it."""
    pipe = stitched()
    whole = SD.run(pipe)

    def fail(pipe, i, t, tensors):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SD.run(pipe, callback_on_step_end=fail)
    assert torch.equal(SD.run(pipe), whole)


def test_guidance_of_the_small_network():
    """Catches: a scale that is one step late, or stays after the run; a callback that is undone."""
    found = SD.run(pipe := stitched(small_guidance=2.0))
    large, small = SD.network("large"), SD.network("small")
    by_hand = SD.around(small)

    def swap(pipe, i, t, tensors):
        if i == 3:
            pipe.unet, pipe._guidance_scale = large, 5.0
        return tensors

    wanted = SD.run(by_hand, guidance_scale=2.0, callback_on_step_end=swap)
    assert torch.equal(found, wanted)
    assert pipe.guidance_scale == 5.0

    def end_guidance(pipe, i, t, tensors):
        if i == 5:
            pipe._guidance_scale = 1.0
            tensors["prompt_embeds"] = tensors["prompt_embeds"][-1:]
        return tensors

    keep = ["latents", "prompt_embeds"]
    SD.run(
        pipe, callback_on_step_end=end_guidance, callback_on_step_end_tensor_inputs=keep
    )  # would fail on a batch of two
    assert realised(pipe).evaluations == (4, 6)


def test_guidance_that_a_pipeline_does_not_look_up():
    """Catches: a scale that is set and ignored."""
    for name in ("Wan2.1", "LCM"):
        family = FAMILIES[name]
        with pytest.raises(UserError, match="^small_guidance=2: .*Pipeline keeps its scale"):
            stitch(family.make("large"), family.network("small"), small_guidance=2)


def test_a_pipeline_made_of_a_stitched_one():
    """Catches: a stitch that ends with the pipeline it was made on, or counts by its clock."""
    pipe = stitched(SDXL)
    SDXL.run(pipe)
    family = FAMILIES["SDXL-img2img"]
    other = diffusers.StableDiffusionXLImg2ImgPipeline.from_pipe(pipe)
    other.set_progress_bar_config(disable=True)
    wanted = family.run(stitched(family))
    assert torch.equal(family.run(other), wanted)
    assert realised(other).models.count(0) == 2
    del pipe  # whose scheduler is the other's too
    assert torch.equal(family.run(other), wanted)


@pytest.mark.parametrize("used", [True, False])
def test_a_stale_scheduler_is_an_error(used):
    """Catches: a run by the clock of a scheduler that is not the one of the loop."""
    pipe = stitched(SDXL, 0.7)
    if used:
        SDXL.run(pipe)
    else:
        pipe.scheduler.set_timesteps(7)
    other = diffusers.StableDiffusionXLImg2ImgPipeline.from_pipe(pipe)
    other.set_progress_bar_config(disable=True)
    other.scheduler = euler()
    with pytest.raises(UserError, match="call stitch\\(\\) on the pipeline that runs$"):
        FAMILIES["SDXL-img2img"].run(other)
    stitch(other, SDXL.network("small"), 0.7)
    FAMILIES["SDXL-img2img"].run(other)


def test_unstitch_and_stitch_again():
    """Catches: hooks that pile up, methods that stay replaced, a network moved out of place."""
    pipe = stitched()
    unet, keys = pipe.unet, set(SD.network("large").__dict__)
    stitch(pipe, SD.network("small"), 0.2)
    SD.run(pipe)
    assert realised(pipe).models.count(0) == 2
    unstitch(pipe)
    assert pipe.unet is unet and set(unet.__dict__) - keys <= {"forward", "_diffusers_hook"}
    assert torch.equal(SD.run(pipe), SD.run(SD.make("large")))


def test_dtype_and_parameters():
    """Catches: a small network left behind by `to`, or saved and counted as a part of the large."""
    pipe = SD.make("large")
    small, parameters = SD.network("small"), sum(p.numel() for p in pipe.unet.parameters())
    stitch(pipe, small)
    assert sum(p.numel() for p in pipe.unet.parameters()) == parameters
    pipe.to(torch.bfloat16)
    assert small.dtype == torch.bfloat16
    pipe.unet.float()
    assert small.dtype == torch.float32
    late = stitch(SD.make("large").to(torch.bfloat16), small)
    assert (small.dtype, late.unet.dtype) == (torch.bfloat16,) * 2


def test_saving_leaves_the_stitch_out(tmp_path):
    """Catches: a saved pipeline that cannot be loaded without this project."""
    pipe = stitched()
    pipe.unet.save_pretrained(tmp_path)
    loaded = diffusers.UNet2DConditionModel.from_pretrained(tmp_path)
    assert torch.equal(SD.run(SD.around(loaded)), SD.run(SD.make("large")))


def test_methods_of_the_network_reach_both():
    """Catches: FreeU, fused projections or slices in one of the two networks."""
    pipe = stitched(fraction=1)
    plain = SD.make("small")
    for one in (pipe, plain):
        one.enable_freeu(s1=0.9, s2=0.2, b1=1.2, b2=1.4)
        one.unet.fuse_qkv_projections()
    assert torch.equal(SD.run(pipe), SD.run(plain))
    assert not torch.equal(SD.run(plain), SD.run(SD.make("small")))


def test_a_rescaled_timestep_is_asked_twice_at_the_start():
    """Catches: the second of two evaluations of a first step, before any scheduler knows where it
    is, taken for a stale clock."""
    family = FAMILIES["Lumina2"]  # gives 1 - t/1000
    pipe = family.make("large")
    stitch(pipe, family.network("small"), 0.4)
    kind = type(pipe)
    unset = property(lambda self: None, lambda self, value: None)
    names = {"_current_timestep": unset, "__module__": kind.__module__}
    pipe.__class__ = type(kind.__name__, (kind,), names)  # as pipelines that do not keep it
    found = family.run(pipe)
    assert realised(pipe).evaluations == (8, 12)
    assert torch.equal(found, swapped_by_hand(family, 4))


def test_images_are_made():
    """Catches: a stitch that works for latents and not to the end of a run."""
    family = FAMILIES["SD-inpaint"]
    out = family.run(stitched(family, 1), output_type="np")
    assert out.shape == (1, 32, 32, 3) and image().size == (32, 32)
    assert torch.equal(out, family.run(family.make("small"), output_type="np"))
