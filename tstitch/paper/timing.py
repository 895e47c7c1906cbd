"""Time against fraction in one interleaved measurement (Fig. 1), in processes of its own."""

import logging
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tstitch.benchmark.measure import rotated, running
from tstitch.benchmark.settings import Case
from tstitch.engine.settings import choose_engine
from tstitch.experiment import Experiment
from tstitch.paper.figure_settings import Timing

log = logging.getLogger(__name__)


def time_fractions(
    experiment: Experiment, fractions: Sequence[float], timing: Timing, folder: Path
) -> dict[str, Any]:
    """Seconds for one batch at every fraction, by rounds that take turns; on rank 0.

    Args:
        experiment: any run of a pair of two.
        folder: where shards are written, and removed again.

    Returns:
        fractions; seconds: median, least and most per fraction; batch_size, rounds, device,
        engine, threads.

    Raises:
        UserError: what the engine cannot do here.
    """
    engine = choose_engine(experiment.engine, experiment.run)
    kind = "compiled" if engine.compile else "eager"
    case = Case(timing.batch_size, experiment.run.dtype, 1, kind)
    seconds: dict[float, list[float]] = {fraction: [] for fraction in fractions}
    with running([case], experiment.config) as (crew,):
        setup = crew.ask("prepare", tuple(fractions))[0]
        for number in range(timing.rounds + 1):
            log.info("timing: round %d of %d", number, timing.rounds)
            for fraction in rotated(fractions, number):
                answer = crew.ask("sample", fraction, 1, str(folder))[0]
                if number:  # the first one warms up
                    seconds[fraction].append(answer["seconds"])
    return {
        "fractions": list(fractions),
        "seconds": [[median(s), min(s), max(s)] for s in seconds.values()],
        "batch_size": timing.batch_size,
        "rounds": timing.rounds,
        "device": setup["device"],
        "engine": setup["engine"],
        "threads": setup["threads"],
    }
