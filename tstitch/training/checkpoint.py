"""What a training resumes from, and the files it leaves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.checkpoints import CheckpointError
from samplers import LinearVP
from samplers.discrete_vp import DiscreteVP
from tstitch.files.writing import replacing, writing_to
from tstitch.runtime.errors import UserError
from tstitch.training.ema import Ema
from tstitch.training.settings import TrainSettings

FILE = "checkpoint.pt"
# Of checkpoints from before there were these options.
UNWEIGHTED = {
    "focus_share": 0.0, "noise_weight_limit": 1.0, "teacher": None, "process": repr(LinearVP())
}  # fmt: skip


@dataclass(slots=True)
class TrainState:
    """Everything that a step changes, and what decides the data of a step."""

    network: nn.Module
    ema: Ema
    optimizer: torch.optim.Optimizer
    step: int = 0
    stream: dict[str, Any] = field(default_factory=dict)


def new_state(
    network: nn.Module, process: DiscreteVP, settings: TrainSettings, device: torch.device
) -> TrainState:
    """The state before the first step."""
    network.to(device)
    optimizer = torch.optim.AdamW(
        [p for p in network.parameters() if p.requires_grad],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    names = ("seed", "batch_size", "flip", "focus_share", "noise_weight_limit", "teacher")
    stream = {name: getattr(settings, name) for name in names}
    stream |= {name: list(getattr(settings, name)) for name in ("timesteps", "focus")}
    stream["process"] = repr(process)
    return TrainState(network, Ema(network, settings.ema_decay), optimizer, stream=stream)


@contextmanager
def writing(folder: Path, field: str = "train.dir") -> Iterator[None]:
    """Turns what a full or read-only disk raises in the block into a UserError.

    Args:
        field: the configuration's name of the folder.
    """
    remedy = f"free space or choose another {field}; the last checkpoint is kept"
    with writing_to(folder, field, remedy, also=(CheckpointError,)):
        yield


def save_checkpoint(state: TrainState, folder: Path) -> None:
    """Writes checkpoint.pt by temporary name and rename."""
    content = {
        "model": state.network.state_dict(),
        "ema": state.ema.weights,
        "optimizer": state.optimizer.state_dict(),
        "stream": state.stream,
        "step": state.step,
    }
    with replacing(folder / FILE) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # torch's own kind for a full disk
            raise OSError(f"{FILE}: {str(error).splitlines()[0]}") from error


def load_checkpoint(state: TrainState, folder: Path) -> bool:
    """Continues from checkpoint.pt of a pair's denoiser; False if there is none.

    Raises:
        UserError: a checkpoint of another network or setting.
    """
    names = {name: f"train.{name}" for name in state.stream if name != "process"}
    return restore(state, folder, "train.dir", names, UNWEIGHTED)


def restore(
    state: TrainState,
    folder: Path,
    field: str,
    names: Mapping[str, str],
    earlier: Mapping[str, Any],
) -> bool:
    """Continues from checkpoint.pt; False if there is none.

    Args:
        field: the configuration's name of the folder.
        names: the configuration's names of what is in the stream, where they are others.
        earlier: what the stream of an older checkpoint lacks.

    Raises:
        UserError: a checkpoint of another network or setting.
    """
    path = folder / FILE
    if not path.is_file():
        return False
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        for name, value in ({**earlier} | saved.get("stream", {})).items():
            if value != state.stream[name]:
                raise ValueError(f"{names.get(name, name)} was {value}, is {state.stream[name]}")
        state.network.load_state_dict(saved["model"])
        decay = state.optimizer.param_groups[0]["weight_decay"]
        state.optimizer.load_state_dict(saved["optimizer"])
        state.optimizer.param_groups[0]["weight_decay"] = decay
        for name, value in state.ema.weights.items():
            value.copy_(saved["ema"][name])
        state.step = saved["step"]
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{field}: {path} does not fit this training ({reason}); choose another {field}"
        ) from error
    return True
