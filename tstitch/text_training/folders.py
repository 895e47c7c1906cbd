"""The folder of a pair, as diffusers' from_pretrained reads it.

model_index.json, tokenizer/, text_encoder/, vae/, unet/ (the large one) and scheduler/ are a
StableDiffusionPipeline; the folders unet_*/ are U-Nets for it, judge/ measures.
"""

import copy
import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.checkpoints import save_weights
from tstitch.files.record import Record
from tstitch.files.writing import write_text
from tstitch.runtime.errors import UserError
from tstitch.text_training.networks import DualEncoder, build_scheduler
from tstitch.text_training.tokens import load_tokenizer
from tstitch.training.checkpoint import writing
from tstitch.training.network_folder import save_diffusers, write_network

FIELD = "text.dir"
DTYPE = torch.float16
UNETS = {
    "large": "unet", "small": "unet_small", "styled": "unet_styled",
    "lcm": "unet_lcm", "lcm_small": "unet_small_lcm",
}  # fmt: skip
TEXT, PROJECTION = "text_model.", "text_projection."  # how names in files begin
TEXT_FILE, TOWER = "model.safetensors", "image.safetensors"
RECORD = "training.json"
TEACHER = "teacher.txt"  # digest of the network that a stage distils


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


def forget_another_teacher(stage: Path, target: Path, teacher: str) -> bool:
    """Forgets the training of a stage that distilled another teacher than this.

    Args:
        stage: its folder.
        target: of what it saves.
        teacher: digest.

    Returns:
        Whether there was one.
    """
    place = stage / TEACHER
    with writing(stage, FIELD):
        changed = place.is_file() and place.read_text() != teacher
        if changed:
            (target / RECORD).unlink(missing_ok=True)  # first: what has none is made
            shutil.rmtree(stage)
        stage.mkdir(parents=True, exist_ok=True)
        write_text(place, teacher)
    return changed


def save_network(network: Any, folder: Path) -> None:
    """Weights in float16 and config.json, of a network of diffusers."""
    save_diffusers(network, folder, DTYPE, FIELD)


def save_text_encoder(dual: DualEncoder, folder: Path) -> None:
    """The text half alone, without its projection, as Stable Diffusion has it."""
    state = {k: v for k, v in _text_state(dual).items() if k.startswith(TEXT)}
    _write(state, _text_config(dual, "CLIPTextModel"), folder, TEXT_FILE)


def save_dual(dual: DualEncoder, folder: Path) -> None:
    """text/ in transformers' format and image.safetensors (evaluation.features.image_tower)."""
    config = _text_config(dual, "CLIPTextModelWithProjection")
    _write(_text_state(dual), config, folder / "text", TEXT_FILE)
    with writing(folder, FIELD):
        tower = dual.tower.state_dict()
        save_weights(tower, folder / TOWER, dtype=DTYPE, metadata={"format": "pt"})


def _text_state(dual: DualEncoder) -> dict[str, Tensor]:
    """By the names of files, which all versions of transformers read."""
    state = dual.text.state_dict()
    return {k if k.startswith((TEXT, PROJECTION)) else TEXT + k: v for k, v in state.items()}


def _text_config(dual: DualEncoder, kind: str) -> str:
    config = copy.deepcopy(dual.text.config)
    config.architectures = [kind]
    # transformers 5 would compute in the files' float16, beside a pipeline's float32.
    values = {**json.loads(config.to_json_string()), "dtype": "float32"}
    return json.dumps(values, indent=2, sort_keys=True) + "\n"


def _write(state: Mapping[str, Tensor], config: str, folder: Path, name: str) -> None:
    write_network(state, config, folder / name, DTYPE, FIELD)


def load_network(kind: str, folder: Path) -> Any:
    """A network of diffusers or transformers by its class, float32, frozen.

    Raises:
        UserError: it is not there, or cannot be read.
    """
    import diffusers
    import transformers

    options: dict[str, Any] = {"local_files_only": True, "torch_dtype": torch.float32}
    if of_diffusers := hasattr(diffusers, kind):
        options["low_cpu_mem_usage"] = False  # True needs a further package
    try:
        library = diffusers if of_diffusers else transformers
        network = getattr(library, kind).from_pretrained(folder, **options)
    except Exception as error:  # damaged files raise nearly anything
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{FIELD}: {folder} cannot be read ({reason}); make it by its stage, or give text.init"
        ) from error
    return network.float().eval().requires_grad_(False)


def take_over(source: Path, pair: Path, parts: tuple[str, ...]) -> None:
    """Copies the parts of another pair that this one lacks, without the records of its stages.

    Raises:
        UserError: the source is no folder of a pair.
    """
    if not any((source / part).is_dir() for part in parts):
        raise UserError(f"text.init={source}: has none of {', '.join(parts)}; give a pair's folder")
    with writing(pair, FIELD):
        for part in parts:
            if (source / part).is_dir() and not (pair / part).exists():
                scratch = pair / f".{part}.partial"
                shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
                shutil.copytree(source / part, scratch, ignore=shutil.ignore_patterns(RECORD))
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
