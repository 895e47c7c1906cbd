"""What the modules of latent diffusion's code are called in diffusers.

A map is of prefixes, `theirs -> diffusers'`: a name is renamed by the longest one that it begins
with. Maps of U-Nets follow from the sizes alone, as both codes build their blocks in this order.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

RESNET = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2", "out_layers.3": "conv2", "skip_connection": "conv_shortcut",
}  # fmt: skip
ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


def unet_names(levels: int, layers: int, attention: Sequence[bool]) -> dict[str, str]:
    """Of a UNet2DConditionModel: LDM's `input_blocks.7.1.` is `down_blocks.2.attentions.0.`.

    Args:
        levels: number of resolutions.
        layers: residual blocks per level.
        attention: whether a level attends, full resolution first.
    """
    names = {
        "time_embed.0.": "time_embedding.linear_1.",
        "time_embed.2.": "time_embedding.linear_2.",
        "input_blocks.0.0.": "conv_in.",
        "out.0.": "conv_norm_out.",
        "out.2.": "conv_out.",
        "middle_block.1.": "mid_block.attentions.0.",
    }
    names |= _resnet("middle_block.0.", "mid_block.resnets.0.")
    names |= _resnet("middle_block.2.", "mid_block.resnets.1.")
    place = 1
    for level in range(levels):
        block = f"down_blocks.{level}"
        for layer in range(layers):
            names |= _resnet(f"input_blocks.{place}.0.", f"{block}.resnets.{layer}.")
            if attention[level]:
                names[f"input_blocks.{place}.1."] = f"{block}.attentions.{layer}."
            place += 1
        if level < levels - 1:
            names[f"input_blocks.{place}.0.op."] = f"{block}.downsamplers.0.conv."
            place += 1
    place = 0
    for level in reversed(range(levels)):
        block = f"up_blocks.{levels - 1 - level}"
        for layer in range(layers + 1):
            names |= _resnet(f"output_blocks.{place}.0.", f"{block}.resnets.{layer}.")
            if attention[level]:
                names[f"output_blocks.{place}.1."] = f"{block}.attentions.{layer}."
            if level and layer == layers:
                last = 2 if attention[level] else 1
                names[f"output_blocks.{place}.{last}.conv."] = f"{block}.upsamplers.0.conv."
            place += 1
    return names


def decoder_names(levels: int, layers: int, attention: Sequence[bool]) -> dict[str, str]:
    """Of the decoding half of a VQModel; LDM numbers its levels from full resolution.

    Args:
        levels, layers, attention: as of `unet_names`; the decoder has one block more per level.
    """
    names = {
        "quantize.embedding.": "quantize.embedding.",
        "post_quant_conv.": "post_quant_conv.",
        "decoder.conv_in.": "decoder.conv_in.",
        "decoder.norm_out.": "decoder.conv_norm_out.",
        "decoder.conv_out.": "decoder.conv_out.",
        "decoder.mid.block_1.": "decoder.mid_block.resnets.0.",
        "decoder.mid.block_2.": "decoder.mid_block.resnets.1.",
    }
    names |= _attention("decoder.mid.attn_1.", "decoder.mid_block.attentions.0.")
    for level in range(levels):
        theirs, block = f"decoder.up.{level}", f"decoder.up_blocks.{levels - 1 - level}"
        for layer in range(layers + 1):
            resnet = f"{block}.resnets.{layer}."
            names[f"{theirs}.block.{layer}."] = resnet
            names[f"{theirs}.block.{layer}.nin_shortcut."] = f"{resnet}conv_shortcut."
            if attention[level]:
                names |= _attention(f"{theirs}.attn.{layer}.", f"{block}.attentions.{layer}.")
        if level:
            names[f"{theirs}.upsample.conv."] = f"{block}.upsamplers.0.conv."
    return names


def renamed(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Tensors by their names in diffusers; a name that the map does not know stays as it is."""
    found = {}
    for name, tensor in tensors.items():
        parts = name.split(".")
        starts = (".".join(parts[:count]) + "." for count in range(len(parts) - 1, 0, -1))
        start = next((start for start in starts if start in names), "")
        found[names.get(start, "") + name.removeprefix(start)] = tensor
    return found


def _resnet(theirs: str, ours: str) -> dict[str, str]:
    return {f"{theirs}{a}.": f"{ours}{b}." for a, b in RESNET.items()}


def _attention(theirs: str, ours: str) -> dict[str, str]:
    return {f"{theirs}{a}.": f"{ours}{b}." for a, b in ATTENTION.items()}
