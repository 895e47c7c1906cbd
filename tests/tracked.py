"""What offline runs of Weights & Biases have written down for `wandb sync`."""

import json
import struct
import time
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

HEADER, BLOCK = 7, 32768  # bytes: of the file, and of each piece; blocks hold whole pieces
FULL, LAST = 1, 4  # kinds of pieces with which a record ends
PATIENCE_S = 60


def offline_runs(folder: Path) -> list[Path]:
    """Folders of the offline runs of a `tracking.dir`."""
    return sorted(folder.glob("wandb/offline-run-*"))


def records(run: Path) -> list[Record]:
    """Of an offline run that has ended, in their order.

    The service's own process may still write when ours has ended the run.
    """
    (path,) = run.glob("run-*.wandb")
    end = time.monotonic() + PATIENCE_S
    while not (found := parsed(path.read_bytes())) or not found[-1].HasField("exit"):
        assert time.monotonic() < end, f"{path}: {len(found)} records and no end"
        time.sleep(0.05)
    return found


def parsed(content: bytes) -> list[Record]:
    """Of a log in LevelDB's format."""
    place, begun, found = HEADER, b"", []
    while place + HEADER <= len(content):
        if BLOCK - place % BLOCK < HEADER:  # zeros, to the end of the block
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        begun += content[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (FULL, LAST):
            found.append(Record.FromString(begun))
            begun = b""
    return found


def identity(run: Path) -> str:
    """The id by which the service knows an offline run."""
    return _described(run).run_id


def part_of(run: Path) -> tuple[str, str]:
    """The group of an offline run, and the name that the service shows."""
    return _described(run).run_group, _described(run).display_name


def _described(run: Path) -> Any:
    found = [r.run for r in records(run) if r.WhichOneof("record_type") == "run"]
    return found[-1]


def history(run: Path) -> list[dict[str, Any]]:
    """Values that an offline run has logged, a dict for each step, which is its `_step`."""
    return [
        {
            item.key or ".".join(item.nested_key): json.loads(item.value_json)
            for item in record.history.item
        }
        for record in records(run)
        if record.WhichOneof("record_type") == "history"
    ]
