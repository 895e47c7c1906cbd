"""run.export=png: the folder of images is what samples.npz holds."""

import shutil

import numpy as np
import pytest
from PIL import Image

from tstitch.runtime.errors import UserError


def exported(directory) -> dict[str, np.ndarray]:
    return {p.name: np.asarray(Image.open(p)) for p in sorted((directory / "images").iterdir())}


@pytest.fixture
def run(tmp_path, whole):
    """A copy of a finished run."""
    return shutil.copytree(whole, tmp_path / "run")


def test_images_are_those_of_the_run(run, sample, images):
    """Catches: an image under another's number, in other colours, or rescaled."""
    sample(run, "run.export=png")
    found = exported(run)
    assert list(found) == [f"{index:06d}.png" for index in range(24)]
    assert np.array_equal(np.stack(list(found.values())), images(run))


def test_folder_equals_the_run(run, sample, images):
    """Catches: images of a longer run that stay, a cut or changed file that stays, a file written
    anew though it is good."""
    sample(run, "run.export=png")
    folder = run / "images"
    kept = (folder / "000003.png").stat().st_mtime_ns
    whole = (folder / "000000.png").read_bytes()
    (folder / "000000.png").write_bytes(whole[:-60])
    (folder / "000001.png").write_bytes(whole)
    (folder / "000002.png").write_bytes(b"")
    (folder / ".000005.png.77.tmp").write_bytes(b"half")  # of a killed run
    Image.fromarray(images(run)[0]).save(folder / "000024.png")
    sample(run, "run.export=png")
    found = exported(run)
    assert len(found) == 24 and np.array_equal(np.stack(list(found.values())), images(run))
    assert (folder / "000003.png").stat().st_mtime_ns == kept


def test_a_run_that_grows_without_the_option(tmp_path, sample, images):
    """Catches: the images of a shorter run beside a samples.npz that holds more."""
    run = sample(tmp_path / "run", "run.export=png", "run.num_images=8")
    sample(run, "run.num_images=16")
    found = exported(run)
    assert len(found) == 16 and np.array_equal(np.stack(list(found.values())), images(run))


def test_files_of_others_stay(run, sample):
    """Catches: a user's own pictures removed with ours, also by run.overwrite."""
    sample(run, "run.export=png")
    own = ("favourite.png", "7.png", "0000000.png", "notes.txt")
    for name in own:
        (run / "images" / name).write_text("mine")
    (run / "images" / "000099.png").mkdir()  # which cannot be unlinked
    own += ("000099.png",)
    sample(run, "run.export=png", "run.num_images=24")
    assert len(list((run / "images").iterdir())) == 24 + len(own)
    sample(run, "run.overwrite=true", "run.num_images=8")
    assert sorted(p.name for p in (run / "images").iterdir()) == sorted(own)


def test_config_that_is_no_text(run, sample):
    """Catches: a traceback for a config.yaml of other bytes, as a crash of the disk leaves."""
    (run / "config.yaml").write_bytes(b"\xff\xfe\0")
    with pytest.raises(UserError, match=r"^run.dir=.*: its config.yaml is damaged; choose"):
        sample(run)


def test_fewer_images_on_the_command_line(tmp_path, command, sample, images):
    """Catches: 21 files beside a samples.npz of 10 images."""
    sample(tmp_path / "run", "run.export=png", "run.num_images=21")
    ended = command(f"run.dir={tmp_path / 'run'}", "run.export=png", "run.num_images=10")
    assert ended.returncode == 0, ended.stderr
    found = exported(tmp_path / "run")
    assert np.array_equal(np.stack(list(found.values())), images(tmp_path / "run"))
