"""The processes of noise that published networks were trained on."""

from .discrete import NUM_TIMESTEPS, DiscreteVP, LinearVP, ScaledLinearVP, check_discrete
from .edm import EDM
from .rectified_flow import RectifiedFlow
from .vp_sde import VPSDE

__all__ = [
    "NUM_TIMESTEPS", "DiscreteVP", "EDM", "LinearVP", "RectifiedFlow", "ScaledLinearVP", "VPSDE",
    "check_discrete",
]  # fmt: skip
