"""Weights that are shipped, and weights that are fetched."""

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from evaluation.features.inception import URL, locate_inception_weights
from models.download import sha256_of
from models.folders import PRETRAINED

SUMS = "SHA256SUMS"
MIB = 2**20


def damaged_weights() -> list[str]:
    """Shipped files that are missing or differ from models/pretrained/SHA256SUMS."""
    lines = (PRETRAINED / SUMS).read_text(encoding="utf-8").splitlines()
    listed = [line.split("  ", 1) for line in lines]
    files = [(digest, PRETRAINED / name) for digest, name in listed]
    return [
        path.relative_to(PRETRAINED).as_posix()
        for digest, path in files
        if not path.is_file() or sha256_of(path) != digest
    ]


def caches() -> Iterator[str]:
    """A line per place where downloads are kept."""
    own = os.environ.get("TSTITCH_CACHE") or "~/.cache/tstitch"
    hub = os.environ.get("HF_HUB_CACHE") or (
        Path(os.environ.get("HF_HOME") or "~/.cache/huggingface") / "hub"
    )
    for what, place in (("weights", own), ("Hugging Face", hub), ("torch", torch.hub.get_dir())):
        folder = Path(place).expanduser()
        yield f"cache of {what}: {folder}, {_size(folder)}"
    inception = locate_inception_weights(None)
    there = "to be fetched at first use" if inception == URL else "here"
    yield f"Inception, for evaluation=inception: {there}"


def _size(folder: Path) -> str:
    if not folder.is_dir():
        return "empty"
    sizes = [p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink()]
    return f"{sum(sizes) / MIB:,.0f} MiB"
