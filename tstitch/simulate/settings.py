"""The checked `simulate` section of the configuration."""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from tstitch.config import fields
from tstitch.config.fields import NotNegative
from tstitch.simulate.model import Costs

MOST_GPUS = 1_000_000


class CostSettings(fields.Settings):
    """Seconds of what is no sampling; described in configs/simulate.yaml."""

    path = "simulate.costs"

    start: NotNegative
    locked: NotNegative
    look: NotNegative
    claim: NotNegative
    refused: NotNegative
    shard: NotNegative
    scan: NotNegative
    pack: NotNegative
    write: NotNegative


def _pair(value: Any) -> tuple[float, float]:
    """Seconds per image of the small and the large denoiser alone; positive."""
    remedy = "give those of the small and of the large denoiser, or a benchmark.json"
    if isinstance(value, str):
        try:
            return benchmark_seconds(json.loads(Path(value).expanduser().read_text()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(remedy) from error
    if not fields.list_of(fields.is_number)(value) or len(value) != 2 or min(value) <= 0:
        raise ValueError(remedy)
    return float(value[0]), float(value[1])


def benchmark_seconds(document: dict[str, Any]) -> tuple[float, float]:
    """Seconds per image at fractions 1 and 0, of the case that is fastest at 0 in one process.

    Args:
        document: of a benchmark.json.

    Raises:
        ValueError, KeyError: without these.
    """
    alone = [
        {entry["fraction"]: entry["images_per_second"]["median"] for entry in case["fractions"]}
        for case in document["cases"]
        if case["processes"] == 1
    ]
    rates = max((rates for rates in alone if {0, 1} <= rates.keys()), key=lambda rates: rates[0])
    return 1 / rates[1], 1 / rates[0]


class SimulateSettings(fields.Settings):
    """What is simulated; described in configs/simulate.yaml."""

    path = "simulate"

    images: fields.Count
    batch_size: fields.Count
    image: Annotated[tuple[int, int], fields.wholes(1)]
    schedules: fields.Count
    gpus: Annotated[tuple[int, ...], fields.EACH_ONCE, fields.wholes(1, MOST_GPUS)]
    seconds_per_image: Annotated[tuple[float, float], BeforeValidator(_pair)]
    prepare: NotNegative
    evaluate: NotNegative
    slower: Annotated[float, fields.number(1)]
    measure: fields.Flag
    costs: CostSettings

    @property
    def given_costs(self) -> Costs:
        """Those of the configuration."""
        return Costs(**self.costs.model_dump())
