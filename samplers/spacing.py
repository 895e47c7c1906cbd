"""Which of the T timesteps DDPM and DDIM visit: the two rules of the iDDPM / ADM code."""

from .checks import check_choice, check_integer
from .noise_schedule import NUM_TIMESTEPS

SPACINGS = ("respaced", "ddim")


def respaced_timesteps(steps: int) -> tuple[int, ...]:
    """N timesteps spread evenly over 0..T-1, ascending, both ends included.

    The stride is accumulated in float64 and each value rounded half to even. At ties the
    accumulated error decides (N = 21 visits 499, not 500), as in the published code.

    Raises:
        ValueError: unless 2 <= steps <= T.
    """
    check_integer("steps", steps, 2, NUM_TIMESTEPS)
    stride = (NUM_TIMESTEPS - 1) / (steps - 1)
    timesteps, position = [], 0.0
    for _ in range(steps):
        timesteps.append(round(position))
        position += stride
    return tuple(timesteps)


def ddim_stride_timesteps(steps: int) -> tuple[int, ...]:
    """Every s-th timestep from 0, ascending, s the smallest integer stride that gives N.

    Raises:
        ValueError: unless 2 <= steps <= T and some stride gives exactly N timesteps; the
            message names the nearest numbers that can be reached.
    """
    check_integer("steps", steps, 2, NUM_TIMESTEPS)
    strides = range(1, NUM_TIMESTEPS)
    counts = [len(range(0, NUM_TIMESTEPS, stride)) for stride in strides]
    if steps not in counts:
        below = max(count for count in counts if count < steps)
        above = min(count for count in counts if count > steps)
        raise ValueError(
            f"steps={steps}: no stride of spacing=ddim gives it; choose {below} or {above}, "
            f"or spacing=respaced"
        )
    return tuple(range(0, NUM_TIMESTEPS, strides[counts.index(steps)]))


def spaced_timesteps(steps: int, spacing: str) -> tuple[int, ...]:
    """The trajectory of a sampler: N integer timesteps, noisiest first.

    Args:
        steps: N, an integer from 2 to T.
        spacing: "respaced" or "ddim".
    """
    check_choice("spacing", spacing, SPACINGS)
    rule = respaced_timesteps if spacing == "respaced" else ddim_stride_timesteps
    return rule(steps)[::-1]
