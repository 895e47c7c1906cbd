"""LDM's pair of ImageNet, small and with random weights: its null conditions and their noise."""

import numpy as np
import pytest
import torch

from samplers import PerImageRandomness
from tstitch.config.cli import compose
from tstitch.run.generate import run_sampling
from tstitch.runtime.errors import UserError

SMALL, LARGE = "pair.denoisers.small", "pair.denoisers.large"
LDM = (
    "pair=ldm_imagenet256", "sampler=ddim_ldm", "sampler.steps=2", "stitch.fraction=0.5",
    f"{SMALL}.weights=random", f"{LARGE}.weights=random",
    f"{SMALL}.network.model_channels=32", f"{SMALL}.network.context_dim=8",
    f"{LARGE}.network.model_channels=64", f"{LARGE}.network.context_dim=16",
    "pair.space.size=4", "pair.space.widths=[32,32]", "pair.space.attention_sides=[4]",
    "pair.space.layers=1", "pair.space.codebook=64",
    "run.num_images=6", "run.batch_size=2", "run.classes=random", "run.device=cpu",
    "engine.threads=1", "evaluation=none",
)  # fmt: skip


def ldm(folder, *words: str) -> np.ndarray:
    directory = run_sampling(compose("sample", [*LDM, f"run.dir={folder}", *words]))
    with np.load(directory / "samples.npz") as archive:
        return archive["arr_0"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return ldm(tmp_path_factory.mktemp("ldm") / "run")


def test_noise_is_of_the_image(whole, tmp_path):
    """Catches: null conditions drawn per batch, a run that is extended with other ones."""
    assert np.array_equal(ldm(tmp_path, "run.num_images=4"), whole[:4])
    assert np.array_equal(ldm(tmp_path), whole)
    other = ldm(tmp_path / "other", "run.batch_size=3")
    assert np.mean(np.abs(other.astype(int) - whole) <= 1) > 0.98  # a code of the book may change


def test_each_denoiser_draws_its_own():
    """Catches: one noise for both denoisers, for all images, or that goes on from call to call."""
    draws = [PerImageRandomness(0, indices, (1,)) for indices in ([4, 5], [5])]
    both, one = (random.null(0, (8,)) for random in draws)
    assert torch.equal(both[1:], one) and torch.equal(both, draws[0].null(0, (8,)))
    assert not torch.equal(both[0], both[1])
    assert not torch.equal(both, draws[0].null(1, (8,)))
    assert both.min() >= 0 and both.max() < 1
    assert not torch.equal(
        draws[0].null(0, (1,)), PerImageRandomness(1, [4, 5], (1,)).null(0, (1,))
    )


@pytest.mark.slow
def test_padded_batches_bring_their_noise(whole, tmp_path):
    """Catches: null conditions that are short of the padding of a compiled batch."""
    images = ldm(tmp_path, "engine.compile=true", "run.batch_size=4")
    assert np.mean(np.abs(images.astype(int) - whole) <= 1) > 0.98


def test_two_processes_make_the_same_images(run_script, whole, tmp_path):
    """Catches: null conditions of a rank's own."""
    done = run_script("sample.py", *LDM, f"run.dir={tmp_path}/run", processes=2)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "run" / "samples.npz") as archive:
        assert np.array_equal(archive["arr_0"], whole)


def test_other_null_conditions_are_other_runs(whole, tmp_path):
    """Catches: a null condition that changes nothing, or a run resumed with another one."""
    ldm(tmp_path)
    for name in (SMALL, LARGE):
        with pytest.raises(UserError, match="network"):
            ldm(tmp_path, f"{name}.network.null_condition=zero")
    images = {
        kind: ldm(tmp_path / kind, *(f"{n}.network.null_condition={kind}" for n in (SMALL, LARGE)))
        for kind in ("zero", "learned")
    }
    assert not np.array_equal(images["zero"], whole)
    assert not np.array_equal(images["zero"], images["learned"])


@pytest.mark.parametrize(
    ("words", "start"),
    [
        ([f"{SMALL}.network.null_condition=none"], f"{SMALL}.network.null_condition=none: choose"),
        (["sampler=ddpm", "sampler.spacing=ldm"], "sampler.spacing=ldm: choose respaced or ddim"),
        (["sampler.steps=3"], "sampler.steps=3: spacing=ldm does not give it; choose 2 or 4"),
        (["pair.space.vq=/nowhere.pt"], "pair.space.vq=/nowhere.pt: is no file"),
        (["pair.space.codebook=0"], "pair.space.codebook=0: "),
    ],
)
def test_bad_values(words, start, tmp_path):
    """Catches: a traceback, or a field that is not named."""
    with pytest.raises(UserError) as caught:
        ldm(tmp_path, *words)
    assert str(caught.value).startswith(start) and "\n" not in str(caught.value)
