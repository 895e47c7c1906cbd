"""Offloading: hooks of accelerate and of diffusers, put on before and after the stitch."""

import pytest
import torch
from tiny_families import FAMILIES

from tstitch import UserError, realised, stitch, unstitch

pytest.importorskip("accelerate")
SD, FLUX = FAMILIES["SD"], FAMILIES["FLUX"]
CPU = torch.device("cpu")


def stitched(family=SD, fraction=0.4):
    return stitch(family.make("large"), family.network("small"), fraction)


@pytest.mark.parametrize("first", ["stitch", "offload"])
def test_model_offload(first):
    """Catches: a second run that is silently all large, since the pipeline takes accelerate's
    hooks off after every run, and ours with them."""
    wanted = SD.run(stitched())
    pipe = SD.make("large")
    if first == "offload":
        pipe.enable_model_cpu_offload(device="cpu")
        SD.run(pipe)
    stitch(pipe, SD.network("small"), 0.4)
    if first == "stitch":
        pipe.enable_model_cpu_offload(device="cpu")
    assert pipe._all_hooks
    for _ in range(3):
        assert torch.equal(SD.run(pipe), wanted)
        assert realised(pipe).models.count(0) == 4
    SD.run(unstitch(pipe))
    assert pipe._all_hooks
    assert torch.equal(SD.run(pipe), SD.run(SD.make("large")))


def test_model_offload_moves_both():
    """Catches: a small network that stays on the other device."""
    pipe = stitched()
    moved = []
    small = pipe.unet._diffusers_hook.get_hook("tstitch").smaller[0]
    own = small._apply
    small._apply = lambda *args, **kwargs: moved.append(1) or own(*args, **kwargs)
    pipe.enable_model_cpu_offload(device="cpu")
    before = len(moved)
    SD.run(pipe)
    assert len(moved) > before > 0


def test_sequential_offload():
    """Catches: weights of the small network that are not brought in, or stay away afterwards."""
    wanted = SD.run(stitched())
    plain = SD.make("large")
    plain.enable_sequential_cpu_offload(device="cpu")
    try:
        SD.run(plain)
    except TypeError:  # accelerate 1.15 with torch 2.14
        pytest.skip("accelerate cannot offload to where it computes")
    pipe = stitched()
    small = pipe.unet._diffusers_hook.get_hook("tstitch").smaller[0]
    pipe.enable_sequential_cpu_offload(device="cpu")
    for _ in range(2):
        assert torch.equal(SD.run(pipe), wanted)
    assert {p.device.type for p in small.parameters()} == {"meta"}
    with pytest.raises(UserError, match="^pipe: its network is offloaded part by part"):
        stitch(pipe, SD.network("small"))
    pipe.remove_all_hooks()
    assert torch.equal(SD.run(pipe), wanted)
    assert {p.device.type for p in small.parameters()} == {"cpu"}
    unstitch(pipe)


def test_a_small_pipeline_that_is_offloaded():
    """Catches: hooks of another pipeline that move the small network at their own time."""
    small = SD.make("small")
    small.enable_model_cpu_offload(device="cpu")
    with pytest.raises(UserError, match="^small: its network is offloaded"):
        stitch(SD.make("large"), small)


@pytest.mark.parametrize("kind", ["leaf_level", "block_level"])
def test_group_offload(kind):
    """Catches: group offload of the large network that the steps of the small one confuse."""
    wanted = FLUX.run(stitched(FLUX))
    pipe = stitched(FLUX)
    blocks = {"num_blocks_per_group": 1} if kind == "block_level" else {}
    pipe.transformer.enable_group_offload(CPU, CPU, offload_type=kind, **blocks)
    small = pipe.transformer._diffusers_hook.get_hook("tstitch").smaller[0]
    assert any(hasattr(module, "_diffusers_hook") for module in small.modules())
    for _ in range(2):
        assert torch.equal(FLUX.run(pipe), wanted)
