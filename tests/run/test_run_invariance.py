"""What decides the images, and what does not."""

import json
import math

import numpy as np
import pytest

from models.checkpoints import save_weights

SMALL, LARGE = "pair.denoisers.small", "pair.denoisers.large"


def read_metrics(directory):
    return json.loads((directory / "metrics.json").read_text())


def read_labels(directory):
    with np.load(directory / "samples.npz") as archive:
        return archive["arr_1"]


@pytest.mark.parametrize("batch_size", [5, 24, 100])
def test_batch_size(tmp_path, sample, images, whole, batch_size):
    """Catches: noise drawn per batch; more than rounding between batch sizes."""
    other = sample(tmp_path / "run", f"run.batch_size={batch_size}")
    assert np.array_equal(read_labels(other), read_labels(whole))
    levels = np.abs(images(other).astype(int) - images(whole).astype(int))
    assert np.mean(levels <= 1) >= 0.999


@pytest.mark.parametrize("classes", ["balanced", "random", "[3]", "[7,0,2]"])
def test_labels(tmp_path, sample, classes):
    """Catches: labels that depend on the batch, or a list that is not repeated."""
    short = read_labels(sample(tmp_path / "a", f"run.classes={classes}", "run.num_images=12"))
    long = read_labels(
        sample(tmp_path / "b", f"run.classes={classes}", "run.num_images=30", "run.batch_size=7")
    )
    assert np.array_equal(short, long[:12]) and len(long) == 30
    if classes == "random":
        assert len(set(long)) > 3 and set(long) <= set(range(10))
        assert not np.array_equal(long[:10], long[10:20])
    else:
        cycle = list(range(10)) if classes == "balanced" else json.loads(classes)
        assert long.tolist() == [cycle[i % len(cycle)] for i in range(30)]


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm_solver"])
@pytest.mark.parametrize(("fraction", "small"), [(0, 0), (0.4, 2), (1, 4)])
@pytest.mark.parametrize("scale", [1, 1.5])
def test_counts(tmp_path, sample, images, sampler, fraction, small, scale):
    """Catches: a schedule, NFE or FLOPs in metrics.json that is not what ran."""
    overrides = [f"sampler={sampler}", f"stitch.fraction={fraction}", f"guidance.scale={scale}"]
    run = sample(tmp_path / "run", *overrides, "run.num_images=3")
    metrics, factor = read_metrics(run), 1 if scale == 1 else 2
    denoisers = metrics["denoisers"]
    assert [d["steps"] for d in denoisers.values()] == [small, 4 - small]
    assert [d["evaluations_per_image"] for d in denoisers.values()] == [
        factor * small,
        factor * (4 - small),
    ]
    assert metrics["nfe_per_image"] == 4 * factor
    work = sum(d["evaluations_per_image"] * d["flops_per_evaluation"] for d in denoisers.values())
    assert metrics["flops_per_image"] == work
    ran = {name for name in metrics["seconds_per_image"]["stages"] if name.startswith("denoise/")}
    assert ran == {f"denoise/{name}" for name, d in denoisers.items() if d["steps"]}
    assert images(run).shape == (3, 28, 28, 3)
    assert all(len(np.unique(image)) > 8 for image in images(run))
    assert not any(isinstance(v, float) and math.isnan(v) for v in metrics.values())


@pytest.mark.parametrize(
    ("overrides", "small"),
    [
        (["stitch=interleave"], 2),
        (["stitch=large_to_small", "stitch.fraction=0.25"], 1),
        (["stitch=decreasing", "sampler.steps=2"], 1),
        (["stitch=explicit", "stitch.models=[1,0,0,0]"], 3),
        (["stitch.axis=step", "stitch.fraction=0.25"], 1),
    ],
    ids=["interleave", "large_to_small", "decreasing", "explicit", "step"],
)
def test_stitch_kinds(tmp_path, sample, overrides, small):
    """Catches: a kind of schedule whose configuration file does not fit its class."""
    run = sample(tmp_path / "run", *overrides, "run.num_images=1")
    assert read_metrics(run)["denoisers"]["small"]["steps"] == small


def test_trio(tmp_path, sample, images):
    """Catches: code that knows of two denoisers only."""
    run = sample(
        tmp_path / "run",
        "pair=fashion_mnist_trio",
        "pair.denoisers.medium.weights=random",
        "stitch=fractions",
        "stitch.fractions=[0.3,0.3]",
        "run.num_images=3",
    )
    steps = {name: d["steps"] for name, d in read_metrics(run)["denoisers"].items()}
    assert steps == {"small": 2, "medium": 1, "large": 1}
    assert len(images(run)) == 3
    assert "| medium | 1 |" in (run / "report.md").read_text()


@pytest.mark.parametrize(
    ("fraction", "unused"), [(0, "small"), (1, "large"), (0.4, None)], ids=["zero", "one", "both"]
)
def test_the_unused_denoiser_does_not_matter(tmp_path, sample, images, network, fraction, unused):
    """Catches: a fraction of 0 or 1 that still takes a step of the other denoiser."""
    overrides = [f"stitch.fraction={fraction}", "run.num_images=8"]
    first = sample(tmp_path / "first", *overrides)
    for name in ("small", "large"):
        path = tmp_path / f"{name}.safetensors"
        save_weights(network(name, 5).state_dict(), path, metadata={})
        other = sample(tmp_path / name, *overrides, f"pair.denoisers.{name}.weights={path}")
        assert np.array_equal(images(first), images(other)) == (name == unused), name


def test_all_fractions_start_from_the_same_noise(tmp_path, sample, images):
    """Catches: noise that depends on the stitch schedule: fractions could not be compared."""
    runs = [
        sample(
            tmp_path / str(number),
            "stitch=explicit",
            f"stitch.models={models}",
            "sampler.steps=2",
            "run.num_images=8",
            f"{SMALL}.weights=random",  # predict about nothing: the images are their noise
            f"{LARGE}.weights=random",
        )
        for number, models in enumerate(["[0,0]", "[1,1]"])
    ]
    zero, one = (images(run).reshape(8, -1).astype(float) for run in runs)
    same = np.corrcoef(zero, one)[:8, 8:]
    assert np.all(np.diag(same) > 0.5)
    assert np.all(np.abs(same - np.diag(np.diag(same))) < 0.3)


def test_run_directory_is_derived(tmp_path, sample):
    """Catches: a directory that two different runs share, or that one run finds twice."""
    derived = ["run.dir=null", f"run.root={tmp_path}/runs", "run.num_images=1"]
    first = sample(tmp_path, *derived)
    again = sample(tmp_path, *derived, "run.batch_size=3")
    other = sample(tmp_path, *derived, "guidance.channels=1")
    assert first == again != other
    assert first.parent == other.parent == tmp_path / "runs" / "fashion_mnist"
