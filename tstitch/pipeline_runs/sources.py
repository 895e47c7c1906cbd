"""Where the parts of a pipeline are, and what they are, before any weight is loaded."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import nn

from models.download import DownloadError, sha256_of
from models.folders import (
    SCHEDULER,
    fetch_folder,
    find_file,
    folder_digest,
    is_local,
    local_folder,
    read_config,
)
from tstitch.pipelines.components import NAMES
from tstitch.runtime.errors import UserError, errors_of

INDEX = "model_index.json"
LORA = "pytorch_lora_weights.safetensors"
TEXT_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "spiece.model", "tokenizer_config.json")


def read_index(source: str, field: str) -> dict[str, Any]:
    """The model_index.json of a pipeline.

    Raises:
        UserError: there is none.
    """
    return _json(source, INDEX, f"{field}={source}: is no folder of a pipeline (no {INDEX})")


def component_name(index: Mapping[str, Any], source: str, field: str) -> str:
    """Which component denoises: unet or transformer.

    Raises:
        UserError: the pipeline has neither.
    """
    for name in NAMES:
        if index.get(name, [None])[0] is not None:
            return name
    raise UserError(f"{field}={source}: its pipeline has no {' or '.join(NAMES)}")


def scheduler_config(source: str, field: str) -> dict[str, Any]:
    """The scheduler_config.json of a pipeline.

    Raises:
        UserError: there is none.
    """
    place = f"{source}/scheduler"
    return _json(place, SCHEDULER, f"{field}={source}: its pipeline has no {SCHEDULER}")


def component_config(source: str, field: str) -> dict[str, Any]:
    """The config.json of a component.

    Raises:
        UserError: there is none.
    """
    with errors_of(f"{field}="):
        return read_config(source)


def config_beside(source: str, part: str, name: str, field: str) -> dict[str, Any] | None:
    """A configuration in a part of a pipeline; None if it has none.

    Raises:
        UserError: a file that cannot be had or read.
    """
    if is_local(source) and not (local_folder(source) / part).is_dir():
        return None
    path = _file(f"{source}/{part}", name, field)
    return None if path is None else _object(path)


def blank_network(source: str, field: str) -> nn.Module:
    """The network of a folder on the meta device: sizes only.

    Raises:
        UserError: no network of diffusers.
    """
    config = component_config(source, field)
    kind = getattr(diffusers, str(config.get("_class_name")), None)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise UserError(f"{field}={source}: diffusers has no {config.get('_class_name')}")
    try:
        with torch.device("meta"):
            return kind.from_config(config).eval()  # type: ignore[attr-defined]
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{field}={source}: cannot be built ({reason})") from error


def weights_digest(source: str, field: str) -> str:
    """SHA-256 of a component's configuration and weights, downloaded if need be.

    Raises:
        UserError: they are not there.
    """
    with errors_of(f"{field}="):
        return folder_digest(fetch_folder(source))


def lora_file(source: str, field: str) -> Path:
    """The file of a LoRA, downloaded if need be.

    Args:
        source: the file, or a folder or hub name that has it under diffusers' name.

    Raises:
        UserError: there is none.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return path
    found = _file(source, LORA, field)
    if found is None:
        raise UserError(f"{field}={source}: has no {LORA}; give the file of the LoRA")
    return found


def parts_digest(source: str, index: Mapping[str, Any], own: set[str], field: str) -> str:
    """SHA-256 of what a pipeline has beside its denoising network: encoders, tokenizers, VAE.

    Args:
        own: components that others stand in for.

    Raises:
        UserError: weights that are not there.
    """
    lines = []
    for name in sorted(index):
        entry = index[name]
        if name in own or not isinstance(entry, list) or entry[0] is None:
            continue
        place = f"{source}/{name}"
        if "okenizer" in str(entry[1]):
            found = [(file, _file(place, file, field)) for file in TEXT_FILES]
            lines += [f"{sha256_of(path)}  {name}/{file}" for file, path in found if path]
        elif _file(place, "config.json", field) is not None:
            lines.append(f"{weights_digest(place, field)}  {name}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _file(source: str, name: str, field: str) -> Path | None:
    with errors_of(f"{field}="):
        return find_file(source, name)


def _json(source: str, name: str, otherwise: str) -> dict[str, Any]:
    try:
        path = find_file(source, name)
    except DownloadError as error:
        raise UserError(f"{otherwise}; {error}") from error
    if path is None:
        raise UserError(f"{otherwise}; give the folder that its save_pretrained made")
    return _object(path)


def _object(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: cannot be read; get it again") from error
