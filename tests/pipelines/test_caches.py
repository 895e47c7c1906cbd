"""diffusers' caches of hidden states: each network has its own, inside the stitch."""

import diffusers
import pytest
import torch
from tiny_families import FAMILIES

from tstitch import realised, stitch

STEPS = 20


def first_block(pipe):
    return diffusers.FirstBlockCacheConfig(threshold=0.5)


def broadcast(pipe):
    return diffusers.PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=2,
        spatial_attention_timestep_skip_range=(-1, 1001),
        current_timestep_callback=lambda: pipe.current_timestep,
    )


def faster(pipe):
    return diffusers.FasterCacheConfig(
        spatial_attention_block_skip_range=2,
        spatial_attention_timestep_skip_range=(-1, 901),
        unconditional_batch_skip_range=2,
        unconditional_batch_timestep_skip_range=(-1, 901),
        attention_weight_callback=lambda _: 0.5,
        current_timestep_callback=lambda: pipe.current_timestep,
        tensor_format="BFCHW",
    )


def taylor(pipe):
    return diffusers.TaylorSeerCacheConfig(
        cache_interval=3, disable_cache_before_step=2, max_order=1
    )


def mag(pipe):
    return diffusers.MagCacheConfig(
        threshold=0.06, num_inference_steps=STEPS, retention_ratio=0.2, mag_ratios=[1.0] * STEPS
    )


def sea(pipe):
    from diffusers.hooks import SeaCacheConfig

    return SeaCacheConfig()


# Family, configuration, config of the small network: some caches need two layers.
CACHES = {
    "FirstBlockCacheConfig": ("FLUX", first_block, {}),
    "PyramidAttentionBroadcastConfig": ("CogVideoX-ddim", broadcast, {"num_layers": 2}),
    "FasterCacheConfig": ("CogVideoX-ddim", faster, {"num_layers": 2}),
    "TaylorSeerCacheConfig": ("FLUX", taylor, {}),
    "MagCacheConfig": ("FLUX", mag, {}),
    "SeaCacheConfig": ("Wan2.1", sea, {"num_layers": 2}),
}
QUICK = ("FirstBlockCacheConfig",)
NAMES = [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in CACHES]


def parts(name):
    if not hasattr(diffusers, name) and not hasattr(diffusers.hooks, name):
        pytest.skip(f"diffusers {diffusers.__version__} has no {name}")
    family, config, small = CACHES[name]
    return FAMILIES[family], config, small


def swapped(family, config, small):
    """Two cached networks, replaced by hand."""
    large, little = family.network("large"), family.network("small", **small)
    pipe = family.around(little)
    for network in (large, little):
        network.enable_cache(config(pipe))

    def swap(pipe, i, t, tensors):
        if i + 1 == 0.4 * STEPS:
            pipe.transformer = large
        return tensors

    return family.run(pipe, STEPS, callback_on_step_end=swap)


@pytest.mark.parametrize("name", NAMES)
def test_caches(name):
    """Catches: a cache around the stitch, which mixes up two networks; one in the large alone;
    one that is not emptied between runs."""
    family, config, small = parts(name)
    plain = family.make("large")
    plain.transformer.enable_cache(config(plain))
    pipe = family.make("large")
    stitch(pipe, family.network("small", **small), 0)
    uncached = family.run(pipe, STEPS)
    pipe.transformer.enable_cache(config(pipe))
    cached = family.run(pipe, STEPS)
    assert torch.equal(cached, family.run(plain, STEPS))
    assert not torch.equal(cached, uncached) or name == "MagCacheConfig"
    pipe = stitch(family.make("large"), family.network("small", **small), 0.4)
    before = family.run(pipe, STEPS)
    pipe.transformer.enable_cache(config(pipe))
    found = family.run(pipe, STEPS)
    assert torch.equal(found, swapped(family, config, small))
    assert torch.equal(found, family.run(pipe, STEPS))
    assert realised(pipe).models == (0,) * 8 + (1,) * 12
    pipe.transformer.disable_cache()
    assert torch.equal(family.run(pipe, STEPS), before)


@pytest.mark.slow
def test_a_cache_that_is_there_before():
    """Catches: a stitch that a cache of the large network swallows."""
    family, config, _ = parts("FirstBlockCacheConfig")
    pipe, small = family.make("large"), family.network("small")
    pipe.transformer.enable_cache(config(pipe))
    small.enable_cache(config(pipe))
    stitch(pipe, small, 0.4)
    assert torch.equal(family.run(pipe, STEPS), swapped(family, config, {}))
