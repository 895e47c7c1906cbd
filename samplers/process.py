"""What a process of noise is to samplers: x_t = alpha(t) x_0 + sigma(t) eps, in float64."""

from abc import ABC, abstractmethod

import numpy as np

from .checks import check_choice

SPACINGS = ("time", "logsnr")
Times = float | np.ndarray


class Process(ABC):
    """A linear Gaussian path between data and noise: a frozen dataclass, equal by its values.

    Time is the network's timestep t throughout, high = noisy. Methods take a number or a float64
    array and return the same; lambda = log(alpha / sigma) falls with t.

    Attributes:
        num_timesteps: T, in how many steps training counts time.
        prediction: the slope of the straight lines that Euler and Heun walk (see `line`); taken
            of denoisers that name none.
    """

    num_timesteps: int
    prediction: str = "eps"

    @property
    @abstractmethod
    def t_max(self) -> float:
        """The noisiest timestep."""

    @property
    @abstractmethod
    def t_min(self) -> float:
        """The cleanest timestep."""

    @property
    def prior_std(self) -> float:
        """Standard deviation of the pure noise that a trajectory begins with."""
        return 1.0

    @abstractmethod
    def alpha(self, t: Times) -> Times:
        """The part of the signal, 1 for clean data."""

    @abstractmethod
    def sigma(self, t: Times) -> Times:
        """The standard deviation of the noise."""

    @abstractmethod
    def log_snr(self, t: Times) -> Times:
        """lambda = log(alpha / sigma); infinite where one of them is 0."""

    @abstractmethod
    def time(self, log_snr: Times) -> Times:
        """The inverse of `log_snr`, from t_min to t_max: what is beyond comes to the nearer end."""

    @abstractmethod
    def uniform_times(self, steps: int) -> np.ndarray:
        """steps + 1 timesteps, noisiest first, as networks of this process are mostly sampled."""

    def remaining(self, t: Times) -> Times:
        """The part of the time axis that is still ahead at t: 1 at t_max, 0 at t_min."""
        return (t - self.t_min) / (self.t_max - self.t_min)

    def progress(self, t: Times) -> Times:
        """Where on the time axis the step from t is, in [1/T, 1]; stitch schedules compare it.

        Counted as training counts: the noisiest step is the first of T, hence 1 - t/T for
        timesteps 0..T-1.
        """
        return 1 - (self.num_timesteps - 1) / self.num_timesteps * self.remaining(t)

    def time_part(self, t: Times) -> Times:
        """t/T, at which experts for parts of the time axis meet."""
        return t / self.num_timesteps

    def times(self, steps: int, spacing: str = "time") -> np.ndarray:
        """A trajectory: steps + 1 timesteps, noisiest first; the last is where it ends.

        Args:
            spacing: "time", or "logsnr" for uniform lambda between t_max and t_min.

        Raises:
            ValueError: another spacing, or lambda that is infinite at an end.
        """
        check_choice("spacing", spacing, SPACINGS)
        if spacing == "time":
            return self.uniform_times(steps)
        ends = np.array([self.t_max, self.t_min])
        first, last = np.asarray(self.log_snr(ends))
        if not np.isfinite([first, last]).all():
            raise ValueError(f"spacing=logsnr: infinite at the ends of {self}; choose time")
        times = np.asarray(self.time(np.linspace(first, last, steps + 1)))
        times[[0, -1]] = ends
        return times

    def line(self, t: Times) -> tuple[Times, Times]:
        """(scale, tau): x / scale = (straight line in tau) whose slope is `prediction`.

        For eps, x / alpha = x_0 + tau eps with tau = sigma / alpha (EDM, Sec. 2; DDIM, Eq. 14).
        Flows, whose slope is the velocity eps - x_0, are straight as they are.
        """
        return self.alpha(t), self.sigma(t) / self.alpha(t)


def check_process(process: object) -> Process:
    """Return a Process; raise ValueError otherwise."""
    if not isinstance(process, Process):
        raise ValueError(f"process={process!r}: choose a Process, e.g. LinearVP")
    return process


class VariancePreserving(Process):
    """alpha^2 + sigma^2 = 1: everything follows from log alpha."""

    @abstractmethod
    def log_alpha(self, t: Times) -> Times:
        """log alpha, below 0."""

    @abstractmethod
    def time_of_log_alpha(self, log_alpha: Times) -> Times:
        """The inverse of `log_alpha`, within t_min..t_max."""

    def alpha(self, t: Times) -> Times:
        return np.exp(self.log_alpha(t))

    def sigma(self, t: Times) -> Times:
        return np.sqrt(-np.expm1(2 * self.log_alpha(t)))

    def log_snr(self, t: Times) -> Times:
        log_alpha = self.log_alpha(t)
        return log_alpha - 0.5 * np.log(-np.expm1(2 * log_alpha))

    def time(self, log_snr: Times) -> Times:
        return self.time_of_log_alpha(-0.5 * np.logaddexp(0.0, -2 * np.asarray(log_snr)))
