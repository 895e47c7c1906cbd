"""The process of noise that a folder of diffusers says its networks were trained on."""

from collections.abc import Mapping
from typing import Any

from samplers import DiscreteVP, LinearVP, ScaledLinearVP

KINDS: dict[str, type[DiscreteVP]] = {"linear": LinearVP, "scaled_linear": ScaledLinearVP}


def process_of(scheduler: Mapping[str, Any]) -> DiscreteVP:
    """Of the content of a scheduler_config.json.

    Raises:
        ValueError: betas that are no process of ours.
    """
    schedule = scheduler.get("beta_schedule", "linear")
    if schedule not in KINDS or scheduler.get("trained_betas") is not None:
        raise ValueError(
            f"beta_schedule={schedule}: choose a network trained on one of {', '.join(KINDS)}"
        )
    if scheduler.get("rescale_betas_zero_snr"):
        raise ValueError(
            "rescale_betas_zero_snr=True: at its last timestep noise tells nothing of x_0; choose "
            "a network trained without"
        )
    return KINDS[schedule](
        beta_start=float(scheduler.get("beta_start", 1e-4)),
        beta_end=float(scheduler.get("beta_end", 0.02)),
        num_timesteps=int(scheduler.get("num_train_timesteps", 1000)),
    )
