"""References: statistics, images or both, and the arrays that are refused."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.features.reference import open_reference

DIM, SPATIAL, COUNT = 5, 7, 12


def moments(dim: int) -> tuple[np.ndarray, np.ndarray]:
    values = np.random.default_rng(dim).normal(size=(40, dim))
    return values.mean(0), np.cov(values, rowvar=False)


def whole() -> dict[str, np.ndarray]:
    """Every array that a reference may have."""
    rng = np.random.default_rng(0)
    mu, sigma = moments(DIM)
    mu_s, sigma_s = moments(SPATIAL)
    return {
        "mu": mu,
        "sigma": sigma,
        "mu_s": mu_s,
        "sigma_s": sigma_s,
        "arr_0": rng.integers(0, 256, (COUNT, 4, 6, 3), np.uint8),
        "features": rng.normal(size=(COUNT, DIM)).astype(np.float16),
        "num_images": np.int64(60000),
    }


def write(path: Path, keys: str, **changed: np.ndarray) -> Path:
    """An npz with some of the arrays, others replaced or added."""
    arrays = whole()
    np.savez(path, **{key: arrays[key] for key in keys.split()} | changed)
    return path


def test_adm_reference(tmp_path):
    """Catches: sFID's statistics taken for FID's, statistics in float32, images not found."""
    path = write(tmp_path / "imagenet.npz", "mu sigma mu_s sigma_s arr_0")
    reference, arrays = open_reference(path, "reference"), whole()
    for kind, keys in {"pool": ("mu", "sigma"), "spatial": ("mu_s", "sigma_s")}.items():
        for name, found in zip(keys, reference.gaussians[kind], strict=True):
            assert found.dtype == np.float64 and np.array_equal(found, arrays[name])
    assert np.array_equal(reference.images.read(2, 9), arrays["arr_0"][2:9])
    assert (reference.features, reference.num_images) == (None, None)
    assert reference.label == "imagenet"
    assert reference.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_sizes_of_inception_fit(tmp_path):
    """Catches: limits that the real sizes, 2048 and 2023, do not meet."""
    mu, sigma, mu_s, sigma_s = np.zeros(2048), np.eye(2048), np.zeros(2023), np.eye(2023)
    np.savez(tmp_path / "a.npz", mu=mu, sigma=sigma, mu_s=mu_s, sigma_s=sigma_s)
    reference = open_reference(tmp_path / "a.npz", "reference")
    shapes = {kind: sigma.shape for kind, (_, sigma) in reference.gaussians.items()}
    assert shapes == {"pool": (2048, 2048), "spatial": (2023, 2023)}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_shipped_reference(tmp_path, save):
    """Catches: float16 features in the distances, a count that stays an array."""
    arrays = whole()
    del arrays["arr_0"]
    save(tmp_path / "fashion.npz", **arrays)
    reference = open_reference(tmp_path / "fashion.npz", "reference")
    assert reference.features.dtype == np.float32
    assert np.array_equal(reference.features, arrays["features"].astype(np.float32))
    assert type(reference.num_images) is int and reference.num_images == 60000
    assert reference.images is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_statistics_alone(tmp_path, dtype):
    """Catches: pytorch-fid's files refused, a tolerance that float32 does not meet."""
    mu, sigma = (array.astype(dtype) for array in moments(DIM))
    path = write(tmp_path / "a.npz", "", mu=mu, sigma=np.asfortranarray(sigma))
    reference = open_reference(path, "reference")
    assert list(reference.gaussians) == ["pool"]
    found = reference.gaussians["pool"]
    assert found[0].dtype == found[1].dtype == np.float64
    assert np.array_equal(found[1], sigma.astype(np.float64))
    assert (reference.images, reference.features) == (None, None)


def test_images_alone(tmp_path):
    """Catches: a folder, an npy or an npz of images that needs statistics beside it."""
    images = whole()["arr_0"]
    (tmp_path / "folder").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"folder/{number:02d}.png")
    np.save(tmp_path / "array.npy", images)
    write(tmp_path / "archive.npz", "arr_0")
    for name, label in (("folder", "folder"), ("array.npy", "array"), ("archive.npz", "archive")):
        reference = open_reference(str(tmp_path / name), "reference")
        assert np.array_equal(reference.images.read(0, COUNT), images)
        assert reference.gaussians == {}
        assert reference.label == label and len(reference.digest) == 64


