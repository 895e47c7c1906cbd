"""Which of the T timesteps DDPM and DDIM visit: the rules of the iDDPM / ADM code, and of LDM's."""

from .checks import check_choice, check_integer

SPACINGS = ("respaced", "ddim")
LDM = "ldm"  # of DDIM alone


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


def ldm_timesteps(steps: int, num_timesteps: int) -> tuple[int, ...]:
    """Every s-th timestep from 1, ascending, s = T // N: "uniform" of latent diffusion's DDIM.

    N = 100 visits 1, 11, ..., 991; t = 0 is where the last step ends.

    Raises:
        ValueError: unless 2 <= steps < T and the stride gives exactly N timesteps, all of them
            below T; the message names the nearest numbers that can be reached.
    """
    check_integer("steps", steps, 2, num_timesteps)

    def fits(count: int) -> bool:
        stride = num_timesteps // count
        return -(-num_timesteps // stride) == count and (count - 1) * stride + 1 < num_timesteps

    if not fits(steps):
        good = [count for count in range(1, num_timesteps) if fits(count)]
        below = [str(count) for count in good if count < steps][-1:]
        above = [str(count) for count in good if count > steps][:1]
        raise ValueError(
            f"steps={steps}: spacing=ldm does not give it; choose {' or '.join(below + above)}, "
            "or spacing=respaced"
        )
    return tuple(range(1, num_timesteps, num_timesteps // steps))


RULES = {
    "respaced": respaced_timesteps, "ddim": ddim_stride_timesteps, LDM: ldm_timesteps
}  # fmt: skip


def spaced_timesteps(
    steps: int, spacing: str, num_timesteps: int, known: tuple[str, ...] = SPACINGS
) -> tuple[int, ...]:
    """The trajectory of a sampler: N integer timesteps, noisiest first.

    Args:
        steps: N, an integer from 2 to T.
        spacing: one of `known`.
        num_timesteps: T.
        known: the spacings that the sampler has.
    """
    return RULES[check_choice("spacing", spacing, known)](steps, num_timesteps)[::-1]
