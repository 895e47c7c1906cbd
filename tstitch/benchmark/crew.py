"""The processes of a case, asked at the same time."""

import multiprocessing
from collections.abc import Callable
from typing import Any

from tstitch.benchmark.serve import serve
from tstitch.runtime.errors import UserError

PATIENCE_S = 5  # for a process whose connection is closed


class Crew:
    """The processes of one case.

    Args:
        build: makes the object that each of them serves; it is pickled.
        processes: how many.
    """

    def __init__(self, build: Callable[[], Any], processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._ends, self._processes = [], []
        for number in range(processes):
            here, there = context.Pipe()
            arguments = (there, build, number, processes)
            process = context.Process(target=serve, args=arguments, daemon=True)
            process.start()
            there.close()
            self._ends.append(here)
            self._processes.append(process)

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """Calls a method of every process's object at the same time.

        Raises:
            UserError: of any of them.
        """
        try:
            for end in self._ends:
                end.send((method, arguments))
            answers = [end.recv() for end in self._ends]
        except (EOFError, OSError) as error:
            raise UserError(
                "benchmark: a process died, probably for want of memory; choose smaller "
                "benchmark.batch_sizes"
            ) from error
        for message, _ in answers:
            if message is not None:
                raise UserError(message)
        return [result for _, result in answers]

    def end(self) -> None:
        """Ends the processes and waits for them."""
        for end in self._ends:
            end.close()
        for process in self._processes:
            process.join(PATIENCE_S)
            process.terminate()
