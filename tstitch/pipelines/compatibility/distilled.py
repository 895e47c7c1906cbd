"""Guidance that is distilled into one network and not the other."""

from typing import Any

from tstitch.pipelines.compatibility.refusal import refuse_other

# Fields of networks that are given a guidance scale.
FIELDS = ("guidance_embeds", "time_cond_proj_dim")
UNGUIDED = (
    "this pipeline runs no classifier-free guidance, and the small one would be unguided; give a "
    "distilled one, or verify=False if it is"
)
UNFED = (
    "it is distilled for a guidance scale that this pipeline does not give; give one that is not"
)


def check_guidance(large: Any, small: Any) -> None:
    """Refuses a pair of which one network would run without the guidance that it needs.

    A small one with a LoRA may be distilled by it (LCM-LoRA) and is not refused.

    Raises:
        UserError: such a pair.
    """
    for field in FIELDS:
        own, other = (getattr(net.config, field, None) or None for net in (small, large))
        if own is None and getattr(small, "peft_config", None):
            continue
        refuse_other(field, own, other, UNGUIDED if own is None else UNFED)
