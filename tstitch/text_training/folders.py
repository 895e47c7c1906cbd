"""The folder of a pair, as diffusers' from_pretrained reads it.

model_index.json, tokenizer/, text_encoder/, vae/, unet/ (the large one) and scheduler/ are a
StableDiffusionPipeline; unet_small/ and unet_styled/ are U-Nets for it, judge/ measures.
"""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.checkpoints import save_weights
from tstitch.data.captioned import CaptionedImages
from tstitch.files.record import Record
from tstitch.runtime.errors import UserError
from tstitch.text_training.networks import DualEncoder, build_scheduler
from tstitch.text_training.tokens import load_tokenizer
from tstitch.training.checkpoint import writing

FIELD = "text.dir"
DTYPE = torch.float16
UNETS = {"large": "unet", "small": "unet_small", "styled": "unet_styled"}
TOWER = "image.safetensors"
RECORD = "training.json"


class Trained(Record):
    """How far a network was trained when it was saved."""

    stage: str
    steps: int
    images_seen: int
    date: str


def is_saved(folder: Path, stage: str, steps: int) -> bool:
    """Whether a folder holds what a stage was after these steps."""
    try:
        found = Trained.read(folder / RECORD)
    except (OSError, ValueError):
        return False
    return (found.stage, found.steps) == (stage, steps)


def note(folder: Path, stage: str, steps: int, batch_size: int) -> None:
    """Writes the record of a folder whose files are complete."""
    with writing(folder, FIELD):
        Trained(
            stage=stage,
            steps=steps,
            images_seen=steps * batch_size,
            date=datetime.now(UTC).date().isoformat(),
        ).write(folder / RECORD)


def save_network(network: Any, folder: Path) -> None:
    """Weights in float16 and config.json, each by temporary name and rename."""
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    with writing(folder, FIELD):
        try:
            network.to(device="cpu", dtype=DTYPE).save_pretrained(scratch, safe_serialization=True)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / RECORD).unlink(missing_ok=True)
            for path in sorted(scratch.iterdir()):
                os.replace(path, folder / path.name)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def save_dual(dual: DualEncoder, folder: Path) -> None:
    """text/ in transformers' format and image.safetensors (evaluation.features.image_tower)."""
    save_network(dual.text, folder / "text")
    with writing(folder, FIELD):
        state: Mapping[str, Tensor] = dual.tower.state_dict()
        save_weights(state, folder / TOWER, dtype=DTYPE, metadata={"kind": "ImageTower"})


def save_text_encoder(dual: DualEncoder, folder: Path) -> None:
    """The text half alone, without its projection, as Stable Diffusion has it."""
    from transformers import CLIPTextModel

    text = CLIPTextModel(dual.text.config)
    prefix = "text_model."  # which names begin with depends on the version of transformers
    whole = {key.removeprefix(prefix): value for key, value in dual.text.state_dict().items()}
    text.load_state_dict({key: whole[key.removeprefix(prefix)] for key in text.state_dict()})
    save_network(text, folder)


def load_network(kind: str, folder: Path) -> Any:
    """A network of diffusers or transformers by its class, float32, frozen.

    Raises:
        UserError: it is not there, or cannot be read.
    """
    import diffusers
    import transformers

    library = diffusers if hasattr(diffusers, kind) else transformers
    try:
        network = getattr(library, kind).from_pretrained(
            folder, local_files_only=True, torch_dtype=torch.float32
        )
    except Exception as error:  # damaged files raise nearly anything
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{FIELD}: {folder} cannot be read ({reason}); make it by its stage, or give text.init"
        ) from error
    return network.float().eval().requires_grad_(False)


def take_over(source: Path, pair: Path, parts: tuple[str, ...]) -> None:
    """Copies the parts of another pair that this one lacks.

    Raises:
        UserError: the source is no folder of a pair.
    """
    if not any((source / part).is_dir() for part in parts):
        raise UserError(f"text.init={source}: has none of {', '.join(parts)}; give a pair's folder")
    with writing(pair, FIELD):
        for part in parts:
            if (source / part).is_dir() and not (pair / part).exists():
                scratch = pair / f".{part}.{os.getpid()}.tmp"
                shutil.copytree(source / part, scratch)
                scratch.rename(pair / part)


def write_pipeline(pair: Path) -> None:
    """model_index.json and scheduler/, for StableDiffusionPipeline.from_pretrained.

    Raises:
        UserError: a part is missing.
    """
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline(
        vae=load_network("AutoencoderKL", pair / "vae"),
        text_encoder=load_network("CLIPTextModel", pair / "text_encoder"),
        tokenizer=load_tokenizer(pair / "tokenizer"),
        unet=load_network("UNet2DConditionModel", pair / "unet"),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with writing(pair, FIELD):
        pipeline.scheduler.save_pretrained(pair / "scheduler")
        pipeline.save_config(pair)


def digest_lines(data: CaptionedImages) -> dict[str, str]:
    """What a stage that learns from the data keeps of it in its checkpoint."""
    return {"data": data.digest()}
