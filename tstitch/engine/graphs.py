"""A denoiser whose kernels are launched together, as one CUDA graph."""

import torch
from torch import Tensor

from samplers import Denoiser

WARM_UP = 3  # calls before a capture, as PyTorch's guide asks for


class GraphedDenoiser:
    """Records a denoiser at its first call and replays it from then on.

    A small network at a small batch is bound by Python and by launching its kernels one by one;
    a replay is one launch. The kernels, and so the bits, are the same.

    Args:
        denoiser: takes a timestep that is a tensor; must be safe to record (no host
            synchronisation, static shapes).
        pool: of the recorded memory, shared by denoisers that never run at the same time, so
            that they share one activation peak.
    """

    def __init__(self, denoiser: Denoiser, pool: tuple[int, int]) -> None:
        self._denoiser = denoiser
        self._pool = pool
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, x: Tensor, t: float, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """As the denoiser; x and y must always have the shapes of the first call."""
        if self._graph is None:
            self._record(x, t, y)
        self._x.copy_(x)
        self._t.fill_(t)
        self._y.copy_(y)
        self._graph.replay()
        # The next replay writes over these, and samplers keep past predictions.
        return self._eps.clone(), None if self._variance is None else self._variance.clone()

    def _record(self, x: Tensor, t: float, y: Tensor) -> None:
        self._x, self._y = x.clone(), y.clone()
        self._t = torch.full((), t, dtype=torch.float32, device=x.device)
        stream = torch.cuda.Stream(x.device)
        stream.wait_stream(torch.cuda.current_stream(x.device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._denoiser(self._x, self._t, self._y)
        torch.cuda.current_stream(x.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, self._pool, capture_error_mode="thread_local"):
            self._eps, self._variance = self._denoiser(self._x, self._t, self._y)
        self._graph = graph
