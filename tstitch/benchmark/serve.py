"""What runs in a process of a benchmark: an object whose methods are called from outside."""

import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

from tstitch.runtime.errors import UserError

NO_MEMORY = (
    "benchmark.batch_sizes: out of device memory with all engines loaded; choose smaller ones, or "
    "fewer benchmark.dtypes or benchmark.compile at a time"
)


def serve(connection: Connection, build: Callable[[], Any], number: int, processes: int) -> None:
    """Answers requests until the other end closes: (method, arguments) -> (error, result).

    Args:
        build: makes the object, at the first request.
        number: of this process among those that share the machine, from 0.
        processes: how many they are.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the benchmark ends its workers
    os.environ |= {"LOCAL_RANK": str(number), "LOCAL_WORLD_SIZE": str(processes)}
    served: Any = None
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        try:
            served = served or build()
            answer: tuple[str | None, Any] = (None, getattr(served, method)(*arguments))
        except UserError as error:
            answer = (str(error), None)
        except torch.OutOfMemoryError:
            answer = (NO_MEMORY, None)
        except Exception as error:  # one line here, as anywhere
            line = " ".join(str(error).split())[:200]
            answer = (f"benchmark: {type(error).__name__}: {line}", None)
        try:
            connection.send(answer)
        except OSError:  # the benchmark was killed in the meantime
            return
