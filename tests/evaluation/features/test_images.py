"""Images from an npz, an npy, a folder or an array: the values, and what is refused."""

import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.features.images import open_images
from evaluation.features.npz_stream import RowReader

COUNT, HEIGHT, WIDTH = 40, 6, 5


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


IMAGES = pixels(COUNT, HEIGHT, WIDTH, 3)


def refused(source: object) -> str:
    """The message for bad images, checked for its form."""
    with pytest.raises(ValueError) as caught:
        open_images(source, "samples").read(0, 2)
    message = str(caught.value)
    assert message.startswith("samples=") and "\n" not in message
    assert ";" in message or "no such" in message
    return message


@pytest.fixture(params=["stored", "compressed", "npy", "npy 2.0", "array"])
def source(request, tmp_path) -> Path | np.ndarray:
    """The same images in every form that has exact pixels."""
    path = tmp_path / "images.npz"
    if request.param == "stored":
        np.savez(path, other=np.zeros(7), arr_0=IMAGES)
    elif request.param == "compressed":
        np.savez_compressed(path, other=np.zeros(7), arr_0=IMAGES)
    elif request.param == "array":
        return IMAGES
    else:
        path = tmp_path / "images.npy"
        with open(path, "wb") as file:
            np.lib.format.write_array(file, IMAGES, (2, 0) if "2" in request.param else (1, 0))
    return path


def test_rows_in_any_order(source):
    """Catches: an offset that is right for row 0 only, a decompressor that cannot go back."""
    images = open_images(source, "samples")
    assert (len(images), images.height, images.width) == (COUNT, HEIGHT, WIDTH)
    assert images.labels is None
    for first, end in [(5, 9), (0, 40), (39, 40), (2, 3), (3, 30), (7, 7)]:
        rows = images.read(first, end)
        assert rows.dtype == np.uint8 and rows.shape == (end - first, HEIGHT, WIDTH, 3)
        assert np.array_equal(rows, IMAGES[first:end])


def test_read_rows_belong_to_the_caller(source):
    """Catches: rows that torch warns about (read-only), or that change the caller's array."""
    images = open_images(source, "samples")
    images.read(0, 4)[:] = 0
    assert np.array_equal(images.read(0, 4), IMAGES[:4]) and IMAGES[:4].any()


def test_copies_for_other_processes(source):
    """Catches: an open file in the pickle of a source that has already been read from."""
    images = open_images(source, "samples")
    images.read(3, 5)
    copy = pickle.loads(pickle.dumps(images))
    assert np.array_equal(copy.read(1, 8), IMAGES[1:8])
    assert np.array_equal(images.read(5, 9), IMAGES[5:9])


