"""Trajectories as a sheet and as an animation; a stripe below each image says who predicted it."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageColor

from evaluation.report.plots import colour
from evaluation.report.sheets import draw_strip
from tstitch.maker.protocol import Trajectory

STRIPE = 14  # of an image's height one part, at least MIN_STRIPE pixels
MIN_STRIPE = 2
LAST = 6  # frames for which the animation stays at the images


def draw_sheet(
    made: dict[float, Trajectory], names: Sequence[str], texts: Sequence[str], columns: int
) -> Image.Image:
    """Rows: each image under each fraction; columns: evaluations, at last the image.

    Args:
        made: trajectories of the same images and steps, by fraction.
        names: of the denoisers, small to large.
        texts: what the images are of.
        columns: evaluations that are shown, evenly, the first and the last among them.
    """
    first = next(iter(made.values()))
    count = len(first.timesteps)
    shown = np.unique(np.linspace(0, count - 1, min(columns, count)).round().astype(int)).tolist()
    heads = [f"t = {first.timesteps[number]:.0f}" for number in shown] + ["image"]
    rows, labels = [], []
    for place, text in enumerate(texts):
        for fraction, trajectory in made.items():
            tiles = _striped(trajectory)[[*shown, count], place]
            rows.append(tiles)
            labels.append(f"{text}: {_counts(fraction, trajectory, names)}")
    return draw_strip(np.stack(rows, axis=1), heads, labels)


def draw_frames(
    made: dict[float, Trajectory], names: Sequence[str], texts: Sequence[str]
) -> list[Image.Image]:
    """A frame per evaluation, and some of the images; columns are fractions, rows images."""
    first = next(iter(made.values()))
    count, frames = len(first.timesteps), []
    striped = {fraction: _striped(trajectory) for fraction, trajectory in made.items()}
    for number in [*range(count), *[count] * LAST]:
        heads = []
        for fraction, trajectory in made.items():
            name = names[trajectory.models[number]] if number < count else "image"
            heads.append(f"fraction {fraction:g}\n{name}")
        tiles = np.stack([striped[fraction][number] for fraction in made])
        frames.append(draw_strip(tiles, heads, texts))
    return frames


def _counts(fraction: float, trajectory: Trajectory, names: Sequence[str]) -> str:
    models = trajectory.models
    parts = [f"{models.count(m)} {name}" for m, name in enumerate(names) if m in models]
    return f"fraction {fraction:g} ({', '.join(parts)})"


def _striped(trajectory: Trajectory) -> np.ndarray:
    """The predictions with the colour of their denoiser below; the images with white."""
    images = trajectory.predictions
    height = max(MIN_STRIPE, images.shape[2] // STRIPE)
    tones = [ImageColor.getrgb(colour(m)) for m in trajectory.models]
    colours = np.array([*tones, (255, 255, 255)], dtype=np.uint8)
    stripe = np.broadcast_to(
        colours[:, None, None, None], (*images.shape[:2], height, *images.shape[3:])
    )
    return np.concatenate([images, stripe], axis=2)
