"""Features of the Inception network that FID, sFID and the Inception Score are defined by."""

import io
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from evaluation.features.float32 import full_float32

FILE = "weights-inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
SPATIAL_CHANNELS = 7  # 17 * 17 * 7 = 2023 values, the size that ADM's evaluator chose
COUNTER = "num_batches_tracked"  # of batch normalisation: unused outside training, often left out
RIGHT_FILE = f"give torch-fidelity's {FILE}"


def locate_inception_weights(source: str | None) -> Path | str:
    """Where the weights are: `source` itself, else torch's hub cache, else the URL to download."""
    if source is not None:
        return source
    cached = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    return cached if cached.is_file() else URL


class InceptionExtractor(nn.Module):
    """TensorFlow's Inception of 2015 with its bilinear resize, as torch-fidelity converted it.

    Always float32, without TF32.

    Args:
        weights: state dict with torch-fidelity's names, .pth (tensors only, code in it is not
            run) or .safetensors.

    Attributes:
        space: "", because distances between these features are the FID.
        num_classes: None, because its classes are not the data set's labels.

    Raises:
        ValueError: unreadable weights, or of another network; one line.
    """

    space = ""
    num_classes: int | None = None

    def __init__(self, weights: Path) -> None:
        super().__init__()
        state = _read_tensors(Path(weights), f"weights={weights}")
        self._network: Any = _unfilled_network()  # its layers are known by name
        _fill(self._network, state, f"weights={weights}")
        self.eval()

    def check(self, height: int, width: int) -> None:
        """Raises ValueError for images without pixels; all others are resized to 299 x 299."""
        if height < 1 or width < 1:
            raise ValueError(f"{width}x{height} images have no pixels; give larger ones")

    @torch.no_grad()
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features of RGB images.

        Args:
            images: uint8 (N, 3, H, W) on the module's device.

        Returns:
            float32 "pool" (N, 2048); "logits" (N, 1008), without bias; "spatial" (N, 2023), the
            first 7 channels at 17 x 17 positions, positions outermost, channels fastest.
        """
        maps: list[Tensor] = []
        # TensorFlow's mixed_6/conv, the layer of ADM's sFID: after normalisation and ReLU.
        layer = self._network.Mixed_6d.branch1x1
        handle = layer.register_forward_hook(lambda _module, _inputs, output: maps.append(output))
        try:
            with full_float32():
                pool, logits = self._network(images)
        finally:
            handle.remove()
        spatial = maps[0][:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)
        return {"pool": pool, "spatial": spatial, "logits": logits}


def _unfilled_network() -> nn.Module:
    """torch-fidelity's network without values, on the CPU."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Unfilled(FeatureExtractorInceptionV3):
        def load_state_dict(
            self, state_dict: Any, strict: bool = True, assign: bool = False
        ) -> Any:
            """Nothing: the constructor calls it with the stand-in below."""

    # The constructor downloads weights, or unpickles a file with whatever code is in it. It gets
    # an empty state dict to unpickle; the weights are read and filled in by this module.
    stand_in = io.BytesIO()
    torch.save({}, stand_in)
    stand_in.seek(0)
    with torch.device("meta"):  # no random values first
        network = Unfilled(
            "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=stand_in
        )
    return network.to_empty(device="cpu")


def _fill(network: nn.Module, state: Mapping[str, Tensor], place: str) -> None:
    """Copies weights into the network; names and shapes must match."""
    own = network.state_dict()
    missing = [key for key in own if key not in state and not key.endswith(COUNTER)]
    surplus = [key for key in state if key not in own]
    misshaped = [key for key in own if key in state and state[key].shape != own[key].shape]
    for kind, keys in (("misses", missing), ("has surplus", surplus), ("misshapes", misshaped)):
        if keys:
            names = ", ".join(keys[:2]) + (" ..." if len(keys) > 2 else "")
            wrong = f"{kind} {len(keys)} of Inception's {len(own)} entries ({names})"
            raise ValueError(f"{place}: {wrong}; {RIGHT_FILE}")
    with torch.no_grad():
        for key, target in own.items():
            if key in state:
                target.copy_(state[key])
            else:
                target.zero_()


def _read_tensors(path: Path, place: str) -> Mapping[str, Tensor]:
    """The tensors of a file by name; nothing in it is executed."""
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # on pickle protocols; what matters is an error
                state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ValueError(f"{place}: no such file; {RIGHT_FILE}") from error
    except pickle.UnpicklingError as error:  # its own text advises to run the code
        wrong = "is no file of weights, or holds code or objects, which were not run"
        raise ValueError(f"{place}: {wrong}; {RIGHT_FILE}") from error
    except Exception as error:  # damaged files raise nearly anything in torch
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{place}: is damaged or cut short ({reason}); {RIGHT_FILE}") from error
    tensors = isinstance(state, Mapping) and all(isinstance(v, Tensor) for v in state.values())
    if not tensors:
        raise ValueError(f"{place}: is not a state dict of tensors; {RIGHT_FILE}")
    return state
