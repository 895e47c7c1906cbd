"""`scripts/train_text.py`: makes a text-to-image pair, stage by stage."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.folders import folder_digest
from tstitch.config import fields
from tstitch.config.cli import instantiate, not_a
from tstitch.data.captioned import CaptionedImages
from tstitch.files.lock import FolderLock
from tstitch.files.writing import remove_leftovers, writing_to
from tstitch.runtime import distributed
from tstitch.runtime.device import choose_device
from tstitch.runtime.errors import UserError
from tstitch.text_training import folders
from tstitch.text_training.autoencoder import Fidelity, ReconstructionLoss, latent_scale
from tstitch.text_training.cache import Cache, cache_identity, make_cache, read_cache
from tstitch.text_training.consistency import ConsistencyErrors, ConsistencyLoss
from tstitch.text_training.denoiser import (
    CaptionsOfAnyStyle,
    NoiseErrors,
    NoiseLoss,
    own_captions,
)
from tstitch.text_training.encoder import ContrastiveLoss, Retrieval
from tstitch.text_training.networks import (
    build_autoencoder,
    build_denoiser,
    build_dual_encoder,
)
from tstitch.text_training.preview import Sampler, consistent, guided, save_preview
from tstitch.text_training.settings import (
    ConsistencySettings,
    EncoderSettings,
    Schedule,
    TextSettings,
)
from tstitch.text_training.stage import Task, run_stage
from tstitch.text_training.tokens import load_tokenizer, tokenized, write_tokenizer
from tstitch.tracking.tracker import Tracker, TrackingSettings, start_tracking
from tstitch.training.preview import averaged_network

PARTS = ("tokenizer", "text_encoder", "vae", *folders.UNETS.values(), "judge")
TEACHERS = {"styled": "large", "lcm": "large", "lcm_small": "small"}
log = logging.getLogger(__name__)


def run_text_training(config: dict[str, Any]) -> None:
    """Runs text.stages in their order; goes on from the checkpoints in text.dir.

    Raises:
        UserError: a bad value, unsuitable data, several processes, a checkpoint of another
            training, a stage that needs one that was not run, or a folder in use.
    """
    fields.check_sections(config, ("data", "text", "tracking"))
    settings = TextSettings.parse(config["text"])
    tracking = TrackingSettings.parse(config["tracking"])
    if distributed.world_size() > 1:
        raise UserError("scripts/train_text.py: one process only; start it with plain python")
    device = choose_device(settings.device, "text.device")
    _without_progress_bars()
    data = instantiate(config["data"], "data")
    if not isinstance(data, CaptionedImages):
        raise not_a(config["data"], "data", "set of captioned images")
    _check_data(settings, data)
    folder = Path(settings.dir)
    with writing_to(folder, "text.dir"):
        (folder / "pair").mkdir(parents=True, exist_ok=True)
    lock = FolderLock(folder, "text.dir", "training")
    lock.take()
    try:
        for place in (folder, folder / "pair"):
            remove_leftovers(place)
        if settings.init is not None:
            folders.take_over(Path(settings.init), folder / "pair", _taken(settings))

        def track(place: Path) -> AbstractContextManager[Tracker]:
            return start_tracking(tracking, "train_text", config, place)

        workshop = Workshop(settings, data, device, folder, track)
        for stage in (name for name in STAGES if name in settings.stages):
            log.info("stage %s", stage)
            STAGES[stage](workshop)
    finally:
        lock.release()


def _taken(settings: TextSettings) -> tuple[str, ...]:
    """Parts of text.init to take: none that was made of a network which is trained here."""
    trained = {*settings.stages}
    stale = {
        folders.UNETS[stage]
        for stage, teacher in TEACHERS.items()
        if trained & {"encoder", "vae", teacher}
    }
    return tuple(part for part in PARTS if part not in stale)


def _without_progress_bars() -> None:
    """transformers would draw one for every network that it loads."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()


