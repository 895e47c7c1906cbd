"""`scripts/train.py`: trains one denoiser of a pair and writes its averaged weights."""

import logging
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.condition import Prompts
from samplers.discrete_vp import NUM_TIMESTEPS, DiscreteVP
from tstitch.config import fields
from tstitch.data.datasets import StepBatches, batches, together
from tstitch.data.items import Items
from tstitch.files.lock import FolderLock
from tstitch.files.writing import remove_leftovers, writing_to
from tstitch.pair.section import DenoiserSpec
from tstitch.pair.spec import PairSpec, build_network, load_space, parse_pair
from tstitch.pair.weights import fetch_weights, fill_network
from tstitch.runtime import distributed
from tstitch.runtime.device import choose_device
from tstitch.runtime.errors import UserError
from tstitch.tracking.tracker import Tracker, TrackingSettings, start_tracking
from tstitch.training.bias import sample_latents
from tstitch.training.checkpoint import load_checkpoint, new_state
from tstitch.training.dataset import open_data
from tstitch.training.grow import grow_network
from tstitch.training.latents import CachedMoments, NextLatents, cached, encoded
from tstitch.training.loop import train
from tstitch.training.objective import HybridObjective
from tstitch.training.recorder import WEIGHTS, Recorder
from tstitch.training.settings import TrainSettings
from tstitch.training.teacher import load_teacher

MOMENTS_FILE = "moments.npy"
log = logging.getLogger(__name__)


def run_training(config: dict[str, Any]) -> None:
    """Trains pair.denoisers[train.denoiser], or goes on from train.dir/checkpoint.pt.

    Raises:
        UserError: a bad value, missing data, a checkpoint of another training, or a folder in use.
    """
    fields.check_sections(config, ("pair", "data", "train", "tracking"))
    pair = parse_pair(config["pair"])
    names = [spec.name for spec in pair.denoisers]
    settings = TrainSettings.parse(config["train"], context={"denoisers": names})
    tracking = TrackingSettings.parse(config["tracking"])
    device = choose_device(settings.device, "train.device")
    torch.manual_seed(settings.seed)
    spec = pair.denoisers[names.index(settings.denoiser)]
    process = _trained_process(spec)
    if isinstance(pair.condition, Prompts):
        raise UserError("pair.prompts: what is trained here has classes; give pair.classes instead")
    if settings.label_dropout and not spec.has_null:
        raise UserError(
            f"train.label_dropout={settings.label_dropout:g}: {spec.name} has no null class to "
            "drop labels to; choose 0, or a network with one class more"
        )
    _check_teacher(pair, settings, process)
    network = build_network(pair, spec)
    _check_trainable(pair, spec, network)
    if settings.init is not None:
        path = fetch_weights(settings.init, None, "train.init")
        if settings.grow and path is not None:
            grow_network(network, path, "train.init")
        else:
            fill_network(network, path, "train.init")
    _prefer_plain_attention(network, device)
    folder = _make_folder(settings.dir)

    distributed.start()
    lock = FolderLock(folder, "train.dir", "training")
    distributed.on_main(lock.take)
    try:
        distributed.on_main(lambda: remove_leftovers(folder))
        with start_tracking(tracking, "train", config, folder) as tracker:
            _train(config, pair, settings, network, process, device, folder, tracker)
    finally:
        lock.release()


def _trained_process(spec: DenoiserSpec) -> DiscreteVP:
    """The denoiser's process, if it is one that is trained here."""
    process = spec.process
    chain = isinstance(process, DiscreteVP) and process.num_timesteps == NUM_TIMESTEPS
    if isinstance(process, DiscreteVP) and chain and spec.prediction == "eps":
        return process
    raise UserError(
        f"train.denoiser={spec.name}: has process {process} and prediction {spec.prediction}; "
        "choose one that predicts eps on LinearVP or ScaledLinearVP of "
        f"{NUM_TIMESTEPS} timesteps, which alone are trained here"
    )


def _check_teacher(pair: PairSpec, settings: TrainSettings, process: DiscreteVP) -> None:
    for spec in pair.denoisers:
        if spec.name == settings.teacher and (spec.process, spec.prediction) != (process, "eps"):
            raise UserError(
                f"train.teacher={spec.name}: predicts {spec.prediction} on {spec.process}, and "
                f"{settings.denoiser} eps on {process}; choose a teacher of the same"
            )


def _check_trainable(pair: PairSpec, spec: DenoiserSpec, network: nn.Module) -> None:
    if getattr(network, "null_draw", ()):
        raise UserError(
            f"train.denoiser={spec.name}: its null condition is noise, to which no label can be "
            "dropped; choose a network with another null condition"
        )
    if not hasattr(pair.space, "encode"):
        kind = type(pair.space).__name__
        raise UserError(f"pair.space: {kind} only decodes; train in a space that encodes images")


def _train(
    config: dict[str, Any],
    pair: PairSpec,
    settings: TrainSettings,
    network: nn.Module,
    process: DiscreteVP,
    device: torch.device,
    folder: Path,
    tracker: Tracker,
) -> None:
    teacher = distributed.main_first(lambda: load_teacher(pair, settings, device))
    distributed.main_first(lambda: load_space(pair, device))
    dataset = distributed.main_first(lambda: open_data(config["data"], pair))
    state = new_state(network, process, settings, device)
    if load_checkpoint(state, folder):
        log.info("%s: at step %d of %d", folder, state.step, settings.steps)
    shown = sample_latents(dataset, pair.space, device) if settings.sample_every else None
    if settings.latents == "cache":
        path = folder / MOMENTS_FILE
        dataset = CachedMoments(dataset, pair.space, path, device, settings.flip)
    recorder = Recorder(state, settings, pair, process, folder, shown, tracker)
    with closing(recorder):
        train(
            state,
            HybridObjective(process.betas, settings.noise_weight_limit, teacher).to(device),
            _latents(dataset, pair, settings, device, state.step),
            settings=settings,
            num_classes=pair.num_classes,
            device=device,
            after_step=recorder,
        )
    distributed.barrier()
    if state.step >= settings.steps:
        log.info("%s: the averaged weights, after %d steps", folder / WEIGHTS, state.step)


def _latents(
    dataset: Items, pair: PairSpec, settings: TrainSettings, device: torch.device, first_step: int
) -> NextLatents:
    sampler = StepBatches(
        len(dataset),
        batch_size=settings.batch_size,
        seed=settings.seed,
        steps=range(first_step, settings.steps),
        rank=distributed.rank(),
        world=distributed.world_size(),
    )
    items = together(batches(dataset, sampler, settings.workers), len(sampler))
    if settings.latents == "cache":
        return cached(items, pair.space)
    return encoded(items, pair.space, device, settings.flip)


def _prefer_plain_attention(network: nn.Module, device: torch.device) -> None:
    """On the CPU the backward of fused attention is several times slower than two products."""
    if device.type == "cpu":
        module: Any
        for module in network.modules():
            if hasattr(module, "fused_attn"):
                module.fused_attn = False


def _make_folder(name: str) -> Path:
    folder = Path(name).expanduser()
    with writing_to(name, "train.dir"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder
