"""The shipped networks of few steps, through diffusers' pipeline and the command line."""

import json

import numpy as np
import pytest

WORDS = ("run.num_images=12", "run.batch_size=12", "run.device=cpu", "evaluation=none")


@pytest.fixture(scope="module")
def images(tmp_path_factory, run_script):
    """Function (pair, *overrides) -> float (12, 64, 64, 3) of a run, and its metrics.json."""

    def made(pair, *overrides):
        folder = tmp_path_factory.mktemp(pair) / "run"
        done = run_script("sample.py", f"pair={pair}", f"run.dir={folder}", *WORDS, *overrides)
        assert done.returncode == 0, done.stderr
        metrics = json.loads((folder / "metrics.json").read_text())
        return np.load(folder / "samples.npz")["arr_0"].astype(float), metrics

    return made


@pytest.mark.slow
def test_four_steps_do(images):
    """Catches: the networks that are distilled shipped for the distilled ones, guidance that is
    run beside, a schedule that is not stitched, images of other captions.
    """
    stitched, metrics = images("emoji_lcm", "stitch.fraction=0.5")
    assert [metrics["denoisers"][name]["steps"] for name in ("small", "large")] == [2, 2]
    few = "sampler.scheduler=LCMScheduler", "sampler.steps=4", "guidance.scale=0"
    teacher, _ = images("emoji_pipeline", *few, "stitch.fraction=0.5")
    many, _ = images("emoji_pipeline", "sampler.steps=20", "stitch.fraction=0")
    # Of the same captions: nearer to the guided images of many steps than those to one another.
    own = np.square(stitched - many).mean()
    assert own < 0.8 * np.square(np.roll(many, 1, axis=0) - many).mean()
    # Without its guidance the teacher makes paler images in four steps.
    contrast = [part.std(axis=(1, 2, 3)).mean() for part in (teacher, stitched)]
    assert contrast[1] > 1.05 * contrast[0]
