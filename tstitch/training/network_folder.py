"""A trained network as the folder that diffusers or transformers read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.checkpoints import save_weights
from tstitch.files.writing import write_text
from tstitch.training.checkpoint import writing


def save_diffusers(network: Any, folder: Path, dtype: torch.dtype, field: str) -> None:
    """config.json and the weights of a network of diffusers.

    Args:
        dtype: of the weights in the file.
        field: the configuration's name of the folder.

    Raises:
        UserError: the folder cannot be written.
    """
    config = json.loads(network.to_json_string())
    config.pop("_name_or_path", None)  # where it was read from, on this machine
    text = json.dumps(config, indent=2) + "\n"
    path = folder / "diffusion_pytorch_model.safetensors"
    write_network(network.state_dict(), text, path, dtype, field)


def write_network(
    state: Mapping[str, Tensor], config: str, path: Path, dtype: torch.dtype, field: str
) -> None:
    """Weights in a file, and the text of the config.json beside it.

    Args:
        dtype, field: as of `save_diffusers`.

    Raises:
        UserError: the folder cannot be written.
    """
    with writing(path.parent, field):
        save_weights(state, path, dtype=dtype, metadata={"format": "pt"})
        write_text(path.parent / "config.json", config)
