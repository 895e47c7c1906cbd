"""Weights of a denoiser: where they are, what identifies them, and into the network."""

from pathlib import Path

import torch
from torch import nn

import models
from models.checkpoints import CheckpointError, load_weights
from models.download import fetch, sha256_of
from tstitch.errors import UserError

SHIPPED = "shipped:"
RANDOM = "random"
PRETRAINED = Path(models.__file__).parent / "pretrained"
RANDOM_STD = 0.02


def fetch_weights(source: str, sha256: str | None, field: str) -> Path | None:
    """The local file of weights, downloaded if remote; None for random weights.

    Args:
        source: path, URL, gdrive:ID, shipped:PATH (below models/pretrained/) or `random`.
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
    try:
        return fetch(source, sha256=sha256)
    except ValueError as error:
        raise UserError(f"{field}: {error}") from error


def shipped_digests() -> dict[str, str]:
    """SHA-256 of every shipped file by its path below models/pretrained/."""
    lines = (PRETRAINED / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def weights_digest(path: Path | None) -> str:
    """What identifies weights in a run's fingerprint."""
    return RANDOM if path is None else sha256_of(path)


def fill_network(network: nn.Module, path: Path | None, field: str) -> None:
    """Loads the weights of a file, or random ones, into a network.

    Raises:
        UserError: a checkpoint that does not fit the network.
    """
    if path is None:
        _randomize(network)
        return
    try:
        load_weights(network, path)
    except CheckpointError as error:
        raise UserError(f"{field}: {error}") from error


def _randomize(network: nn.Module) -> None:
    """Fills every trainable parameter with seeded normal noise.

    A fresh DiT outputs zero, which would hide mistakes in a trial run without weights.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=RANDOM_STD, generator=generator)
