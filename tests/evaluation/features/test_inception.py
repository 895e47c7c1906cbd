"""Inception's features against torch-fidelity's own output, and the layout of sFID's."""

import pickle
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from evaluation.features.float32 import full_float32
from evaluation.features.inception import (
    FILE,
    URL,
    InceptionExtractor,
    locate_inception_weights,
)

ROWS, COLUMNS, CHANNELS = 17, 17, 7


def random_images(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.manual_seed(0))


def random_value(name: str, like: Tensor, generator: torch.Generator) -> Tensor:
    """Activations neither vanish nor grow, normalisation and biases matter."""
    if like.dim() == 0:
        return torch.zeros((), dtype=torch.int64)
    noise = torch.randn(like.shape, generator=generator)
    if like.dim() > 1:
        return noise * (2.0 / like[0].numel()) ** 0.5
    positive = name.endswith(("running_var", "bn.weight"))
    return (0.1 * noise).exp() if positive else 0.2 * noise


@pytest.fixture(scope="module")
def state(tmp_path_factory) -> dict[str, Tensor]:
    """Random values under the names and in the shapes of torch-fidelity's network."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Shapes(FeatureExtractorInceptionV3):
        def load_state_dict(self, state_dict, strict=True, assign=False):
            pass

    empty = tmp_path_factory.mktemp("empty") / "empty.pth"
    torch.save({}, empty)
    with torch.device("meta"):
        shapes = Shapes("shapes", ["2048"], feature_extractor_weights_path=empty).state_dict()
    generator = torch.Generator().manual_seed(0)
    return {name: random_value(name, like, generator) for name, like in shapes.items()}


@pytest.fixture(scope="module")
def weights(state, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / FILE
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def extractor(weights) -> InceptionExtractor:
    return InceptionExtractor(weights)


@pytest.fixture(scope="module")
def fidelity(weights) -> nn.Module:
    """torch-fidelity's extractor as torch-fidelity builds and fills it."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    return FeatureExtractorInceptionV3(
        "fidelity", ["2048", "logits_unbiased"], feature_extractor_weights_path=weights
    )


def test_pool_and_logits_are_torch_fidelitys(extractor, fidelity):
    """Catches: weights in the wrong place, train mode, biased logits, another resize."""
    images = random_images(2, 3, 40, 33)
    features = extractor(images)
    pool, logits = fidelity(images)
    assert features["pool"].shape == (2, 2048) and features["logits"].shape == (2, 1008)
    assert torch.equal(features["pool"], pool) and torch.equal(features["logits"], logits)
    assert pool.std() > 0.01 and (pool[0] - pool[1]).abs().max() > 1e-3  # the weights do something
    for tensor in features.values():
        assert tensor.dtype == torch.float32 and not tensor.requires_grad


def test_spatial_is_positions_by_channels(extractor, fidelity):
    """Catches: channels first, columns before rows, values before normalisation or ReLU."""
    images = random_images(1, 3, 30, 30)
    inputs = []
    hook = fidelity.Mixed_6d.register_forward_pre_hook(
        lambda _, args: inputs.append(args[0].clone())
    )
    fidelity(images)
    hook.remove()
    layer = fidelity.Mixed_6d.branch1x1
    norm = layer.bn
    maps = F.conv2d(inputs[0], layer.conv.weight)
    maps = (maps - norm.running_mean[:, None, None]) / (
        norm.running_var[:, None, None] + norm.eps
    ).sqrt()
    maps = (maps * norm.weight[:, None, None] + norm.bias[:, None, None]).clamp(min=0.0)
    assert maps.shape == (1, 192, ROWS, COLUMNS)

    spatial = extractor(images)["spatial"]
    assert spatial.shape == (1, 2023)
    expected = torch.tensor(
        [
            maps[0, channel, row, column]
            for row in range(ROWS)
            for column in range(COLUMNS)
            for channel in range(CHANNELS)
        ]
    )
    assert torch.allclose(spatial[0], expected, atol=1e-5)
    assert 0.1 < (spatial == 0).float().mean() < 0.9  # the ReLU acted, and not on all
    channels_first = maps[:, :CHANNELS].flatten(1)
    columns_first = maps[:, :CHANNELS].permute(0, 3, 2, 1).flatten(1)
    for other in (channels_first, columns_first):
        assert (spatial - other).abs().max() > 0.1


def test_an_image_does_not_depend_on_its_batch(extractor):
    """Catches: batch statistics, a feature map of an earlier batch or of another image."""
    images = random_images(3, 3, 8, 8)
    together = extractor(images)
    for number in (2, 0):
        alone = extractor(images[number : number + 1])
        for name, rows in together.items():
            assert torch.allclose(rows[number], alone[name][0], rtol=1e-5, atol=1e-5), name


