"""Which of the T timesteps DDPM and DDIM visit: the two rules of the iDDPM / ADM code."""

from .checks import check_choice, check_integer

SPACINGS = ("respaced", "ddim")


def respaced_timesteps(steps: int, num_timesteps: int) -> tuple[int, ...]:
    """N timesteps spread evenly over 0..T-1, ascending, both ends included.

    The stride is accumulated in float64 and each value rounded half to even. At ties the
    accumulated error decides (N = 21 visits 499, not 500), as in the published code.

    Raises:
        ValueError: unless 2 <= steps <= T.
    """
    check_integer("steps", steps, 2, num_timesteps)
    stride = (num_timesteps - 1) / (steps - 1)
    timesteps, position = [], 0.0
    for _ in range(steps):
        timesteps.append(round(position))
        position += stride
    return tuple(timesteps)


def ddim_stride_timesteps(steps: int, num_timesteps: int) -> tuple[int, ...]:
    """Every s-th timestep from 0, ascending, s the smallest integer stride that gives N.

    Raises:
        ValueError: unless 2 <= steps <= T and some stride gives exactly N timesteps; the
            message names the nearest numbers that can be reached.
    """
    check_integer("steps", steps, 2, num_timesteps)
    strides = range(1, num_timesteps)
    counts = [len(range(0, num_timesteps, stride)) for stride in strides]
    if steps not in counts:
        below = max(count for count in counts if count < steps)
        above = min(count for count in counts if count > steps)
        raise ValueError(
            f"steps={steps}: no stride of spacing=ddim gives it; choose {below} or {above}, "
            f"or spacing=respaced"
        )
    return tuple(range(0, num_timesteps, strides[counts.index(steps)]))


def spaced_timesteps(steps: int, spacing: str, num_timesteps: int) -> tuple[int, ...]:
    """The trajectory of a sampler: N integer timesteps, noisiest first.

    Args:
        steps: N, an integer from 2 to T.
        spacing: "respaced" or "ddim".
        num_timesteps: T.
    """
    check_choice("spacing", spacing, SPACINGS)
    rule = respaced_timesteps if spacing == "respaced" else ddim_stride_timesteps
    return rule(steps, num_timesteps)[::-1]
