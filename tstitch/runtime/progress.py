"""How far a long work is: a bar on a terminal, a line per 5 % where output goes to a file."""

import logging
import sys
import time
from types import TracebackType
from typing import Self

PARTS = 20  # lines of a whole work, where there is no terminal
BAR_S = 0.5  # between two pictures of the bar
log = logging.getLogger(__name__)


class Progress:
    """Shows how much is done; a context that ends the bar's line.

    Args:
        title: of the work.
        unit: what is counted, e.g. images.
        total: of all of it; at least 1.
        done: before this process began.
    """

    def __init__(self, title: str, unit: str, total: int, done: int = 0) -> None:
        self.done = done
        self._title, self._unit, self._total = title, unit, total
        self._first, self._since, self._note = done, time.monotonic(), ""
        self._bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, desc=title, unit=unit, mininterval=BAR_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the bar's line: what is printed next begins a new one."""
        if self._bar is not None:
            self._bar.close()

    def note(self, text: str) -> None:
        """What is shown beside the numbers from now on, e.g. a loss."""
        self._note = text
        if self._bar is not None:
            self._bar.set_postfix_str(text)

    def reach(self, done: int) -> None:
        """Tells how much is done by now; less than before is not shown."""
        before, self.done = self.done, max(self.done, min(done, self._total))
        if self._bar is not None:
            self._bar.update(self.done - before)
        elif self._part(self.done) > self._part(before):
            log.info("%s", self._line())

    def _part(self, done: int) -> int:
        return PARTS * done // self._total

    def _line(self) -> str:
        spent, own = time.monotonic() - self._since, self.done - self._first
        share = 100 * self.done // self._total
        line = f"{self._title}: {self.done} of {self._total} {self._unit} ({share} %)"
        if spent > 0:
            line += f", {own / spent:.3g}/s"
        if self.done < self._total:
            line += f", {_minutes(spent / own * (self._total - self.done))} left"
        return f"{line}, {self._note}" if self._note else line


def _minutes(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
