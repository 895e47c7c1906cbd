"""The only file that touches torch.distributed; plain `python` is the world of size one."""

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tstitch.runtime.errors import UserError
from tstitch.runtime.workers import on_this_machine

T = TypeVar("T")

# Ranks may finish hours apart: no collective runs inside a run, so only this wait sees it.
BARRIER_TIMEOUT = timedelta(days=7)
# torchrun's store listens before any rank starts: one that is not there was killed.
LAUNCHER_TIMEOUT = timedelta(seconds=20)


def rank() -> int:
    """Index of this process among all, 0 without torchrun."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Index of this process on its machine, which is the index of its GPU."""
    return int(os.environ.get("LOCAL_RANK", on_this_machine()))


def world_size() -> int:
    """Number of processes, 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def restarts() -> int:
    """How often torchrun has restarted the workers (--max-restarts)."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def is_main() -> bool:
    """True on the one rank that prints and writes outside shards/."""
    return rank() == 0


def start() -> None:
    """Joins the process group of torchrun once per process; a no-op without torchrun.

    Object collectives and barriers run on gloo, gradients of CUDA tensors on NCCL.
    """
    if world_size() == 1 or dist.is_initialized():
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())
    store, number, size = next(dist.rendezvous("env://", timeout=LAUNCHER_TIMEOUT))
    store.set_timeout(BARRIER_TIMEOUT)
    # A restarted group may find the same store: it must not read the dead one's addresses.
    store = dist.PrefixStore(f"attempt/{restarts()}", store)
    dist.init_process_group(
        backend, store=store, rank=number, world_size=size, timeout=BARRIER_TIMEOUT
    )


def stop() -> None:
    """Leaves the process group, if any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def barrier() -> None:
    """Waits until every rank is here."""
    gather(None)


def broadcast(value: Any) -> Any:
    """Rank 0's value, on every rank; any object that pickles."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]


def gather(value: Any) -> list[Any]:
    """Every rank's value, in rank order, on every rank."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def collect(value: T) -> list[T]:
    """Every rank's value, in rank order, on rank 0; an empty list on the others."""
    if world_size() == 1:
        return [value]
    values: list[Any] | None = [None] * world_size() if is_main() else None
    dist.gather_object(value, values, dst=0)
    return values or []


def add(tensor: Tensor) -> Tensor:
    """The sum of every rank's tensor of this shape, on every rank."""
    if world_size() > 1:
        dist.all_reduce(tensor)
    return tensor


def average(tensors: Sequence[Tensor]) -> None:
    """Puts the mean over ranks to tensors of any device, in place and in one message."""
    if world_size() == 1 or not tensors:
        return
    flat = add(torch.cat([tensor.flatten() for tensor in tensors])) / world_size()
    for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def data_parallel(module: nn.Module) -> nn.Module:
    """The module with gradients averaged over ranks."""
    return nn.parallel.DistributedDataParallel(module) if world_size() > 1 else module


def meet(name: str, timeout: timedelta = timedelta(seconds=30)) -> None:
    """Waits, at most for the timeout, until every rank called this with this name.

    Needs no process group, so that ranks that fail before joining one leave together.
    """
    store, _, size = next(dist.rendezvous("env://", timeout=timeout))
    key = f"meet/{name}/{restarts()}"
    if store.add(key, 1) == size:
        store.set(f"{key}/all", "here")
    try:
        store.wait([f"{key}/all"], timeout)
    except dist.DistStoreError:
        return


def everywhere(work: Callable[[], T]) -> T:
    """Runs work on every rank; a UserError of any rank is raised on all of them."""
    result, error = _attempt(work)
    # One number instead of pickled objects: a training comes here at every step.
    if add(torch.tensor([int(error is not None)])).item():
        raise UserError(next(message for message in gather(error) if message is not None))
    return cast(T, result)


def on_main(work: Callable[[], T]) -> T:
    """Runs work on rank 0 alone; its result, or its UserError, reaches every rank."""
    outcome = _attempt(work) if is_main() else None
    result, error = broadcast(outcome)
    if error is not None:
        raise UserError(error)
    return result


def main_first(work: Callable[[], T]) -> T:
    """Runs work on rank 0, then on the others: what rank 0 downloads, they find."""
    result, error = _attempt(work) if is_main() else (None, None)
    error = broadcast(error)
    if error is not None:
        raise UserError(error)
    return everywhere(lambda: cast(T, result) if is_main() else work())


def _attempt(work: Callable[[], T]) -> tuple[T | None, str | None]:
    try:
        return work(), None
    except UserError as error:
        return None, str(error)
    except torch.OutOfMemoryError:
        return None, "run.batch_size: out of device memory; choose a smaller one"
