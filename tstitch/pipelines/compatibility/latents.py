"""Whether two pipelines mean the same by latents and texts."""

from typing import Any

from tstitch.pipelines.compatibility.refusal import refuse_other

VAE = (
    "latent_channels", "z_dim", "scaling_factor", "shift_factor", "latents_mean", "latents_std"
)  # fmt: skip
SCALE = "give networks for latents of one autoencoder and scale"
ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
WIDTHS = ("hidden_size", "d_model", "vocab_size")
TEXTS = "both networks get the texts of the large pipeline; give networks trained with these"


def check_latents(large: Any, small: Any) -> None:
    """Compares the autoencoders of two pipelines, where both have one.

    Raises:
        UserError: another scale, shift or number of channels.
    """
    own, other = getattr(small, "vae", None), getattr(large, "vae", None)
    if own is None or other is None:
        return
    for field in VAE:
        refuse_other(f"vae.{field}", _value(own, field), _value(other, field), SCALE)


def check_texts(large: Any, small: Any) -> None:
    """Compares the text encoders of two pipelines, where both have them.

    Raises:
        UserError: other classes, widths or vocabularies.
    """
    for name in ENCODERS:
        own, other = getattr(small, name, None), getattr(large, name, None)
        if own is None or other is None:
            continue
        refuse_other(name, type(own).__name__, type(other).__name__, TEXTS)
        for field in WIDTHS:
            refuse_other(f"{name}.{field}", _value(own, field), _value(other, field), TEXTS)


def _value(component: Any, field: str) -> Any:
    value = getattr(component.config, field, None)
    return list(value) if isinstance(value, tuple) else value
