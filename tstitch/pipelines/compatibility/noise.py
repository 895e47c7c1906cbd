"""Whether the pipelines of two networks share a process of noise."""

import warnings
from typing import Any

from tstitch.pipelines.compatibility.refusal import plain, refuse_other

FLOW = "flow_prediction"
BETAS = ("beta_schedule", "beta_start", "beta_end", "trained_betas", "rescale_betas_zero_snr")
PREDICTION = "give networks that predict the same: the scheduler takes one kind"
NOISE = "give networks trained on the same noise: a latent is another one to each"


def check_noise(large: Any, small: Any) -> None:
    """Compares two schedulers; which solver they are does not matter.

    Raises:
        UserError: other predictions, numbers of timesteps or betas.
    """
    if large is None or small is None:
        return
    kind = _prediction(large)
    refuse_other("scheduler.prediction_type", _prediction(small), kind, PREDICTION)
    field = "num_train_timesteps"
    refuse_other(f"scheduler.{field}", _value(small, field), _value(large, field), NOISE)
    if kind != FLOW:
        for field in BETAS:
            refuse_other(f"scheduler.{field}", _value(small, field), _value(large, field), NOISE)
        return
    own, other = _shift(small), _shift(large)
    if own != other:
        warnings.warn(
            f"scheduler.shift={plain(own)}: the large one has {plain(other)}, and its "
            "scheduler runs both; a fraction of the steps is another part of the noise",
            stacklevel=5,
        )


def _value(scheduler: Any, field: str) -> Any:
    return getattr(scheduler.config, field, None) or None


def _prediction(scheduler: Any) -> str:
    if type(scheduler).__name__.startswith("FlowMatch"):
        return FLOW
    if getattr(scheduler.config, "use_flow_sigmas", False):
        return FLOW
    return str(getattr(scheduler.config, "prediction_type", "epsilon"))


def _shift(scheduler: Any) -> Any:
    if getattr(scheduler.config, "use_dynamic_shifting", False):
        return "dynamic"
    return _value(scheduler, "shift") or _value(scheduler, "flow_shift") or 1.0
