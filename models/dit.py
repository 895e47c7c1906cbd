"""The DiT denoiser (Peebles and Xie, arXiv 2212.09748) on timm's layers.

Module names follow the published checkpoints, so that DiT-XL/2 and the T-Stitch DiT-S/2 and
DiT-B/2 load without renaming.
"""

from typing import Any

import torch
from timm.layers import Mlp, PatchEmbed
from timm.models.vision_transformer import Attention
from torch import Tensor, nn

from models.images import check_counts
from models.patches import check_patches, published_sizes, unpatchify
from models.timestep_features import timestep_features

# hidden size, depth, attention heads (arXiv 2212.09748, Table 1)
SIZES = {
    "S": (384, 12, 6),
    "B": (768, 12, 12),
    "L": (1024, 24, 16),
    "XL": (1152, 28, 16),
}
PATCH_SIZES = (2, 4, 8)
FREQUENCY_CHANNELS = 256


class DiT(nn.Module):
    """Diffusion transformer with adaLN-Zero conditioning.

    Args:
        input_size: side of the square latent, in latent pixels; a multiple of patch_size.
        in_channels: latent channels C.
        patch_size: side of a patch, in latent pixels.
        hidden_size: width D; a multiple of num_heads and of 4.
        depth: number of transformer blocks.
        num_heads: attention heads.
        num_classes: classes; the label num_classes is the null class of guidance.
        mlp_ratio: hidden width of the MLP in units of D.
        learn_sigma: predict variance logits in C further output channels.

    Raises:
        ValueError: sizes that do not divide each other; the message begins with name=value.
    """

    # Few FLOPs, and their rounding goes straight into the prediction: see models.precision.
    full_precision = ("x_embedder", "t_embedder", "y_embedder", "final_layer")
    # Fixed, and computed by the constructor: a checkpoint may do without it.
    recomputed = ("pos_embed",)

    def __init__(
        self,
        *,
        input_size: int = 32,
        in_channels: int = 4,
        patch_size: int = 2,
        hidden_size: int = 1152,
        depth: int = 28,
        num_heads: int = 16,
        num_classes: int = 1000,
        mlp_ratio: float = 4.0,
        learn_sigma: bool = True,
    ) -> None:
        super().__init__()
        check_patches(input_size, patch_size)
        check_counts({"hidden_size": hidden_size, "depth": depth, "num_heads": num_heads})
        if hidden_size % num_heads or hidden_size % 4:
            raise ValueError(
                f"hidden_size={hidden_size}: choose a multiple of 4 and of num_heads={num_heads}"
            )
        self.input_size = input_size
        self.in_channels = in_channels
        self.patch_size = patch_size
        self.num_classes = num_classes
        self.out_channels = in_channels * (2 if learn_sigma else 1)

        self.x_embedder = PatchEmbed(input_size, patch_size, in_channels, hidden_size)
        self.t_embedder = TimestepEmbedder(hidden_size)
        self.y_embedder = LabelEmbedder(num_classes, hidden_size)
        grid = sincos_position_table(hidden_size, input_size // patch_size)
        self.pos_embed = nn.Parameter(grid[None], requires_grad=False)
        self.blocks: Any = nn.ModuleList(
            DiTBlock(hidden_size, num_heads, mlp_ratio) for _ in range(depth)
        )
        self.final_layer = FinalLayer(hidden_size, patch_size, self.out_channels)
        self._initialize()

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Predicts the noise, and variance logits if learn_sigma.

        Args:
            x: noisy latents (N, C, H, W).
            t: timesteps (N,) in 0..999, fractional values allowed.
            y: labels (N,) int64 in 0..num_classes, the last being the null class.

        Returns:
            (N, 2C, H, W) with learn_sigma, first noise, then variance logits; else (N, C, H, W).
        """
        x = self.x_embedder(x) + self.pos_embed  # (N, L, D)
        c = self.t_embedder(t) + self.y_embedder(y)  # (N, D)
        for block in self.blocks:
            x = block(x, c)  # (N, L, D)
        return unpatchify(self.final_layer(x, c), self.input_size, self.patch_size)

    def _initialize(self) -> None:
        """The published initialisation: Xavier layers, zeroed modulation and output."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        projection: Any = self.x_embedder.proj
        nn.init.xavier_uniform_(projection.weight.data.flatten(1))
        nn.init.zeros_(projection.bias)
        nn.init.normal_(self.y_embedder.embedding_table.weight, std=0.02)
        for layer in (self.t_embedder.mlp[0], self.t_embedder.mlp[2]):
            nn.init.normal_(layer.weight, std=0.02)
        modulations = [block.adaLN_modulation[1] for block in self.blocks]
        modulations += [self.final_layer.adaLN_modulation[1], self.final_layer.linear]
        for layer in modulations:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)


