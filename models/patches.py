"""Latents as squares, the tokens of diffusion transformers; published ones by their names."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from torch import Tensor

from models.images import check_counts

S = TypeVar("S")


def check_patches(input_size: int, patch_size: int) -> None:
    """Raises ValueError unless squares of patch_size divide a latent of side input_size."""
    check_counts({"input_size": input_size, "patch_size": patch_size})
    if input_size % patch_size:
        raise ValueError(
            f"patch_size={patch_size}: choose a divisor of the latent side {input_size}"
        )


def unpatchify(tokens: Tensor, input_size: int, patch_size: int) -> Tensor:
    """Tokens (N, L, p*p*C), channels fastest, as latents (N, C, input_size, input_size)."""
    n, side, p = tokens.shape[0], input_size // patch_size, patch_size
    x = tokens.reshape(n, side, side, p, p, tokens.shape[2] // p**2)
    x = x.permute(0, 5, 1, 3, 2, 4)  # (N, C, side, p, side, p)
    return x.reshape(n, x.shape[1], side * p, side * p)


def published_sizes(
    variant: str, family: str, sizes: Mapping[str, S], patch_sizes: Sequence[int]
) -> tuple[S, int]:
    """Sizes of a published variant, and the side of its patches.

    Args:
        variant: FAMILY-SIZE/PATCH, such as DiT-XL/2.
        sizes: of the family, by their letters.

    Raises:
        ValueError: there is no such variant.
    """
    known = {
        f"{family}-{letters}/{patch}": (values, patch)
        for letters, values in sizes.items()
        for patch in patch_sizes
    }
    if variant not in known:
        raise ValueError(f"variant={variant}: choose one of {', '.join(known)}")
    return known[variant]
