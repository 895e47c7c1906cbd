"""scripts/train_text.py from beginning to end: what it makes is a pair that diffusers loads."""

import csv

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch.utils.flop_counter import FlopCounterMode

from evaluation.features.image_tower import load_image_tower
from samplers import ScaledLinearVP

WEIGHTS = "diffusion_pytorch_model.safetensors"
UNETS = ("unet", "unet_small", "unet_lcm", "unet_small_lcm")


@pytest.fixture(scope="module")
def pipeline(whole):
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(whole / "pair", local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(torch.float32)


def sampled(pipe, prompt: str) -> np.ndarray:
    generator = torch.Generator().manual_seed(0)
    found = pipe(prompt, num_inference_steps=3, generator=generator, output_type="np")
    return found.images


@pytest.mark.slow
def test_pipeline_samples(pipeline):
    """Catches: a part that from_pretrained misses, texts that reach no network, another side."""
    images = sampled(pipeline, "red disc, filled style")
    assert images.shape == (1, 16, 16, 3) and np.isfinite(images).all()
    assert not np.array_equal(images, sampled(pipeline, "blue bar, grey style"))


def test_unets_take_each_others_place(whole, pipeline):
    """Catches: a small or stylised U-Net of other latents or texts, or that is the large one."""
    from diffusers import UNet2DConditionModel

    large, images = pipeline.unet, [sampled(pipeline, "red disc, filled style")]
    for part in ("unet_small", "unet_styled", "unet_lcm", "unet_small_lcm"):
        unet = UNet2DConditionModel.from_pretrained(whole / "pair", subfolder=part)
        pipeline.unet = unet.float()
        images.append(sampled(pipeline, "red disc, filled style"))
    pipeline.unet = large
    assert len({image.tobytes() for image in images}) == 5
    sizes = [len((whole / "pair" / part / WEIGHTS).read_bytes()) for part in UNETS]
    assert sizes[0] == sizes[2] > sizes[1] == sizes[3]


def test_betas_are_those_that_were_trained(pipeline):
    """Catches: a scheduler of another noise than the U-Nets have learned."""
    found = pipeline.scheduler.alphas_cumprod.double().numpy()
    np.testing.assert_allclose(found, ScaledLinearVP().alphas_cumprod, rtol=2e-5)


def test_latents_have_unit_scale(whole, pipeline):
    """Catches: scaling_factor left at Stable Diffusion's."""
    with safe_open(whole / "cache" / "cache.safetensors", "pt") as file:
        latents, states = file.get_tensor("latents").float(), file.get_tensor("states")
    assert 0.7 < latents.std() < 1.4
    assert pipeline.vae.config.scaling_factor != 0.18215
    assert len(states) == len(latents) + 1


def test_states_are_those_of_the_pipeline(whole, pipeline):
    """Catches: captions cut or padded in another way than the pipeline does it."""
    with safe_open(whole / "cache" / "cache.safetensors", "pt") as file:
        states = file.get_tensor("states").float()
    asked, empty = pipeline.encode_prompt("red square, filled style", "cpu", 1, True)
    torch.testing.assert_close(states[:1], asked.detach(), atol=5e-3, rtol=0)
    torch.testing.assert_close(states[-1:], empty.detach(), atol=5e-3, rtol=0)


def test_judge_is_another_encoder(whole, pipeline):
    """Catches: a judge that is the encoder that conditions, or that cannot be loaded."""
    from transformers import CLIPTextModelWithProjection

    judge = CLIPTextModelWithProjection.from_pretrained(whole / "pair" / "judge" / "text")
    tower = load_image_tower(whole / "pair" / "judge" / "image.safetensors")
    assert tower(torch.zeros(1, 3, 16, 16)).shape[-1] == judge.config.projection_dim
    own = pipeline.text_encoder.get_input_embeddings().weight
    assert not torch.equal(judge.get_input_embeddings().weight.float(), own)


@pytest.mark.parametrize(
    "stage", ["encoder", "judge", "vae", "large", "small", "styled", "lcm", "lcm_small"]
)
def test_files_of_a_stage(whole, stage):
    """Catches: a log without rows, measurements that are never made, temporary files left."""
    with (whole / stage / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["images"] for row in rows] == ["4", "8", "12", "16"]
    with (whole / stage / "measures.csv").open(newline="") as file:
        assert {row["step"] for row in csv.DictReader(file)} == {"2", "4"}
    files = {path.name for path in (whole / stage).iterdir()} - {"preview.png"}
    assert files - {"teacher.txt"} == {"checkpoint.pt", "log.csv", "measures.csv"}
    assert not list((whole / "pair").rglob("*.tmp"))


def test_default_sizes():
    """Catches: a default small U-Net not seven times cheaper, a pair too large to ship."""
    from tstitch.config.cli import compose
    from tstitch.text_training.networks import build_denoiser
    from tstitch.text_training.settings import TextSettings

    settings = TextSettings.parse(compose("train_text", [])["text"])
    macs, weights = [], []
    for sizes in (settings.small, settings.large):
        with torch.device("meta"):
            unet = build_denoiser(sizes, 8, 8, settings.encoder.width)
            x, states = torch.zeros(1, 8, 8, 8), torch.zeros(1, 24, settings.encoder.width)
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                unet(x, torch.zeros(1), states)
        macs.append(counter.get_total_flops() / 2)
        weights.append(sum(p.numel() for p in unet.parameters()))
    assert macs[0] * 7 <= macs[1]
    assert 2 * (weights[0] + 2 * weights[1]) < 50e6  # bytes in float16
