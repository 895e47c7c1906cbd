"""How many CPU threads a process takes, and how they wait: one rule for torch, BLAS and OpenMP.

Imports no torch: how threads wait is read when torch is loaded, and must be set before.
"""

import logging
import math
import multiprocessing
import os
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

# Threads that wait for the others of their pool give the core away. By default they spin for
# milliseconds, on a core that another process needs.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
log = logging.getLogger(__name__)
_entry: FileLock | None = None
_default = _last = 0  # torch's own number, and the one set here


def prepare_command() -> None:
    """Of a command, before torch and numpy are loaded: how threads wait, how many BLAS has.

    What the user has set stays.
    """
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    if "OMP_NUM_THREADS" not in os.environ:  # else numpy's and scipy's BLAS keep to it
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(_share()))


def set_threads(asked: int | None = None) -> None:
    """Gives torch the threads of `choose_threads`; called again, it follows other commands."""
    import torch

    global _default, _last
    current = torch.get_num_threads()
    if current != _last:  # the first call, or the user's own
        _default = current
    _last = choose_threads(asked, _default)
    if _last != current:
        torch.set_num_threads(_last)
        others = neighbours()
        if asked is None and others:
            log.info("%d CPU thread(s): %d other process(es) share the cores", _last, others)


def choose_threads(asked: int | None, default: int) -> int:
    """Threads of this process: `asked`, else what OMP_NUM_THREADS says, else its share.

    torchrun sets OMP_NUM_THREADS=1 for several processes, however many cores there are; then
    the cores are divided among the processes of this machine, those of other commands included.

    Args:
        default: torch's own number.
    """
    if asked is not None:
        return asked
    if os.environ.get("OMP_NUM_THREADS") is None:
        return min(default, _share())
    alone = _local_world_size() == 1
    return default if alone or os.environ["OMP_NUM_THREADS"] != "1" else _share()


def available_cores() -> int:
    """Cores that this process may run on: its affinity, and the quota of its control group."""
    quota = _quota()
    return len(_cores()) if math.isinf(quota) else max(1, min(len(_cores()), math.ceil(quota)))


def announce() -> None:
    """Tells other commands of this user that this one takes its share of its cores.

    The note ends with the process. Where none can be left, cores are not shared by it.
    """
    global _entry
    if _entry is not None or os.environ.get("LOCAL_RANK", "0") != "0":
        return
    mask = sum(1 << core for core in _cores())
    try:
        _folder().mkdir(mode=0o700, exist_ok=True)
        lock = FileLock(_folder() / f"{_launcher()}.{_local_world_size()}.{mask:x}")
        lock.acquire(timeout=1)
    except (OSError, Timeout):
        return
    _entry = lock


def neighbours() -> int:
    """Processes of other commands of this user that are at work on the same cores."""
    if multiprocessing.parent_process() is not None:
        return 0  # what a benchmark measures does not change in the middle
    found, mask = 0, sum(1 << core for core in _cores())
    try:
        entries = list(_folder().iterdir())
    except OSError:
        return 0
    for path in entries:
        launcher, _, rest = path.name.partition(".")
        processes, _, cores = rest.partition(".")
        try:
            if launcher != _launcher() and int(cores, 16) & mask and _is_held(path):
                found += int(processes)
        except ValueError:
            continue  # no note of ours
    return found


def _is_held(path: Path) -> bool:
    """Whether the process that left a note is alive; the note of a dead one is removed."""
    try:
        # Another command may be looking at the same moment.
        with FileLock(path).acquire(timeout=0.02, poll_interval=0.01):
            path.unlink(missing_ok=True)
        return False
    except Timeout:
        return True
    except OSError:
        return False


def _share() -> int:
    return max(1, available_cores() // (_local_world_size() + neighbours()))


def _folder() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()) / f"tstitch-{user}"


def _launcher() -> str:
    """What the ranks of one command have in common: torchrun's process, else this one."""
    return str(os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else os.getpid())


def _local_world_size() -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _cores() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _quota() -> float:
    """Cores' worth of time that this process's control group (version 2) has."""
    root = Path("/sys/fs/cgroup")
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        own = next(line[3:] for line in lines if line.startswith("0::"))
    except (OSError, StopIteration):
        return math.inf
    return least_quota(root / own.strip("/"), root)


def least_quota(group: Path, root: Path) -> float:
    """The least cpu.max of a control group and those above it, in cores; inf without any."""
    least = math.inf
    for folder in (group, *group.parents):
        try:
            quota, period = (folder / "cpu.max").read_text().split()
            least = min(least, int(quota) / int(period))
        except (OSError, ValueError):  # no such file, or `max`
            pass
        if folder == root:
            break
    return least
