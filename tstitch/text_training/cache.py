"""Stage `cache`: latents of all images and states of all captions, computed once."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.checkpoints import save_weights
from models.folders import folder_digest
from tstitch.data.captioned import CaptionedImages
from tstitch.runtime.errors import UserError
from tstitch.text_training.tokens import tokenized
from tstitch.training.checkpoint import writing
from tstitch.training.latents import to_float

FILE = "cache.safetensors"
BATCH = 64


@dataclass(frozen=True, eq=False, slots=True)
class Cache:
    """What the U-Nets learn from.

    Args:
        latents: float32 (N, C, H, W), of standard deviation 1.
        states: float32 (N + 1, L, width), of the captions; the last one of the empty text.
        identity: digests of what they were made of, by name.
    """

    latents: Tensor
    states: Tensor
    identity: dict[str, str]

    @property
    def places(self) -> int:
        """H x W of the latents."""
        return self.latents.shape[2] * self.latents.shape[3]


def cache_identity(data: CaptionedImages, pair: Path) -> dict[str, str]:
    """Digests of the images, and of the networks of a pair that see them."""
    folders = {"autoencoder": pair / "vae", "text_encoder": pair / "text_encoder"}
    return {"data": data.digest} | {k: folder_digest(v) for k, v in folders.items()}


def make_cache(
    data: CaptionedImages, networks: tuple[Any, Any, Any], identity: dict[str, str],
    folder: Path, device: torch.device,
) -> None:  # fmt: skip
    """Writes the file, unless there is one of the same identity.

    Args:
        networks: AutoencoderKL, CLIPTextModel and CLIPTokenizer.
    """
    if _identity_of(folder) == identity:
        return
    vae, text, tokenizer = networks
    vae.to(device), text.to(device)
    tokens = tokenized(tokenizer, [*data.captions, ""])
    with torch.no_grad():
        latents = torch.cat([
            vae.encode(to_float(part).to(device)).latent_dist.mean.cpu()
            for part in data.images.split(BATCH)
        ])  # fmt: skip
        states = torch.cat([
            text(part.to(device)).last_hidden_state.cpu() for part in tokens.split(BATCH)
        ])  # fmt: skip
    content = {"latents": latents * vae.config.scaling_factor, "states": states}
    with writing(folder, "text.dir"):
        save_weights(
            content, folder / FILE, dtype=torch.float16,
            metadata={"identity": json.dumps(identity)},
        )  # fmt: skip


def read_cache(folder: Path, identity: dict[str, str]) -> Cache:
    """Raises UserError for none, or one of other images or networks."""
    from safetensors.torch import load_file

    found = _identity_of(folder)
    if found != identity:
        reason = "there is none" if found is None else "it is of other images or networks"
        raise UserError(f"text.stages: no latents are cached ({reason}); add cache to them")
    content = load_file(folder / FILE)
    return Cache(content["latents"].float(), content["states"].float(), identity)


def _identity_of(folder: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / FILE, "pt") as file:
            return json.loads(file.metadata()["identity"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
