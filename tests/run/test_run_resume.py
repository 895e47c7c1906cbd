"""The same command again: resumes, extends, finishes at once; byte for byte."""

import logging
import os
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def copy(whole, tmp_path):
    """The finished run, to be damaged."""
    return shutil.copytree(whole, tmp_path / "run")


@pytest.fixture(scope="module")
def forty(sample, tmp_path_factory):
    """40 images in one go."""
    return sample(tmp_path_factory.mktemp("forty") / "run", "run.num_images=40")


def remove_two(run, other):
    (run / "shards" / "00000000-00000008.npz").unlink()
    (run / "shards" / "00000016-00000024.npz").unlink()


def remove_all(run, other):
    shutil.rmtree(run / "shards")


def truncate(run, other):
    path = run / "shards" / "00000008-00000016.npz"
    path.write_bytes(path.read_bytes()[:5000])


def empty(run, other):
    (run / "shards" / "00000008-00000016.npz").write_bytes(b"")


def flip(run, other):
    path = run / "shards" / "00000008-00000016.npz"
    content = bytearray(path.read_bytes())
    content[4000] ^= 1
    path.write_bytes(content)


def foreign(run, other):
    name = "00000008-00000016.npz"
    shutil.copy(other / "shards" / name, run / "shards" / name)


def rename(run, other):
    first = run / "shards" / "00000000-00000008.npz"
    shutil.copy(first, run / "shards" / "00000008-00000016.npz")


def leave_temporaries(run, other):
    (run / "shards" / "00000008-00000016.npz").rename(
        run / "shards" / ".00000008-00000016.npz.123.tmp"
    )
    (run / ".samples.npz.123.tmp").write_bytes(b"half")


@pytest.fixture(scope="module")
def other(sample, tmp_path_factory):
    """A run of another seed."""
    return sample(tmp_path_factory.mktemp("other") / "run", "run.seed=1")


