"""The class-conditional U-Nets of latent diffusion (Rombach et al., arXiv 2112.10752, Sec. 4.3.2).

Computed by diffusers' UNet2DConditionModel, whose context is one token: the class embedding.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.checkpoint_names import places
from models.entries import Misfit
from models.images import check_counts
from models.ldm_names import renamed, unet_names

NULLS = ("zero", "learned", "noise")
UNET = "diffusion_model."  # of LDM's state dict, behind `model.`
EMBEDDING = "cond_stage_model.embedding.weight"
AVERAGED = "model_ema."  # LDM writes the names behind it without their dots
GROUPS = 32  # of every group norm: what channels are a multiple of


class LDMDenoiser(nn.Module):
    """A U-Net of LDM with its class embedding, called as (x, t, y) like every denoiser.

    LDM's ImageNet networks predict noise and have neither variance nor, in the T-Stitch release,
    a null class: `null_condition` says what guidance takes in its place.

    Args:
        model_channels: width of the first level; 64 in LDM-S, 256 in LDM.
        context_dim: width of the class embedding; 256 in LDM-S, 512 in LDM.
        channel_mult: width of each level over the first.
        num_res_blocks: per level.
        attention_resolutions: downsampling factors at which a level attends.
        num_head_channels: width of a head of attention.
        null_condition: zero (an embedding of zeros), learned (a row of its own, the last one), or
            noise: an embedding uniform in [0, 1), as the release draws it, handed in per image.
        ema: of a checkpoint of LDM take the averaged weights. The release's script of Table 1
            takes the others.
        input_size: side of the pair's latents.
        in_channels: of the pair's latents.
        num_classes: length of the pair's condition table.

    Attributes:
        network: of diffusers.
        embedding: (num_classes, context_dim), and a row more if the null is learned.
        null_draw: shape of what an image brings along for the null condition, drawn uniformly
            from [0, 1); empty = nothing.

    Raises:
        ValueError: sizes that fit no such network; the message begins with name=value.
    """

    has_null = True

    def __init__(
        self,
        *,
        model_channels: int,
        context_dim: int,
        channel_mult: Sequence[int] = (1, 2, 4),
        num_res_blocks: int = 2,
        attention_resolutions: Sequence[int] = (4, 2, 1),
        num_head_channels: int = 32,
        null_condition: str = "noise",
        ema: bool = False,
        input_size: int = 32,
        in_channels: int = 4,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        if null_condition not in NULLS:
            raise ValueError(f"null_condition={null_condition}: choose one of {', '.join(NULLS)}")
        if type(ema) is not bool:
            raise ValueError(f"ema={ema}: choose true or false")
        counts = {
            "model_channels": model_channels, "context_dim": context_dim,
            "num_res_blocks": num_res_blocks, "num_head_channels": num_head_channels,
        }  # fmt: skip
        check_counts(counts)
        _check_factors("channel_mult", channel_mult)
        _check_factors("attention_resolutions", attention_resolutions)
        factor = 2 ** (len(channel_mult) - 1)
        if input_size % factor:
            raise ValueError(f"input_size={input_size}: needs a multiple of {factor}")
        self.null, self.ema = null_condition, ema
        self.num_classes, self.in_channels, self.input_size = num_classes, in_channels, input_size
        widths = [model_channels * multiple for multiple in channel_mult]
        self._attends = [2**level in attention_resolutions for level in range(len(widths))]
        self._layers = num_res_blocks
        self.network: Any = _build(
            widths, self._attends, num_res_blocks, num_head_channels, context_dim, in_channels
        )
        self.embedding = nn.Embedding(num_classes + (null_condition == "learned"), context_dim)
        self.null_draw = (context_dim,) if null_condition == "noise" else ()

    def forward(self, x: Tensor, t: Tensor, y: Tensor, null: Tensor | None = None) -> Tensor:
        """The predicted noise.

        Args:
            x: noisy latents (N, C, H, W).
            t: timesteps (N,), float32.
            y: classes (N,) int64; num_classes is the null condition.
            null: embeddings (N, context_dim) of the null condition, where it is `noise`.

        Returns:
            (N, C, H, W).
        """
        context = self._context(y, null)[:, None].to(x.dtype)
        return self.network(x, t, encoder_hidden_states=context, return_dict=False)[0]

    def _context(self, y: Tensor, null: Tensor | None) -> Tensor:
        """Embeddings (N, context_dim)."""
        if self.null == "learned":
            return self.embedding(y)
        if self.null == "noise" and null is None:
            return self.embedding(y)  # of a call without guidance: all are classes
        own = self.embedding(y.clamp(max=self.num_classes - 1))
        other = torch.zeros_like(own) if null is None else null.to(own.dtype)
        return torch.where((y == self.num_classes)[:, None], other, own)

    def translated(self, content: Mapping[Any, Any]) -> Mapping[Any, Any]:
        """A checkpoint of LDM's code by the names of this module; any other one as it is.

        Other parts of the checkpoint, such as the first stage, are left out.

        Raises:
            Misfit: no class embedding, or no averaged weights where they are wanted.
        """
        for _, tensors in places(content):
            if isinstance(tensors, dict) and any(UNET in name for name in tensors):
                return self._of_ldm(tensors)
        return content

    def _of_ldm(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        embedding = next((v for name, v in tensors.items() if name.endswith(EMBEDDING)), None)
        if embedding is None:
            raise Misfit(f": has no {EMBEDDING}, the class embedding; give the whole checkpoint")
        own = {
            name.partition(UNET)[2]: tensor
            for name, tensor in tensors.items()
            if UNET in name and not name.startswith(AVERAGED)
        }
        if self.ema:
            own = _averaged(tensors, own)
        names = unet_names(len(self._attends), self._layers, self._attends)
        network = {f"network.{name}": value for name, value in renamed(own, names).items()}
        return network | {"embedding.weight": embedding}


def _averaged(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The averaged weights by the names of the raw ones, which have kept their dots."""
    joined = {name: AVERAGED + (UNET + name).replace(".", "") for name in own}
    missing = [name for name in joined.values() if name not in tensors]
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise Misfit(f": has no averaged weights ({missing[0]}{more}); set ema=false")
    return {name: tensors[other] for name, other in joined.items()}


def _check_factors(name: str, values: Any) -> None:
    good = isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 0
    if not good or not all(type(value) is int and value > 0 for value in values):
        raise ValueError(f"{name}={values}: give a list of integers of at least 1")


def _build(
    widths: list[int],
    attends: list[bool],
    layers: int,
    head: int,
    context: int,
    channels: int,
) -> nn.Module:
    from diffusers import UNet2DConditionModel

    attending = [w for w, attends_here in zip(widths, attends, strict=True) if attends_here]
    attending.append(widths[-1])  # the middle always does
    if any(width % GROUPS for width in widths):
        raise ValueError(f"model_channels={widths[0]}: every level needs a multiple of {GROUPS}")
    if any(width % head for width in attending):
        remedy = f"levels that attend have {sorted(set(attending))} channels; give a divisor of all"
        raise ValueError(f"num_head_channels={head}: {remedy}")
    down = ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attends]
    up = ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)]
    return UNet2DConditionModel(
        in_channels=channels,
        out_channels=channels,
        block_out_channels=tuple(widths),
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        layers_per_block=layers,
        cross_attention_dim=context,
        attention_head_dim=tuple(max(1, width // head) for width in widths),  # how many, really
    )
