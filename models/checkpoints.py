"""Reads, checks and writes network weights; code inside a checkpoint is never run."""

import argparse
import os
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.download import DownloadError, looks_like_html, one_line
from models.entries import Entry, Misfit, choose_entry, first
from models.folders import weight_files

ZIP = b"PK\x03\x04"
LFS_POINTER = b"version https://git-lfs"
OLD_ATTENTION = re.compile(r"(?<=\d)\.(query|key|value|proj_attn)\.(?=(weight|bias)$)")
NEW_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


class CheckpointError(ValueError):
    """A file is no usable checkpoint, or not this network's; the message is a single line."""


def read_checkpoint(path: str | Path) -> Mapping[Any, Any]:
    """Reads the content of a safetensors or torch file to the CPU, in the dtypes of the file.

    Whether a file is safetensors is seen from its suffix or its content, so cached downloads
    without a suffix work. Of a folder as diffusers saves it, all shards are read.

    Raises:
        CheckpointError: missing, damaged or foreign file; code in it.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    try:
        with open(path, "rb") as file:
            head = file.read(9)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    if path.suffix == ".safetensors" and head.startswith((ZIP, b"\x80\x02")):
        raise CheckpointError(f"{path}: is a torch file in spite of its suffix; call it .pt")
    content = _read_safetensors(path) if _is_safetensors(path, head) else _read_torch(path, head)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a dict of tensors")
    return content


def _read_folder(folder: Path) -> dict[str, Tensor]:
    try:
        files = weight_files(folder)
    except DownloadError as error:
        raise CheckpointError(str(error)) from error
    if not files:
        remedy = "cannot be read, it is a folder; give the file of weights in it"
        raise CheckpointError(f"{folder}: {remedy}")
    # Attention of old files has names that diffusers has given up since.
    return {
        OLD_ATTENTION.sub(lambda m: f".{NEW_ATTENTION[m[1]]}.", name): value
        for path in files
        for name, value in read_checkpoint(path).items()
    }


def find_entry(network: nn.Module, path: str | Path) -> str:
    """Name of the entry that `load_weights` would read; empty for a plain state dict.

    Args:
        network: may be on the meta device.

    Raises:
        CheckpointError: unreadable file, or no entry that is clearly the network's.
    """
    return _choose(network, path).name


def read_part(network: nn.Module, path: str | Path) -> tuple[dict[str, Tensor], str]:
    """The weights of a network that shares most names with `network`, and their entry's name.

    Raises:
        CheckpointError: as `load_weights`, but for names and shapes that differ.
    """
    entry = _choose(network, path, part=True)
    _check_values(entry, network, path)
    return entry.tensors, entry.name


def load_weights(network: nn.Module, path: str | Path) -> str:
    """Copies the weights of a file into `network`, converted to its dtypes and device.

    Which entry of the file is read, see models.entries; names and shapes must match exactly. A
    network may have `translated(content)`, which gives the content of a file by its own names. On
    any error nothing is copied.

    Returns:
        Name of the entry; empty for a plain state dict.

    Raises:
        CheckpointError: unreadable file, no entry that is clearly the network's, quantised
            weights, or values that are not finite in the network's dtype.
    """
    entry, own = _choose(network, path), network.state_dict()
    _check_values(entry, network, path)
    with torch.no_grad():
        for name, value in entry.tensors.items():
            own[name].copy_(value)
    return entry.name


def _choose(network: nn.Module, path: str | Path, part: bool = False) -> Entry:
    content = read_checkpoint(path)
    translated = getattr(network, "translated", None)  # from names of other codes to its own
    try:
        return choose_entry(translated(content) if translated else content, network, part)
    except Misfit as error:
        raise CheckpointError(f"{path}{error}") from error


def _check_values(entry: Entry, network: nn.Module, path: str | Path) -> None:
    own = network.state_dict()
    for name, value in entry.tensors.items():
        dtype = own[name].dtype if name in own else value.dtype
        if reason := _unusable(value, dtype):
            raise CheckpointError(f"{path}: {name} {reason}")


def _unusable(value: Tensor, dtype: torch.dtype) -> str | None:
    """Why a tensor of a file cannot stand for one of `dtype`, if so."""
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        return "is no plain tensor (sparse, quantised or without values); give plain weights"
    if not dtype.is_floating_point:
        whole = value.to(dtype)
        same = not value.is_complex() and torch.equal(whole.to(value.dtype), value)
        return None if same else f"is {_name(value)} and does not fit {dtype}; check the file"
    if value.dtype not in FLOATS:
        return (
            f"is {_name(value)}, probably quantised: it is not used without its scale; give the "
            "weights in float32, bfloat16 or float16"
        )
    if not torch.isfinite(value.to(dtype)).all():
        return "has values that are infinite or not a number; give another checkpoint"
    return None


def _name(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def load_autoencoder(path: Path) -> nn.Module:
    """A diffusers AutoencoderKL from a folder of its own, float32, frozen, on the CPU.

    Args:
        path: the safetensors file; config.json is beside it.

    Raises:
        CheckpointError: damaged, quantised or non-finite weights, or not those that config.json
            describes.
    """
    from diffusers import AutoencoderKL

    folder = path.parent
    options = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    options["low_cpu_mem_usage"] = False  # True needs a further package
    try:
        reasons = ((n, _unusable(t, torch.float32)) for n, t in _read_safetensors(path).items())
        unusable = next((f"{name} {reason}" for name, reason in reasons if reason), None)
        if unusable is None:
            network, report = AutoencoderKL.from_pretrained(folder, **options)
    except Exception as error:  # damaged files raise nearly anything in diffusers
        reason = f"the autoencoder cannot be loaded ({one_line(error)})"
        raise CheckpointError(f"{folder}: {reason}; get it again") from error
    if unusable is not None:
        raise CheckpointError(f"{folder}: {unusable}")
    if wrong := report["missing_keys"] + report["unexpected_keys"]:
        reason = f"{len(wrong)} weights do not fit its config.json ({first(wrong)})"
        raise CheckpointError(f"{folder}: {reason}; get it again")
    return network.float().eval().requires_grad_(False)


def save_weights(
    state: Mapping[str, Tensor],
    path: str | Path,
    *,
    dtype: torch.dtype = torch.bfloat16,
    metadata: dict[str, str],
) -> None:
    """Writes a safetensors file under a temporary name and renames it.

    Args:
        state: tensors by name, on any device; tensors that share memory are written separately.
        dtype: of the floating-point tensors in the file; others keep theirs.
        metadata: kept in the file's header.

    Raises:
        CheckpointError: the file cannot be written; an earlier file of that name is untouched.
    """
    from safetensors.torch import save

    path = Path(path)
    tensors = {}
    for key, value in state.items():
        kept = value.detach().to("cpu", dtype if value.is_floating_point() else value.dtype)
        tensors[key] = kept.clone(memory_format=torch.contiguous_format)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(save(tensors, metadata=metadata))
        os.replace(part, path)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {one_line(error)}") from error
    finally:
        if part.parent.is_dir():
            part.unlink(missing_ok=True)


def _is_safetensors(path: Path, head: bytes) -> bool:
    """A safetensors file is an 8-byte length, then a JSON object."""
    return path.suffix == ".safetensors" or head[8:9] == b"{"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _read_torch(path: Path, head: bytes) -> object:
    """torch.load without code: tensors, containers, and the Namespace that DiT's authors store."""
    is_zip = head.startswith(ZIP)  # the older format cannot be memory-mapped
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on pickle protocols; what matters ends as an error
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except Exception as error:  # damaged files raise nearly anything from the unpickler
        refused = re.search(r"GLOBAL (\S+)", str(error))  # as torch names what it did not import
        if not isinstance(error, pickle.UnpicklingError) or not (refused or head[:1] == b"\x80"):
            raise _damaged(path, error) from error
        name = f" ({refused[1]})" if refused else ""
        raise CheckpointError(
            f"{path}: contains code or objects beyond tensors{name}, which were not run; "
            "give a file with nothing but tensors, best as .safetensors"
        ) from error


def _damaged(path: Path, error: Exception) -> CheckpointError:
    if looks_like_html(path):
        return CheckpointError(f"{path}: is a web page, not a checkpoint; download it again")
    with open(path, "rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            reason = "is no checkpoint but a pointer of Git LFS to one; fetch it with git lfs pull"
            return CheckpointError(f"{path}: {reason}")
    if "TorchScript" in str(error):
        reason = "is TorchScript, which is code; give its state_dict, best as .safetensors"
        return CheckpointError(f"{path}: {reason}")
    foreign = isinstance(error, pickle.UnpicklingError)  # torch's text would advise to run its code
    reason = "unknown format" if foreign else one_line(error)
    return CheckpointError(
        f"{path}: is damaged, cut short or no checkpoint ({reason}); get the file again"
    )
