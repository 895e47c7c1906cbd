"""Whether two networks take the same inputs and predict the same."""

from typing import Any

from tstitch.pipelines.compatibility.refusal import refuse_other

LATENTS = "give networks of the same latents and task; those for inpainting or images take more"
OUTPUTS = "give networks that predict the same; learned variances are further channels"
TEXTS = "give networks for the same text encoders, whose texts both are given"
SIZES = "give networks with the same added inputs; SDXL's are not those of plain Stable Diffusion"
CLASSES = "give networks with the same classes"
TIMES = "give networks that count time alike"
INPUTS = {
    "in_channels": LATENTS,
    "out_channels": OUTPUTS,
    "addition_embed_type": SIZES,
    "addition_time_embed_dim": SIZES,
    "projection_class_embeddings_input_dim": SIZES,
    "use_additional_conditions": SIZES,
    "cross_attention_dim": TEXTS,
    "cross_attention_dim_t5": TEXTS,
    "joint_attention_dim": TEXTS,
    "pooled_projection_dim": TEXTS,
    "caption_channels": TEXTS,
    "text_embed_dim": TEXTS,
    "text_dim": TEXTS,
    "cap_feat_dim": TEXTS,
    "encoder_hid_dim": TEXTS,
    "text_len": TEXTS,
    "text_len_t5": TEXTS,
    "max_text_seq_length": TEXTS,
    "image_dim": LATENTS,
    "image_embed_dim": LATENTS,
    "class_embed_type": CLASSES,
    "num_class_embeds": CLASSES,
    "num_embeds_ada_norm": CLASSES,
    "timestep_scale": TIMES,
}
# Their cross_attention_dim is a width of their own; captions are projected to it.
OWN_WIDTH = (
    "PixArtTransformer2DModel", "SanaTransformer2DModel", "LTXVideoTransformer3DModel"
)  # fmt: skip


def check_networks(large: Any, small: Any) -> None:
    """Refuses another class, and configs that differ in what the pipeline gives both.

    Raises:
        UserError: such a pair.
    """
    kind = type(large).__name__
    refuse_other("class", type(small).__name__, kind, "give two networks of one class")
    for field, remedy in INPUTS.items():
        if field == "cross_attention_dim" and kind in OWN_WIDTH:
            continue
        refuse_other(field, _value(small, field), _value(large, field), remedy)


def _value(network: Any, field: str) -> Any:
    """From its config; equal widths of all stages are one."""
    value = getattr(network.config, field, None)
    if isinstance(value, list | tuple):
        distinct = set(value)
        return distinct.pop() if len(distinct) == 1 else tuple(value)
    return value
