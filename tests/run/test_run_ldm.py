"""LDM's pair of ImageNet, small and with random weights: its null conditions and their noise."""

import numpy as np
import pytest
import torch

from models.ldm import LDMDenoiser
from samplers import PerImageRandomness
from tstitch.config.cli import compose
from tstitch.run.generate import run_sampling
from tstitch.runtime.errors import UserError

SMALL, LARGE = "pair.denoisers.small", "pair.denoisers.large"
BLOCKS = {"channel_mult": [1], "attention_resolutions": [1], "num_res_blocks": 1}
LDM = (
    "pair=ldm_imagenet256", "sampler=ddim_ldm", "sampler.steps=2", "stitch.fraction=0.5",
    f"{SMALL}.network.model_channels=32", f"{SMALL}.network.context_dim=8",
    f"{LARGE}.network.model_channels=64", f"{LARGE}.network.context_dim=16",
    *(f"+{name}.network.{k}={v}" for name in (SMALL, LARGE) for k, v in BLOCKS.items()),
    "pair.space.size=4", "pair.space.widths=[32,32]", "pair.space.attention_sides=[4]",
    "pair.space.layers=1", "pair.space.codebook=256", "pair.space.vq=random",
    "guidance.scale=10", "pair.space.scale=20",  # as wide as the entries of a random codebook
    "run.num_images=6", "run.batch_size=2", "run.classes=random", "run.device=cpu",
    "engine.threads=1", "evaluation=none",
)  # fmt: skip


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> list[str]:
    """With weights by which the context shows in the images; those of `random` are too small."""
    folder, given = tmp_path_factory.mktemp("weights"), list(LDM)
    for seed, (name, channels, width) in enumerate(((SMALL, 32, 8), (LARGE, 64, 16))):
        network = LDMDenoiser(model_channels=channels, context_dim=width, **BLOCKS, input_size=4)
        generator = torch.Generator().manual_seed(seed)
        state = {
            key: torch.randn(value.shape, generator=generator) * (0.3 if value.ndim > 1 else 1)
            for key, value in network.state_dict().items()
        }
        torch.save(state, folder / f"{name}.pt")
        given.append(f"{name}.weights={folder}/{name}.pt")
    return given


@pytest.fixture(scope="module")
def ldm(words):
    """ldm(folder, *words): the images of such a run."""

    def run(folder, *more: str) -> np.ndarray:
        directory = run_sampling(compose("sample", [*words, f"run.dir={folder}", *more]))
        with np.load(directory / "samples.npz") as archive:
            return archive["arr_0"]

    return run


@pytest.fixture(scope="module")
def whole(ldm, tmp_path_factory):
    return ldm(tmp_path_factory.mktemp("ldm") / "run")


def test_noise_is_of_the_image(ldm, whole, tmp_path):
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
def test_padded_batches_bring_their_noise(ldm, whole, tmp_path):
    """Catches: null conditions that are short of the padding of a compiled batch."""
    images = ldm(tmp_path, "engine.compile=true", "run.batch_size=4")
    assert np.mean(np.abs(images.astype(int) - whole) <= 1) > 0.98


def test_images_that_decide_keep_their_noise(words, tmp_path):
    """Catches: null conditions of a batch's neighbours once its images part."""
    own = [word for word in words if not word.startswith("stitch.")]

    def run(name: str, *more: str) -> dict[str, np.ndarray]:
        more = ("sampler.steps=10", f"run.dir={tmp_path}/{name}", *more)
        with np.load(run_sampling(compose("sample", [*own, *more])) / "samples.npz") as archive:
            return dict(archive)

    found = run("decided", "stitch=sketch_render", "stitch.earliest=2", "stitch.tolerance=0.1")
    large = found["steps"][:, 1]
    assert len(set(large.tolist())) > 1
    for count in set(large.tolist()):
        plan = f"stitch.models={[1] * count + [0] * (10 - count)}"
        planned = run(f"plan{count}", "stitch=explicit", plan)["arr_0"]
        assert np.array_equal(planned[large == count], found["arr_0"][large == count])


@pytest.mark.slow
def test_two_processes_make_the_same_images(run_script, words, whole, tmp_path):
    """Catches: null conditions of a rank's own."""
    done = run_script("sample.py", *words, f"run.dir={tmp_path}/run", processes=2)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "run" / "samples.npz") as archive:
        assert np.array_equal(archive["arr_0"], whole)


def test_other_null_conditions_are_other_runs(ldm, whole, tmp_path):
    """Catches: a null condition that changes nothing, or a run resumed with another one."""
    ldm(tmp_path)
    for name in (SMALL, LARGE):
        with pytest.raises(UserError, match="network"):
            ldm(tmp_path, f"{name}.network.null_condition=zero")
    zero = [f"{name}.network.null_condition=zero" for name in (SMALL, LARGE)]
    for number in (0, 1):  # the null condition of either denoiser shows
        images = ldm(tmp_path / f"zero{number}", zero[number])
        assert not np.array_equal(images, whole)


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ([f"{SMALL}.network.null_condition=none"], f"{SMALL}.network.null_condition=none: choose"),
        (["sampler=ddpm", "sampler.spacing=ldm"], "sampler.spacing=ldm: choose respaced or ddim"),
        (["sampler.steps=3"], "sampler.steps=3: spacing=ldm does not give it; choose 2 or 4"),
        (["pair.space.vq=/nowhere.pt"], "pair.space.vq=/nowhere.pt: is no file"),
        (["pair.space.codebook=0"], "pair.space.codebook=0: "),
    ],
)
def test_bad_values(given, start, ldm, tmp_path):
    """Catches: a traceback, or a field that is not named."""
    with pytest.raises(UserError) as caught:
        ldm(tmp_path, *given)
    assert str(caught.value).startswith(start) and "\n" not in str(caught.value)
