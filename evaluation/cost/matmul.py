"""The matrix products that a device does at best, as the yardstick of a network's speed."""

import time

import torch

SIDES = {"cpu": 1536, "cuda": 8192}
REPEATS = {"cpu": 3, "cuda": 20}


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOPs per second (2 per multiply-add) of square products, the best of a few.

    Args:
        dtype: of the factors; float32 follows torch's precision setting (TF32).
    """
    side, repeats = SIDES.get(device.type, 4096), REPEATS.get(device.type, 5)
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(side, side, generator=generator).to(device, dtype) for _ in range(2))
    torch.mm(left, right)
    return max(_rate(left, right) for _ in range(repeats))


def _rate(left: torch.Tensor, right: torch.Tensor) -> float:
    _wait(left.device)
    started = time.perf_counter()
    torch.mm(left, right)
    _wait(left.device)
    return 2 * len(left) ** 3 / (time.perf_counter() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