def test_any_size(extractor):
    """Catches: a resize that divides by the size minus one."""
    extractor.check(1, 1)
    assert all(values.isfinite().all() for values in extractor(random_images(1, 3, 1, 1)).values())
    with pytest.raises(ValueError, match="5x0 images have no pixels; "):
        extractor.check(0, 5)


def test_what_the_caller_reads(extractor):
    """Catches: FID under another name, classes compared with labels of another data set."""
    assert (extractor.space, extractor.num_classes) == ("", None)
    assert not extractor.training
    assert not [name for name, value in extractor.named_parameters() if value.requires_grad]


def test_full_float32_within_and_the_callers_choice_after(extractor):
    """Catches: features in TF32 after a run in TF32, a precision that stays changed."""

    def chosen() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    before, seen = chosen(), []
    hook = extractor._network.Mixed_7c.register_forward_hook(lambda *_: seen.append(chosen()))
    try:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        extractor(random_images(1, 3, 4, 4))
        assert seen == [("highest", False)] and chosen() == ("high", True)
        with pytest.raises(KeyError), full_float32():
            raise KeyError
        assert chosen() == ("high", True)
    finally:
        hook.remove()
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def test_building_keeps_the_random_state(weights):
    """Catches: sampling after an evaluation that differs from sampling before it."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    InceptionExtractor(weights)
    assert torch.equal(torch.get_rng_state(), before)


def test_other_files_of_the_same_weights(extractor, state, tmp_path):
    """Catches: safetensors, half precision, or files without the unused counters refused."""
    kept = {name: value for name, value in state.items() if "num_batches" not in name}
    save_file(
        {name: value.contiguous() for name, value in kept.items()}, tmp_path / "a.safetensors"
    )
    images = random_images(1, 3, 9, 9)
    other = InceptionExtractor(tmp_path / "a.safetensors")
    assert torch.equal(other(images)["pool"], extractor(images)["pool"])


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def refused(path: Path) -> str:
    """The message for bad weights, checked for its form."""
    with pytest.raises(ValueError) as caught, warnings.catch_warnings():
        warnings.simplefilter("error")
        InceptionExtractor(path)
    message = str(caught.value)
    assert message.startswith(f"weights={path}: ") and "\n" not in message
    assert message.endswith(f"; give torch-fidelity's {FILE}")
    return message


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_code_in_weights_is_not_run(tmp_path, state, form):
    """Catches: torch.load without weights_only, here or in torch-fidelity's constructor."""
    path, sprung = tmp_path / "trap.pth", tmp_path / "sprung"
    content = {**{name: state[name] for name in list(state)[:3]}, "trap": Trap(sprung)}
    if form == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    assert "code or objects, which were not run" in refused(path)
    assert not sprung.exists()
    torch.load(path, weights_only=False) if form == "torch" else pickle.loads(path.read_bytes())
    assert sprung.exists()  # the trap is one


def test_refused_weights(tmp_path, state):
    """Catches: a traceback of many lines, a network that is only partly filled."""
    path = tmp_path / "a.pth"
    assert "no such file" in refused(tmp_path / "none.pth")
    assert "is damaged or cut short" in refused(tmp_path)
    for text in ("<!doctype html>", "", "x" * 3000):
        path.write_text(text)
        refused(path)
    torch.save(torch.zeros(3), path)
    assert "not a state dict" in refused(path)
    torch.save({"model": state}, path)
    assert "not a state dict" in refused(path)
    torch.save({}, path)
    assert "misses 472 of Inception's 566" in refused(path)
    torch.save({name: value for name, value in state.items() if name != "fc.bias"}, path)
    assert "misses 1 of Inception's 566 entries (fc.bias)" in refused(path)
    torch.save({**state, "AuxLogits.fc.weight": torch.zeros(2)}, path)
    assert "has surplus 1 of Inception's 566 entries (AuxLogits.fc.weight)" in refused(path)
    torch.save({**state, "fc.bias": torch.zeros(1000)}, path)
    assert "misshapes 1 of Inception's 566 entries (fc.bias)" in refused(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    refused(path)
    (tmp_path / "a.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    assert "is damaged or cut short" in refused(tmp_path / "a.safetensors")


def test_where_the_weights_are(tmp_path, monkeypatch):
    """Catches: a download of what torch-fidelity has already fetched, a source that is ignored."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    assert locate_inception_weights(None) == URL
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / FILE).touch()
    assert locate_inception_weights(None) == tmp_path / "checkpoints" / FILE
    assert locate_inception_weights("/path/own.pth") == "/path/own.pth"
