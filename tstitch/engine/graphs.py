"""Denoisers whose kernels are launched together, as one CUDA graph."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

TensorDenoiser = Callable[..., tuple[Tensor, Tensor | None]]
"""A denoiser that takes x, a timestep on the device, y and, if images bring any, their nulls."""
WARM_UP = 3  # calls before a recording, as PyTorch's guide asks for


class GraphRecorder:
    """Records denoisers that never run at the same time: they share one activation peak.

    Warm-up and recordings are on one stream, which lives as long as they do: cuBLAS keeps a
    workspace per stream, and recorded kernels go on using it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)

    def recorded(self, denoiser: TensorDenoiser) -> "GraphedDenoiser":
        """The denoiser, which will be recorded at its first call."""
        return GraphedDenoiser(denoiser, self)

    def record(
        self, denoiser: TensorDenoiser, x: Tensor, t: Tensor, *conditions: Tensor
    ) -> "Recording":
        """Runs the denoiser on these tensors and records it; replays read and write the same.

        Raises:
            RuntimeError: a denoiser that waits for the device, or whose shapes change.
        """
        with torch.cuda.device(self._device):
            current = torch.cuda.current_stream()
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                for _ in range(WARM_UP):
                    denoiser(x, t, *conditions)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(
                graph, self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                eps, variance = denoiser(x, t, *conditions)
            current.wait_stream(self._stream)
        return Recording(graph, x, t, conditions, eps, variance)


@dataclass(frozen=True, slots=True)
class Recording:
    """A graph with the tensors it reads and writes."""

    graph: torch.cuda.CUDAGraph
    x: Tensor
    t: Tensor
    conditions: tuple[Tensor, ...]  # y, and nulls if images bring any
    eps: Tensor
    variance: Tensor | None

    def replay(self, x: Tensor, t: float, *conditions: Tensor) -> tuple[Tensor, Tensor | None]:
        """The denoiser's prediction for these values, in the shapes that were recorded."""
        if [v.shape for v in (x, *conditions)] != [v.shape for v in (self.x, *self.conditions)]:
            raise ValueError(f"x: recorded for {tuple(self.x.shape)}, got {tuple(x.shape)}")
        self.x.copy_(x)
        self.t.fill_(t)
        for own, given in zip(self.conditions, conditions, strict=True):
            own.copy_(given)
        self.graph.replay()
        # The next replay writes over these, and samplers keep past predictions.
        return self.eps.clone(), None if self.variance is None else self.variance.clone()


class GraphedDenoiser:
    """A denoiser that is recorded at its first call and replayed from then on.

    A small network at a small batch is bound by Python and by launching its kernels one by one;
    a replay is one launch. The kernels, and so the bits, are the same.

    Args:
        denoiser: guided, as the timestep is a tensor here.
        recorder: whose memory and stream it shares.
    """

    def __init__(self, denoiser: TensorDenoiser, recorder: GraphRecorder) -> None:
        self._denoiser = denoiser
        self._recorder = recorder
        self._recording: Recording | None = None

    def __call__(self, x: Tensor, t: float, *conditions: Tensor) -> tuple[Tensor, Tensor | None]:
        """As the denoiser; all must always have the shapes of the first call."""
        if self._recording is None:
            place = torch.full((), t, dtype=torch.float32, device=x.device)
            own = (value.clone() for value in conditions)
            self._recording = self._recorder.record(self._denoiser, x.clone(), place, *own)
        return self._recording.replay(x, t, *conditions)
