"""Modular pipelines of diffusers: stitched as they are, and by a block."""

import pytest
import torch
from tiny_families import FAMILIES
from tiny_parts import unipc_flow
from tiny_videos import WAN_INPUTS, wan_vae

from tstitch import UserError, realised, stitch

blocks = pytest.importorskip("diffusers.modular_pipelines.wan.modular_blocks_wan")
WAN = FAMILIES["Wan2.1"]


def modular(network, *, block=None, **components):
    chain = blocks.WanBlocks()
    for name in ("text_encoder", "decode"):
        chain.sub_blocks.pop(name)
    if block is not None:
        chain.sub_blocks.insert("stitch", block, 0)
    pipe = chain.init_pipeline()
    pipe.update_components(transformer=network, vae=wan_vae(), scheduler=unipc_flow(), **components)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def run(pipe, **inputs):
    call = {name: value for name, value in WAN_INPUTS.items() if name != "guidance_scale"}
    generator = torch.Generator().manual_seed(0)
    return pipe(**call, num_inference_steps=10, generator=generator, output="latents", **inputs)


@pytest.mark.parametrize("by", ["function", "block"])
def test_modular_pipelines(by):
    """Catches: a clock that needs what only classic pipelines have; a block that stitches once."""
    from tstitch.pipelines.modular import StitchStep

    plain = {size: run(modular(WAN.network(size))) for size in ("large", "small")}
    small = WAN.network("small")
    if by == "block":
        pipe = modular(WAN.network("large"), block=StitchStep(), small_transformer=small)
    else:
        pipe = modular(WAN.network("large"))
    for fraction, size in ((0, "large"), (1, "small"), (0.4, None)):
        if by == "block":
            found = run(pipe, fraction=fraction)
        else:
            found = run(stitch(pipe, small, fraction))
        assert size is None or torch.equal(found, plain[size])
    assert realised(pipe).models == (0,) * 4 + (1,) * 6


def test_a_component_that_blocks_do_not_have():
    """Catches: a misspelt component that is found missing in mid-run."""
    from tstitch.pipelines.modular import StitchStep

    with pytest.raises(UserError, match="^component='vae': choose unet or transformer"):
        StitchStep("vae")
