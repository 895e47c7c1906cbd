"""The classifier as a feature extractor: the shipped file, layouts, bad files, torch-fidelity."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from evaluation.features.classifier import (
    FIDELITY_NAME,
    Classifier,
    ClassifierExtractor,
    register_with_torch_fidelity,
)

TESTS = Path(__file__).resolve().parents[2]
SHIPPED = TESTS.parent / "models/pretrained/fashion_mnist/classifier.safetensors"
MEANS = TESTS / "fixtures/fashion_mnist_class_means.npy"
MAX_BYTES = 2_000_000


@pytest.fixture(scope="module")
def extractor() -> ClassifierExtractor:
    return ClassifierExtractor(SHIPPED)


def grey(count: int, seed: int = 0) -> torch.Tensor:
    """Class means with noise on them: uint8 (N, 3, 28, 28)."""
    means = torch.from_numpy(np.load(MEANS)).float()
    generator = torch.Generator().manual_seed(seed)
    noise = 20.0 * torch.randn(count, 28, 28, generator=generator)
    images = (means[torch.arange(count) % len(means)] + noise).clamp(0, 255)
    return images.to(torch.uint8)[:, None].repeat(1, 3, 1, 1)


def test_shipped_file_keeps_the_contract(extractor):
    """Catches: shapes, dtypes or a number of classes that the metrics do not expect."""
    assert SHIPPED.stat().st_size <= MAX_BYTES
    assert (extractor.space, extractor.num_classes) == ("Fashion-MNIST classifier", 10)
    extractor.check(28, 28)
    found = extractor(grey(5))
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    assert shapes == {"pool": (5, 128), "spatial": (5, 343), "logits": (5, 10), "classes": (5,)}
    assert found.pop("classes").dtype == torch.int64
    for value in found.values():
        assert value.dtype == torch.float32 and not value.requires_grad
    assert (found["pool"] >= 0).all() and (found["pool"].std(0) > 0).float().mean() > 0.8


def test_mean_images_get_their_class(extractor):
    """Catches: weights of another scaling of the pixels, classes in another order."""
    means = torch.from_numpy(np.load(MEANS))[:, None].repeat(1, 3, 1, 1)
    assert (extractor(means)["classes"] == torch.arange(10)).sum() >= 6


def test_spatial_is_position_major(extractor):
    """Catches: channels outermost, which sFID's covariance would not show but other code reads."""
    images = grey(3)
    seen = {}
    hook = extractor._network.middle.register_forward_hook(
        lambda module, inputs, output: seen.update(map=output.clone())
    )
    spatial = extractor(images)["spatial"]
    hook.remove()
    for row, column, channel in ((0, 0, 1), (2, 5, 3), (6, 6, 6)):
        place = (row * 7 + column) * 7 + channel
        assert torch.equal(spatial[:, place], seen["map"][:, channel, row, column])
    channels_first = seen["map"][:, :7].flatten(1)
    assert not torch.equal(spatial, channels_first)


def test_bias_counts_for_classes_alone(tmp_path):
    """Catches: an Inception Score with bias, predictions without."""
    state = load_file(SHIPPED)
    plain = ClassifierExtractor(SHIPPED)(grey(20))
    state["head.bias"] = torch.zeros(10).index_fill_(0, torch.tensor([6]), 1e4)
    save_file(state, tmp_path / "biased.safetensors")
    biased = ClassifierExtractor(tmp_path / "biased.safetensors")(grey(20))
    assert torch.equal(plain["logits"], biased["logits"])
    assert (biased["classes"] == 6).all() and not (plain["classes"] == 6).all()


def test_features_do_not_depend_on_the_batch(extractor):
    """Catches: batch norm in training mode, a layer that mixes images."""
    images = grey(12)
    together = extractor(images)
    for index in (0, 7):
        alone = extractor(images[index : index + 1])
        for name in ("pool", "spatial", "logits"):
            torch.testing.assert_close(alone[name][0], together[name][index], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(32, 32), (28, 27)])
def test_other_sizes_are_refused(extractor, shape):
    """Catches: features of padded or pooled-away images, width and height exchanged."""
    for refuse in (
        lambda: extractor.check(*shape),
        lambda: extractor(torch.zeros(1, 3, *shape, dtype=torch.uint8)),
    ):
        with pytest.raises(ValueError, match=f"^{shape[1]}x{shape[0]} images: .*28x28;") as caught:
            refuse()
        assert "\n" not in str(caught.value)


