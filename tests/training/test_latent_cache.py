"""Training on autoencoder latents, encoded on the fly or once; the autoencoder is built here."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.spaces import VAESpace
from tstitch.config.cli import compose
from tstitch.data.datasets import ImageFolder
from tstitch.runtime.errors import UserError
from tstitch.training.latents import CachedMoments, cached, encoded
from tstitch.training.run import run_training

CPU = torch.device("cpu")
SIZE, NUM_IMAGES = 16, 10


def make_images(folder: Path, count: int = NUM_IMAGES) -> Path:
    rng = np.random.default_rng(0)
    for index in range(count):
        name = folder / str(index % 2)
        name.mkdir(parents=True, exist_ok=True)
        image = rng.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
        Image.fromarray(image).save(name / f"{index:02d}.png")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"))


@pytest.fixture
def overrides(vae, images, tmp_path):
    """Function (*overrides) -> overrides of two steps on these latents."""

    def of(*more: str, folder: Path = tmp_path / "run") -> list[str]:
        space = f"{{_target_: models.spaces.VAESpace, vae: {vae}, size: 8}}"
        network = (
            "{_target_: models.dit.DiT, patch_size: 2, hidden_size: 16, depth: 1,num_heads: 2}"
        )
        fields = ["steps=2", "decay_steps=0", "batch_size=4", "device=cpu", "sample_every=0",
                  "log_every=1", f"dir={folder}", "denoiser=small"]  # fmt: skip
        return [
            "data=image_folder", f"data.folder={images}", f"data.size={SIZE}",
            "~pair.space", f"+pair.space={space}", "~pair.denoisers.small.network",
            f"+pair.denoisers.small.network={network}", *(f"train.{f}" for f in fields), *more,
        ]  # fmt: skip

    return of


def train(overrides: list[str]) -> None:
    run_training(compose("train", overrides))


@pytest.mark.parametrize("latents", ["encode", "cache"])
def test_two_steps(overrides, tmp_path, latents):
    """Catches: latents unscaled or of another shape, a loader that cannot hold moments."""
    train(overrides(f"train.latents={latents}", "train.sample_every=2"))
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert {"checkpoint.pt", "ema.safetensors", "log.csv", "samples-0000002.png"} <= names
    assert ("moments.npy" in names) == (latents == "cache")
    assert [name for name in names if name.startswith(".")] == [".lock"]


@pytest.mark.parametrize("flip", [False, True])
def test_cached_latents_have_the_encoders_distribution(vae, images, tmp_path, flip):
    """Catches: the scale forgotten or applied twice, std for variance, labels of other images."""
    space, dataset = VAESpace(vae, size=8), ImageFolder(str(images), SIZE)
    moments = CachedMoments(dataset, space, tmp_path / "moments.npy", CPU, flip)
    assert len(moments) == NUM_IMAGES and moments[3][1] == dataset[3][1]
    assert [moments[i][1] for i in range(NUM_IMAGES)] == [dataset[i][1] for i in range(NUM_IMAGES)]
    draws, pixels = 600, dataset[3][0][None].expand(600, -1, -1, -1)
    labels = torch.zeros(draws, dtype=torch.int64)
    fresh = encoded(iter([(pixels, labels)]), space, CPU, flip)(torch.Generator().manual_seed(0))[0]
    batch = moments[3][0][None].expand(draws, -1, -1, -1, -1, -1)
    stored = cached(iter([(batch, labels)]), space)(torch.Generator().manual_seed(1))[0]
    assert stored.dtype == torch.float32 and stored.shape == fresh.shape == (draws, 4, 8, 8)
    spread = fresh.std(0).mean()
    assert (stored.mean(0) - fresh.mean(0)).abs().mean() < 0.1 * spread
    torch.testing.assert_close(stored.std(0).mean(), spread, rtol=0.03, atol=0.0)


def test_cache_is_used_again(overrides, tmp_path):
    """Catches: an encoding that runs at every start, a cache that is never read."""
    train(overrides("train.latents=cache"))
    path = tmp_path / "run" / "moments.npy"
    before = path.stat().st_mtime_ns
    first = torch.load(tmp_path / "run" / "checkpoint.pt")["model"]
    (tmp_path / "run" / "checkpoint.pt").unlink()
    train(overrides("train.latents=cache"))
    assert path.stat().st_mtime_ns == before
    second = torch.load(tmp_path / "run" / "checkpoint.pt")["model"]
    assert all(torch.equal(first[name], second[name]) for name in first)


def edited(images: Path, kind: str) -> None:
    """Another data set of as many images in the same folder."""
    path = images / "0" / "00.png"
    if kind == "pixels":  # same name, length and date
        status = path.stat()
        pixels = np.asarray(Image.open(path)).copy()
        pixels[0, 0, 0] ^= 1
        Image.fromarray(pixels).save(path)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif kind == "class":
        path.rename(images / "1" / "00.png")
        (images / "1" / "01.png").rename(images / "0" / "01.png")
    elif kind == "name":
        path.rename(path.with_name("0.png"))


@pytest.mark.parametrize("kind", ["pixels", "class", "name"])
def test_cache_of_edited_images_is_refused(overrides, tmp_path, kind):
    """Catches: moments of images that have been edited since, or given another class."""
    images = make_images(tmp_path / "data")
    words = overrides("train.latents=cache", f"data.folder={images}")
    train(words)
    edited(images, kind)
    with pytest.raises(UserError, match=r"^train.dir: .*moments.npy holds moments of other images"):
        train(words)
    for name in ("moments.npy", "checkpoint.pt"):
        (tmp_path / "run" / name).unlink()
    train(words)  # the remedy works


@pytest.mark.parametrize("kind", ["value", "nan", "dtype"])
def test_edited_cache_is_refused(overrides, tmp_path, kind):
    """Catches: moments that were edited, cut to whole numbers or damaged, trained on silently."""
    train(overrides("train.latents=cache"))
    path = tmp_path / "run" / "moments.npy"
    moments = np.load(path)
    if kind == "dtype":
        moments = moments.astype(np.int8)
    else:
        moments[0, 0, 0] = 1 if kind == "value" else np.nan
    np.save(path, moments)
    with pytest.raises(UserError, match=r"moments.npy holds moments that have changed since"):
        train(overrides("train.latents=cache", "train.steps=3"))


def test_copied_cache_is_used(overrides, tmp_path):
    """Catches: a copy with new dates refused, or read as a whole at every start."""
    train(overrides("train.latents=cache"))
    shutil.copytree(tmp_path / "run", tmp_path / "copy", copy_function=shutil.copyfile)
    record = tmp_path / "copy" / "moments.json"
    before = record.read_text()
    train(overrides("train.latents=cache", "train.steps=3", folder=tmp_path / "copy"))
    assert record.read_text() != before  # with the new date


@pytest.mark.parametrize("change", ["weights", "scale"])
def test_cache_of_another_autoencoder_is_refused(overrides, build_vae, tmp_path, change):
    """Catches: latents of one autoencoder trained with the decoder of another."""
    train(overrides("train.latents=cache"))
    other = build_vae(tmp_path / "other", seed=5) if change == "weights" else None
    more = f"pair.space.vae={other}" if other else "+pair.space.scale=0.5"
    with pytest.raises(UserError, match=r"moments.npy holds moments of another autoencoder"):
        train(overrides("train.latents=cache", more))


def test_cache_of_a_copied_folder_is_used(overrides, tmp_path):
    """Catches: the same images refused because a copy has other dates."""
    train(overrides("train.latents=cache", f"data.folder={make_images(tmp_path / 'a')}"))
    path = tmp_path / "run" / "moments.npy"
    before, record = path.stat().st_mtime_ns, path.with_suffix(".json").read_text()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    train(overrides("train.latents=cache", f"data.folder={tmp_path / 'b'}"))
    assert path.stat().st_mtime_ns == before
    assert path.with_suffix(".json").read_text() != record  # next time no image is read


@pytest.mark.parametrize(
    ("name", "damage"),
    [("moments.npy", "cut"), ("moments.labels.npy", "cut"), ("moments.json", "cut"),
     ("moments.labels.npy", "gone"), ("moments.json", "gone")],
)  # fmt: skip
def test_damaged_cache_is_one_line(overrides, tmp_path, name, damage):
    """Catches: numpy's traceback, labels of another data set, a cache of unknown origin."""
    train(overrides("train.latents=cache"))
    path = tmp_path / "run" / name
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"^train.dir: [^\n]*moments.npy [^\n]*; remove the file"):
        train(overrides("train.latents=cache"))


