"""Every shipped pair of pipelines, tiny: a run holds what diffusers' own call makes."""

import json

import numpy as np
import pytest
from by_hand import by_hand, load, rescheduled
from PIL import Image
from saved import save_controlnet, save_images, save_lora, save_sd, xl_unet

from tstitch import stitch
from tstitch.config.cli import compose

FRACTIONS = (0, 0.4, 1)


@pytest.fixture
def compare(sample, images, tmp_path):
    """compare(words, large, small, shape, **inputs): runs at three fractions against calls of
    pipelines; the numbers of small steps, and metrics of the last run."""

    def check(words, large, small, shape, **inputs):
        prompts = compose("sample", list(words))["pair"]["prompts"]
        prompts = [prompts[k % len(prompts)] for k in range(3)]
        counts, metrics = [], {}
        hands = {0: large, 1: small}
        for fraction in FRACTIONS:
            run = sample(tmp_path / f"{fraction}", *words, f"stitch.fraction={fraction}")
            metrics = json.loads((run / "metrics.json").read_text())
            counts.append([part["steps"] for part in metrics["denoisers"].values()])
            pipe = hands.get(fraction) or stitch(large, small, fraction=fraction)
            expected = by_hand(pipe, prompts, shape, **inputs)
            assert np.array_equal(images(run), expected), fraction
            assert expected.std() > 5 and not np.array_equal(expected[0], expected[1])
        return counts, metrics

    return check


def test_stable_diffusion(words, family, compare):
    """Catches: another order of noise, prompts, guidance or images than the pipeline's own; PNDM's
    doubled timestep that is counted once, or split between networks."""
    folders, kind = family("sd"), "StableDiffusionPipeline"
    pipes = [load(kind, folders[size]) for size in ("large", "small")]
    counts, metrics = compare(
        (*words("sd14_bk_sdm_tiny", "sd"), "sampler.steps=5"), *pipes, (4, 8, 8), height=16,
        width=16, num_inference_steps=5, guidance_scale=7.5,
    )  # fmt: skip
    assert counts == [[0, 6], [3, 3], [6, 0]] and metrics["nfe_per_image"] == 12


def test_stylised(words, family, saved, compare):
    """Catches: text encoder or autoencoder of the small pipeline in place of the stylised one's."""
    styled = saved("styled", save_sd, "large", attention_head_dim=4)
    small = load("StableDiffusionPipeline", family("sd")["small"])
    given = (
        *words("inkpunk_bk_sdm_tiny", "sd"),
        f"pair.networks.large.source={styled}",
        "sampler.steps=3",
    )
    large = load("StableDiffusionPipeline", styled)
    counts, _ = compare(
        given, large, small, (4, 8, 8), height=16, width=16, num_inference_steps=3,
        guidance_scale=7.5,
    )  # fmt: skip
    assert counts == [[0, 4], [1, 3], [4, 0]]


XL = {"height": 16, "width": 16, "num_inference_steps": 5, "guidance_scale": 5.0}


def xl_words(words, family, pair, *more):
    vae = f"pair.components.vae={family('xl')['large']}/vae"
    return (*words(pair, "xl"), vae, "sampler.steps=5", *more)


@pytest.mark.slow
def test_sdxl(words, family, compare):
    """Catches: pooled texts, sizes or the zeroed negative of SDXL left out; Euler's scale."""
    kind = "StableDiffusionXLPipeline"
    pipes = [load(kind, family("xl")[size]) for size in ("large", "small")]
    counts, metrics = compare(xl_words(words, family, "sdxl_ssd_1b"), *pipes, (4, 8, 8), **XL)
    assert counts == [[0, 5], [2, 3], [5, 0]]
    assert metrics["protocol"]["sampler"]["_target_"] == "diffusers.EulerDiscreteScheduler"


@pytest.mark.slow
def test_controlnet(words, family, saved, compare):
    """Catches: control images of other prompts, or that are not scaled to the size."""
    import diffusers

    network = saved("controlnet", save_controlnet)
    pictures = saved("pictures", save_images)
    given = xl_words(
        words, family, "sdxl_canny_ssd_1b", f"pair.control.network={network}",
        f"pair.control.images={pictures}",
    )  # fmt: skip
    control = diffusers.ControlNetModel.from_pretrained(network)
    pipes = [
        load("StableDiffusionXLControlNetPipeline", family("xl")[size], controlnet=control)
        for size in ("large", "small")
    ]
    shown = [
        Image.open(pictures / f"{k}.png").convert("RGB").resize((16, 16), Image.Resampling.LANCZOS)
        for k in (0, 1, 0)
    ]
    compare(given, *pipes, (4, 8, 8), image=shown, controlnet_conditioning_scale=0.5, **XL)


