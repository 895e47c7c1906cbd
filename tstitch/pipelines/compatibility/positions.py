"""Whether two transformers know positions alike, where the pipeline or the weights fix them."""

from typing import Any

from tstitch.pipelines.compatibility.refusal import refuse_other

# Position embeddings are scaled to the size that these were trained for.
TRAINED_SIZE = ("DiTTransformer2DModel", "PixArtTransformer2DModel")
# Their pipelines make rotary embeddings, of the width of the large network's heads.
ROTARY_GIVEN = (
    "HunyuanDiT2DModel", "CogVideoXTransformer3DModel", "ConsisIDTransformer3DModel"
)  # fmt: skip
SWITCH = "use_rotary_positional_embeddings"


def check_positions(large: Any, small: Any) -> None:
    """Refuses networks that would read the same position as another one.

    Raises:
        UserError: such a pair.
    """
    kind, big, little = type(large).__name__, large.config, small.config
    if kind in TRAINED_SIZE:
        remedy = "give networks trained at one size of latents"
        refuse_other("sample_size", little.sample_size, big.sample_size, remedy)
    if kind not in ROTARY_GIVEN:
        return
    rotary = getattr(big, SWITCH, True)
    remedy = "one has rotary positions, the other sines; give two of one sort"
    refuse_other(SWITCH, getattr(little, SWITCH, True), rotary, remedy)
    if rotary:
        remedy = "the pipeline makes rotary positions for the large one; give one of equal heads"
        for field in ("attention_head_dim", "patch_size"):
            refuse_other(field, getattr(little, field), getattr(big, field), remedy)
