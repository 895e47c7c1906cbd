"""Small networks of others' kinds, for tests and for what is recorded for them."""

import math
from pathlib import Path

import torch


def fill(network: torch.nn.Module, seed: int) -> torch.nn.Module:
    """A DiT that predicts about its input.

    Weights that are only random predict about nothing: every pixel of such images is black or
    white, and small differences do not show.
    """
    generator = torch.Generator().manual_seed(seed)
    patches, out = network.x_embedder.proj.weight, network.final_layer.linear.weight
    width, pixels = len(patches), patches[0].numel()
    one, back = torch.eye(pixels), math.sqrt(2 * pixels / width) / 2 * torch.eye(pixels)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.02, generator=generator)
        # Each pixel goes in twice, with both signs, and comes back normalised.
        patches.view(width, pixels)[: 2 * pixels] = torch.cat([8 * one, -8 * one])
        patches.view(width, pixels)[2 * pixels :] = 0
        out.view(pixels, 2, width)[:, 0, : 2 * pixels] += torch.cat([back, -back], 1)
    return network


def save_vae(folder: Path, *, latent_channels: int = 4, levels: int = 2, seed: int = 0) -> Path:
    """Saves a random AutoencoderKL that reduces images 2 ** (levels - 1) times."""
    from diffusers import AutoencoderKL

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = AutoencoderKL(
            block_out_channels=(8,) * levels,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            latent_channels=latent_channels,
            norm_num_groups=4,
        )
        network.save_pretrained(folder)
    return folder


def save_judge(folder: Path, captions: list[str], *, seed: int = 0) -> Path:
    """Saves a random dual encoder with its tokenizer, as scripts/train_text.py lays them out.

    Returns:
        The file of its image tower; 5 values where texts and images meet, 16 features.
    """
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    from evaluation.features.image_tower import ImageTower
    from tstitch.text_training.folders import save_dual
    from tstitch.text_training.networks import DualEncoder
    from tstitch.text_training.tokens import load_tokenizer, write_tokenizer

    write_tokenizer(captions, folder / "tokenizer", merges=40, length=12)
    tokenizer = load_tokenizer(folder / "tokenizer")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=12, projection_dim=5,
            initializer_factor=20.0,  # else all texts are alike
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        dual = DualEncoder(CLIPTextModelWithProjection(config), ImageTower((8, 16), 5, 4))
    save_dual(dual, folder / "judge")
    return folder / "judge" / "image.safetensors"


def save_clip(folder: Path, *, side: int = 20, seed: int = 0) -> Path:
    """Saves a random CLIPModel with image processor and a tokenizer of letters."""
    import json

    from transformers import (
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPTextConfig,
        CLIPVisionConfig,
    )

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    small = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "projection_dim": 6,
    }  # fmt: skip
    text = CLIPTextConfig(
        vocab_size=len(vocabulary), max_position_embeddings=10, bos_token_id=0, eos_token_id=1,
        pad_token_id=1, initializer_factor=20.0, **small,
    )  # fmt: skip
    vision = CLIPVisionConfig(image_size=side, patch_size=10, initializer_factor=20.0, **small)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = CLIPConfig(
            text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=6
        )
        CLIPModel(config).save_pretrained(folder)
    size = {"shortest_edge": side}
    CLIPImageProcessor(size=size, crop_size={"height": side, "width": side}).save_pretrained(folder)
    tokens = {token: number for number, token in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(tokens))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


def captioned_images():
    """Nine random images of side 16 with captions, three of them held out."""
    from tstitch.data.captioned import CaptionedImages

    generator = torch.Generator().manual_seed(0)
    numbers = torch.arange(9)
    return CaptionedImages(
        images=torch.randint(0, 256, (9, 3, 16, 16), generator=generator, dtype=torch.uint8),
        captions=tuple(f"picture {'abcdefghi'[number]}" for number in range(9)),
        subjects=numbers,
        styles=numbers % 2,
        style_names=("drawn", "grey"),
        held_out=numbers > 5,
    )
