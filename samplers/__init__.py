"""Samplers, stitch schedules, noise schedule and per-image noise of diffusion sampling."""

from .base import Denoiser, Sampler, Step, sample
from .ddim import DDIM
from .ddpm import DDPM
from .dpm_solver import DPMSolver
from .noise_schedule import NUM_TIMESTEPS, alphas_cumprod, linear_betas, respaced_chain
from .randomness import PerImageRandomness
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

__all__ = [
    "Budget",
    "DDIM",
    "DDPM",
    "DPMSolver",
    "Decreasing",
    "Denoiser",
    "Explicit",
    "Fraction",
    "Fractions",
    "Interleave",
    "LargeToSmall",
    "NUM_TIMESTEPS",
    "PerImageRandomness",
    "Sampler",
    "Step",
    "StitchSchedule",
    "alphas_cumprod",
    "ddim_stride_timesteps",
    "linear_betas",
    "respaced_chain",
    "respaced_timesteps",
    "sample",
    "spaced_timesteps",
    "spend",
]