@pytest.mark.parametrize("keep_samples", [False, True])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (remove_two, None),
        (remove_all, None),
        (truncate, "unreadable"),
        (empty, "unreadable"),
        (flip, "unreadable"),
        (foreign, "of another run"),
        (rename, "its images are not the ones its name says"),
        (leave_temporaries, None),
    ],
)
def test_damaged_shards(copy, sample, whole, other, caplog, damage, reason, keep_samples):
    """Catches: a damaged or foreign shard that ends in samples.npz or in a traceback."""
    damage(copy, other)
    if not keep_samples:
        (copy / "samples.npz").unlink()
    with caplog.at_level(logging.WARNING):
        sample(copy)
    assert (copy / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()
    warnings = [record.getMessage() for record in caplog.records if "shard" in record.getMessage()]
    if reason is None:
        assert warnings == []
    else:
        assert len(warnings) == 1 and reason in warnings[0]
        assert f"{copy}/shards/00000008-00000016.npz" in warnings[0]
    assert not list(copy.rglob(".*.tmp"))


def cut_samples(run):
    path = run / "samples.npz"
    path.write_bytes(path.read_bytes()[:-100])


def flip_samples(run):
    content = bytearray((run / "samples.npz").read_bytes())
    content[30_000] ^= 1
    (run / "samples.npz").write_bytes(content)


@pytest.mark.parametrize("damage", [cut_samples, flip_samples])
def test_damaged_samples(copy, sample, whole, damage):
    """Catches: a finished run recognised by the name of its file alone."""
    damage(copy)
    sample(copy)
    assert (copy / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()


@pytest.mark.parametrize("name", ["grid.png", "metrics.json", "report.md"])
@pytest.mark.parametrize("keep", ["true", "false"])
def test_missing_report(copy, sample, whole, name, keep):
    """Catches: a run killed before its last file that counts as finished; no shards, no report."""
    sample(copy, f"run.keep_shards={keep}")
    (copy / name).unlink()
    sample(copy, f"run.keep_shards={keep}")
    assert (copy / name).stat().st_size > 0
    assert (copy / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()


@pytest.mark.parametrize("name", ["samples.npz", "shards/00000008-00000016.npz"])
def test_what_is_verified_is_not_read_again(copy, sample, caplog, name):
    """Catches: a finished run that reads all its images to say so; a record that outlives a change
    of the file, which only its time tells."""
    path = copy / name
    content, changed = bytearray(path.read_bytes()), path.stat().st_mtime_ns
    content[4000] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(changed, changed))  # only whoever reads it sees that it is another
    sample(copy)
    assert path.read_bytes() == content and "made again" not in caplog.text
    os.utime(path, ns=(changed, changed + 1))
    sample(copy)
    assert path.read_bytes() != content


def state(run):
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in run.rglob("*")
        if path.is_file() and path.name not in (".lock", "config.yaml")
    }


def test_finished_run_is_left_alone(copy, sample):
    """Catches: a finished run whose files are written again by the same command."""
    before = state(copy)
    sample(copy)  # config.yaml names the copy now
    config = (copy / "config.yaml").stat().st_mtime_ns
    sample(copy)
    assert state(copy) == before and (copy / "config.yaml").stat().st_mtime_ns == config


@pytest.mark.parametrize(
    "path",
    ["sampler._target_=samplers.dpm_solver.DPMSolver", "stitch._target_=samplers.stitch.Fraction"],
)
def test_another_path_to_the_same_class(copy, sample, path):
    """Catches: a run that is refused because the class of its sampler is named by another path."""
    before = state(copy)
    sample(copy, path)
    assert state(copy) == before


@pytest.mark.parametrize("first", [24, 20, 1])
@pytest.mark.parametrize("keep", ["true", "false"])
def test_extension(tmp_path, sample, forty, first, keep):
    """Catches: images of the last, short batch that are kept twice, dropped or changed."""
    run, keeping = tmp_path / "run", f"run.keep_shards={keep}"
    sample(run, f"run.num_images={first}", keeping)
    sample(run, "run.num_images=40", keeping)
    with np.load(run / "samples.npz") as long, np.load(forty / "samples.npz") as fresh:
        assert np.array_equal(long["arr_1"], fresh["arr_1"])
        levels = np.abs(long["arr_0"].astype(int) - fresh["arr_0"])
    if first % 8 == 0 or keep == "true":
        assert (run / "samples.npz").read_bytes() == (forty / "samples.npz").read_bytes()
    # Without shards the last, short batch is not computed again: equal within rounding.
    assert np.mean(levels <= 1) >= 0.999
    assert bool(list((run / "shards").iterdir())) == (keep == "true")


def test_other_batch_size_keeps_the_images(copy, sample, whole):
    """Catches: shards of another batch size that are thrown away or put in the wrong place."""
    (copy / "samples.npz").unlink()
    (copy / "shards" / "00000016-00000024.npz").unlink()
    sample(copy, "run.batch_size=5")
    with np.load(copy / "samples.npz") as resumed, np.load(whole / "samples.npz") as fresh:
        assert np.array_equal(resumed["arr_0"][:15], fresh["arr_0"][:15])
        assert np.array_equal(resumed["arr_1"], fresh["arr_1"])
        levels = np.abs(resumed["arr_0"].astype(int) - fresh["arr_0"])
    assert np.mean(levels <= 1) >= 0.999


def test_without_shards(copy, sample, whole):
    """Catches: shards removed before samples.npz is whole, or sampled again afterwards."""
    sample(copy, "run.keep_shards=false")
    assert list((copy / "shards").iterdir()) == []
    before = state(copy)
    sample(copy, "run.keep_shards=false")
    sample(copy)
    assert state(copy) == before
    assert (copy / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()


def test_killed_while_shards_were_removed(copy, sample, whole, forty):
    """Catches: the shards that are left taken for all that there is."""
    (copy / "shards" / "00000000-00000008.npz").unlink()
    sample(copy, "run.keep_shards=false")
    assert (copy / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()
    sample(copy, "run.num_images=40")
    assert (copy / "samples.npz").read_bytes() == (forty / "samples.npz").read_bytes()


def test_export(copy, sample):
    """Catches: PNGs that are not the images, are misnumbered, or miss after an extension."""
    for count in (24, 30):
        sample(copy, "run.export=png", f"run.num_images={count}")
        with np.load(copy / "samples.npz") as archive:
            images = archive["arr_0"]
        paths = sorted((copy / "images").iterdir())
        assert [path.name for path in paths] == [f"{i:06d}.png" for i in range(count)]
        for path, image in zip(paths, images, strict=True):
            assert np.array_equal(np.asarray(Image.open(path).convert("RGB")), image)


def test_overwrite_starts_anew(copy, sample, refusal, other):
    """Catches: files of the former run in the new one."""
    sample(copy, "run.export=png")
    message = refusal(copy, "run.seed=1")
    assert "run.seed: 0 -> 1" in message and "run.overwrite=true" in message
    sample(copy, "run.seed=1", "run.overwrite=true", "run.num_images=24")
    assert (copy / "samples.npz").read_bytes() == (other / "samples.npz").read_bytes()
    assert not (copy / "images").exists()


@pytest.mark.parametrize(
    ("first", "again"), [("sampler.eta=0.0", "sampler.eta=0"), ("sampler.eta=1", "sampler.eta=1.0")]
)
def test_the_same_value_written_otherwise(tmp_path, sample, caplog, first, again):
    """Catches: 0 and 0.0 with different digests, which made every shard one `of another run`."""
    run = sample(tmp_path / "run", "sampler=ddim", first, "run.num_images=8")
    before = state(run)
    with caplog.at_level(logging.WARNING):
        sample(run, "sampler=ddim", again, "run.num_images=8")
    assert state(run) == before and "another run" not in caplog.text


def test_format(whole):
    """Catches: what ADM's evaluator cannot read, pickles, and dates that change the bytes."""
    with np.load(whole / "samples.npz", allow_pickle=False) as archive:
        assert archive.files == ["arr_0", "arr_1"]
        assert archive["arr_0"].shape == (24, 28, 28, 3) and archive["arr_0"].dtype == np.uint8
        assert archive["arr_1"].shape == (24,) and archive["arr_1"].dtype == np.int64
        assert np.ptp(archive["arr_0"], axis=3).max() == 0  # greyscale: three equal channels
    with zipfile.ZipFile(whole / "samples.npz") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert sorted(path.name for path in whole.iterdir() if path.name != ".lock") == [
        ".verified.json", "config.yaml", "grid.png", "metrics.json", "report.md", "samples.npz",
        "shards",
    ]  # fmt: skip
