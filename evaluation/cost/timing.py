"""Time of the stages of a batch, without a host synchronisation inside a step."""

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


class StageTimer:
    """Sums the seconds of named stages; on CUDA by events that are read once, at the end."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[tuple[str, Any, Any]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time of the block to a stage."""
        begin = self.mark()
        yield
        self.add(name, begin, self.mark())

    def add(self, name: str, begin: Any, end: Any) -> None:
        """Adds the time between two marks, of this timer or another, to a stage."""
        self._marks.append((name, begin, end))

    def seconds(self) -> dict[str, float]:
        """Seconds per stage so far; on CUDA it waits for the last of them, and no further."""
        totals: dict[str, float] = defaultdict(float)
        if self._device.type == "cuda" and self._marks:
            self._marks[-1][2].synchronize()
        for name, begin, end in self._marks:
            if self._device.type == "cuda":
                totals[name] += begin.elapsed_time(end) / 1000.0
            else:
                totals[name] += end - begin
        return dict(totals)

    def mark(self) -> Any:
        """This moment on the device."""
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True, blocking=True)
            event.record(torch.cuda.current_stream(self._device))
            return event
        if self._device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """Median seconds per image and process over batches."""

    stages: dict[str, float]  # that follow each other
    background: dict[str, float]  # that run beside them
    total: float  # the median of the sums of the former
    batches: int  # measured
    images: int  # in them
    warmup_included: bool  # only if there was nothing else
    prepared: dict[str, float]  # by denoiser, once, before the first batch; of the slowest process


def seconds_per_image(batches: Sequence[dict[str, Any]]) -> Seconds:
    """Times of batches, warm-up batches left out.

    Args:
        batches: {"images": n, "warmup": bool, "prepared": {denoiser: s}, "seconds": {stage: s},
            "background": {stage: s}} each, at least one.
    """
    measured = without_warmup(batches)
    prepared: dict[str, float] = {}
    for batch in batches:
        for name, seconds in batch["prepared"].items():
            prepared[name] = max(seconds, prepared.get(name, 0.0))
    return Seconds(
        stages=_medians(measured, "seconds"),
        background=_medians(measured, "background"),
        total=statistics.median(sum(b["seconds"].values()) / b["images"] for b in measured),
        batches=len(measured),
        images=sum(b["images"] for b in measured),
        warmup_included=all(b["warmup"] for b in batches),
        prepared=prepared,
    )


def without_warmup(batches: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The batches that count, all of them if there was nothing but warm-up."""
    return [b for b in batches if not b["warmup"]] or list(batches)


def _medians(batches: Sequence[dict[str, Any]], group: str) -> dict[str, float]:
    stages = dict.fromkeys(name for batch in batches for name in batch[group])
    return {
        name: statistics.median(b[group].get(name, 0.0) / b["images"] for b in batches)
        for name in stages
    }
