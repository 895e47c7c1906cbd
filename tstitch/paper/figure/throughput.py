"""`throughput=`: a rate for the hours of a dry run, given or measured by scripts/benchmark.py."""

from dataclasses import dataclass
from typing import Any

DIGITS = 4  # of GMACs in benchmark.json


@dataclass(frozen=True, slots=True)
class Throughput:
    """FLOP/s of all devices together."""

    flops_per_second: float
    source: str = ""  # the benchmark's file; empty = a number that was given
    about: str = ""  # its pair
    device: str = ""  # what it ran on, and its fastest case
    networks: tuple[float, ...] = ()  # its denoisers: GMACs per evaluation, ascending

    def is_of(self, networks: tuple[float, ...]) -> bool:
        """Whether it may be used for these networks: a given number for all, a measured one for
        the networks that it was measured of, together or alone."""
        return not self.source or set(networks) <= set(self.networks)

    def text(self) -> str:
        """`10 TFLOP/s`, with where it was measured."""
        rate = f"{self.flops_per_second / 1e12:.4g} TFLOP/s"
        return f"{rate}, measured on {self.device} ({self.source})" if self.source else rate


def identity(flops: list[int]) -> tuple[float, ...]:
    """Networks as a benchmark tells them: by the GMACs of an evaluation, which follow from their
    sizes and the latents'.

    Args:
        flops: of one evaluation of one image, by denoiser.
    """
    return tuple(sorted(round(f / 2e9, DIGITS) for f in flops))


def fastest_case(document: dict[str, Any]) -> dict[str, Any]:
    """Of a benchmark.json, by images per second at fraction 0."""
    return max(document["cases"], key=rate_of)


def rate_of(case: dict[str, Any]) -> float:
    """Images per second of the largest denoiser alone."""
    alone = next(f for f in case["fractions"] if f["fraction"] == 0)
    return alone["images_per_second"]["median"]