@pytest.mark.parametrize(("first", "end"), [(-1, 2), (0, 41), (3, 2)])
def test_rows_outside(source, first, end):
    """Catches: numpy's slices, which cut or wrap around silently."""
    with pytest.raises(IndexError):
        open_images(source, "samples").read(first, end)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_never_everything_in_memory(tmp_path, save):
    """Catches: np.load, or a decompressor that keeps what it skips."""
    array = np.zeros((8000, 64, 64, 3), np.uint8)
    save(tmp_path / "a.npz", array)
    tracemalloc.start()
    images = open_images(tmp_path / "a.npz", "samples")
    images.read(7990, 8000)
    images.read(0, 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.nbytes / 2


def test_labels(tmp_path):
    """Catches: labels of another dtype than the contract's, labels that are ignored."""
    np.savez(tmp_path / "a.npz", IMAGES, np.arange(COUNT, dtype=np.int32))
    labels = open_images(tmp_path / "a.npz", "samples").labels
    assert labels.dtype == np.int64 and np.array_equal(labels, np.arange(COUNT))


@pytest.mark.parametrize("shape", [(4, 6, 5), (4, 6, 5, 1)])
def test_greyscale_becomes_three_channels(tmp_path, shape):
    """Catches: one channel handed to an extractor of three, channels mixed with columns."""
    grey = pixels(*shape)
    np.savez(tmp_path / "a.npz", grey)
    for source in (grey, tmp_path / "a.npz"):
        rows = open_images(source, "samples").read(1, 4)
        assert rows.shape == (3, 6, 5, 3)
        assert all(np.array_equal(rows[..., c], grey[1:].reshape(3, 6, 5)) for c in range(3))


def save_image(path: Path, array: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path)


def test_folder_is_sorted_and_recursive(tmp_path):
    """Catches: the order of the file system, sub-folders and suffixes that are left out."""
    names = ["b/2.PNG", "b/10.png", "a.bmp", "c.webp", "b/.hidden.png"]
    for name, image in zip(names, IMAGES, strict=False):
        save_image(tmp_path / name, image)
    (tmp_path / "notes.txt").write_text("no image")
    save_image(tmp_path / "d.jpg", IMAGES[0])
    images = open_images(str(tmp_path), "samples")
    assert (len(images), images.labels) == (5, None)
    rows = images.read(0, 5)
    for row, expected in ((0, 2), (1, 0), (2, 1)):  # a.bmp, b/2.PNG, b/10.png
        assert np.array_equal(rows[row], IMAGES[expected])
    assert np.array_equal(images.read(2, 3)[0], IMAGES[1])


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1"])
def test_folder_becomes_rgb(tmp_path, mode):
    """Catches: palette indices taken for colours, alpha as a fourth channel."""
    bits = np.repeat((pixels(6, 5, 1) > 127).astype(np.uint8) * 255, 3, axis=2)
    save_image(tmp_path / "a.png", bits, mode)
    assert np.array_equal(open_images(tmp_path, "samples").read(0, 1)[0], bits)


ARRAYS = {
    "floats": (IMAGES / 255.0, "float64; give uint8 0..255, as written by scripts/sample.py"),
    "integers": (IMAGES.astype(np.int64), "int64"),
    "channels first": (pixels(4, 3, 6, 5), "channels first; transpose them to (N, H, W, 3)"),
    "grey, channels first": (pixels(4, 1, 6, 5), "channels first; transpose them to (N, H, W, 1)"),
    "one image": (pixels(6, 5, 3), "a single (H, W, 3); add an axis"),
    "four channels": (pixels(4, 6, 5, 4), "(4, 6, 5, 4); give uint8 (N, H, W, 3)"),
    "flat": (pixels(4, 90), "(4, 90); give uint8 (N, H, W, 3)"),
    "five axes": (pixels(1, 4, 6, 5, 3), "(1, 4, 6, 5, 3); give"),
    "no images": (pixels(0, 6, 5, 3), "is empty"),
    "no pixels": (pixels(4, 0, 5, 3), "is empty"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_refused_arrays(tmp_path, case):
    """Catches: images that are silently cast, or read in the wrong layout."""
    array, expected = ARRAYS[case]
    np.savez(tmp_path / "a.npz", array)
    np.save(tmp_path / "a.npy", array)
    for source in (array, tmp_path / "a.npz", tmp_path / "a.npy"):
        assert expected in refused(source)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_objects_are_not_unpickled(tmp_path):
    """Catches: allow_pickle=True, which runs what a downloaded file says."""
    trap = np.array([Trap(tmp_path / "sprung")] * 3, dtype=object)
    for number, arrays in enumerate([(trap,), (IMAGES, trap)]):
        path = tmp_path / f"{number}.npz"
        np.savez(path, *arrays)
        assert "Python objects, which are never unpickled" in refused(path)
    assert not (tmp_path / "sprung").exists()


LABELS = {
    "too few": (np.arange(3), "arr_1 is (3,) for 40 images"),
    "one-hot": (np.eye(COUNT, dtype=np.int64), "arr_1 is (40, 40)"),
    "floats": (np.zeros(COUNT), "arr_1 is float64; give integer"),
}


@pytest.mark.parametrize("case", LABELS)
def test_refused_labels(tmp_path, case):
    """Catches: labels that belong to other images, an accuracy of rounded floats."""
    labels, expected = LABELS[case]
    np.savez(tmp_path / "a.npz", IMAGES, labels)
    assert expected in refused(tmp_path / "a.npz")


def write_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Bad files and what their messages say."""
    np.savez(folder / "good.npz", IMAGES)
    good = (folder / "good.npz").read_bytes()
    np.savez(folder / "named.npz", images=IMAGES, y=np.arange(3))
    np.savez(folder / "fortran.npz", np.asfortranarray(IMAGES))
    np.savez(folder / "number.npz", np.uint8(3))
    (folder / "cut.npz").write_bytes(good[:2000])
    (folder / "text.npz").write_text("samples")
    (folder / "empty.npz").write_bytes(b"")
    np.save(folder / "good.npy", IMAGES)
    (folder / "cut.npy").write_bytes((folder / "good.npy").read_bytes()[:-1])
    (folder / "text.npy").write_text("samples")
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (40, 6, ".ljust(117) + "\n"
    (folder / "header.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + header.encode())
    save_image(folder / "single.png", IMAGES[0])
    (folder / "none").mkdir()
    expected = {
        "missing.npz": "no such file or folder; check the path",
        "named.npz": "has no arr_0 but images, y; store the images as arr_0",
        "fortran.npz": "Fortran order; save np.ascontiguousarray(array)",
        "number.npz": "a single number",
        "cut.npz": "is no npz, or is cut short",
        "text.npz": "is no npz, or is cut short",
        "empty.npz": "is no npz, or is cut short",
        "cut.npy": "has 3727 bytes in place of 3728; copy or write the file again",
        "text.npy": "cannot be read",
        "header.npy": "cannot be read",
        "single.png": "is a single image; give the folder",
        "none": "no images there; give a folder with .png",
    }
    return {name: (folder / name, words) for name, words in expected.items()}


def test_refused_files(tmp_path):
    """Catches: a traceback for what users give by mistake."""
    for path, words in write_files(tmp_path).values():
        message = refused(path)
        assert words in message and str(path) in message, message


def test_no_path_is_not_the_current_folder(tmp_path, monkeypatch):
    """Catches: images of the folder one stands in, for a variable that was empty."""
    save_image(tmp_path / "a.png", IMAGES[0])
    monkeypatch.chdir(tmp_path)
    assert "is empty; give a path" in refused("")
    assert len(open_images(".", "samples")) == 1


def test_npy_in_capitals(tmp_path):
    """Catches: a whole npy called no npz because of its suffix."""
    np.save(tmp_path / "a.npy", IMAGES)
    (tmp_path / "a.npy").rename(tmp_path / "A.NPY")
    assert np.array_equal(open_images(tmp_path / "A.NPY", "samples").read(0, COUNT), IMAGES)


def test_damage_of_compressed_members_is_found(tmp_path):
    """Catches: pixels of a damaged file that pass as images."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, pixels(200, 8, 8, 3))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"samples=.*arr_0, rows .* cannot be read"):
        open_images(path, "samples").read(0, 200)


@pytest.mark.parametrize("member", ["arr_0", None])
def test_file_cut_after_opening(tmp_path, member):
    """Catches: fewer rows than asked for, where a file is replaced during a run."""
    path = tmp_path / ("a.npz" if member else "a.npy")
    (np.savez if member else np.save)(path, pixels(200, 8, 8, 3))
    reader = RowReader(path, member)
    path.write_bytes(path.read_bytes()[:20000])
    assert len(reader.read(0, 10)) == 10
    with pytest.raises(ValueError, match="ends before row 200"):
        reader.read(190, 200)


def test_refused_folders(tmp_path):
    """Catches: an unreadable file without its name, images that are silently resized."""
    save_image(tmp_path / "mixed/a.png", IMAGES[0])
    save_image(tmp_path / "mixed/b/c.png", IMAGES[0, :, :4])
    assert "a.png is 5x6, b/c.png is 4x6; give images of one" in refused(tmp_path / "mixed")

    save_image(tmp_path / "text/a.png", IMAGES[0])
    (tmp_path / "text/b.png").write_text("no image")
    assert "b.png cannot be read" in refused(tmp_path / "text")

    save_image(tmp_path / "cut/a.png", pixels(64, 64, 3))
    save_image(tmp_path / "cut/b.png", pixels(64, 64, 3))
    whole = (tmp_path / "cut/b.png").read_bytes()
    (tmp_path / "cut/b.png").write_bytes(whole[: len(whole) // 2])
    assert "b.png cannot be read" in refused(tmp_path / "cut")

    save_image(tmp_path / "deep/a.png", np.full((6, 5), 40000, np.uint16))
    assert "a.png has not 8 bits per channel" in refused(tmp_path / "deep")

    save_image(tmp_path / "run/grid.png", IMAGES[0])
    np.savez(tmp_path / "run/samples.npz", IMAGES)
    assert "has samples.npz, no folder of images alone" in refused(tmp_path / "run")