@pytest.mark.slow
def test_lcm_and_a_lora(words, family, saved, compare):
    """Catches: a LoRA that is not in the small network, or of another scale; a distilled large one
    that is refused; guidance that is counted twice."""
    pytest.importorskip("peft")
    import diffusers

    folders, kind = family("xl"), "StableDiffusionXLPipeline"
    lora = saved("lora", save_lora, folders["small"])
    distilled = saved(
        "lcm", lambda path: xl_unet("large", time_cond_proj_dim=8).save_pretrained(path)
    )
    given = (
        *words("lcm_sdxl_ssd_1b", "xl"), f"pair.components.vae={folders['large']}/vae",
        f"pair.networks.small.lora={lora}", f"pair.networks.large.network={distilled}",
    )  # fmt: skip
    unet = diffusers.UNet2DConditionModel.from_pretrained(distilled)
    large, small = load(kind, folders["large"], unet=unet), load(kind, folders["small"])
    small.load_lora_weights(lora)
    small.fuse_lora()
    pipes = [rescheduled(pipe, "LCMScheduler") for pipe in (large, small)]
    counts, metrics = compare(
        given, *pipes, (4, 8, 8), height=16, width=16, num_inference_steps=4, guidance_scale=0.0
    )
    assert counts == [[0, 4], [1, 3], [4, 0]] and metrics["nfe_per_image"] == 4
    plain = by_hand(
        rescheduled(load(kind, folders["small"]), "LCMScheduler"), ["a"] * 3, (4, 8, 8), height=16,
        width=16, num_inference_steps=4, guidance_scale=0.0,
    )  # fmt: skip
    with_lora = by_hand(small, ["a"] * 3, (4, 8, 8), height=16, width=16, num_inference_steps=4,
                        guidance_scale=0.0)  # fmt: skip
    assert not np.array_equal(plain, with_lora)  # else the comparison shows nothing


WITHOUT_T5 = "+pair.components={text_encoder_3: null, tokenizer_3: null}"


def test_sd3_without_t5(words, family, compare):
    """Catches: fractions by time of a shifted flow; parts that are null in the index."""
    kind, none = "StableDiffusion3Pipeline", {"text_encoder_3": None, "tokenizer_3": None}
    pipes = [load(kind, family("sd3")[size], **none) for size in ("large", "small")]
    given = (*words("sd35_medium_large", "sd3"), "sampler.steps=5", WITHOUT_T5)
    counts, _ = compare(
        given, *pipes, (4, 8, 8), height=16, width=16, num_inference_steps=5, guidance_scale=3.5
    )
    assert counts == [[0, 5], [2, 3], [5, 0]]


def test_sana(words, family, compare):
    """Catches: options of the pair that are not handed on; an autoencoder of other strides."""
    pipes = [load("SanaPipeline", family("sana")[size]) for size in ("large", "small")]
    given = (*words("sana_06b_16b", "sana", 32), "sampler.steps=5")
    counts, _ = compare(
        given, *pipes, (4, 16, 16), height=32, width=32, num_inference_steps=5,
        guidance_scale=4.5, use_resolution_binning=False,
    )  # fmt: skip
    assert counts == [[0, 5], [2, 3], [5, 0]]


def test_wan(words, family, compare):
    """Catches: frames in another order, a latent's number of frames, guidance in two calls that is
    taken for two steps."""
    pipes = [load("WanPipeline", family("wan")[size]) for size in ("large", "small")]
    given = (*words("wan21_13b_14b", "wan"), "pair.frames=5", "sampler.steps=5")
    counts, metrics = compare(
        given, *pipes, (16, 2, 2, 2), height=16, width=16, num_frames=5, num_inference_steps=5,
        guidance_scale=5.0,
    )  # fmt: skip
    assert counts == [[0, 5], [2, 3], [5, 0]] and metrics["nfe_per_image"] == 10