def test_colour_is_refused(extractor):
    """Catches: colour images measured by their red channel."""
    images = grey(2)
    images[1, 2, 10, 10] ^= 1
    with pytest.raises(ValueError, match="^the images are in colour"):
        extractor(images)


def test_empty_name_is_refused():
    """Catches: a classifier's distance that is printed as FID."""
    with pytest.raises(ValueError, match="^name='': "):
        ClassifierExtractor(SHIPPED, name="")


def without_a_layer(path: Path) -> None:
    state = load_file(SHIPPED)
    del state["stem.0.weight"]
    save_file(state, path)


def of_another_width(path: Path) -> None:
    save_file({**load_file(SHIPPED), "head.weight": torch.zeros(10, 64)}, path)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: None,
        lambda path: path.mkdir(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(SHIPPED.read_bytes()[:1000]),
        lambda path: path.write_text("<!doctype html>\n<html>\n</html>\n"),
        lambda path: save_file({"a": torch.zeros(2)}, path),
        without_a_layer,
        of_another_width,
    ],
    ids=["missing", "folder", "empty", "cut", "html", "foreign", "layer", "width"],
)
def test_unfit_files_are_one_line(tmp_path, write):
    """Catches: a traceback of safetensors or torch, random weights used in silence."""
    path = tmp_path / "classifier.safetensors"
    write(path)
    with pytest.raises(ValueError) as caught:
        ClassifierExtractor(path)
    message = str(caught.value)
    assert message.startswith(f"weights={path}: ") and "; " in message and "\n" not in message


def test_number_of_classes_comes_from_the_file(tmp_path):
    """Catches: ten classes written into the code."""
    torch.manual_seed(0)
    save_file(Classifier(4).state_dict(), tmp_path / "four.safetensors")
    assert ClassifierExtractor(tmp_path / "four.safetensors").num_classes == 4


class Images(torch.utils.data.Dataset):
    """What torch-fidelity takes: uint8 (3, H, W) items."""

    def __init__(self, images: torch.Tensor) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self._images[index]


def test_torch_fidelity_measures_with_it(extractor):
    """Catches: another layer, scaling or order of features when torch-fidelity runs the network."""
    torch_fidelity = pytest.importorskip("torch_fidelity")
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    register_with_torch_fidelity()
    register_with_torch_fidelity()
    first, second = grey(150, seed=1), 255 - grey(150, seed=2)
    measured = torch_fidelity.calculate_metrics(
        input1=Images(first), input2=Images(second), feature_extractor=FIDELITY_NAME,
        feature_extractor_weights_path=str(SHIPPED), fid=True, isc=True, prc=True, cuda=False,
        batch_size=64, save_cpu_ram=True, verbose=False,
    )  # fmt: skip
    statistics = [fid_features_to_statistics(extractor(x)["pool"]) for x in (first, second)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert measured["frechet_inception_distance"] == pytest.approx(expected, rel=1e-4)
    assert expected > 1.0
    assert 1.0 < measured["inception_score_mean"] <= 10.0


def test_torch_fidelity_arguments_are_named():
    """Catches: a new argument of calculate_metrics that the extractor would not take."""
    pytest.importorskip("torch_fidelity")
    from torch_fidelity.defaults import DEFAULTS
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

    register_with_torch_fidelity()
    known = inspect.signature(FEATURE_EXTRACTORS_REGISTRY[FIDELITY_NAME]).parameters
    assert DEFAULTS.keys() - known.keys() == {"cuda"}  # the one that it keeps to itself


def test_torch_fidelity_needs_weights():
    """Catches: a classifier of random weights."""
    torch_fidelity = pytest.importorskip("torch_fidelity")
    register_with_torch_fidelity()
    with pytest.raises(ValueError, match="^feature_extractor_weights_path=None: "):
        torch_fidelity.calculate_metrics(
            input1=Images(grey(4)), input2=Images(grey(4)), feature_extractor=FIDELITY_NAME,
            fid=True, cuda=False, verbose=False,
        )  # fmt: skip
