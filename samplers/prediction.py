"""What networks predict, and each from any other: linear combinations of x_0 and eps."""

from dataclasses import dataclass

from torch import Tensor

PREDICTIONS = ("eps", "x0", "v", "velocity")


def _combination(prediction: str, alpha: float, sigma: float) -> tuple[float, float]:
    """(p, q) of prediction = p x_0 + q eps."""
    return {
        "eps": (0.0, 1.0),  # DDPM
        "x0": (1.0, 0.0),
        "v": (-sigma, alpha),  # Salimans and Ho 2022, App. D
        "velocity": (-1.0, 1.0),  # rectified flow
    }[prediction]


@dataclass(frozen=True, slots=True)
class Conversion:
    """wanted = (x_part * x + given_part * given) / divisor, at one timestep; floats."""

    x_part: float
    given_part: float
    divisor: float

    def __call__(self, x: Tensor, given: Tensor) -> Tensor:
        """The wanted prediction, shape and dtype of x and of the given one."""
        if self == IDENTITY:
            return given
        x = x if self.x_part == 1 else self.x_part * x
        return (x + self.given_part * given) / self.divisor


IDENTITY = Conversion(0.0, 1.0, 1.0)


def conversion(given: str, wanted: str, alpha: float, sigma: float) -> Conversion:
    """From one prediction to another at x = alpha x_0 + sigma eps.

    x and the given prediction are two equations for x_0 and eps. Their determinant is alpha for
    eps and sigma for x0: next to pure noise eps tells little of x_0, next to clean data x0 little
    of eps. v and velocity are good at both ends.

    Raises:
        ValueError: a prediction that says nothing of the wanted one here.
    """
    p, q = _combination(given, alpha, sigma)
    r, s = _combination(wanted, alpha, sigma)
    if (p, q) == (r, s):
        return IDENTITY
    divisor = alpha * q - sigma * p
    if divisor == 0:
        where = "pure noise" if alpha == 0 else "clean data"
        raise ValueError(f"prediction={given}: at {where} it does not tell {wanted}")
    return Conversion(r * q - s * p, alpha * s - sigma * r, divisor)
