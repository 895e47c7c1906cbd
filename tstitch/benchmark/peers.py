"""What users compare with: diffusers' DiTPipeline with the same network and autoencoder."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from evaluation.cost.machine import device_name, has_bfloat16
from models.precision import DTYPES
from models.spaces import VAESpace
from tstitch.benchmark.diffusers_dit import as_diffusers, what_does_not_fit
from tstitch.engine.compiled import what_is_missing
from tstitch.maker.parse import parse_experiment
from tstitch.maker.protocol import Experiment
from tstitch.pair.spec import build_network, load_network, locate_weights
from tstitch.runtime.device import choose_device
from tstitch.runtime.errors import UserError
from tstitch.runtime.memory import peak_bytes
from tstitch.runtime.threads import set_threads
from tstitch.sampling.experiment import PairExperiment

if TYPE_CHECKING:
    from diffusers import DiTPipeline

PREPARING_STEPS = 2


def why_no_peer(experiment: Experiment) -> str | None:
    """Why DiTPipeline cannot sample with a pair's largest denoiser, None if it can."""
    if not isinstance(experiment, PairExperiment):
        return "the images are not made by denoisers of the pair alone"
    if experiment.guidance.guide:
        return "DiTPipeline knows no autoguidance"
    pair = experiment.pair
    if not isinstance(pair.space, VAESpace):
        return "the pair has no autoencoder, which DiTPipeline needs"
    with torch.device("meta"):
        return what_does_not_fit(build_network(pair, pair.denoisers[-1]))


def peer_dtype(device: torch.device) -> str:
    """fp16, as is usual on a GPU; on a CPU, which is slow in it, bf16 or fp32."""
    if device.type != "cpu":
        return "fp16"
    return "bf16" if has_bfloat16() else "fp32"


class PeerWorker:
    """diffusers' pipeline of the largest denoiser; weights and batches as ours.

    Its scheduler is DDIM whatever the pair's sampler is, with as many steps: one evaluation each.

    Args:
        config: of a run.
        dtype: fp16, bf16 or fp32, of transformer and autoencoder.
        compile: torch.compile of the transformer.
    """

    def __init__(self, config: dict[str, Any], dtype: str, compile: bool) -> None:
        experiment = parse_experiment(config)
        if reason := why_no_peer(experiment):
            raise UserError(reason)
        assert isinstance(experiment, PairExperiment)
        self._experiment = experiment
        self._device = choose_device(self._experiment.run.device, "run.device")
        set_threads(self._experiment.engine.threads)
        self._compile = compile
        self._pipeline = _pipeline(self._experiment, DTYPES[dtype]).to(self._device)

    def prepare(self, fractions: tuple[float, ...]) -> dict[str, Any]:
        """Compiles if it is to, and samples a batch in a few steps; there are no fractions.

        Returns:
            seconds by denoiser (compilation included), and what the pipeline is.

        Raises:
            UserError: torch.compile lacks something.
        """
        if self._compile:
            if missing := what_is_missing(self._device):
                raise UserError(f"torch.compile needs {missing}")
            self._pipeline.transformer.compile()
        started = time.perf_counter()
        self._images(PREPARING_STEPS)
        seconds = time.perf_counter() - started
        return {
            "seconds": {self._experiment.pair.denoisers[-1].name: seconds},
            "threads": torch.get_num_threads(),
            "device": device_name(self._device),
            "engine": {"compile": self._compile},
        }

    def sample(self, fraction: float, batches: int, folder: str) -> dict[str, Any]:
        """Samples some batches, from the noise to uint8 on the host; nothing is stored."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        started = time.perf_counter()
        images = [self._images(self._experiment.sampler.steps) for _ in range(batches)]
        seconds = time.perf_counter() - started
        return {"images": sum(map(len, images)), "seconds": seconds}

    def peak_bytes(self) -> int:
        """Of the device's memory on CUDA since `sample` began, else of the process."""
        return peak_bytes(self._device)

    def _images(self, steps: int) -> np.ndarray:
        """uint8 (N, H, W, 3) of one batch."""
        size = self._experiment.run.batch_size
        labels = [index % self._experiment.pair.num_classes for index in range(size)]
        images = self._pipeline(
            labels,
            guidance_scale=self._experiment.guidance.scale,
            num_inference_steps=steps,
            output_type="pt",
        ).images
        return (255 * images.float()).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def _pipeline(experiment: PairExperiment, dtype: torch.dtype) -> "DiTPipeline":
    from diffusers import AutoencoderKL, DDIMScheduler, DiTPipeline

    pair = experiment.pair
    spec = pair.denoisers[-1]
    network: Any = load_network(pair, spec, locate_weights(spec))
    # Of the space, not of the pipeline, is what latents are scaled by.
    vae = AutoencoderKL.from_pretrained(
        Path(pair.space.vae).expanduser(), torch_dtype=dtype, low_cpu_mem_usage=False
    )
    vae.register_to_config(scaling_factor=pair.space.constants.scale)
    transformer = as_diffusers(network)
    torch.nn.Module.to(transformer, dtype)  # its own says that it might keep some in float32
    pipeline = DiTPipeline(
        transformer,
        vae.eval().requires_grad_(False),
        DDIMScheduler(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, clip_sample=False),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
