"""Samplers, processes of noise, stitch schedules and per-image noise of diffusion sampling."""

from .base import Denoiser, Sampler, Step, sample
from .ddim import DDIM
from .ddpm import DDPM
from .discrete_vp import NUM_TIMESTEPS, DiscreteVP, LinearVP, ScaledLinearVP
from .dpm_solver import DPMSolver
from .edm import EDM
from .euler import Euler
from .heun import Heun
from .matching import MATCHES, Matching
from .prediction import PREDICTIONS, Conversion, conversion
from .process import Process
from .randomness import PerImageRandomness
from .rectified_flow import RectifiedFlow
from .spacing import ddim_stride_timesteps, respaced_timesteps, spaced_timesteps
from .stitch import (
    Budget,
    Decreasing,
    Explicit,
    Fraction,
    Fractions,
    Interleave,
    LargeToSmall,
    StitchSchedule,
    spend,
)
from .vp_sde import VPSDE

__all__ = [
    "Budget", "Conversion", "DDIM", "DDPM", "DPMSolver", "Decreasing", "Denoiser", "DiscreteVP",
    "EDM", "Euler", "Explicit", "Fraction", "Fractions", "Heun", "Interleave", "LargeToSmall",
    "LinearVP", "MATCHES", "Matching", "NUM_TIMESTEPS", "PREDICTIONS", "PerImageRandomness",
    "Process", "RectifiedFlow", "Sampler", "ScaledLinearVP", "Step", "StitchSchedule", "VPSDE",
    "conversion", "ddim_stride_timesteps", "respaced_timesteps", "sample", "spaced_timesteps",
    "spend",
]  # fmt: skip
