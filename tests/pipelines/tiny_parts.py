"""Parts of tiny random pipelines: autoencoders, text encoders, schedulers, inputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

SIDE = 32
STEPS = 10


def seeded(seed: int, make: Callable[..., Any], **config: Any) -> Any:
    """A network of random weights, none of them zero: zeros would hide what goes through them."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = make(**config).eval()
        for parameter in network.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.05)
    return network


def noise(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sized(size: str, large: Any, small: Any) -> Any:
    """A value of the network of that size."""
    return {"large": large, "small": small}[size]


def built(make: Callable[..., Any], size: str, **config: Any) -> Any:
    return seeded(sized(size, 1, 2), make, **config)


@dataclass(frozen=True)
class Family:
    """Pipelines of one class, with two sizes of their network.

    Args:
        component: which one is stitched.
        network: (size, **config) -> large or small one.
        pipeline: network -> pipeline.
        inputs: of a call.
        evaluations: of a step.
    """

    component: str
    network: Callable[..., Any]
    pipeline: Callable[[Any], Any]
    inputs: Mapping[str, Any]
    evaluations: int = 1

    def make(self, size: str, **config: Any) -> Any:
        """A plain pipeline with the network of that size."""
        return self.around(self.network(size, **config))

    def around(self, network: Any) -> Any:
        pipe = self.pipeline(network)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def run(self, pipe: Any, steps: int = STEPS, **changes: Any) -> torch.Tensor:
        """Latents of one run of seed 0, or its images where there are none."""
        call = {"num_inference_steps": steps, **self.inputs, "output_type": "latent"}
        call |= {"generator": torch.Generator().manual_seed(0), **changes}
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)  # some pipelines encode images with noise of no generator
            out = pipe(**call)
        found = out.frames if hasattr(out, "frames") else out.images
        return found if torch.is_tensor(found) else torch.as_tensor(np.asarray(found))


def image() -> Image.Image:
    pixels = np.random.RandomState(0).rand(SIDE, SIDE, 3) * 255
    return Image.fromarray(pixels.astype("uint8"))


def mask() -> Image.Image:
    half = np.arange(SIDE)[:, None] + np.zeros(SIDE) > SIDE // 2
    return Image.fromarray(half.astype("uint8") * 255)


def vae(**config: Any) -> Any:
    base = {
        "block_out_channels": (4, 4),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "layers_per_block": 1,
        "latent_channels": 4,
        "norm_num_groups": 1,
        "sample_size": SIDE,
    }
    return seeded(7, diffusers.AutoencoderKL, **{**base, **config})


def clip() -> Any:
    """A text encoder; no prompt is encoded with it."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        bos_token_id=0,
        eos_token_id=2,
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        pad_token_id=1,
        vocab_size=1000,
    )
    return seeded(5, CLIPTextModel, config=config)


BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def ddim(**config: Any) -> Any:
    return diffusers.DDIMScheduler(
        **{**BETAS, "clip_sample": False, "set_alpha_to_one": False, **config}
    )


def euler(**config: Any) -> Any:
    base = {**BETAS, "timestep_spacing": "leading", "steps_offset": 1}
    return diffusers.EulerDiscreteScheduler(**{**base, **config})


def flow(**config: Any) -> Any:
    return diffusers.FlowMatchEulerDiscreteScheduler(**config)


def unipc_flow(shift: float = 3.0) -> Any:
    return diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
    )


def texts(width: int, tokens: int = 6, *, negative: bool = True) -> dict[str, torch.Tensor]:
    """Encoded prompts, (1, tokens, width)."""
    found = {"prompt_embeds": noise(1, tokens, width, seed=3)}
    if negative:
        found["negative_prompt_embeds"] = noise(1, tokens, width, seed=4)
    return found


def pooled(width: int, *, negative: bool = True) -> dict[str, torch.Tensor]:
    found = {"pooled_prompt_embeds": noise(1, width, seed=5)}
    if negative:
        found["negative_pooled_prompt_embeds"] = noise(1, width, seed=6)
    return found


def masks(kind: torch.dtype = torch.float32, tokens: int = 6) -> dict[str, torch.Tensor]:
    ones = torch.ones(1, tokens, dtype=kind)
    return {"prompt_attention_mask": ones, "negative_prompt_attention_mask": ones}
