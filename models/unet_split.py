"""A U-Net of diffusers in two parts: the encoder once, the decoder as often as there are steps.

Faster Diffusion (arXiv 2312.09608, Sec. 3) and TiUE (arXiv 2505.21960, Sec. 3) find that what the
encoder sees changes little from step to step, and share it among several steps. The network stays
as it is: the two parts call its own blocks, in the order and with the arguments of its forward.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

HID_DIMS = (None, "text_proj")  # encoder_hid_dim_type: projections of the text alone
DISCARDED = -10000.0  # what diffusers adds to the scores of tokens that a mask leaves out


class Features(NamedTuple):
    """What the encoder hands to the decoder."""

    skips: tuple[Tensor, ...]  # of conv_in and the down blocks, (N, C_j, H_j, W_j), in their order
    middle: Tensor  # of the mid block, (N, C, h, w)


class _Conditions(NamedTuple):
    """What the network's forward takes beside latents and timesteps, by the names there."""

    context: Tensor | None
    class_labels: Tensor | None
    added_cond_kwargs: dict[str, Tensor] | None
    encoder_attention_mask: Tensor | None
    timestep_cond: Tensor | None


def check_splits(network: nn.Module) -> None:
    """Refuses what has no two parts that give its forward.

    Raises:
        ValueError: no UNet2DConditionModel, or one with inputs or a forward of its own.
    """
    from diffusers import UNet2DConditionModel

    name = type(network).__name__
    if not isinstance(network, UNet2DConditionModel):
        raise ValueError(
            f"network: {name} has no encoder and decoder to split; choose a UNet2DConditionModel"
        )
    forward = UNet2DConditionModel.forward
    if type(network).forward is not forward or "forward" in vars(network):
        raise ValueError(
            f"network: the forward of this {name} is replaced (DeepCache, offloading or another "
            "hook), and its parts would not go through that; take it off first"
        )
    own = network.config
    if own.encoder_hid_dim_type not in HID_DIMS or own.addition_embed_type == "image_hint":
        raise ValueError(
            f"network: this {name} takes images beside texts (IP-Adapter, hints), which its parts "
            "are not given; take the adapter off first"
        )


def encode(
    network: Any,
    latents: Tensor,
    timesteps: Tensor | float,
    context: Tensor | None,
    *,
    class_labels: Tensor | None = None,
    added_cond_kwargs: dict[str, Tensor] | None = None,
    encoder_attention_mask: Tensor | None = None,
    timestep_cond: Tensor | None = None,
) -> Features:
    """conv_in, down blocks and mid block.

    Args:
        network: a UNet2DConditionModel.
        latents: (N, C, H, W).
        timesteps: (N,), or one of all, fractional values allowed.
        context: encoder_hidden_states (N, tokens, width); None where no block attends to any.
        class_labels, added_cond_kwargs, encoder_attention_mask, timestep_cond: as the network's
            forward takes them; what ControlNet and adapters add to it there is no place for.

    Raises:
        ValueError: as `check_splits`.
    """
    check_splits(network)
    given = _Conditions(
        context, class_labels, added_cond_kwargs, encoder_attention_mask, timestep_cond
    )
    embedding, attended = _conditioned(network, latents, timesteps, given)
    x = 2 * latents - 1.0 if network.config.center_input_sample else latents
    x = network.conv_in(x)
    skips = [x]
    for block in network.down_blocks:
        x, outputs = block(hidden_states=x, temb=embedding, **_attended(block, attended))
        skips += outputs
    middle = network.mid_block
    if middle is not None:
        x = middle(x, embedding, **_attended(middle, attended))
    return Features(tuple(skips), x)


def decode(
    network: Any,
    features: Features,
    timesteps: Tensor | float,
    context: Tensor | None,
    *,
    class_labels: Tensor | None = None,
    added_cond_kwargs: dict[str, Tensor] | None = None,
    encoder_attention_mask: Tensor | None = None,
    timestep_cond: Tensor | None = None,
) -> Tensor:
    """Up blocks, norm and conv_out.

    With the timesteps and conditions of `encode` the two are the network's forward, bit for bit.

    Args:
        network: the one that encoded.
        features: of N images; see `repeated` for several timesteps at once.
        timesteps, context: as of `encode`, of the N images.
        class_labels, added_cond_kwargs, encoder_attention_mask, timestep_cond: likewise.

    Returns:
        (N, C, H, W), the network's raw prediction.

    Raises:
        ValueError: as `encode`.
    """
    check_splits(network)
    given = _Conditions(
        context, class_labels, added_cond_kwargs, encoder_attention_mask, timestep_cond
    )
    # Of what the latents were, only their number, device and dtype are asked for here.
    latents = features.middle.new_empty(
        (len(features.middle), 0), dtype=network.conv_in.weight.dtype
    )
    embedding, attended = _conditioned(network, latents, timesteps, given)
    x, skips = features.middle, list(features.skips)
    odd = any(side % 2**network.num_upsamplers for side in skips[0].shape[-2:])
    for block in network.up_blocks:
        own = [skips.pop() for _ in block.resnets][::-1]
        # Where sides do not halve evenly, doubling them would not meet the next skips.
        size = skips[-1].shape[2:] if odd and skips else None
        x = block(
            hidden_states=x,
            temb=embedding,
            res_hidden_states_tuple=tuple(own),
            upsample_size=size,
            **_attended(block, attended),
        )
    if network.conv_norm_out:
        x = network.conv_act(network.conv_norm_out(x))
    return network.conv_out(x)


def repeated(features: Features, count: int) -> Features:
    """The features for `count` timesteps of every image, step-major: all images, `count` times.

    Timesteps and conditions go with them in that order: `timesteps.repeat_interleave(N)` for the
    N images of `count` timesteps, and `context.repeat(count, 1, 1)`.

    Returns:
        of count * N images; the same tensors for 1.
    """
    if count == 1:
        return features
    return Features(
        tuple(skip.repeat(count, 1, 1, 1) for skip in features.skips),
        features.middle.repeat(count, 1, 1, 1),
    )


def _conditioned(
    network: Any,
    latents: Tensor,
    timesteps: Tensor | float,
    given: _Conditions,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The embedding that every residual block takes, and what attention to the context takes."""
    embedding = network.time_embedding(
        network.get_time_embed(sample=latents, timestep=timesteps), given.timestep_cond
    )
    classes = network.get_class_embed(sample=latents, class_labels=given.class_labels)
    if classes is not None:
        beside = network.config.class_embeddings_concat
        embedding = torch.cat([embedding, classes], dim=-1) if beside else embedding + classes
    texts = {
        "encoder_hidden_states": given.context, "added_cond_kwargs": given.added_cond_kwargs
    }  # fmt: skip
    augmented = network.get_aug_embed(emb=embedding, **texts)
    if augmented is not None:
        embedding = embedding + augmented
    if network.time_embed_act is not None:
        embedding = network.time_embed_act(embedding)
    attended = {"encoder_hidden_states": network.process_encoder_hidden_states(**texts)}
    mask = given.encoder_attention_mask
    if mask is not None:
        attended["encoder_attention_mask"] = ((1 - mask.to(latents.dtype)) * DISCARDED)[:, None]
    return embedding, attended


def _attended(block: Any, attended: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a block takes of the context: nothing, if it does not attend to it."""
    return attended if getattr(block, "has_cross_attention", False) else {}
