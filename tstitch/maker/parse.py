"""From a configuration to the experiment that its pair is for."""

from collections.abc import Mapping
from typing import Any

from tstitch.config.cli import locate
from tstitch.files.videos import check_encoder
from tstitch.maker.protocol import Experiment
from tstitch.runtime.errors import UserError

PROMPTS = "prompts"  # of the whole configuration, and of the pair
MADE_BY = "made_by"  # of the pair: the class of its experiments
DENOISERS = "tstitch.sampling.experiment.PairExperiment"  # of pairs that name none


def parse_experiment(config: dict[str, Any], stitched: bool = True) -> Experiment:
    """Checks a whole configuration; loads no weights.

    Args:
        stitched: False = with the largest denoiser alone, whatever `stitch` says.

    Raises:
        UserError: the first bad field.
    """
    config = _with_prompts(config)
    pair = config.get("pair")
    name = (isinstance(pair, dict) and pair.get(MADE_BY)) or DENOISERS
    made_by = locate(name, f"pair.{MADE_BY}")
    if not isinstance(made_by, type) or not issubclass(made_by, Experiment):
        raise UserError(f"pair.{MADE_BY}={name}: is no Experiment")
    experiment = made_by.parse(config, stitched)
    if experiment.run.export == "mp4":
        if experiment.frames == 1:
            raise UserError(f"run.export=mp4: pair {experiment.name} makes images; choose png")
        check_encoder("run.export=mp4")
    return experiment


def _with_prompts(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration, its own prompts in place of the pair's."""
    given = config.get(PROMPTS)
    own = {key: value for key, value in config.items() if key != PROMPTS}
    if given is None:
        return own
    pair = config.get("pair")
    if not isinstance(pair, Mapping) or pair.get(PROMPTS) is None:
        name = pair.get("name") if isinstance(pair, Mapping) else pair
        raise UserError(
            f"{PROMPTS}={given}: pair {name} has classes; choose run.classes, or a pair of prompts"
        )
    return own | {"pair": {**pair, PROMPTS: given}}
