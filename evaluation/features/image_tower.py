"""The image half of a dual encoder of images and captions (CLIP, arXiv 2103.00020)."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

GROUPS = 8


class ImageTower(nn.Module):
    """Patches, convolutions that halve their map once for each further width, its mean.

    Args:
        widths: channels of the maps, multiples of 8.
        embedding: width of the embedding.
        patch: side in pixels of what a place of the first map sees, which do not overlap.
    """

    def __init__(self, widths: Sequence[int], embedding: int, patch: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], patch, stride=patch)
        pairs = zip(widths, widths[1:], strict=False)
        self.blocks = nn.Sequential(*(_block(inputs, outputs) for inputs, outputs in pairs))
        self.head = nn.Linear(widths[-1], embedding)

    def features(self, images: Tensor) -> Tensor:
        """Mean of the last map, (N, last width).

        Args:
            images: (N, 3, S, S) in -1..1.
        """
        return self.blocks(self.stem(images)).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (N, embedding), of any length, of images (N, 3, S, S) in -1..1."""
        return self.head(self.features(images))


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.GroupNorm(GROUPS, inputs),
        nn.SiLU(),
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.GroupNorm(GROUPS, outputs),
        nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, stride=2, padding=1),
    )


def load_image_tower(path: Path) -> ImageTower:
    """A tower from a safetensors file, float32, frozen, on the CPU; sizes are those of the file.

    Raises:
        ValueError: a file that is damaged or no tower's.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
        blocks = [key for key in state if key.startswith("blocks.") and key.endswith("5.bias")]
        widths = [len(state["stem.bias"]), *(len(state[key]) for key in sorted(blocks))]
        tower = ImageTower(widths, len(state["head.bias"]), state["stem.weight"].shape[-1])
        tower.load_state_dict(state)
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: is no image tower ({reason}); get the file again") from error
    return tower.float().eval().requires_grad_(False)
