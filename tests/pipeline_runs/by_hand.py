"""What a run should hold: diffusers' own call, with each image's noise and generator."""

import diffusers
import numpy as np
import torch

from samplers.randomness import STEP, PerImageRandomness, image_generator


def load(kind, folder, **parts):
    """A plain pipeline of a folder."""
    pipe = getattr(diffusers, kind).from_pretrained(folder, **parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def rescheduled(pipe, kind):
    """The pipeline with a scheduler of another class and the same configuration."""
    pipe.scheduler = getattr(diffusers, kind).from_config(pipe.scheduler.config)
    return pipe


def by_hand(pipe, prompts, shape, seed=0, **inputs) -> np.ndarray:
    """uint8 (N, H, W, 3) of one prompt each; the frames of videos are below each other.

    Args:
        shape: of a latent.
    """
    indices = range(len(prompts))
    inputs |= {"latents": PerImageRandomness(seed, indices, shape).initial()}
    inputs["generator"] = [image_generator(seed, index, STEP) for index in indices]
    with torch.no_grad():
        out = pipe(prompt=list(prompts), output_type="np", **inputs)
    found = np.asarray(out.frames if hasattr(out, "frames") else out.images)
    pixels = (found * 255).round().astype(np.uint8)
    return pixels.reshape(len(pixels), -1, *pixels.shape[-2:])
