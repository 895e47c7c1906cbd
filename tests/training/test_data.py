"""IDX files, image folders, and batches of them."""

import numpy as np
import pytest
import torch
from idx_files import visible_classes, write_idx
from PIL import Image

from tstitch.config.cli import instantiate
from tstitch.data.datasets import ImageFolder, batches, idx_folder, read_idx
from tstitch.training.latents import encoded

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def error_of(function, *args) -> str:
    with pytest.raises(ValueError) as caught:
        function(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("shape", [(5,), (3, 4, 6), (2, 3, 4, 5), (0, 28, 28)])
def test_idx_round_trip(tmp_path, ending, shape):
    """Catches: swapped sides, little-endian sizes, an ending that is not looked at."""
    values = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    got = read_idx(write_idx(tmp_path / f"file{ending}", values))
    assert got.dtype == np.uint8 and np.array_equal(got, values)


def test_idx_folder(data_folder):
    """Catches: the other split, labels of another image, floats, a missing channel axis."""
    images, labels = visible_classes()
    for split in ("train", "test"):
        got = idx_folder(str(data_folder), split)
        assert got.tensors[0].dtype == torch.uint8 and got.tensors[1].dtype == torch.int64
        assert np.array_equal(got.tensors[0][:, 0].numpy(), images)
        assert np.array_equal(got.tensors[1].numpy(), labels)


def damaged(kind: str, folder) -> None:
    """Images that are wrong in one way; the labels are good."""
    plain, zipped = folder / IMAGES, folder / f"{IMAGES}.gz"
    write_idx(folder / LABELS, np.arange(4))
    values = np.random.default_rng(0).integers(0, 256, (4, 28, 28))
    if kind == "magic":
        write_idx(plain, values, magic=b"\x89PN")
    elif kind == "int32":
        write_idx(plain, values, magic=bytes([0, 0, 0x0C]))
    elif kind == "short":
        plain.write_bytes(write_idx(plain, values).read_bytes()[:-10])
    elif kind == "long":
        plain.write_bytes(write_idx(plain, values).read_bytes() + b"1")
    elif kind == "header":
        plain.write_bytes(write_idx(plain, values).read_bytes()[:9])
    elif kind == "empty":
        plain.write_bytes(b"")
    elif kind == "gz cut":
        zipped.write_bytes(write_idx(zipped, values).read_bytes()[:-100])
    elif kind == "gz bits":
        raw = bytearray(write_idx(zipped, values).read_bytes())
        raw[200:240] = bytes(40)
        zipped.write_bytes(raw)
    elif kind == "no gz":
        zipped.write_bytes(b"<!DOCTYPE html>")
    elif kind == "fewer":
        write_idx(plain, values[:3])
    elif kind == "flat":
        write_idx(plain, values.reshape(4, -1))
    elif kind == "directory":
        zipped.mkdir()


@pytest.mark.parametrize(
    "kind",
    ["missing", "magic", "int32", "short", "long", "header", "empty", "gz cut", "gz bits", "no gz",
     "fewer", "flat", "directory"],
)  # fmt: skip
def test_damaged_idx_files_name_the_folder(tmp_path, kind):
    """Catches: a numpy, gzip or zlib error that tells nobody which file is wrong."""
    damaged(kind, tmp_path)
    message = error_of(idx_folder, str(tmp_path))
    assert message.startswith(f"folder={tmp_path}: ")


@pytest.mark.parametrize(
    ("section", "begin"),
    [
        (
            {"_target_": "tstitch.data.datasets.idx_folder", "folder": "x", "split": "val"},
            "data.split=val:",
        ),
        (
            {"_target_": "tstitch.data.datasets.torchvision_arrays", "name": "MNIST", "root": "x",
             "split": "tset"},
            "data.split=tset:",
        ),
        (
            {"_target_": "tstitch.data.datasets.torchvision_arrays", "name": "Mnist", "root": "x"},
            "data.name=Mnist:",
        ),
    ],
)  # fmt: skip
def test_unknown_splits_and_names(section, begin):
    """Catches: a misspelt split that silently is the test set, a KeyError."""
    message = error_of(instantiate, section, "data")
    assert message.startswith(begin) and "choose one of" in message


@pytest.fixture
def folder(tmp_path):
    """Two class folders: a wide black-red-black image, a small grey one."""
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40, 0] = 255
    for name, image in (("a", wide), ("b", np.full((9, 9), 77, np.uint8))):
        (tmp_path / name).mkdir()
        Image.fromarray(image).save(tmp_path / name / "1.png")
    return tmp_path


