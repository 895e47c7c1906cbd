"""Predictions along trajectories, and scripts/trajectory.py that draws them."""

import numpy as np
import pytest
from PIL import Image

from tstitch import UserError, load
from tstitch.config.cli import compose
from tstitch.trajectory.settings import TrajectorySettings

RANDOM = ("pair.denoisers.small.weights=random", "pair.denoisers.large.weights=random")
PLAIN = ("run.device=cpu", "engine.threads=1", "evaluation=none", "sampler.steps=5")
CLASSES = [3, 1, 3]


@pytest.fixture(scope="module")
def loaded():
    return load("fashion_mnist", *RANDOM, *PLAIN, "run.batch_size=2", "sampler=dpm_solver")


def test_the_last_ones_are_the_images(loaded):
    """Catches: another noise or class than the images have, batches joined along the steps."""
    seen = loaded.trajectory(CLASSES, seed=4)
    assert seen.predictions.shape == (6, 3, 28, 28, 3) and seen.predictions.dtype == np.uint8
    assert np.array_equal(seen.predictions[-1], loaded(CLASSES, seed=4))
    assert seen.models == loaded.schedule == (0, 0, 1, 1, 1)
    assert list(seen.timesteps) == sorted(seen.timesteps, reverse=True)


def test_alike_up_to_the_switch(loaded):
    """Catches: predictions of another denoiser than the schedule names."""
    stitched, small = loaded, loaded.under("stitch.fraction=1")
    ours, theirs = (s.trajectory(CLASSES).predictions for s in (stitched, small))
    assert np.array_equal(ours[:2], theirs[:2]) and not np.array_equal(ours[2], theirs[2])


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "heun"])
def test_other_samplers(loaded, sampler):
    """Catches: a step of two evaluations counted as one, a solver's own prediction for x_0."""
    own = loaded.under(f"sampler={sampler}", "sampler.steps=4")
    seen = own.trajectory(CLASSES[:1])
    assert len(seen.predictions) == len(seen.timesteps) + 1 == len(seen.models) + 1
    assert len(seen.models) == (7 if sampler == "heun" else 4)
    assert np.array_equal(seen.predictions[-1], own(CLASSES[:1]))
    # The last step of a deterministic sampler goes to what it predicts.
    if sampler == "ddim":
        assert np.abs(seen.predictions[-2].astype(int) - seen.predictions[-1]).max() <= 1


def test_images_that_decide(loaded):
    """Catches: a trajectory of one schedule where each image has its own."""
    with pytest.raises(UserError, match="^stitch: each image decides its own steps; choose"):
        loaded.under("stitch=sketch_render", "stitch.earliest=2").trajectory(CLASSES)


def test_the_command(run_script, tmp_path):
    """Catches: colours or columns of another denoiser, an animation that lacks steps."""
    folder = tmp_path / "drawn"
    words = (*RANDOM, *PLAIN, f"trajectory.dir={folder}", "trajectory.columns=3")
    done = run_script("trajectory.py", *words, "trajectory.fractions=[0,0.4,1]")
    assert done.returncode == 0, done.stderr
    assert "fraction 0.4: {'small': 2, 'large': 3}" in done.stderr
    sheet = np.asarray(Image.open(folder / "sheet.png").convert("RGB"))
    blue, vermilion = ((sheet == tone).all(-1) for tone in ((0, 114, 178), (213, 94, 0)))
    # Of two images: 3 columns of each at fractions 1 and 0, one and two of them at 0.4.
    assert blue.sum() * 5 == vermilion.sum() * 4 > 0
    with Image.open(folder / "steps.gif") as frames:
        assert frames.n_frames >= 6  # equal ones in a row may be one


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("trajectory.images=0", "error: trajectory.images=0: choose a whole number from 1"),
        ("stitch.fraction=0.3", "error: stitch.fraction=0.3: fractions are chosen by trajectory"),
        ("trajectory.dir=/dev/null/x", "error: trajectory.dir=/dev/null/x: "),
        pytest.param(
            "pair=emoji_pipeline",
            "error: trajectory: trajectories of pair emoji_pipeline cannot be",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_one_line(run_script, word, line):
    """Catches: a traceback, or an error after minutes of sampling."""
    words = () if word.startswith("pair") else (*RANDOM, "sampler.steps=2", "run.device=cpu")
    done = run_script("trajectory.py", *words, word)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and last.startswith(line), done.stderr
    assert "Traceback" not in done.stderr


def test_bad_fractions():
    """Catches: a trajectory of fraction 2."""
    section = compose("trajectory", ["trajectory.fractions=[2]"])["trajectory"]
    with pytest.raises(UserError, match=r"^trajectory\.fractions=\[2\]: give a list of numbers"):
        TrajectorySettings.parse(section)
