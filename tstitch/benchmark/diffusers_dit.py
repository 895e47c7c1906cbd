"""Our DiT as diffusers' DiTTransformer2DModel."""

from typing import TYPE_CHECKING

from torch import Tensor

from models.dit import DiT

if TYPE_CHECKING:
    from diffusers import DiTTransformer2DModel

NULL_CLASS = 1000  # fixed in diffusers' DiTPipeline
MLP_RATIO = 4  # fixed in its blocks


def what_does_not_fit(network: object) -> str | None:
    """What diffusers' class cannot hold of a network, None if it holds all."""
    if type(network) is not DiT:
        return f"the network is a {type(network).__name__}, not a DiT"
    if network.num_classes > NULL_CLASS:
        return f"{network.num_classes} classes: its null class is {NULL_CLASS}"
    mlp = network.blocks[0].mlp.fc1
    if mlp.out_features != MLP_RATIO * mlp.in_features:
        return f"mlp_ratio={mlp.out_features / mlp.in_features:g}: its own is {MLP_RATIO}"
    return None


def as_diffusers(network: DiT, null_class: int = NULL_CLASS) -> "DiTTransformer2DModel":
    """The same function of (latents, timesteps, labels), but for the null class's number.

    Args:
        network: of which `what_does_not_fit` finds nothing.
        null_class: its number there, at least the network's own.
    """
    from diffusers import DiTTransformer2DModel

    attention = network.blocks[0].attn
    transformer = DiTTransformer2DModel(
        num_attention_heads=attention.num_heads,
        attention_head_dim=attention.head_dim,
        in_channels=network.in_channels,
        out_channels=network.out_channels,
        num_layers=len(network.blocks),
        sample_size=network.input_size,
        patch_size=network.patch_size,
        num_embeds_ada_norm=null_class,
        norm_eps=1e-6,
    )
    transformer.load_state_dict(_renamed(network, null_class))
    for block in transformer.transformer_blocks:
        # Its frequencies of t are spaced by 1 / 127 by default, the published DiTs' by 1 / 128.
        block.norm1.emb.time_proj.downscale_freq_shift = 0
    return transformer.eval().requires_grad_(False)


def _renamed(network: DiT, null_class: int) -> dict[str, Tensor]:
    """The weights under diffusers' names; every block has its own copy of the embedders."""
    ours = network.state_dict()
    table = ours["y_embedder.embedding_table.weight"]
    labels = table.new_zeros((null_class + 1, table.shape[1]))
    labels[: network.num_classes], labels[null_class] = table[:-1], table[-1]
    names = {"pos_embed.proj": "x_embedder.proj", "proj_out_2": "final_layer.linear"}
    names["proj_out_1"] = "final_layer.adaLN_modulation.1"
    theirs: dict[str, Tensor] = {}
    for k in range(len(network.blocks)):
        block, own = f"transformer_blocks.{k}", f"blocks.{k}"
        names[f"{block}.norm1.emb.timestep_embedder.linear_1"] = "t_embedder.mlp.0"
        names[f"{block}.norm1.emb.timestep_embedder.linear_2"] = "t_embedder.mlp.2"
        names[f"{block}.norm1.linear"] = f"{own}.adaLN_modulation.1"
        names[f"{block}.attn1.to_out.0"] = f"{own}.attn.proj"
        names[f"{block}.ff.net.0.proj"] = f"{own}.mlp.fc1"
        names[f"{block}.ff.net.2"] = f"{own}.mlp.fc2"
        theirs[f"{block}.norm1.emb.class_embedder.embedding_table.weight"] = labels
        for kind in ("weight", "bias"):
            parts = ours[f"{own}.attn.qkv.{kind}"].chunk(3)
            for letter, part in zip("qkv", parts, strict=True):
                theirs[f"{block}.attn1.to_{letter}.{kind}"] = part
    for their_name, own_name in names.items():
        for kind in ("weight", "bias"):
            theirs[f"{their_name}.{kind}"] = ours[f"{own_name}.{kind}"]
    return theirs
