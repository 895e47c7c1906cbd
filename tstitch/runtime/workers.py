"""Processes that share a run without a process group: tasks of srun, of an array, an indexed job.

Torchrun's processes are none of these: they find each other.
"""

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tstitch.runtime.errors import UserError


@dataclass(frozen=True, slots=True)
class Worker:
    """This process as one of several.

    Attributes:
        number: from 0 to count - 1; says where it begins, and which one shows progress.
        count: as many were started, None = not known; any number of them is enough.
    """

    number: int
    count: int | None


def independent(environment: Mapping[str, str] = os.environ) -> Worker | None:
    """What srun, sbatch --array or Kubernetes started this process as; None = as the only one."""
    if "RANK" in environment:  # torchrun, on each node of a job or beside it
        return None
    tasks = _number(environment, "SLURM_STEP_NUM_TASKS", 1)  # not of a batch script itself
    task = _number(environment, "SLURM_PROCID", 0) if tasks > 1 else 0
    jobs = _number(environment, "SLURM_ARRAY_TASK_COUNT", 1)
    if "SUBMITIT_EXECUTOR" in environment:  # its array is of different runs
        jobs = 1
    job = _number(environment, "SLURM_ARRAY_TASK_ID", 0) % jobs
    if tasks * jobs > 1:
        return Worker(job * tasks + task, tasks * jobs)
    if "JOB_COMPLETION_INDEX" in environment:  # Kubernetes does not tell of how many
        return Worker(_number(environment, "JOB_COMPLETION_INDEX", 0), None)
    return None


def refuse_tasks(script: str) -> None:
    """For commands whose work tasks of srun would all do alike.

    Raises:
        UserError: there are several.
    """
    tasks = _number(os.environ, "SLURM_STEP_NUM_TASKS", 1)
    if tasks > 1 and "RANK" not in os.environ:
        raise UserError(
            f"SLURM_STEP_NUM_TASKS={tasks}: tasks of srun share scripts/sample.py alone; start "
            f"scripts/{script}.py as one task, or torchrun in one task per node"
        )


def on_this_machine() -> int:
    """Index of a task of srun among those of its node, which is the index of its GPU."""
    tasks = _number(os.environ, "SLURM_STEP_NUM_TASKS", 1)
    return _number(os.environ, "SLURM_LOCALID", 0) if tasks > 1 else 0


def unique_name() -> str:
    """A name that no other process has, of any machine and any time: HOST-PID-TIME."""
    return f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}"


def died_here(name: str) -> bool:
    """Whether a process of this machine had the name and is gone; False of other machines'."""
    host, pid, _ = name.rsplit("-", 2)
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's, but there
        return False
    return _is_zombie(int(pid))


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended and its parent does not know yet; where /proc tells."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "Z"


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "")
    return int(text) if text.isdigit() else default
