"""Weights of a denoiser: where they are, what identifies them, and into the network."""

import logging
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models.checkpoints import CheckpointError, find_entry, load_weights
from models.download import fetch, sha256_of
from models.folders import PRETRAINED, SHIPPED, fetch_folder, find_file, folder_digest
from tstitch.runtime.errors import errors_of

HUB = "hub:"
RANDOM = "random"
RANDOM_SEED, RANDOM_STD = 0, 0.02
RANDOM_DIGEST = "random, a stream per parameter"  # earlier ones came from one stream
LONG_READ = ("", "ema", "model", "state_dict")  # entries of a file that were read ever since
log = logging.getLogger(__name__)


def fetch_weights(source: str, sha256: str | None, field: str) -> Path | None:
    """The local file of weights, downloaded if remote; None for random weights.

    Weights as diffusers saves them are the folder of their files.

    Args:
        source: path, URL, gdrive:ID, shipped:PATH (below models/pretrained/), hub:NAME (see
            models.folders) or `random`.
        sha256: expected digest, None = any.
        field: the configuration's name of the setting, for messages.

    Raises:
        UserError: no such file, failed download, or another digest.
    """
    if source == RANDOM:
        return None
    if source.startswith(SHIPPED):
        name = source.removeprefix(SHIPPED)
        source, sha256 = str(PRETRAINED / name), sha256 or shipped_digests().get(name)
    with errors_of(f"{field}: "):
        if source.startswith(HUB) or Path(source).expanduser().is_dir():
            return _folder(source.removeprefix(HUB), sha256)
        return fetch(source, sha256=sha256)


def fetch_beside(source: str, names: Sequence[str], field: str) -> None:
    """Fetches further files of a folder of weights, those that it has; a local one has them.

    Args:
        source, field: as of `fetch_weights`.

    Raises:
        UserError: the hub cannot be reached.
    """
    if source.startswith(HUB):
        with errors_of(f"{field}: "):
            for name in names:
                find_file(source.removeprefix(HUB), name)


def _folder(source: str, sha256: str | None) -> Path:
    folder = fetch_folder(source)
    if sha256 is not None and (found := folder_digest(folder)) != sha256.lower():
        raise ValueError(f"{source}: sha256 of its files is {found}, expected {sha256.lower()}")
    return folder


def shipped_digests() -> dict[str, str]:
    """SHA-256 of every shipped file by its path below models/pretrained/."""
    lines = (PRETRAINED / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def weights_digest(path: Path | None) -> str:
    """What identifies weights in a run's fingerprint."""
    if path is None:
        return RANDOM_DIGEST
    return folder_digest(path) if path.is_dir() else sha256_of(path)


def weights_entry(network: nn.Module, path: Path | None, field: str) -> str | None:
    """Which entry of the file `fill_network` reads; None if it is all weights, or random ones.

    Args:
        network: may be on the meta device.

    Raises:
        UserError: no entry that is clearly the network's.
    """
    with errors_of(f"{field}: ", CheckpointError):
        return None if path is None else find_entry(_holder(network), path) or None


def newly_read(entries: dict[str, str | None]) -> dict[str, str]:
    """Of the entries by denoiser those that earlier versions did not read.

    Their runs took other weights from such a file, and must not be continued with these.
    """
    known = {name: entry for name, entry in entries.items() if entry is not None}
    bare = {name: re.sub(r"/?((module|_orig_mod)\.)+$", "", e) for name, e in known.items()}
    return {name: known[name] for name in bare if bare[name] not in LONG_READ}


def fill_network(network: nn.Module, path: Path | None, field: str) -> None:
    """Loads the weights of a file, or random ones, into a network; says which entry it read.

    Raises:
        UserError: a checkpoint that does not fit the network.
    """
    if path is None:
        _randomize(network)
        return
    with errors_of(f"{field}: ", CheckpointError):
        entry = load_weights(_holder(network), path)
    if entry:
        log.info("%s: read entry %s of %s", field, entry, path)


def _holder(network: nn.Module) -> nn.Module:
    """The module whose names the files have: what an adapter is around, else the network."""
    return getattr(network, "as_saved", network)


def _randomize(network: nn.Module) -> None:
    """Fills every trainable parameter with normal noise, each seeded by its place.

    A fresh DiT outputs zero, which would hide mistakes in a trial run without weights. The
    threads share the parameters out; their number does not matter.
    """

    @torch.no_grad()
    def fill(place: int, parameter: nn.Parameter) -> None:
        word = np.random.SeedSequence([RANDOM_SEED, place]).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(word))
        parameter.normal_(std=RANDOM_STD, generator=generator)

    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(fill, range(len(trainable)), trainable))