def test_image_folder_crops_the_centre(folder):
    """Catches: a squeezed image, a corner crop, grey images with one channel, floats."""
    dataset = ImageFolder(str(folder), 20)
    (red, first), (grey, second) = dataset[0], dataset[1]
    assert len(dataset) == 2 and (first, second) == (0, 1)
    assert red.dtype == torch.uint8 and red.shape == grey.shape == (3, 20, 20)
    assert (red[0] == 255).all() and not red[1:].any()
    assert (grey == 77).all()


def test_image_folder_through_the_loader(folder):
    """Catches: labels or images of another dtype or layout than whole tensors give."""
    images, labels = next(iter(batches(ImageFolder(str(folder), 8), [[1, 0, 1]], workers=0)))
    assert images.shape == (3, 3, 8, 8) and images.dtype == torch.uint8
    assert labels.tolist() == [1, 0, 1] and labels.dtype == torch.int64


def test_image_folder_errors_name_the_folder(tmp_path):
    """Catches: torchvision's traceback for a missing or an empty folder."""
    missing = tmp_path / "nowhere"
    assert error_of(ImageFolder, str(missing), 8).startswith(f"folder={missing}: ")
    assert error_of(ImageFolder, str(tmp_path), 8).startswith(f"folder={tmp_path}: ")


@pytest.mark.parametrize("folder", ["", None, ["a"], 1.5])
def test_what_is_no_folder_is_named(folder):
    """Catches: training on the current folder for an empty name; Python's words on path-likes."""
    assert error_of(ImageFolder, folder, 8).startswith(f"folder={folder!r}: give the path")
    assert error_of(idx_folder, folder).startswith(f"folder={folder!r}: give the path")


def test_a_folder_may_be_called_a_number(tmp_path, monkeypatch):
    """Catches: data.folder=2012, which arrives as a number, refused."""
    (tmp_path / "2012" / "a").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "2012" / "a" / "1.png")
    monkeypatch.chdir(tmp_path)
    assert len(ImageFolder(2012, 8)) == 1


class Pixels:
    """A space that hands out what it gets."""

    def encode(self, images, generator):
        return images


@pytest.mark.parametrize("flip", [False, True])
def test_flip_mirrors_half(flip):
    """Catches: images flipped upside down, all or none mirrored, flips that are not seeded."""
    images = torch.arange(6, dtype=torch.uint8).reshape(1, 1, 2, 3).expand(1000, -1, -1, -1)
    labels = torch.zeros(1000, dtype=torch.int64)

    def latents():
        follow = encoded(iter([(images, labels)]), Pixels(), torch.device("cpu"), flip)
        return follow(torch.Generator().manual_seed(0))[0]

    got = latents()
    mirrored = (got == images.flip(3).float() / 127.5 - 1).flatten(1).all(1)
    plain = (got == images.float() / 127.5 - 1).flatten(1).all(1)
    assert (mirrored ^ plain).all()
    assert 440 < mirrored.sum() < 560 if flip else not mirrored.any()
    assert torch.equal(got, latents())


def test_pixel_values_fill_the_range():
    """Catches: [0, 1] images, 256 for 255."""
    images = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 1, 2)
    follow = encoded(iter([(images, torch.zeros(1))]), Pixels(), torch.device("cpu"), False)
    assert follow(torch.Generator())[0].flatten().tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("name", ["FashionMNIST", "CIFAR10"])
def test_failed_download_is_one_line(tmp_path, name):
    """Catches: torchvision's traceback where there is no network or no place to write."""
    (tmp_path / "file").write_text("")
    root = tmp_path / "file" / "data"
    section = {
        "_target_": "tstitch.data.datasets.torchvision_arrays",
        "name": name,
        "root": str(root),
    }
    message = error_of(instantiate, section, "data")
    assert message.startswith(f"data.root={root}: {name} cannot be downloaded (")
    assert "data=idx_folder" in message
