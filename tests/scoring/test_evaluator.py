"""The evaluator against the metrics of features that are extracted here, all at once."""

import json

import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric
from torch_fidelity.metric_prc import (
    KEY_METRIC_PRECISION,
    KEY_METRIC_RECALL,
    prc_features_to_metric,
)

from evaluation.features.classifier import ClassifierExtractor
from evaluation.metrics.jackknife import group_ranges
from evaluation.metrics.kernel_distance import kernel_sums, mean_off_diagonal

ALL = [
    "fid", "sfid", "inception_score", "precision", "recall", "coverage", "kid", "class_accuracy",
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(evaluate, tmp_path_factory):
    """The result for samples.npz; to be read, not changed."""
    return evaluate(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def features(files):
    """features(array of images): the extractor's dict, float64 where it is float32."""
    extractor = ClassifierExtractor(files / "classifier.safetensors").eval()

    def extract(images: np.ndarray) -> dict[str, torch.Tensor]:
        tensor = torch.from_numpy(images)[:, None].expand(-1, 3, -1, -1)
        with torch.inference_mode():
            found = extractor(tensor)
        return {k: v.double() if v.is_floating_point() else v for k, v in found.items()}

    return extract


@pytest.fixture(scope="module")
def extracted(files, features):
    """Features of the samples, their labels, features of the real images."""
    samples = np.load(files / "samples.npz")
    real = np.load(files / "real.npz")
    return features(samples["arr_0"]), samples["arr_1"], features(real["arr_0"])


def measure(own: dict, labels: np.ndarray, real: dict) -> dict[str, float]:
    """Every metric, by torch-fidelity where it has it."""

    def frechet(name: str) -> float:
        statistics = [fid_features_to_statistics(part[name]) for part in (own, real)]
        return fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]

    score = isc_features_to_metric(own["logits"], splits=1, shuffle=False)
    balls = prc_features_to_metric(
        own["pool"], real["pool"], prc_neighborhood=3, prc_batch_size=1000, save_cpu_ram=False,
        verbose=False,
    )  # fmt: skip
    # Of every real image, whether a sample is nearer than its fifth nearest real one.
    radii = torch.cdist(real["pool"], real["pool"]).topk(6, dim=1, largest=False).values[:, -1]
    near = torch.cdist(real["pool"], own["pool"]).min(1).values <= radii
    one = torch.zeros(len(own["pool"]), dtype=torch.long)
    kernel = kernel_sums(own["pool"], one, real["pool"], mean_off_diagonal(real["pool"]))
    return {
        "fid": frechet("pool"),
        "sfid": frechet("spatial"),
        "inception_score": score[KEY_METRIC_ISC_MEAN],
        "precision": balls[KEY_METRIC_PRECISION],
        "recall": balls[KEY_METRIC_RECALL],
        "coverage": float(near.double().mean()),
        "kid": kernel.distance(),
        "class_accuracy": float((own["classes"].numpy() == labels).mean()),
    }


def test_values(whole, extracted):
    """Catches: features of one metric given to another, samples and reference swapped."""
    expected = measure(*extracted)
    assert list(whole["metrics"]) == ALL
    for metric, entry in whole["metrics"].items():
        assert entry["value"] == pytest.approx(expected[metric], rel=1e-5), metric
    assert all(0 < expected[name] < 1 for name in ("precision", "recall", "coverage"))


def test_replicates(whole, extracted):
    """Catches: replicates of other groups than those of the image indices."""
    own, labels, real = extracted
    for number in (0, 3, 9):
        group = group_ranges(600, 10)[number]
        kept = np.r_[0 : group.start, group.stop : 600]
        rest = {name: values[kept] for name, values in own.items()}
        expected = measure(rest, labels[kept], real)
        del expected["recall"]  # the radii of all samples are kept; tests of estimates check it
        for metric, value in expected.items():
            found = whole["metrics"][metric]["replicates"][number]
            assert found == pytest.approx(value, rel=1e-5), metric


def test_result_is_described(whole):
    """Catches: a number of another feature space that is called FID, lost provenance."""
    assert whole["space"] == "Fashion-MNIST classifier"
    assert (whole["num_images"], whole["groups"]) == (600, 10)
    assert whole["metrics"]["fid"]["name"] == "FID (Fashion-MNIST classifier)"
    for entry in whole["metrics"].values():
        assert entry["low"] <= entry["value"] <= entry["high"]
        assert len(entry["replicates"]) == 10
    reference = whole["protocol"]["reference"]
    assert (reference["label"], reference["num_images"]) == ("real", 500)
    assert len(reference["digest"]) == 64
    assert whole["protocol"]["extractor"]["class"] == "ClassifierExtractor"
    assert len(whole["protocol"]["extractor"]["weights_sha256"]) == 64
    assert {"torch", "python", "numpy"} <= whole["protocol"]["versions"].keys()


def test_batches_do_not_matter(evaluate, whole, tmp_path):
    """Catches: a last batch that is left out, features that depend on their batch."""
    other = evaluate(tmp_path, "evaluation.batch_size=7")
    for metric, entry in whole["metrics"].items():
        assert other["metrics"][metric]["value"] == pytest.approx(entry["value"], rel=1e-5)


def test_the_number_of_groups_changes_intervals_only(evaluate, whole, tmp_path):
    """Catches: a value that is a mean over groups."""
    other = evaluate(tmp_path, "evaluation.groups=25")
    assert other["groups"] == 25
    for metric, entry in whole["metrics"].items():
        found = other["metrics"][metric]
        assert len(found["replicates"]) == 25
        assert found["value"] == pytest.approx(entry["value"], rel=1e-6)
        width, wanted = found["high"] - found["low"], entry["high"] - entry["low"]
        assert wanted / 4 < width < 4 * wanted


def test_samples_that_are_the_reference(evaluate, files, whole, tmp_path):
    """Catches: a metric that finds a difference where there is none."""
    metrics = evaluate(tmp_path, f"samples={files / 'real.npz'}")["metrics"]
    scale = whole["metrics"]
    assert abs(metrics["fid"]["value"]) < 1e-6 * scale["fid"]["value"]
    assert metrics["precision"]["value"] == metrics["recall"]["value"] == 1
    assert abs(metrics["kid"]["value"]) < 0.1 * scale["kid"]["value"]
    assert "class_accuracy" not in metrics  # its images have no labels


def test_stored_statistics(evaluate, whole, extracted, tmp_path):
    """Catches: stored statistics that are ignored, metrics that they cannot give."""
    real, moments = extracted[2], {}
    for name, (mu, sigma) in {"pool": ("mu", "sigma"), "spatial": ("mu_s", "sigma_s")}.items():
        moments |= {mu: real[name].numpy().mean(0), sigma: np.cov(real[name].numpy().T)}
    path = tmp_path / "statistics.npz"

    def check(metrics: list[str], **arrays: np.ndarray) -> None:
        np.savez(path, **arrays)
        found = evaluate(tmp_path, f"reference={path}")["metrics"]
        assert list(found) == metrics
        for metric, entry in found.items():
            assert entry["value"] == pytest.approx(whole["metrics"][metric]["value"], rel=1e-5)

    pool = {name: moments[name] for name in ("mu", "sigma")}
    check(["fid", "inception_score", "class_accuracy"], **pool)
    check(["fid", "sfid", "inception_score", "class_accuracy"], **moments)
    check(ALL, **moments, features=real["pool"].float().numpy(), num_images=np.array(500))


def test_statistics_that_are_stored_beside_images_count(evaluate, files, whole, tmp_path):
    """Catches: statistics of 10,000 images replaced by those of the few images beside them."""
    path, real = tmp_path / "both.npz", np.load(files / "real.npz")["arr_0"]
    np.savez(path, mu=np.zeros(128), sigma=np.zeros((128, 128)), arr_0=real)
    found = evaluate(tmp_path, f"reference={path}")["metrics"]
    assert list(found) == ALL
    assert found["fid"]["value"] > 2 * whole["metrics"]["fid"]["value"]
    assert found["recall"]["value"] == whole["metrics"]["recall"]["value"]


def test_few_images(evaluate, files, tmp_path):
    """Catches: NaN, which is no JSON, from groups that leave too little."""
    samples = np.load(files / "samples.npz")
    path = tmp_path / "few.npz"
    for count, groups in ((4, 50), (5, 2), (4, 2)):
        np.savez(path, samples["arr_0"][:count], samples["arr_1"][:count])
        found = evaluate(tmp_path, f"samples={path}", f"evaluation.groups={groups}")
        assert found["groups"] == min(count, groups)
        assert "NaN" not in json.dumps(found) and "Infinity" not in json.dumps(found)


def test_black_images(evaluate, tmp_path):
    """Catches: an error or NaN for a sampler that has collapsed."""
    np.savez(tmp_path / "black.npz", np.zeros((40, 28, 28), np.uint8))
    found = evaluate(tmp_path, f"samples={tmp_path / 'black.npz'}")
    assert "NaN" not in json.dumps(found)
    assert found["metrics"]["recall"]["value"] == 0
    assert found["metrics"]["inception_score"]["value"] == pytest.approx(1)
