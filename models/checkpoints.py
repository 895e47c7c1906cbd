"""Reads, checks and writes network weights; code inside a checkpoint is never run."""

import argparse
import os
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from models.download import looks_like_html, one_line

NESTED = ("ema", "model", "state_dict")  # in order of preference
WRAPPERS = ("module.", "_orig_mod.")  # DistributedDataParallel, torch.compile


class CheckpointError(ValueError):
    """A file is no usable checkpoint, or not this network's; the message is a single line."""


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Reads the weights of a safetensors or torch file to the CPU, in the dtypes of the file.

    A torch file holds the state dict itself, or has it under `ema` (preferred), `model` or
    `state_dict`. Whether a file is safetensors is seen from its suffix or its content, so cached
    downloads without a suffix work. A `module.` or `_orig_mod.` in front of all keys is removed.

    Raises:
        CheckpointError: missing, damaged or foreign file; content beyond tensors.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            head = file.read(9)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    raw = _read_safetensors(path) if _is_safetensors(path, head) else _read_torch(path, head)
    if not isinstance(raw, Mapping):
        raise CheckpointError(f"{path}: holds a {type(raw).__name__}, not a dict of tensors")
    nested = next((key for key in NESTED if isinstance(raw.get(key), Mapping)), None)
    state = raw if nested is None else raw[nested]
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            where = f"{nested}/{key}" if nested else key
            raise CheckpointError(
                f"{path}: entry {where!r} is a {type(value).__name__}, not a tensor; expected a "
                f"state dict, plain or under {', '.join(NESTED)}"
            )
    if not state:
        raise CheckpointError(f"{path}: holds no tensors")
    return _without_wrappers(state)


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Copies the weights of a file into `network`, converted to its dtypes and device.

    Keys and shapes must match exactly; on any error nothing is copied.

    Raises:
        CheckpointError: unreadable file, or keys or shapes that differ.
    """
    state, own = read_state_dict(path), network.state_dict()
    problems = {
        "missing": [key for key in own if key not in state],
        "surplus": [key for key in state if key not in own],
        "misshaped": [
            f"{key}: {tuple(state[key].shape)} in the file, {tuple(own[key].shape)} in the model"
            for key in own
            if key in state and state[key].shape != own[key].shape
        ],
    }
    if any(problems.values()):
        parts = [f"{len(some)} {kind} ({_first(some)})" for kind, some in problems.items() if some]
        raise CheckpointError(
            f"{path} does not fit {type(network).__name__}: {'; '.join(parts)}; probably the wrong "
            "model for this checkpoint: choose the model and the weights that belong together"
        )
    with torch.no_grad():
        for key, target in own.items():
            target.copy_(state[key])


def load_autoencoder(folder: Path) -> nn.Module:
    """A diffusers AutoencoderKL from a folder of its own, float32, frozen, on the CPU.

    Raises:
        CheckpointError: damaged weights, or not those that the folder's config.json describes.
    """
    from diffusers import AutoencoderKL

    options = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    options["low_cpu_mem_usage"] = False  # True needs a further package
    try:
        network, report = AutoencoderKL.from_pretrained(folder, **options)
    except Exception as error:  # damaged files raise nearly anything in diffusers
        reason = f"the autoencoder cannot be loaded ({one_line(error)})"
        raise CheckpointError(f"{folder}: {reason}; get it again") from error
    if wrong := report["missing_keys"] + report["unexpected_keys"]:
        reason = f"{len(wrong)} weights do not fit its config.json ({_first(wrong)})"
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
    is_zip = head.startswith(b"PK\x03\x04")  # the older format cannot be memory-mapped
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
    foreign = isinstance(error, pickle.UnpicklingError)  # torch's text would advise to run its code
    reason = "unknown format" if foreign else one_line(error)
    return CheckpointError(
        f"{path}: is damaged, cut short or no checkpoint ({reason}); get the file again"
    )


def _without_wrappers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = list(state)
    while prefix := next((p for p in WRAPPERS if all(n.startswith(p) for n in names)), None):
        names = [name.removeprefix(prefix) for name in names]
    return {name: value.detach() for name, value in zip(names, state.values(), strict=True)}


def _first(names: list[str], limit: int = 3) -> str:
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
