"""What prepares a process for sampling: the engine with its threads and memory."""

from tstitch.engine.host import prepare_host
from tstitch.engine.settings import Engine, choose_engines
from tstitch.maker.protocol import Experiment


def prepare_process(experiment: Experiment, evaluations: int | None = None) -> list[Engine]:
    """The engines of `choose_engines`, threads and allocator being set as the run's has them.

    Arguments and errors are those of `choose_engines`.
    """
    engines = choose_engines(experiment.engine, experiment.run, evaluations)
    prepare_host(engines[0])
    return engines
