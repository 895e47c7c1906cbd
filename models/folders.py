"""Folders of weights as diffusers and transformers save them, on this machine or from the hub.

A source is a local folder, `shipped:FOLDER` below models/pretrained/, or a hub name `owner/name`
with the folder in it, if any: `CompVis/stable-diffusion-v1-4/unet`.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.download import DownloadError, one_line, sha256_of

CONFIG, SCHEDULER = "config.json", "scheduler_config.json"
SHIPPED, PRETRAINED = "shipped:", Path(__file__).parent / "pretrained"
# Sharded or whole, safetensors first; of diffusers, then of transformers.
WEIGHTS = tuple(
    stem + ending
    for ending in (".safetensors.index.json", ".safetensors", ".bin.index.json", ".bin")
    for stem in ("diffusion_pytorch_model", "model", "pytorch_model")
)


@contextmanager
def naming(argument: str) -> Iterator[None]:
    """Puts an argument's name before what is wrong with it, as `source=NAME: what is wrong`.

    Raises:
        ValueError: for one of the block.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{argument}={error}") from error


def is_local(source: str) -> bool:
    """Whether a source is a folder of this machine; what begins like a path is one."""
    begins = source.startswith(("/", ".", "~", SHIPPED))
    return begins or (source != "" and Path(source).exists())


def local_folder(source: str) -> Path:
    """Where a local source is; nothing need be there."""
    if source.startswith(SHIPPED):
        return PRETRAINED / source.removeprefix(SHIPPED)
    return Path(source).expanduser()


def find_file(source: str, name: str) -> Path | None:
    """A file of a source, fetched from the hub or its cache; None if the source has none.

    Raises:
        DownloadError: no such folder, no hub name, or the hub cannot be reached.
    """
    if is_local(source):
        folder = local_folder(source)
        if not folder.is_dir():
            kind = "is a file, not a folder" if folder.exists() else "no such folder"
            raise DownloadError(f"{source}: {kind}; give a folder that holds {CONFIG}")
        return folder / name if (folder / name).is_file() else None
    owner, _, rest = source.partition("/")
    repository, _, inside = rest.partition("/")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+(/[\w.-]+)*", source):
        raise DownloadError(f"{source}: is neither a folder nor a hub name owner/name/FOLDER")
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        path = f"{inside}/{name}" if inside else name
        return Path(huggingface_hub.hf_hub_download(f"{owner}/{repository}", path))
    except Exception as error:  # the hub lets its HTTP library's own errors through
        absent = isinstance(error, EntryNotFoundError)
        if absent and not isinstance(error, LocalEntryNotFoundError):
            return None
        reason = f"cannot be had from the hub ({one_line(error)})"
        remedy = "check the name and the network, or download it and give its folder"
        raise DownloadError(f"{source}: {reason}; {remedy}") from error


def read_config(source: str) -> dict[str, Any]:
    """The config.json of a source.

    Raises:
        DownloadError: there is none, or it is no JSON object.
    """
    path = find_file(source, CONFIG)
    if path is None:
        parts = ("unet", "transformer", "text_encoder")
        held = [p for p in parts if is_local(source) and (local_folder(source) / p).is_dir()]
        hint = f"; give {source}/{held[0]}" if held else "; give the folder of one network"
        raise DownloadError(f"{source}: has no {CONFIG}{hint}")
    return _read_object(source, path)


def read_scheduler(source: str) -> dict[str, Any] | None:
    """The scheduler_config.json of the pipeline that a network's folder is a part of, if any.

    Raises:
        DownloadError: the hub cannot be reached, or the file is damaged.
    """
    path = find_file(source, SCHEDULER)  # a repository that is one network
    if path is None and is_local(source):
        beside = local_folder(source).resolve().parent / "scheduler" / SCHEDULER
        path = beside if beside.is_file() else None
    elif path is None and source.count("/") > 1:
        path = find_file("/".join([*source.split("/")[:2], "scheduler"]), SCHEDULER)
    return None if path is None else _read_object(source, path)


def _read_object(source: str, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = f"its {path.name} cannot be read ({one_line(error)})"
        raise DownloadError(f"{source}: {reason}; get it again") from error
    if not isinstance(content, dict):
        raise DownloadError(f"{source}: its {path.name} is no JSON object; get it again")
    return content


def fetch_folder(source: str) -> Path:
    """The local folder of a source, its configuration and all its weights in it.

    Raises:
        DownloadError: a file of it cannot be had, or it holds no weights.
    """
    read_config(source)
    for name in WEIGHTS:
        found = find_file(source, name)
        if found is not None:
            for shard in _shards(found):
                if find_file(source, shard) is None:
                    raise DownloadError(f"{source}: has no {shard}, which {name} names")
            return found.parent
    raise DownloadError(f"{source}: holds no weights ({WEIGHTS[3]}); save them as safetensors")


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights, one or its shards; empty if there are none.

    Raises:
        DownloadError: an index that cannot be read.
    """
    for name in WEIGHTS:
        path = folder / name
        if path.is_file():
            return [folder / shard for shard in _shards(path)] or [path]
    return []


def folder_digest(folder: Path) -> str:
    """SHA-256 of a folder's configuration and weights, 64 hexadecimal digits."""
    files = [folder / CONFIG, *weight_files(folder)]
    lines = [f"{sha256_of(path)}  {path.name}\n" for path in files if path.is_file()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _shards(path: Path) -> list[str]:
    """Names of the files that an index names; none if the file is no index."""
    if path.suffix != ".json":
        return []
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()
        shards = sorted(set(names))
        if any("/" in name or "\\" in name for name in shards):
            raise ValueError("it names files of other folders")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DownloadError(f"{path}: is no index of shards ({one_line(error)})") from error
    return shards
