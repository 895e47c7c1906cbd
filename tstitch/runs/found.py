"""Run directories and what their files say, read without loading anything heavy."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Of tstitch.run, whose import would take seconds.
CONFIG, METRICS, EVALUATION, SHARDS = "config.yaml", "metrics.json", "evaluation.json", "shards"
LOSS = "fid"
LETTERS = 40  # of a schedule, which may be a list


@dataclass(frozen=True, slots=True)
class Run:
    """One directory; texts are empty where there is nothing to say yet."""

    folder: Path
    changed: float  # seconds since the epoch
    images: str  # how many, or the shards of a run that is not finished
    sampler: str
    schedule: str
    guidance: str
    loss: str


def runs_below(root: Path) -> list[Run]:
    """All of a folder, those that changed last at the end; damaged files count as missing."""
    return sorted(map(_run, _folders(root)), key=lambda run: (run.changed, run.folder))


def _folders(root: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(root):
        if CONFIG in files and SHARDS in folders:
            folders.remove(SHARDS)  # thousands of files, and no run in them
            yield Path(place)


def _run(folder: Path) -> Run:
    metrics = _read(folder / METRICS)
    protocol = metrics.get("protocol", {})
    sampler, stitch = (protocol.get(name) or {} for name in ("sampler", "stitch"))
    found = _read(folder / EVALUATION).get("metrics", {}).get(LOSS, {})
    written = folder / (METRICS if metrics else CONFIG)
    shards = sum(1 for _ in (folder / SHARDS).glob("*.npz"))
    return Run(
        folder=folder,
        changed=written.stat().st_mtime,
        images=str(protocol["num_images"]) if protocol else f"unfinished, {shards} shards",
        sampler=f"{_kind(sampler)} {sampler.get('steps', '')}".strip(),
        schedule=_schedule(stitch),
        guidance=f"{(protocol.get('guidance') or {}).get('scale', '')}",
        loss=f"{found['value']:.4g}" if found else "",
    )


def _kind(section: dict[str, Any]) -> str:
    return str(section.get("_target_", "")).rpartition(".")[2]


def _schedule(stitch: dict[str, Any]) -> str:
    """`Fraction 0.4`: the kind and its numbers, lists in brackets."""
    values = [value for name, value in stitch.items() if name != "_target_" and value is not None]
    text = " ".join([_kind(stitch), *map(str, values)]).strip()
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 3]}..."


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
