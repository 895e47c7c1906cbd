"""What a benchmark may still spend, and what its cases cost."""

import time

from tstitch.benchmark.settings import Case

COMPILE_S = 20.0  # of one network, as long as none was compiled; two of them in a pair


class Budget:
    """The seconds of a whole benchmark, from now on."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds, negative once they are overdrawn."""
        return self._end - time.monotonic()


class Costs:
    """Seconds that cases take, from those of the cases before them.

    A round of another batch size or number of processes takes time in proportion; a case of
    another engine is assumed to take as long as the first, which is the slowest as a rule.
    """

    def __init__(self) -> None:
        self._begin: dict[tuple[str, str], float] = {}
        self._round: dict[tuple[str, str], float] = {}  # per image of all processes' batches

    def note(self, case: Case, begin: float, one_round: float) -> None:
        """Takes in what a case took.

        Args:
            begin: seconds from its start until it was ready.
            one_round: seconds of a measurement.
        """
        self._begin[_kind(case)] = begin
        self._round[_kind(case)] = one_round / _images(case)

    def of_round(self, case: Case) -> float:
        """Seconds of one round of a case; of one at least something is known."""
        first = next(iter(self._round.values()))
        return self._round.get(_kind(case), first) * _images(case)

    def of_first(self, case: Case) -> float:
        """Seconds of a case from its start to the end of its first round, 0 if nothing is known."""
        if not self._round:
            return 0.0
        begin = self._begin.get(_kind(case))
        if begin is None:
            begin = next(iter(self._begin.values())) + self._compilation(case)
        return begin + self.of_round(case)

    def _compilation(self, case: Case) -> float:
        if not case.is_compiled:
            return 0.0
        compiled = [s for (engine, _), s in self._begin.items() if "compiled" in engine]
        return max(compiled, default=2 * COMPILE_S)


def _kind(case: Case) -> tuple[str, str]:
    return case.engine, case.dtype


def _images(case: Case) -> int:
    return case.batch_size * case.processes
