"""Reading, checking and writing weights, with real files of every kind."""

import argparse
import os
import pickle
import resource
from collections import OrderedDict

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from models.checkpoints import CheckpointError, load_weights, read_checkpoint, save_weights


class Net(nn.Module):
    """Two layers, a table and an integer buffer."""

    def __init__(self, width: int = 3):
        super().__init__()
        self.one = nn.Linear(width, 4)
        self.two = nn.Linear(4, 2, bias=False)
        self.pos_embed = nn.Parameter(torch.zeros(1, 5), requires_grad=False)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))


class Evil:
    """Unpickling it the careless way creates a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def filled(seed: int, width: int = 3) -> Net:
    network, generator = Net(width), torch.Generator().manual_seed(seed)
    for value in network.parameters():
        value.data = torch.randn(value.shape, generator=generator)
    network.count += seed
    return network


def assert_same(found, wanted):
    assert sorted(found) == sorted(wanted)
    for key, value in wanted.items():
        assert torch.equal(found[key], value), key


def error_of(function, *args, **kwargs) -> str:
    with pytest.raises(CheckpointError) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


NAMESPACE = argparse.Namespace(model="DiT-XL/2", lr=1e-4, classes=[1, 2], ckpt=None)


def test_old_format_and_the_namespace_of_the_authors(tmp_path):
    """Catches: torch's older files refused, or the arguments that DiT's checkpoints hold."""
    content = {"ema": filled(1).state_dict(), "opt": {"lr": 1}, "args": NAMESPACE}
    for zipped in (True, False):
        torch.save(content, tmp_path / "c.pt", _use_new_zipfile_serialization=zipped)
        network = filled(2)
        assert load_weights(network, tmp_path / "c.pt") == "ema"
        assert_same(network.state_dict(), filled(1).state_dict())


@pytest.mark.parametrize("name", ["weights.safetensors", "gdrive-1aBc"])
def test_safetensors_by_suffix_or_content(tmp_path, name):
    """Catches: a cached download without a suffix that is taken for a torch file."""
    state = filled(1).state_dict()
    save_file(state, tmp_path / name)
    assert_same(read_checkpoint(tmp_path / name), state)


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_file_called_safetensors(tmp_path, zipped):
    """Catches: a whole file called damaged because its suffix is another format's."""
    path = tmp_path / "weights.safetensors"
    torch.save(filled(1).state_dict(), path, _use_new_zipfile_serialization=zipped)
    assert "is a torch file in spite of its suffix; call it .pt" in error_of(read_checkpoint, path)


@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_named(tmp_path):
    """Catches: a whole archive called damaged, with torch's advice on an argument of its own."""
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "c.pt")
    message = error_of(read_checkpoint, tmp_path / "c.pt")
    assert "is TorchScript" in message and "weights_only" not in message


def test_global_allow_list_is_untouched(tmp_path):
    """Catches: argparse.Namespace allowed for the whole process after one read."""
    before = set(torch.serialization.get_safe_globals())
    torch.save({"ema": filled(1).state_dict(), "args": NAMESPACE}, tmp_path / "c.pt")
    read_checkpoint(tmp_path / "c.pt")
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize("kind", ["zip", "legacy", 0, 1, 2, 3, 4, 5])
@pytest.mark.filterwarnings("error")
def test_code_in_a_checkpoint_is_not_run(tmp_path, kind):
    """Catches: torch.load with weights_only=False, directly or as a fallback."""
    path, trace = tmp_path / "evil.pt", tmp_path / "trace"
    content = {"ema": filled(1).state_dict(), "args": Evil(trace)}
    if isinstance(kind, int):
        path.write_bytes(pickle.dumps(Evil(trace), protocol=kind))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    message = error_of(read_checkpoint, path)
    assert not trace.exists()
    assert str(path) in message and "not run" in message and "code" in message
    if kind in ("zip", "legacy"):
        assert "posix.mkdir" in message


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5, 0.999])
def test_truncated_file(tmp_path, kind, share):
    """Catches: a traceback from the depths of torch for a file cut short by a full disk."""
    path, state = tmp_path / "weights.bin", {"a": torch.randn(3000)}
    if kind == "safetensors":
        path = tmp_path / "weights.safetensors"
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    message = error_of(read_checkpoint, path)
    assert str(path) in message and "damaged" in message and "weights_only" not in message


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"<!doctype html><p>quota exceeded", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (b'{"a": 1, "b": {"c": 2}}', "no checkpoint"),
        (b"\0" * 100, "no checkpoint"),
        (b"hello world, this is text", "no checkpoint"),
    ],
)
@pytest.mark.parametrize("name", ["c.pt", "c.safetensors"])
def test_not_a_checkpoint(tmp_path, content, word, name):
    """Catches: pages, Git LFS pointers and texts that end in torch's advice to run their code."""
    (tmp_path / name).write_bytes(content)
    message = error_of(read_checkpoint, tmp_path / name)
    assert name in message and word in message and "weights_only" not in message