def _check_data(settings: TextSettings, data: CaptionedImages) -> None:
    factor = 2 ** (len(settings.vae.widths) - 1)
    levels = 2 ** (max(len(settings.large.widths), len(settings.small.widths)) - 1)
    if data.side % (factor * levels):
        raise UserError(
            f"text.vae.widths={list(settings.vae.widths)}: with these and those of the U-Nets an "
            f"image's side {data.side} is no multiple of {factor * levels}; choose fewer widths"
        )
    if settings.styled.style not in data.style_names:
        raise UserError(
            f"text.styled.style={settings.styled.style!r}: choose one of "
            f"{', '.join(data.style_names)}"
        )


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all stages work with.

    Args:
        folder: text.dir.
        track: folder of a stage -> what its numbers are told.
    """

    settings: TextSettings
    data: CaptionedImages
    device: torch.device
    folder: Path
    track: Callable[[Path], AbstractContextManager[Tracker]]

    @property
    def pair(self) -> Path:
        """What is shipped."""
        return self.folder / "pair"

    def tokenizer(self) -> Any:
        """Learned from the training captions, if it is not there yet."""
        place, tokens = self.pair / "tokenizer", self.settings.tokens
        if not (place / "tokenizer_config.json").is_file():
            captions = [self.data.captions[index] for index in self.data.training().tolist()]
            with writing_to(place, "text.dir"):
                write_tokenizer(captions, place, tokens.merges, tokens.length)
        return load_tokenizer(place)

    def cache(self) -> Cache:
        """Latents and states, which the stage before has made."""
        return read_cache(self.folder / "cache", cache_identity(self.data, self.pair))

    def train(
        self,
        task: Task,
        schedule: Schedule,
        target: Path,
        save: Callable[[Any], None],
        show: Callable[[Path], None] | None = None,
    ) -> None:
        """Runs a stage and saves its averaged network, unless that is saved already.

        Args:
            show: draws what the saved network makes, into the file that it is given.
        """
        task.network.to(self.device)
        folder, picture = self.folder / task.name, self.folder / task.name / "preview.png"
        tracking: AbstractContextManager[Tracker] = nullcontext(Tracker(None))
        if not folders.is_saved(target, task.name, schedule.steps):
            with writing_to(folder, "text.dir"):
                folder.mkdir(parents=True, exist_ok=True)
            tracking = self.track(folder)
        with tracking as tracker:
            state = run_stage(task, schedule, self.settings, self.device, folder, tracker)
            if not folders.is_saved(target, task.name, state.step):
                save(averaged_network(state.network, state.ema.weights))
                folders.note(target, task.name, state.step, schedule.batch_size)
            if show is not None:
                show(picture)
                tracker.images("preview", [picture], state.step)
        log.info("%s: after %d of %d steps in %s", task.name, state.step, schedule.steps, target)


def _encoder(workshop: Workshop) -> None:
    target = workshop.pair / "text_encoder"
    _dual(workshop, "encoder", workshop.settings.encoder, target, folders.save_text_encoder)


def _judge(workshop: Workshop) -> None:
    target = workshop.pair / "judge"
    _dual(workshop, "judge", workshop.settings.judge, target, folders.save_dual)


def _dual(
    workshop: Workshop,
    name: str,
    settings: EncoderSettings,
    target: Path,
    save: Callable[[Any, Path], None],
) -> None:
    data, tokenizer = workshop.data, workshop.tokenizer()
    tokens = tokenized(tokenizer, data.captions)
    network = _seeded(settings, lambda: build_dual_encoder(settings, tokenizer))
    task = Task(
        name=name,
        network=network,
        loss=ContrastiveLoss(data, tokens, tokenizer.eos_token_id, settings.shift),
        measure=Retrieval(data, tokens, workshop.device),
        indices=data.training(),
        made_of={"data": data.digest},
    )
    workshop.train(task, settings, target, lambda averaged: save(averaged, target))


def _vae(workshop: Workshop) -> None:
    settings, data, device = workshop.settings.vae, workshop.data, workshop.device
    target = workshop.pair / "vae"
    network = _seeded(settings, lambda: build_autoencoder(settings, data.side))
    _begin_as(workshop, network, "AutoencoderKL", "vae")
    task = Task(
        name="vae",
        network=network,
        loss=ReconstructionLoss(data, settings),
        measure=Fidelity(data, device),
        indices=data.training(),
        made_of={"data": data.digest},
    )

    def save(averaged: Any) -> None:
        scale = latent_scale(averaged, data.images[data.training()], device)
        averaged.register_to_config(scaling_factor=scale)
        folders.save_network(averaged, target)

    workshop.train(task, settings, target, save)


def _cache(workshop: Workshop) -> None:
    identity = cache_identity(workshop.data, workshop.pair)
    networks = (
        folders.load_network("AutoencoderKL", workshop.pair / "vae"),
        folders.load_network("CLIPTextModel", workshop.pair / "text_encoder"),
        workshop.tokenizer(),
    )
    make_cache(workshop.data, networks, identity, workshop.folder / "cache", workshop.device)


def _large(workshop: Workshop) -> None:
    _unet(workshop, "large")


def _small(workshop: Workshop) -> None:
    _unet(workshop, "small")


def _unet(workshop: Workshop, name: str) -> None:
    settings = workshop.settings.large if name == "large" else workshop.settings.small
    cache = workshop.cache()
    channels, side = cache.latents.shape[1:3]
    width = cache.states.shape[-1]
    network = _seeded(settings, lambda: build_denoiser(settings, channels, side, width))
    _begin_as(workshop, network, "UNet2DConditionModel", folders.UNETS[name])
    task = Task(
        name=name,
        network=network,
        loss=NoiseLoss(cache, settings, own_captions, workshop.device),
        measure=NoiseErrors(workshop.data, cache, workshop.device),
        indices=workshop.data.training(),
        places=cache.places,
        made_of=cache.identity,
    )
    _train_unet(workshop, task, settings, cache, guided(workshop.settings.preview))


def _styled(workshop: Workshop) -> None:
    settings, data, cache = workshop.settings.styled, workshop.data, workshop.cache()
    network = folders.load_network("UNet2DConditionModel", workshop.pair / "unet")
    network.requires_grad_(True)
    captions = CaptionsOfAnyStyle(data, workshop.device)
    training = data.training()
    chosen = data.styles[training] == data.style_names.index(settings.style)
    task = Task(
        name="styled",
        network=network,
        loss=NoiseLoss(cache, settings, captions, workshop.device),
        measure=NoiseErrors(data, cache, workshop.device),
        indices=training[chosen],
        places=cache.places,
        made_of=cache.identity,
    )
    _train_unet(workshop, task, settings, cache, guided(workshop.settings.preview))


def _lcm(workshop: Workshop) -> None:
    _consistent(workshop, "lcm", workshop.settings.lcm)


def _lcm_small(workshop: Workshop) -> None:
    _consistent(workshop, "lcm_small", workshop.settings.lcm_small)


def _consistent(workshop: Workshop, name: str, settings: ConsistencySettings) -> None:
    data, cache = workshop.data, workshop.cache()
    folder = workshop.pair / folders.UNETS[TEACHERS[name]]
    target = workshop.pair / folders.UNETS[name]
    if folders.forget_another_teacher(workshop.folder / name, target, folder_digest(folder)):
        log.info("%s: the network that it distils has changed; it begins anew", name)
    teacher = folders.load_network("UNet2DConditionModel", folder).to(workshop.device)
    network = folders.load_network("UNet2DConditionModel", folder).requires_grad_(True)
    loss = ConsistencyLoss(cache, teacher, settings, workshop.device)
    task = Task(
        name=name,
        network=network,
        loss=loss,
        measure=ConsistencyErrors(data, loss),
        indices=data.training(),
        places=cache.places,
        made_of=cache.identity,
    )
    _train_unet(workshop, task, settings, cache, consistent)


def _train_unet(
    workshop: Workshop, task: Task, schedule: Schedule, cache: Cache, sampler: Sampler
) -> None:
    """Trains a U-Net; its preview is the sampler's."""
    target = workshop.pair / folders.UNETS[task.name]
    images = workshop.settings.preview.images

    def show(picture: Path) -> None:
        parts = (target, workshop.pair / "vae")
        save_preview(workshop.data, cache, parts, images, sampler, picture, workshop.device)

    def save(unet: Any) -> None:
        folders.save_network(unet, target)

    workshop.train(task, schedule, target, save, show if images else None)


def _pair(workshop: Workshop) -> None:
    folders.write_pipeline(workshop.pair)


def _seeded(settings: Schedule, build: Callable[[], Any]) -> Any:
    """A network with the first weights of its seed; the global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return build()


def _begin_as(workshop: Workshop, network: nn.Module, kind: str, part: str) -> None:
    """Gives a network the weights of its part of text.init, if that has one."""
    if workshop.settings.init is None:
        return
    source = Path(workshop.settings.init) / part
    if not source.is_dir():
        return
    other = folders.load_network(kind, source).state_dict()
    try:
        network.load_state_dict(other)
    except RuntimeError as error:
        raise UserError(
            f"text.init: {source} is a network of another size; choose the sizes of its "
            "config.json, or another text.init"
        ) from error


STAGES: dict[str, Callable[[Workshop], None]] = {
    "encoder": _encoder,
    "judge": _judge,
    "vae": _vae,
    "cache": _cache,
    "large": _large,
    "small": _small,
    "styled": _styled,
    "lcm": _lcm,
    "lcm_small": _lcm_small,
    "pair": _pair,
}
