"""What prepares a process for sampling: the engine with its threads and memory, then the pair."""

from tstitch.engine.host import prepare_host
from tstitch.engine.settings import Engine, choose_engines
from tstitch.pair.spec import locate_weights
from tstitch.sampling.experiment import Experiment
from tstitch.sampling.loaded_pair import LoadedPair


def prepare_process(experiment: Experiment, evaluations: int | None = None) -> list[Engine]:
    """Decides every `auto` of the engine, and sets threads and allocator as the run has them.

    Args:
        evaluations: of a batch by the busiest process, None = many.

    Returns:
        The run's engine, then that of runs of another length, as `choose_engines`.

    Raises:
        UserError: a device, precision or option that is not to be had here.
    """
    engines = choose_engines(experiment.engine, experiment.run, evaluations)
    prepare_host(engines[0])
    return engines


def load_pair(experiment: Experiment, engine: Engine | None = None) -> LoadedPair:
    """The denoisers of an experiment on this process's device, their weights fetched first.

    Args:
        engine: of `prepare_process`; None = prepares this process, too.

    Raises:
        UserError: as `prepare_process`; weights that are not there or do not fit.
    """
    engine = engine or prepare_process(experiment)[0]
    weights = {spec.name: locate_weights(spec) for spec in experiment.pair.denoisers}
    return LoadedPair(experiment.pair, engine, weights)
