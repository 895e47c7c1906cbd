"""Tiny random pipelines with their text encoders, saved as diffusers saves them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image
from tiny_parts import BETAS, euler, flow, seeded, unipc_flow, vae
from tiny_transformers import deep_vae, sana, sd3
from tiny_unets import XL, controlnet, unet, xl_unet
from tiny_videos import wan, wan_vae

from tstitch.text_training.tokens import load_tokenizer, write_tokenizer

CAPTIONS = ("a red apple on a table", "two birds on a roof", "a city at night")
LENGTH, WIDTH = 16, 32


def clip_texts(folder: Path, pooled: bool = False, seed: int = 5) -> tuple[Any, Any]:
    """A tokenizer and an encoder of width 32; `pooled` gives a projected embedding, too."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    write_tokenizer(CAPTIONS, folder, merges=20, length=LENGTH)
    tokenizer = load_tokenizer(folder)
    config = CLIPTextConfig(
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        projection_dim=WIDTH,
        num_attention_heads=2,
        num_hidden_layers=2,
        max_position_embeddings=LENGTH,
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    kind = CLIPTextModelWithProjection if pooled else CLIPTextModel
    return tokenizer, seeded(seed, kind, config=config)


def word_tokenizer() -> Any:
    """Words and an end, as T5's and Gemma's are used."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = sorted({word for caption in CAPTIONS for word in caption.split()})
    vocabulary = {word: k for k, word in enumerate(["<pad>", "</s>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def pndm(**config: Any) -> Any:
    """Stable Diffusion 1's own."""
    given = {"skip_prk_steps": True, "steps_offset": 1, "set_alpha_to_one": False}
    return diffusers.PNDMScheduler(**{**BETAS, **given, **config})


def save_sd(folder: Path, size: str, scheduler: Any = None, **network: Any) -> None:
    """Stable Diffusion; `network` changes its U-Net."""
    tokenizer, encoder = clip_texts(folder / "tokenizer")
    diffusers.StableDiffusionPipeline(
        vae=vae(),
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet(size, **network),
        scheduler=scheduler or pndm(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def save_xl(folder: Path, size: str) -> None:
    tokenizer, encoder = clip_texts(folder / "tokenizer")
    second, projecting = clip_texts(folder / "tokenizer_2", pooled=True, seed=6)
    diffusers.StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=encoder,
        text_encoder_2=projecting,
        tokenizer=tokenizer,
        tokenizer_2=second,
        unet=xl_unet(size),
        scheduler=euler(),
        add_watermarker=False,
    ).save_pretrained(folder)


def save_sd3(folder: Path, size: str) -> None:
    """Without T5, as is done where memory is short."""
    found = {}
    for seed, end in enumerate(("", "_2"), 5):
        texts = clip_texts(folder / f"tokenizer{end}", pooled=True, seed=seed)
        found |= {f"tokenizer{end}": texts[0], f"text_encoder{end}": texts[1]}
    diffusers.StableDiffusion3Pipeline(
        transformer=sd3(size, joint_attention_dim=2 * WIDTH, pooled_projection_dim=2 * WIDTH),
        scheduler=flow(shift=3.0),
        vae=vae(shift_factor=0.06, scaling_factor=1.5),
        text_encoder_3=None,
        tokenizer_3=None,
        **found,
    ).save_pretrained(folder)


def save_sana(folder: Path, size: str) -> None:
    from transformers import Gemma2Config, Gemma2Model

    tokenizer = word_tokenizer()
    config = Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=4,
    )
    diffusers.SanaPipeline(
        tokenizer=tokenizer,
        text_encoder=seeded(5, Gemma2Model, config=config),
        vae=deep_vae(),
        transformer=sana(size),
        scheduler=flow(shift=3.0),
    ).save_pretrained(folder)


def save_wan(folder: Path, size: str) -> None:
    from transformers import UMT5Config, UMT5EncoderModel

    tokenizer = word_tokenizer()
    config = UMT5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2
    )
    diffusers.WanPipeline(
        tokenizer=tokenizer,
        text_encoder=seeded(5, UMT5EncoderModel, config=config),
        vae=wan_vae(),
        transformer=wan(size),
        scheduler=unipc_flow(),
    ).save_pretrained(folder)


def save_lora(folder: Path, base: Path) -> None:
    """For the U-Net of an SDXL pipeline's folder."""
    import peft

    pipe = diffusers.StableDiffusionXLPipeline.from_pretrained(base)
    config = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=["to_q", "to_k"], init_lora_weights=False
    )
    with torch.random.fork_rng():
        torch.manual_seed(11)
        pipe.unet.add_adapter(config)
    pipe.save_lora_weights(folder, peft.get_peft_model_state_dict(pipe.unet))


def save_controlnet(folder: Path) -> None:
    """Of the SDXL pipelines."""
    controlnet(**XL).save_pretrained(folder)


def save_images(folder: Path) -> None:
    """Three pictures of noise, and a file that is none."""
    folder.mkdir(parents=True)
    for k in range(3):
        pixels = np.random.RandomState(k).randint(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    (folder / "notes.txt").write_text("of nobody's interest")


FAMILIES: dict[str, Callable[[Path, str], None]] = {
    "sd": save_sd,
    "xl": save_xl,
    "sd3": save_sd3,
    "sana": save_sana,
    "wan": save_wan,
}
