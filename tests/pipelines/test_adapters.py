"""LoRAs and IP-Adapters, of one network or of both."""

import copy

import pytest
import torch
from tiny_families import FAMILIES
from tiny_parts import noise

from tstitch import UserError, stitch

SD = FAMILIES["SD"]
QUERIES = ["to_q", "to_k", "to_v", "to_out.0"]


def lora(network, prefix="unet"):
    """A random one for a network, as a file holds it."""
    peft = pytest.importorskip("peft")
    from peft.utils import get_peft_model_state_dict

    network = copy.deepcopy(network)
    config = peft.LoraConfig(r=4, lora_alpha=4, target_modules=QUERIES, init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network.add_adapter(config)
    state = get_peft_model_state_dict(network)
    return {f"{prefix}.{name}": value for name, value in state.items()}


def same(pipe, other, family=SD, tolerance=0.0):
    return (family.run(pipe) - family.run(other)).abs().max() <= tolerance


def test_a_lora_of_the_large_network():
    """Catches: a LoRA that is loaded, scaled, fused or unloaded beside the large network."""
    weights = lora(SD.network("large"))
    plain, pipe = SD.make("large"), stitch(SD.make("large"), SD.network("small"), 0)
    for one in (plain, pipe):
        one.load_lora_weights(dict(weights), adapter_name="style")
    assert same(plain, pipe) and not same(plain, SD.make("large"))
    for one in (plain, pipe):
        one.set_adapters(["style"], [0.5])
    assert same(plain, pipe)
    for one in (plain, pipe):
        one.fuse_lora()
    assert same(plain, pipe)
    for one in (plain, pipe):
        one.unfuse_lora()
        one.unload_lora_weights()
    assert same(pipe, SD.make("large"), tolerance=1e-4)


def test_a_lora_of_the_small_network():
    """Catches: a LoRA of the small pipeline that does not come along."""
    weights = lora(SD.network("small"))
    small = SD.make("small")
    small.load_lora_weights(dict(weights))
    pipe = stitch(SD.make("large"), small, 1)
    assert same(pipe, small) and not same(pipe, SD.make("small"))


def test_a_distilling_lora_replaces_distilled_guidance():
    """Catches: LCM's U-Net with a small one and LCM-LoRA refused, as unguided."""
    family = FAMILIES["LCM"]
    small = SD.make("small")
    with pytest.raises(UserError, match="^time_cond_proj_dim=None"):
        stitch(family.make("large"), small)
    small.load_lora_weights(lora(SD.network("small")))
    family.run(stitch(family.make("large"), small, 0.5))


def test_the_large_networks_lora_in_the_small_one():
    """Catches: a LoRA half of which is dropped in silence."""
    weights = lora(SD.network("large"))
    pipe, small = SD.make("large"), SD.make("small")
    for one in (pipe, small):
        one.load_lora_weights(dict(weights))
    with pytest.warns(UserWarning, match=r"^small: \d+ tensors of the large network's LoRA"):
        stitch(pipe, small)


def image_prompt(network):
    """A random IP-Adapter for a U-Net."""
    config, width = network.config, network.config.cross_attention_dim
    stages, found, key = config.block_out_channels, {}, 1
    for name in network.attn_processors:
        if name.endswith("attn1.processor"):
            continue
        place = name.split(".")
        hidden = stages[-1]
        if place[0] == "down_blocks":
            hidden = stages[int(place[1])]
        elif place[0] == "up_blocks":
            hidden = stages[::-1][int(place[1])]
        for part in ("to_k_ip", "to_v_ip"):
            found[f"{key}.{part}.weight"] = noise(hidden, width, seed=key)
        key += 2
    projection = {
        "proj.weight": noise(4 * width, 32, seed=4),
        "proj.bias": noise(4 * width, seed=5),
        "norm.weight": torch.ones(width),
        "norm.bias": torch.zeros(width),
    }
    return {"image_proj": projection, "ip_adapter": found}


def test_image_prompts():
    """Catches: a small network that ignores the image, or is asked for one it does not know."""
    images = {"ip_adapter_image_embeds": [noise(2, 1, 32, seed=9)]}
    plain = {}
    for size in ("large", "small"):
        pipe = SD.make(size)
        pipe.unet._load_ip_adapter_weights([image_prompt(pipe.unet)])
        plain[size] = SD.run(pipe, **images)
    pipe, small = SD.make("large"), SD.network("small")
    stitch(pipe, small, 1)
    pipe.unet._load_ip_adapter_weights([image_prompt(pipe.unet)])
    with pytest.raises(UserError, match="^ip_adapter: one is loaded in the large network alone"):
        SD.run(pipe, **images)
    small._load_ip_adapter_weights([image_prompt(small)])
    assert torch.equal(SD.run(pipe, **images), plain["small"])
    assert torch.equal(SD.run(stitch(pipe, small, 0), **images), plain["large"])
    with pytest.raises(UserError, match="^ip_adapter: one is loaded in the small network alone"):
        SD.run(stitch(SD.make("large"), small))
