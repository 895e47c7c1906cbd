"""Steps that share an encoding, as a run's configuration, engine, identity and title see them."""

from typing import Any

from samplers import Propagation, Sampler
from tstitch.engine.settings import EngineSettings
from tstitch.pair.spec import PairSpec
from tstitch.runtime.errors import UserError, errors_of


def check_propagation(sampler: Sampler, pair: PairSpec) -> None:
    """Refuses key steps that do not fit, and denoisers without an encoder of their own.

    Raises:
        UserError: one of these.
    """
    with errors_of("stitch."):
        if Propagation.of(sampler) is None:
            return
    # The one pass of a student has its decoders in one already.
    whole = [spec.name for spec in pair.denoisers if spec.one_pass or not spec.splits]
    if whole:
        raise UserError(
            f"stitch.propagate={sampler.stitch.propagate}: denoiser {whole[0]} of pair {pair.name} "
            "has no encoder and decoder to run apart; choose a pair of UNet2DConditionModels, "
            "e.g. pair=emoji, or null"
        )


def engine_for(sampler: Sampler, settings: EngineSettings) -> EngineSettings:
    """The engine without what is made for whole networks in one shape, if parts of them run.

    Raises:
        UserError: such a thing is asked for.
    """
    if Propagation.of(sampler) is None:
        return settings
    for name in ("compile", "cuda_graphs"):
        if getattr(settings, name):
            raise UserError(
                f"engine.{name}=true: is for whole networks, and stitch.propagate="
                f"{sampler.stitch.propagate} runs parts of them; choose engine=plain"
            )
    return settings.model_copy(update={"compile": False, "cuda_graphs": False})


def propagation_identity(sampler: Sampler) -> dict[str, Any]:
    """What of it decides the images; empty without any."""
    own = Propagation.of(sampler)
    if own is None:
        return {}
    return {"propagation": {"keys": [*own.keys], "injection": own.injection}}


def in_words(sampler: Sampler) -> str:
    """What the sampler's title says of it, the same for all schedules with one setting."""
    propagate, injection = sampler.stitch.propagate, sampler.stitch.injection
    if propagate is None:
        return ""
    keys = f"every {propagate}" if isinstance(propagate, int) else f"at {len(propagate)} keys"
    return f", encoder {keys}" + (f", prior noise {injection:g}" if injection else "")


def without_off(section: dict[str, Any], sampler: Sampler) -> dict[str, Any]:
    """A stitch section for readers, without the options that are off."""
    off = {"propagate": sampler.stitch.propagate is None, "injection": not sampler.stitch.injection}
    return {name: value for name, value in section.items() if not off.get(name)}
