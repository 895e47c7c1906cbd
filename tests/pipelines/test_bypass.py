"""Whatever goes around the stitch after it was made is an error, not an all-large run."""

import diffusers
import pytest
import torch
from tiny_families import FAMILIES

from tstitch import UserError, realised, stitch

SD = FAMILIES["SD"]


@pytest.mark.parametrize("runs_before", [0, 1])
def test_a_forward_that_is_put_back(runs_before):
    """Catches: a silent all-large run after `DeepCache.disable()` or cache-dit."""
    pipe = SD.make("large")
    forward = pipe.unet.forward
    stitch(pipe, SD.network("small"))
    for _ in range(runs_before):
        SD.run(pipe)
    pipe.unet.forward = forward
    with pytest.raises(UserError, match="^pipe: this run never reached the stitch"):
        SD.run(pipe)


def test_what_is_no_bypass():
    """Catches: an error where nothing ran: hooks freed by hand, a run interrupted at once."""
    pipe = stitch(SD.make("large"), SD.network("small"))
    pipe.maybe_free_model_hooks()
    SD.run(pipe)
    pipe.maybe_free_model_hooks()
    whole = SD.run(pipe)
    assert torch.equal(SD.run(stitch(pipe, SD.network("small"))), whole)


def test_a_cache_around_the_stitch():
    """Catches: features of one network reused by the other, in silence or by a shape error."""
    family = FAMILIES["FLUX"]
    pipe = stitch(family.make("large"), family.network("small"))
    hooks = pytest.importorskip("diffusers.hooks")
    hooks.apply_layerwise_casting(
        pipe.transformer, torch.float32, torch.float32
    )  # of layers: around nothing
    family.run(pipe)

    class Other(hooks.ModelHook):
        pass

    hooks.HookRegistry.check_if_exists_or_initialize(pipe.transformer).register_hook(
        Other(), "other"
    )
    with pytest.raises(UserError, match="^pipe: hook other was put around the stitch"):
        family.run(pipe)
    family.run(stitch(pipe, family.network("small")))
    assert realised(pipe).models.count(0) == 4


def test_networks_that_are_compiled_already():
    """Catches: a compiled graph that never asks the hook."""
    pipe = SD.make("large")
    pipe.unet.compile(backend="eager")
    with pytest.raises(UserError, match="^pipe: its unet is compiled already; call stitch"):
        stitch(pipe, SD.network("small"))
    pipe = SD.make("large")
    pipe.unet = torch.compile(pipe.unet, backend="eager")
    with pytest.raises(UserError, match="^pipe: its unet is compiled already"):
        stitch(pipe, SD.network("small"))


def test_skipped_layers_that_the_small_network_lacks():
    """Catches: SD3's skip-layer guidance that does nothing in the small network's steps."""
    family = FAMILIES["SD3"]
    pipe = stitch(family.make("large"), family.network("small"))
    options = {"skip_layer_guidance_start": 0.0, "skip_layer_guidance_stop": 1.0}
    with pytest.raises(UserError, match=r"^skip_guidance_layers=\[2\]: .* has layers 0 to 0"):
        family.run(pipe, skip_guidance_layers=[2], **options)
    family.run(pipe, skip_guidance_layers=[0], **options)


def test_a_controlnet_that_comes_later():
    """Catches: what a ControlNet adds, cut off in silence at the small network's fewer layers."""
    from tiny_unets import controlnet, wide_unet

    pipe = SD.around(wide_unet("large"))
    stitch(pipe, SD.network("small"))
    control = diffusers.StableDiffusionControlNetPipeline(
        **pipe.components, controlnet=controlnet(), requires_safety_checker=False
    )
    control.set_progress_bar_config(disable=True)
    with pytest.raises(UserError, match=r"^layers_per_block=\[1, 1\]: .* has \[2, 2\]"):
        FAMILIES["SD-ControlNet"].run(control)
