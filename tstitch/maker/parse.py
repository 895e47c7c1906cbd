"""From a configuration to the experiment that its pair is for."""

from typing import Any

from tstitch.config.cli import locate
from tstitch.maker.protocol import Experiment
from tstitch.runtime.errors import UserError

FIELD = "made_by"  # of the pair: the class of its experiments
DENOISERS = "tstitch.sampling.experiment.PairExperiment"  # of pairs that name none


def parse_experiment(config: dict[str, Any], stitched: bool = True) -> Experiment:
    """Checks a whole configuration; loads no weights.

    Args:
        stitched: False = with the largest denoiser alone, whatever `stitch` says.

    Raises:
        UserError: the first bad field.
    """
    pair = config.get("pair")
    name = (isinstance(pair, dict) and pair.get(FIELD)) or DENOISERS
    made_by = locate(name, f"pair.{FIELD}")
    if not isinstance(made_by, type) or not issubclass(made_by, Experiment):
        raise UserError(f"pair.{FIELD}={name}: is no Experiment")
    return made_by.parse(config, stitched)
