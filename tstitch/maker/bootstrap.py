"""What prepares a process for sampling: the engine with its threads and memory."""

from tstitch.engine.host import prepare_host
from tstitch.engine.settings import Engine, choose_engines
from tstitch.maker.protocol import Experiment


def prepare_process(experiment: Experiment, evaluations: int | None = None) -> list[Engine]:
    """Decides every `auto` of the engine, and sets threads and allocator as the run has them.

    Args:
        evaluations: of a batch by the busiest process, None = many.

    Returns:
        As of `choose_engines`.

    Raises:
        UserError: a device, precision or option that is not to be had here.
    """
    engines = choose_engines(experiment.engine, experiment.run, evaluations)
    prepare_host(engines[0])
    return engines
