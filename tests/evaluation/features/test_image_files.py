"""Which files of a folder are images of the set, in which order, and what their pixels are."""

import os

import numpy as np
import pytest
from PIL import Image, ImageOps

from evaluation.features.image_files import decode_rgb, list_images, upright_size

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)


def put(path, array=PIXELS, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


HIDDEN = (
    ".ipynb_checkpoints/1-checkpoint.png", "a/.ipynb_checkpoints/2.png", "._1.png", ".b/c/3.png",
    "__MACOSX/a/._1.png", "__MACOSX/1.png", "a/@eaDir/1.png/THUMB.png",
)  # fmt: skip


@pytest.mark.parametrize("hidden", HIDDEN)
def test_hidden_parts_are_left_out(tmp_path, hidden):
    """Catches: copies that editors and archivers keep, counted as images: 30 for 24."""
    folder = tmp_path / ".data"  # above the folder a dot means nothing
    put(folder / "a" / "1.png")
    put(folder / hidden)
    listing = list_images(folder)
    assert listing.files == ("a/1.png",) and listing.folders == ("a",)
    assert listing.note() == f"1 of 2 files are left out: 1 hidden ({hidden})"


def test_suffixes_in_any_case_and_other_files(tmp_path):
    """Catches: .PNG or .Jpeg taken for no image, a text or a folder called .png taken for one."""
    for name in ("a.PNG", "b.Jpeg", "c.WebP", "d.TIF"):
        put(tmp_path / name)
    (tmp_path / "e.txt").write_text("no image")
    (tmp_path / "f.gif").write_text("no image")
    (tmp_path / "g.png").mkdir()
    os.mkfifo(tmp_path / "h.png")
    listing = list_images(tmp_path)
    assert listing.files == ("a.PNG", "b.Jpeg", "c.WebP", "d.TIF")
    assert listing.note() == "3 of 7 files are left out: 3 no images (e.txt)"


def test_links(tmp_path):
    """Catches: a walk that never ends, an image that counts twice, a data set of links of which
    none counts."""
    folder, elsewhere = tmp_path / "set", tmp_path / "elsewhere"
    put(folder / "a" / "1.png")
    put(elsewhere / "class" / "2.png")
    put(folder / ".annex" / "x.png")
    for link, target in {
        "a/broken.png": "nowhere.png",
        "a/itself.png": "itself.png",
        "a/twice.png": "1.png",
        "a/annexed.png": "../.annex/x.png",  # as data stores keep their files
        "a/up": "..",
        "b": elsewhere / "class",
        "c": "a",
        "a/d.png": elsewhere / "class" / "2.png",
    }.items():
        (folder / link).symlink_to(target)
    (elsewhere / "class" / "back").symlink_to(folder)
    listing = list_images(folder)
    assert listing.files == ("a/1.png", "a/annexed.png", "a/d.png", "b/2.png")
    assert dict(listing.left_out) == {
        ".annex/x.png": "hidden",
        "a/broken.png": "broken links",
        "a/itself.png": "broken links",
        "a/twice.png": "links to what is listed already",
        "a/up": "links to what is listed already",
        "b/back": "links to what is listed already",
        "c": "links to what is listed already",
    }


def test_numbers_are_ordered_by_value(tmp_path):
    """Catches: 10.png before 2.png, which pairs other images than their numbers say."""
    names = ["1.png", "2.png", "10.png", "a2/1.png", "a10/1.png", "x9y1.png", "x10y0.png"]
    for name in names:
        put(tmp_path / name)
    assert list(list_images(tmp_path).files) == names


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_laid_over_white(tmp_path, mode):
    """Catches: the colour under a transparent pixel, which nobody sees, in the statistics."""
    array = np.zeros((4, 4, 4), np.uint8)
    array[..., 3] = 255
    array[0, 0, 3] = 0
    image = Image.fromarray(array, "RGBA")
    image.convert(mode).save(tmp_path / "a.png")
    if mode == "P":
        palette = image.convert("RGB").convert("P")
        palette.putpixel((0, 0), 9)
        palette.save(tmp_path / "a.png", transparency=9)
    got = decode_rgb(tmp_path / "a.png", "a.png")
    assert (got[0, 0] == 255).all() and not got[1:].any() and got.shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("array", "mode"), [(np.uint16, "I;16"), (np.int32, "I"), (np.float32, "F")]
)
def test_more_than_8_bits_are_refused(tmp_path, array, mode):
    """Catches: 16-bit images clipped to white, floats of 0..1 that become black."""
    put(tmp_path / "a.tif", np.full((6, 5), 3, array))
    with pytest.raises(ValueError, match=rf"^a.tif has not 8 bits .*{mode}.*; convert it"):
        decode_rgb(tmp_path / "a.tif", "a.tif")


def test_several_images_in_one_file_are_refused(tmp_path):
    """Catches: the first page of many taken for the image."""
    pages = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match=r"^a.tif holds 2 images; save each"):
        decode_rgb(tmp_path / "a.tif", "a.tif")


def test_several_images_under_a_wrong_suffix_are_refused(tmp_path):
    """Catches: the first frame of an animated GIF that is called .png."""
    pages = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    pages[0].save(tmp_path / "a.png", "GIF", save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match=r"^a.png holds 2 images; save each"):
        decode_rgb(tmp_path / "a.png", "a.png")


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_photographs_are_turned_upright(tmp_path, suffix):
    """Catches: a photograph that lies on its side in the set, but stands in every viewer."""
    path = tmp_path / f"a.{suffix}"
    for number in range(10):  # 0 and 9 mean nothing
        exif = Image.Exif()
        exif[0x0112] = number
        put(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
        with Image.open(path) as image:
            size = upright_size(image)
            upright = np.asarray(ImageOps.exif_transpose(image))
        decoded = decode_rgb(path, path.name)
        assert np.array_equal(decoded, upright), number
        assert size == decoded.shape[1::-1], number


def test_damaged_exif_data_are_no_reason_to_refuse(tmp_path):
    """Catches: whole pixels lost to a damaged note on the camera."""
    put(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff")
    assert np.array_equal(decode_rgb(tmp_path / "a.png", "a.png"), PIXELS)


def test_damaged_files_are_named(tmp_path):
    """Catches: Pillow's own words, without the file's name."""
    whole = put(
        tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    )
    (tmp_path / "b.png").write_bytes(whole.read_bytes()[:-2000])
    (tmp_path / "c.png").write_bytes(b"")
    (tmp_path / "d.png").write_text("no image")
    for name, words in (("b", "cannot be read"), ("c", "is empty"), ("d", "cannot be read")):
        with pytest.raises(ValueError, match=rf"^{name}.png {words}.*; replace or remove it$"):
            decode_rgb(tmp_path / f"{name}.png", f"{name}.png")
