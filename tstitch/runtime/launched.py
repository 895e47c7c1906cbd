"""Jobs of a launcher of Hydra's: how they end, and what the launcher says of them."""

import atexit
import logging
import os
import re
import sys


def failed(code: int) -> None:
    """Whenever this process ends, it ends with this code, and its log does not say all is well.

    A job hands its error to who submitted it, and ends as if it had none; schedulers, and jobs
    that wait for it (afterok), go by the code.
    """
    logging.getLogger("submitit").setLevel(logging.ERROR)
    atexit.register(_exit, code)


def _exit(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def one_line(error: RuntimeError) -> str:
    """Of what a launcher says: no Slurm, an option it refuses, a job that was killed."""
    text = str(error)
    about = re.split("\nError stream produced|\nNo (?:error|output/error) stream", text)[0]
    return " ".join(about.split())