def test_digest_of_a_folder_follows_its_images(tmp_path):
    """Catches: cached statistics of a folder whose images have been replaced."""
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in files:
        Image.fromarray(whole()["arr_0"][0]).save(path)
        os.utime(path, ns=(10**18, 10**18))
    first = open_reference(tmp_path, "reference").digest
    assert open_reference(tmp_path, "reference").digest == first
    os.utime(files[0], ns=(10**18, 10**18 + 5))
    touched = open_reference(tmp_path, "reference").digest
    files[1].rename(tmp_path / "c.png")
    assert len({first, touched, open_reference(tmp_path, "reference").digest}) == 3


def bad(array: np.ndarray, index: tuple[int, ...], value: float) -> np.ndarray:
    array = array.copy()
    array[index] = value
    return array


MU, SIGMA = moments(DIM)
REFUSED = {
    "nothing of ours": ("", {"x": MU, "y": MU}, "has x, y; store arr_0 (images), or mu and sigma"),
    "features alone": ("features num_images", {}, "has features, num_images; store arr_0"),
    "sFID alone": ("mu_s sigma_s", {}, "has mu_s, sigma_s; store arr_0"),
    "mu alone": ("mu arr_0", {}, "has mu without sigma; store both"),
    "sigma alone": ("sigma", {}, "has sigma without mu; store both"),
    "mu_s alone": ("mu sigma mu_s", {}, "has mu_s without sigma_s"),
    "mu a matrix": ("mu sigma", {"mu": SIGMA}, "mu is (5, 5); store the mean"),
    "mu empty": ("sigma", {"mu": np.zeros(0)}, "mu is (0,)"),
    "mu of integers": ("sigma", {"mu": np.arange(5)}, "mu is int64"),
    "mu not finite": ("sigma", {"mu": bad(MU, (2,), np.nan)}, "mu has values that are not finite"),
    "sigma of another size": ("mu", {"sigma": moments(4)[1]}, "sigma is (4, 4) while mu has 5"),
    "sigma a vector": ("mu", {"sigma": MU}, "sigma is (5,) while mu has 5"),
    "sigma not finite": ("mu", {"sigma": bad(SIGMA, (2, 3), np.inf)}, "sigma has values that"),
    "sigma not symmetric": ("mu", {"sigma": bad(SIGMA, (2, 3), 9)}, "sigma is not symmetric"),
    "sigma negative": ("mu", {"sigma": bad(SIGMA, (2, 2), -1)}, "sigma has negative variances"),
    "sigma_s of another size": ("mu sigma mu_s", {"sigma_s": SIGMA}, "sigma_s is (5, 5) while"),
    "features of another D": ("mu sigma", {"features": np.zeros((9, 4))}, "features is (9, 4)"),
    "features flat": ("mu sigma", {"features": MU}, "features is (5,); store one row"),
    "features not finite": ("mu sigma", {"features": SIGMA * np.nan}, "features has values"),
    "count of zero": ("mu sigma", {"num_images": np.int64(0)}, "num_images is no whole number"),
    "count a float": ("mu sigma", {"num_images": np.float64(9)}, "num_images is no whole number"),
    "count a list": ("mu sigma", {"num_images": np.arange(3)}, "num_images is no whole number"),
    "float images": ("mu sigma", {"arr_0": np.zeros((3, 4, 4, 3))}, "images are float64"),
    "objects": ("sigma", {"mu": np.array([{}, 1])}, "mu cannot be read: it holds Python objects"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_references(tmp_path, case):
    """Catches: a distance to something that is no distribution, an error without the key."""
    keys, changed, expected = REFUSED[case]
    kept = " ".join(key for key in keys.split() if key not in changed)
    path = write(tmp_path / "a.npz", kept, **changed)
    with pytest.raises(ValueError) as caught:
        open_reference(path, "reference")
    message = str(caught.value)
    assert message.startswith(f"reference={path}: ") and expected in message
    assert "\n" not in message and ";" in message


def test_refused_paths(tmp_path):
    """Catches: a traceback for a path that is not there, a damaged or a cut file."""
    path = write(tmp_path / "a.npz", "mu sigma")
    raw = path.read_bytes()
    (tmp_path / "cut.npz").write_bytes(raw[: len(raw) // 2])
    (tmp_path / "damaged.npz").write_bytes(raw[:150] + b"\0\0\0\0" + raw[154:])
    (tmp_path / "empty").mkdir()
    for name, expected in {
        "none.npz": "no such file or folder",
        "cut.npz": "is no npz, or is cut short",
        "damaged.npz": "mu cannot be read (Bad CRC-32",
        "empty": "no images there",
    }.items():
        with pytest.raises(ValueError) as caught:
            open_reference(tmp_path / name, "reference")
        message = str(caught.value)
        assert message.startswith(f"reference={tmp_path / name}: ") and expected in message
