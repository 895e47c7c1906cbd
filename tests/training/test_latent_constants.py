"""Latents of training carry the autoencoder's constants, and its overflows are told as such."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.spaces import WEIGHTS, VAESpace
from tstitch.runtime.errors import UserError
from tstitch.training.latents import cached, encoded

CPU = torch.device("cpu")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_cached_latents_are_shifted_and_scaled(build_vae, tmp_path):
    """Catches: a network trained on latents without the shift, from the cache only."""
    folder = build_vae(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config |= {"scaling_factor": 0.4, "shift_factor": 2.0}
    (folder / "config.json").write_text(json.dumps(config))
    space, moments = VAESpace(str(folder), size=4).load(), torch.ones(2, 1, 2, 4, 4, 4)
    moments[:, :, 1] = 0  # no deviation
    latents, _ = cached(iter([(moments, torch.zeros(2))]), space)(generator())
    torch.testing.assert_close(latents, torch.full((2, 4, 4, 4), (1 - 2.0) * 0.4))


def test_encoder_that_overflows(build_vae, tmp_path):
    """Catches: a training that blames its learning rate for an autoencoder in fp16."""
    folder = build_vae(tmp_path)
    state = load_file(folder / WEIGHTS)
    state["encoder.conv_in.weight"] *= 3e5
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    images = torch.randint(0, 256, (2, 3, 16, 16), generator=generator(), dtype=torch.uint8)
    for dtype in ("fp16", "fp32"):
        space = VAESpace(str(folder), size=8, dtype=dtype)
        following = encoded(iter([(images, torch.zeros(2))]), space, CPU, flip=False)
        if dtype == "fp32":
            assert torch.isfinite(following(generator())[0]).all()
        else:
            with pytest.raises(UserError, match="pair.space.dtype=fp16: images are encoded to"):
                following(generator())