def test_missing_file_and_folder(tmp_path):
    """Catches: a FileNotFoundError that passes the caller's handler."""
    assert "nowhere.pt: cannot be read" in error_of(read_checkpoint, tmp_path / "nowhere.pt")
    assert "cannot be read, it is a folder; give" in error_of(read_checkpoint, tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"ema": {"one.weight": torch.zeros(4, 3), "one.bias": [1]}}, "in its entry 'ema'"),
        ({"ema": torch.zeros(1), "net": {"a": torch.zeros(1)}}, "5 missing"),
        ({1: torch.zeros(1)}, "does not fit Net"),
        (
            {
                "m.one.base_layer.weight": torch.zeros(4, 3),
                "m.one.lora_A.d.weight": torch.zeros(1, 3),
            },
            "it holds adapters: merge them",
        ),
        ([torch.zeros(1)], "holds a list, not a dict of tensors"),
        (torch.zeros(1), "holds a Tensor, not a dict of tensors"),
        ({"ema": OrderedDict(), "epoch": 3}, "holds no tensors"),
    ],
)
def test_content_that_is_no_state_dict(tmp_path, content, words):
    """Catches: an AttributeError far from the file, or weights left as they were."""
    torch.save(content, tmp_path / "c.pt")
    assert words in error_of(load_weights, filled(2), tmp_path / "c.pt")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_load_converts_to_the_network(tmp_path, dtype):
    """Catches: a bf16 file that turns an fp32 network into bf16, or a skipped pos_embed."""
    source, network = filled(1), filled(2).to(dtype)
    network.pos_embed.data.zero_()
    save_weights(source.state_dict(), tmp_path / "w.safetensors", metadata={})
    kept = network.one.weight
    load_weights(network, tmp_path / "w.safetensors")
    assert network.one.weight is kept and kept.dtype == dtype and kept.requires_grad
    assert torch.equal(kept, source.one.weight.bfloat16().to(dtype))
    assert torch.equal(network.pos_embed, source.pos_embed.bfloat16().to(dtype))
    assert network.count == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("two.weight"), ["1 missing (two.weight)", "a part of the network"]),
        (lambda s: s.update(extra=torch.ones(1)), ["1 surplus (extra)", "the variant"]),
        (
            lambda s: s.update({"one.weight": torch.ones(4, 7)}),
            ["1 misshaped (one.weight: (4, 7) in the file, (4, 3) in the model)", "wrong model"],
        ),
        (
            lambda s: (s.pop("count"), s.update({f"k{i}": torch.ones(1) for i in range(5)})),
            ["1 missing (count)", "5 surplus (k0, k1, k2 and 2 more)"],
        ),
    ],
)
def test_other_keys_or_shapes_copy_nothing(tmp_path, change, words):
    """Catches: strict=False, or weights copied before the mismatch is noticed."""
    state, network = filled(1).state_dict(), filled(2)
    change(state)
    torch.save(state, tmp_path / "c.pt")
    message = error_of(load_weights, network, tmp_path / "c.pt")
    assert all(word in message for word in words), message
    assert "c.pt does not fit Net" in message
    assert_same(network.state_dict(), filled(2).state_dict())


def test_same_size_but_other_shape_is_refused(tmp_path):
    """Catches: broadcasting copies, as (1,) into (4,), and comparisons of element counts."""
    for shape in ((1,), (4, 1), ()):
        state = filled(1).state_dict()
        state["one.bias"] = torch.ones(shape)
        torch.save(state, tmp_path / "c.pt")
        assert "one.bias" in error_of(load_weights, filled(2), tmp_path / "c.pt")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_save_and_read_again(tmp_path, dtype):
    """Catches: a dtype that is ignored, integers made floats, tied or strided tensors refused."""
    state = filled(1).state_dict()
    state |= {"tied": state["one.weight"], "strided": state["one.weight"].T}
    path = tmp_path / "new" / "w.safetensors"
    save_weights(state, path, dtype=dtype, metadata={"steps": "100"})
    found = read_checkpoint(path)
    assert_same(found, {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()})
    assert found["count"].dtype == torch.int64
    with safe_open(path, "pt") as file:
        assert file.metadata()["steps"] == "100"
    assert [p.name for p in path.parent.iterdir()] == ["w.safetensors"]


def test_full_disk_keeps_the_earlier_file(tmp_path):
    """Catches: a good checkpoint overwritten in place by half a new one; leftovers."""
    path = tmp_path / "w.safetensors"
    save_weights({"a": torch.ones(3)}, path, metadata={})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        message = error_of(save_weights, {"a": torch.ones(400_000)}, path, metadata={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"cannot write {path}" in message
    assert torch.equal(read_checkpoint(path)["a"], torch.ones(3, dtype=torch.bfloat16))
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_unwritable_folder(tmp_path):
    """Catches: a bare OSError, after hours of training, for a path below a file."""
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "w.safetensors"
    assert "cannot write" in error_of(save_weights, {"a": torch.ones(1)}, path, metadata={})