class DiTBlock(nn.Module):
    """Attention and MLP, each shifted, scaled and gated by the condition (adaLN-Zero)."""

    def __init__(self, hidden_size: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden_size, elementwise_affine=False, eps=1e-6)
        self.attn = Attention(hidden_size, num_heads=num_heads, qkv_bias=True)
        self.norm2 = nn.LayerNorm(hidden_size, elementwise_affine=False, eps=1e-6)
        self.mlp = Mlp(
            hidden_size,
            hidden_features=int(hidden_size * mlp_ratio),
            act_layer=lambda: nn.GELU(approximate="tanh"),  # type: ignore[arg-type]
        )
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden_size, 6 * hidden_size))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """x (N, L, D), c (N, D) -> (N, L, D)."""
        modulation = self.adaLN_modulation(c)[:, None].chunk(6, dim=-1)
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = modulation  # each (N, 1, D)
        x = x + gate_a * self.attn(self.norm1(x) * (1 + scale_a) + shift_a)
        return x + gate_m * self.mlp(self.norm2(x) * (1 + scale_m) + shift_m)


class FinalLayer(nn.Module):
    """Modulated norm and projection of each token to its patch of the output."""

    def __init__(self, hidden_size: int, patch_size: int, out_channels: int) -> None:
        super().__init__()
        self.norm_final = nn.LayerNorm(hidden_size, elementwise_affine=False, eps=1e-6)
        self.linear = nn.Linear(hidden_size, patch_size * patch_size * out_channels)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden_size, 2 * hidden_size))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """x (N, L, D), c (N, D) -> (N, L, p*p*C_out)."""
        shift, scale = self.adaLN_modulation(c)[:, None].chunk(2, dim=-1)
        return self.linear(self.norm_final(x) * (1 + scale) + shift)


class TimestepEmbedder(nn.Module):
    """Sinusoidal features of the timestep, cosines first, then a two-layer MLP."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.mlp: Any = nn.Sequential(
            nn.Linear(FREQUENCY_CHANNELS, hidden_size),
            nn.SiLU(),
            nn.Linear(hidden_size, hidden_size),
        )

    def forward(self, t: Tensor) -> Tensor:
        """t (N,) -> (N, D); angles in float32 whatever the weights' dtype."""
        features = timestep_features(t, FREQUENCY_CHANNELS)  # (N, 256)
        return self.mlp(features.to(self.mlp[0].weight.dtype))


class LabelEmbedder(nn.Module):
    """Embedding of the class label; row num_classes is the null class."""

    def __init__(self, num_classes: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(num_classes + 1, hidden_size)

    def forward(self, y: Tensor) -> Tensor:
        """y (N,) int64 -> (N, D)."""
        return self.embedding_table(y)


def sincos_position_table(hidden_size: int, side: int) -> Tensor:
    """Fixed 2-D sine-cosine table (side*side, D) float32; the first half encodes the column.

    Each half is [sin, cos] of position * 10000^(-2i/(D/2)), as in the published checkpoints.
    """
    quarter = hidden_size // 4
    frequencies = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    angles = torch.arange(side, dtype=torch.float64)[:, None] * frequencies  # (side, D/4)
    line = torch.cat([angles.sin(), angles.cos()], dim=1)  # (side, D/2)
    columns = line[None, :, :].expand(side, side, -1)
    rows = line[:, None, :].expand(side, side, -1)
    return torch.cat([columns, rows], dim=-1).reshape(side * side, hidden_size).float()


def published(
    variant: str, *, input_size: int = 32, in_channels: int = 4, num_classes: int = 1000
) -> DiT:
    """A published variant, which predicts noise and variance.

    Args:
        variant: DiT-S, -B, -L or -XL with patch size 2, 4 or 8, such as DiT-XL/2.
        input_size: side of the latent.
        in_channels: latent channels.
        num_classes: classes, without the null class.

    Raises:
        ValueError: unknown variant, or a latent that its patches do not divide.
    """
    sizes, patch_size = published_sizes(variant, "DiT", SIZES, PATCH_SIZES)
    hidden_size, depth, num_heads = sizes
    return DiT(
        input_size=input_size,
        in_channels=in_channels,
        patch_size=patch_size,
        hidden_size=hidden_size,
        depth=depth,
        num_heads=num_heads,
        num_classes=num_classes,
    )
