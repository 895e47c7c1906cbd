"""The U-ViT denoiser (Bao et al., arXiv 2209.12152) on timm's layers.

Module names follow the published checkpoints, so that U-ViT-L/2 and U-ViT-H/2 load without
renaming.
"""

from typing import Any

import torch
from timm.layers import Mlp, PatchEmbed
from timm.models.vision_transformer import Attention
from torch import Tensor, nn

from models.images import check_counts
from models.patches import check_patches, published_sizes, unpatchify
from models.timestep_features import timestep_features

# hidden size, depth without the block in the middle, attention heads (arXiv 2209.12152, Table 1)
SIZES = {
    "L": (1024, 20, 16),
    "H": (1152, 28, 16),
}
PATCH_SIZES = (2, 4)
EXTRA_TOKENS = 2  # label and timestep, before the patches


class UViT(nn.Module):
    """Transformer over label, timestep and patches as tokens, with long skip connections.

    Args:
        input_size: side of the square latent, in latent pixels; a multiple of patch_size.
        in_channels: latent channels C.
        patch_size: side of a patch, in latent pixels.
        hidden_size: width D; a multiple of num_heads, and even.
        depth: number of transformer blocks besides the one in the middle; even.
        num_heads: attention heads.
        num_classes: classes; the label num_classes is the null class of guidance.
        mlp_ratio: hidden width of the MLP in units of D.
        qkv_bias: biases of queries, keys and values.
        mlp_time_embed: the timestep's token goes through an MLP.
        conv: a 3x3 convolution of the output.
        first_timestep: what the network was told at the cleanest timestep in training: 0, or 1
            where its code counted them from 1; it is added to t.

    Raises:
        ValueError: sizes that do not divide each other, another first timestep; the message begins
            with name=value.
    """

    # Few FLOPs, and their rounding goes straight into the prediction: see models.precision.
    full_precision = ("patch_embed", "time_embed", "label_emb", "decoder_pred", "final_layer")

    def __init__(
        self,
        *,
        input_size: int = 32,
        in_channels: int = 4,
        patch_size: int = 2,
        hidden_size: int = 1024,
        depth: int = 20,
        num_heads: int = 16,
        num_classes: int = 1000,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = False,
        mlp_time_embed: bool = False,
        conv: bool = False,
        first_timestep: int = 0,
    ) -> None:
        super().__init__()
        check_patches(input_size, patch_size)
        check_counts({"hidden_size": hidden_size, "depth": depth, "num_heads": num_heads})
        if hidden_size % num_heads or hidden_size % 2:
            raise ValueError(
                f"hidden_size={hidden_size}: choose an even multiple of num_heads={num_heads}"
            )
        if depth % 2:
            raise ValueError(f"depth={depth}: choose an even number, at least 2")
        if first_timestep not in (0, 1):
            raise ValueError(f"first_timestep={first_timestep}: choose 0 or 1")
        self.input_size = input_size
        self.in_channels = in_channels
        self.patch_size = patch_size
        self.num_classes = num_classes
        self.first_timestep = first_timestep

        self.patch_embed = PatchEmbed(input_size, patch_size, in_channels, hidden_size)
        self.time_embed: Any = nn.Identity()
        if mlp_time_embed:
            self.time_embed = nn.Sequential(
                nn.Linear(hidden_size, 4 * hidden_size),
                nn.SiLU(),
                nn.Linear(4 * hidden_size, hidden_size),
            )
        self.label_emb = nn.Embedding(num_classes + 1, hidden_size)
        tokens = EXTRA_TOKENS + (input_size // patch_size) ** 2
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, hidden_size))

        def block(skip: bool = False) -> UViTBlock:
            return UViTBlock(hidden_size, num_heads, mlp_ratio, qkv_bias, skip)

        self.in_blocks: Any = nn.ModuleList(block() for _ in range(depth // 2))
        self.mid_block = block()
        self.out_blocks: Any = nn.ModuleList(block(skip=True) for _ in range(depth // 2))
        self.norm = nn.LayerNorm(hidden_size)
        self.decoder_pred = nn.Linear(hidden_size, patch_size**2 * in_channels)
        self.final_layer = nn.Conv2d(in_channels, in_channels, 3, padding=1) if conv else None
        self._initialize()

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Predicts the noise.

        Args:
            x: noisy latents (N, C, H, W).
            t: timesteps (N,) in 0..999, fractional values allowed.
            y: labels (N,) int64 in 0..num_classes, the last being the null class.

        Returns:
            (N, C, H, W).
        """
        features = timestep_features(t + self.first_timestep, self.pos_embed.shape[-1])
        features = features.to(self.pos_embed.dtype)
        label, time = self.label_emb(y)[:, None], self.time_embed(features)[:, None]
        x = torch.cat([label, time, self.patch_embed(x)], dim=1) + self.pos_embed  # (N, L, D)
        skips = []
        for block in self.in_blocks:
            x = block(x)
            skips.append(x)
        x = self.mid_block(x)
        for block in self.out_blocks:
            x = block(x, skips.pop())
        patches = self.decoder_pred(self.norm(x))[:, EXTRA_TOKENS:]
        image = unpatchify(patches, self.input_size, self.patch_size)
        return image if self.final_layer is None else self.final_layer(image)

    def _initialize(self) -> None:
        """Truncated normal weights, zeroed biases; embedding and convolutions as torch does."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


class UViTBlock(nn.Module):
    """Pre-norm attention and MLP; one that takes a skip first merges it into its tokens."""

    def __init__(
        self, hidden_size: int, num_heads: int, mlp_ratio: float, qkv_bias: bool, skip: bool
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden_size)
        self.attn = Attention(hidden_size, num_heads=num_heads, qkv_bias=qkv_bias)
        self.norm2 = nn.LayerNorm(hidden_size)
        self.mlp = Mlp(hidden_size, hidden_features=int(hidden_size * mlp_ratio))
        self.skip_linear = nn.Linear(2 * hidden_size, hidden_size) if skip else None

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """x (N, L, D), skip (N, L, D) -> (N, L, D)."""
        if self.skip_linear is not None and skip is not None:
            x = self.skip_linear(torch.cat([x, skip], dim=-1)).to(skip.dtype)
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def published(
    variant: str,
    *,
    input_size: int = 32,
    in_channels: int = 4,
    num_classes: int = 1000,
    first_timestep: int = 0,
) -> UViT:
    """A published variant for ImageNet's latents.

    Args:
        variant: U-ViT-L or -H with patch size 2 or 4, such as U-ViT-H/2.
        input_size: side of the latent.
        in_channels: latent channels.
        num_classes: classes, without the null class.
        first_timestep: 1 for networks of the release's discrete process, such as U-ViT-H/2.

    Raises:
        ValueError: unknown variant, another first timestep, or a latent that its patches do not
            divide.
    """
    sizes, patch_size = published_sizes(variant, "U-ViT", SIZES, PATCH_SIZES)
    hidden_size, depth, num_heads = sizes
    return UViT(
        input_size=input_size,
        in_channels=in_channels,
        patch_size=patch_size,
        hidden_size=hidden_size,
        depth=depth,
        num_heads=num_heads,
        num_classes=num_classes,
        first_timestep=first_timestep,
    )
