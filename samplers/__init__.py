"""Samplers, processes of noise, stitch schedules and per-image noise of diffusion sampling."""

from .autoguidance import Autoguidance
from .base import Denoiser, Sampler, Step, sample
from .ddim import DDIM
from .ddpm import DDPM
from .discrete_vp import NUM_TIMESTEPS, DiscreteVP, LinearVP, ScaledLinearVP
from .dpm_solver import DPMSolver
from .edm import EDM
from .euler import Euler
from .heun import Heun
from .loopfree import LoopFree
from .matching import MATCHES, Matching
from .one_pass import OnePass
from .online import Decisions, OnlineDenoiser, OnlineSchedule, VarianceError
from .prediction import PREDICTIONS, Conversion, conversion
from .process import Process
from .propagation import NoiseInjection, PropagatedDenoiser, Propagation
from .randomness import PerImageRandomness
from .rectified_flow import RectifiedFlow
from .sketch_render import SketchRender
from .spacing import ddim_stride_timesteps, respaced_timesteps, spaced_timesteps
from .stitch import (
    Boundary,
    Budget,
    Decreasing,
    Explicit,
    Fraction,
    Fractions,
    Interleave,
    LargeToSmall,
    Last,
    Misfit,
    PlannedSchedule,
    Random,
    ResolvedSchedule,
    Search,
    StitchSchedule,
    TopK,
    Window,
    least,
    spend,
)
from .vp_sde import VPSDE

__all__ = [
    "Autoguidance", "Boundary", "Budget", "Conversion", "DDIM", "DDPM", "DPMSolver", "Decisions",
    "Decreasing", "Denoiser", "DiscreteVP", "EDM", "Euler", "Explicit", "Fraction", "Fractions",
    "Heun", "Interleave", "LargeToSmall", "Last", "LinearVP", "LoopFree", "MATCHES", "Matching",
    "Misfit", "NUM_TIMESTEPS", "NoiseInjection", "OnePass", "OnlineDenoiser", "OnlineSchedule",
    "PREDICTIONS", "PerImageRandomness", "PlannedSchedule", "Process", "PropagatedDenoiser",
    "Propagation", "Random", "RectifiedFlow", "ResolvedSchedule", "Sampler", "ScaledLinearVP",
    "Search", "SketchRender", "Step", "StitchSchedule", "TopK", "VPSDE", "VarianceError", "Window",
    "conversion", "ddim_stride_timesteps", "least", "respaced_timesteps", "sample",
    "spaced_timesteps", "spend",
]  # fmt: skip