def test_damaged_image_ends_the_encoding(overrides, tmp_path):
    """Catches: a traceback at the start, a half-written cache taken for a whole one."""
    images = make_images(tmp_path / "data")
    (images / "1" / "03.png").write_bytes(b"")
    with pytest.raises(UserError, match=rf"^data.folder={images}: 1/03.png is empty"):
        train(overrides("train.latents=cache", f"data.folder={images}"))
    assert not (tmp_path / "run" / "moments.npy").exists()


def test_cut_off_encoding_starts_over(overrides, tmp_path):
    """Catches: a half-written cache that is taken for a whole one."""
    run = tmp_path / "run"
    run.mkdir()
    (run / ".moments.npy.tmp").write_bytes(b"half")
    train(overrides("train.latents=cache"))
    assert np.load(run / "moments.npy").shape == (NUM_IMAGES, 1, 2, 4, 8, 8)
    assert not (run / ".moments.npy.tmp").exists()


def test_cache_of_other_data_is_refused(overrides, tmp_path):
    """Catches: labels of one data set with the latents of another; mirrored views without flip."""
    train(overrides("train.latents=cache", "train.flip=true"))
    (tmp_path / "run" / "checkpoint.pt").unlink()  # it would be refused first
    other = make_images(tmp_path / "other", 6)
    for change in (f"data.folder={other}", "train.flip=false"):
        with pytest.raises(UserError, match=r"^train.dir: .*moments.npy holds .*; remove the file"):
            train(overrides("train.latents=cache", "train.flip=true", change))


def test_cache_in_pixel_space_is_refused(tmp_path, tiny):
    """Catches: an attribute error where there is nothing to cache."""
    with pytest.raises(UserError, match=r"^train.latents=cache: .*choose encode"):
        train(tiny(tmp_path, "train.latents=cache"))


def test_autoencoder_that_does_not_load_is_one_line(overrides, vae, tmp_path):
    """Catches: a damaged autoencoder whose error appears as a traceback at the first step."""
    copy = tmp_path / "broken"
    copy.mkdir()
    for path in Path(vae).iterdir():
        (copy / path.name).write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UserError, match=r"^pair\.space\.") as caught:
        train(overrides(f"pair.space.vae={copy}"))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_two_processes_make_the_same_cache(overrides, run_script, tmp_path):
    """Catches: shares that overlap, labels in rank order, a rank that opens an unfinished file."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    train(overrides("train.latents=cache", "train.flip=true", folder=alone))
    arguments = overrides("train.latents=cache", "train.flip=true", folder=together)
    done = run_script("train.py", *arguments, processes=2)
    assert done.returncode == 0, done.stderr
    labels = [np.load(folder / "moments.labels.npy") for folder in (alone, together)]
    assert np.array_equal(*labels)
    first, second = (np.load(folder / "moments.npy") for folder in (alone, together))
    np.testing.assert_allclose(first, second, rtol=2e-3, atol=1e-6)
