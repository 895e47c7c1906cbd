"""`scripts/train.py`: trains one denoiser of a pair and writes its averaged weights."""

import logging
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from samplers.noise_schedule import linear_betas
from tstitch import distributed
from tstitch.data import StepBatches, batches, together
from tstitch.device import choose_device
from tstitch.errors import UserError
from tstitch.lock import FolderLock
from tstitch.pair import PairSpec, build_network, load_space, parse_pair
from tstitch.section import Section
from tstitch.training.bias import sample_latents
from tstitch.training.checkpoint import load_checkpoint, new_state
from tstitch.training.dataset import open_data
from tstitch.training.grow import grow_network
from tstitch.training.latents import CachedMoments, NextLatents, cached, encoded
from tstitch.training.loop import train
from tstitch.training.objective import HybridObjective
from tstitch.training.recorder import Recorder
from tstitch.training.settings import TrainSettings, parse_train
from tstitch.training.teacher import load_teacher
from tstitch.weights import fetch_weights, fill_network

MOMENTS_FILE = "moments.npy"
log = logging.getLogger(__name__)


def run_training(config: dict[str, Any]) -> None:
    """Trains pair.denoisers[train.denoiser], or goes on from train.dir/checkpoint.pt.

    Raises:
        UserError: a bad value, missing data, a checkpoint of another training, or a folder in use.
    """
    Section(config, "", ("pair", "data", "train"))
    pair = parse_pair(config["pair"])
    names = [spec.name for spec in pair.denoisers]
    settings = parse_train(config["train"], names, distributed.world_size())
    device = choose_device(settings.device, "train.device")
    torch.manual_seed(settings.seed)
    network = build_network(pair, pair.denoisers[names.index(settings.denoiser)])
    if settings.init is not None:
        path = fetch_weights(settings.init, None, "train.init")
        fill = grow_network if settings.grow else fill_network
        fill(network, path, "train.init")
    _prefer_plain_attention(network, device)
    folder = _make_folder(settings.dir)

    distributed.start()
    lock = FolderLock(folder, "train.dir", "training")
    distributed.on_main(lock.take)
    try:
        _train(config, pair, settings, network, device, folder)
    finally:
        lock.release()


def _train(
    config: dict[str, Any],
    pair: PairSpec,
    settings: TrainSettings,
    network: nn.Module,
    device: torch.device,
    folder: Path,
) -> None:
    teacher = distributed.main_first(lambda: load_teacher(pair, settings, device))
    distributed.main_first(lambda: load_space(pair, device))
    dataset = distributed.main_first(lambda: open_data(config["data"], pair))
    state = new_state(network, settings, device)
    if load_checkpoint(state, folder):
        log.info("%s: at step %d of %d", folder, state.step, settings.steps)
    shown = sample_latents(dataset, pair.space, device) if settings.sample_every else None
    if settings.latents == "cache":
        path = folder / MOMENTS_FILE
        dataset = CachedMoments(dataset, pair.space, path, device, settings.flip)
    recorder = Recorder(state, settings, pair, folder, shown)
    with closing(recorder):
        train(
            state,
            HybridObjective(linear_betas(), settings.noise_weight_limit, teacher).to(device),
            _latents(dataset, pair, settings, device, state.step),
            settings=settings,
            num_classes=pair.num_classes,
            device=device,
            after_step=recorder,
        )
    distributed.barrier()


def _latents(
    dataset: Dataset,
    pair: PairSpec,
    settings: TrainSettings,
    device: torch.device,
    first_step: int,
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
        for module in network.modules():
            if hasattr(module, "fused_attn"):
                module.fused_attn = False


def _make_folder(name: str) -> Path:
    folder = Path(name).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"train.dir={name}: cannot be written ({error.strerror})") from error
    return folder
