"""Networks of diffusers as denoisers: U-Nets and DiTs of a folder, the hub, or a config alone."""

import inspect
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from models.folders import SCHEDULER, naming, read_config, read_scheduler
from models.images import check_counts
from models.unet_split import Features, check_splits, decode, encode

CLASSES = ("UNet2DModel", "UNet2DConditionModel", "DiTTransformer2DModel")
PREDICTIONS = {
    "epsilon": "eps", "sample": "x0", "v_prediction": "v", "flow_prediction": "velocity"
}  # fmt: skip
BETAS = {"linear": "LinearVP", "scaled_linear": "ScaledLinearVP"}  # our processes of them
TOKENS = 77  # of CLIP's texts, for FLOPs
IMAGE_FACTOR = 8  # image pixels per latent, along a side, of the Stable Diffusion VAEs
TIME_IDS = 6  # numbers that tell SDXL about sizes and crops
PUBLISHED_EPS = 1e-6
TEXT, POOLED = "encoder_hidden_states", "text_embeds"


class DiffusersDenoiser(nn.Module):
    """A network of diffusers, called as (x, t, y) like every denoiser.

    y are indices into the pair's condition table. A network with classes takes them as they are,
    num_classes being the null class; one conditioned on text takes the rows of the table that
    `bind` was given; one with neither has no use for them.

    Args:
        source: folder with a config.json, or a hub name `owner/name/FOLDER`; see models.folders.
        config: in place of `source`, what a config.json holds, `_class_name` included.
        published_dit: a DiTTransformer2DModel computes as the code that the published DiTs were
            trained with: frequencies of t spaced by 1/128 and a norm's epsilon of 1e-6.
            diffusers has 1/127 fixed, and an epsilon of 1e-5 by default.
        patch_size: side p of the squares of latents that become channels of the network, as the
            patches of a DiT (pixel unshuffle): a network for smaller maps of p^2 times as many
            channels, at a p^2-th of the cost. 1 = none.
        input_size: side of the pair's latents.
        in_channels: of the pair's latents.
        num_classes: length of the pair's condition table.

    Attributes:
        network: of diffusers.
        conditioning: `text`, `classes` or None.
        has_null: whether it knows what guidance needs, a null condition.
        prediction: eps, x0, v or velocity as the folder's pipeline says; None if nothing does.
        trained_on: name of the process of noise as it says; None if nothing does.
        pretrained: source of its weights; None without.
        identity: what it is, wherever it came from.

    Raises:
        ValueError: no such network, one that needs what no pair gives, or sizes other than the
            pair's; the message begins with name=value.
    """

    def __init__(
        self,
        *,
        source: str | None = None,
        config: Mapping[str, Any] | None = None,
        published_dit: bool = False,
        patch_size: int = 1,
        input_size: int = 64,
        in_channels: int = 4,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        if (source is None) == (config is None):
            raise ValueError(f"source={source}: give either a source or a config")
        check_counts({"patch_size": patch_size})
        self.pretrained, self._where = source, "config" if source is None else f"source={source}"
        values = dict(config or {})
        if source is not None:
            with naming("source"):
                values = read_config(source)
        self.network: Any = _build(values, self._where, strict=source is None)
        # As given: defaults that diffusers adds later are no other network.
        self.identity: dict[str, Any] = {
            "class": type(self.network).__name__, "config": _plain(values)
        }  # fmt: skip
        if published_dit:
            self.identity["published_dit"] = True
        if patch_size > 1:
            self.identity["patch_size"] = patch_size
        scheduler = _scheduler(source) if source is not None else {}
        self.prediction, self.trained_on = _prediction(scheduler), _process(scheduler)
        if input_size % patch_size:
            raise ValueError(
                f"patch_size={patch_size}: choose a divisor of input_size={input_size}"
            )
        self._patch = patch_size
        self._check_sizes(input_size // patch_size, in_channels * patch_size**2)
        self.conditioning = _conditioning(self.network)
        self.has_null = self._check_conditions(num_classes)
        if self.conditioning == "text":
            self._refuse_unknown_inputs()
        if type(self.network).__name__ == "DiTTransformer2DModel":
            _prepare_dit(self.network, published_dit)
            # As in models.dit: few FLOPs, and their rounding goes straight into the prediction.
            embedders = [n for n, _ in self.named_modules() if n.endswith("norm1.emb")]
            outer = ["pos_embed", "proj_out_1", "proj_out_2"]
            self.full_precision = (*(f"network.{name}" for name in outer), *embedders)
        elif published_dit:
            raise ValueError(f"published_dit=True: {self._where} is no DiTTransformer2DModel")
        self._image_size = IMAGE_FACTOR * input_size
        self.register_buffer("_text", None, persistent=False)
        self.register_buffer("_pooled", None, persistent=False)

    @property
    def splits(self) -> bool:
        """Whether it has an encoder and a decoder, which `encode` and `decode` run."""
        try:
            check_splits(self.network)
        except ValueError:
            return False
        return True

    @property
    def as_saved(self) -> nn.Module:
        """The module whose names the files of weights have."""
        return self.network

    @property
    def text_widths(self) -> dict[str, int]:
        """Width of what a network conditioned on text takes, by name; empty for others."""
        if self.conditioning != "text":
            return {}
        own = self.network.config
        width = own.encoder_hid_dim or own.cross_attention_dim
        widths = {TEXT: width if isinstance(width, int) else width[0]}
        if own.addition_embed_type == "text_time":
            sizes = TIME_IDS * own.addition_time_embed_dim
            widths[POOLED] = own.projection_class_embeddings_input_dim - sizes
        return widths

    def bind(self, table: Mapping[str, Tensor]) -> None:
        """Keeps what each index of the condition table means, as buffers beside the weights.

        Args:
            table: encoder_hidden_states (P + 1, tokens, width), the null condition last, and
                text_embeds (P + 1, width) where the network takes them; on its device.
        """
        for name, width in self.text_widths.items():
            if name not in table or table[name].shape[-1] != width:
                given = table[name].shape[-1] if name in table else "none"
                raise ValueError(f"{self._where}: takes {name} of width {width}, not {given}")
        self._text, self._pooled = table[TEXT], table.get(POOLED)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """The network's raw prediction.

        Args:
            x: noisy latents (N, C, H, W).
            t: timesteps (N,), float32, fractional values allowed.
            y: indices (N,) int64 into the condition table; its length is the null condition.

        Returns:
            (N, C, H, W), or (N, 2C, H, W): the prediction, then variance logits.
        """
        inputs = self._inputs(x, y)
        if self._patch == 1:
            return self.network(x, t, return_dict=False, **inputs)[0]
        out = self.network(pixel_unshuffle(x, self._patch), t, return_dict=False, **inputs)[0]
        # Prediction and variance logits are channels of their own before and after.
        return pixel_shuffle(out, self._patch)

    def encode(self, x: Tensor, t: Tensor, y: Tensor) -> Features:
        """The first part of `forward`, for `decode`; see models.unet_split."""
        inputs = self._inputs(x, y)
        if self._patch > 1:
            x = pixel_unshuffle(x, self._patch)
        return encode(self.network, x, t, inputs.pop(TEXT), **inputs)

    def decode(self, features: Features, t: Tensor, y: Tensor) -> Tensor:
        """The rest of it, of as many images as the features have; returns what `forward` does."""
        inputs = self._inputs(features.middle, y)
        out = decode(self.network, features, t, inputs.pop(TEXT), **inputs)
        return out if self._patch == 1 else pixel_shuffle(out, self._patch)

    def _inputs(self, x: Tensor, y: Tensor) -> dict[str, Any]:
        """What the network takes of the conditions, for as many images as x, in its dtype."""
        if self.conditioning == "classes":
            return {"class_labels": y}
        if self.conditioning != "text":
            return {}
        inputs: dict[str, Any] = {
            TEXT: self._rows(self._text, x, y, (TOKENS, self.text_widths[TEXT]))
        }
        if POOLED in self.text_widths:
            pooled = self._rows(self._pooled, x, y, (self.text_widths[POOLED],))
            inputs["added_cond_kwargs"] = {POOLED: pooled, "time_ids": self._time_ids(x)}
        return inputs

    def _rows(self, table: Tensor | None, x: Tensor, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        if table is not None:
            return table[y].to(x.dtype)
        if not x.is_meta:
            raise RuntimeError(f"{self._where}: is conditioned on text, and none was bound")
        return x.new_zeros((len(x), *shape))  # for FLOPs alone

    def _time_ids(self, x: Tensor) -> Tensor:
        """SDXL's original size, crop and target size (N, 6): a whole image of the pair's size."""
        line = torch.full((TIME_IDS,), self._image_size, dtype=x.dtype, device=x.device)
        line[2:4] = 0
        return line.expand(len(x), -1)

    def _check_sizes(self, side: int, channels: int) -> None:
        own, kind = self.network.config, type(self.network).__name__
        if own.in_channels != channels:
            raise self._other("in_channels", channels, own.in_channels)
        outputs = own.out_channels or own.in_channels
        if outputs not in (channels, 2 * channels):
            fits = f"{outputs} output channels; {channels} or {2 * channels} are a prediction"
            raise ValueError(f"{self._where}: its network has {fits}")
        if kind == "DiTTransformer2DModel" and own.sample_size != side:
            raise self._other("input_size", side, own.sample_size)
        factor = 1 if kind == "DiTTransformer2DModel" else 2 ** (len(own.down_block_types) - 1)
        if side % factor:
            raise ValueError(f"input_size={side}: {self._where} needs a multiple of {factor}")

    def _check_conditions(self, count: int) -> bool:
        """Whether there is a null condition; another number of classes is refused."""
        own = self.network.config
        if self.conditioning != "classes":
            return self.conditioning == "text"
        if type(self.network).__name__ == "DiTTransformer2DModel":
            if own.num_embeds_ada_norm != count:
                raise self._other("num_classes", count, own.num_embeds_ada_norm)
            return True
        if own.num_class_embeds not in (count, count + 1):
            raise self._other("num_classes", count, own.num_class_embeds)
        return own.num_class_embeds == count + 1

    def _refuse_unknown_inputs(self) -> None:
        """What a U-Net of text may want besides, which no condition of a pair has."""
        known = {
            "encoder_hid_dim_type": (None, "text_proj"),
            "addition_embed_type": (None, "text", "text_time"),
            "class_embed_type": (None,),
            "num_class_embeds": (None,),
            "time_cond_proj_dim": (None,),
        }
        for name, values in known.items():
            if self.network.config[name] not in values:
                value = self.network.config[name]
                raise ValueError(f"{self._where}: its network has {name}={value}, not supported")

    def _other(self, name: str, wanted: int, own: int) -> ValueError:
        return ValueError(
            f"{name}={wanted}: {self._where} has {own}; pair networks of one latent shape and "
            "class count"
        )


def _build(values: dict[str, Any], where: str, strict: bool) -> nn.Module:
    """The network that a config.json describes; `strict` refuses keys that it does not know."""
    import diffusers

    name = values.get("_class_name")
    if name == "Transformer2DModel" and values.get("norm_type") == "ada_norm_zero":
        name = "DiTTransformer2DModel"  # which diffusers called so before
    if name not in CLASSES:
        raise ValueError(f"{where}: _class_name is {name}; choose one of {', '.join(CLASSES)}")
    kind = getattr(diffusers, name)
    known = inspect.signature(kind.__init__).parameters
    given = {key: value for key, value in values.items() if not key.startswith("_")}
    unknown = [key for key in given if key not in known]
    if strict and unknown:
        raise ValueError(f"config.{unknown[0]}: unknown to {name}; check its spelling")
    embedding = given.get("time_embedding_type", "positional")
    if embedding != "positional":
        raise ValueError(
            f"{where}: time_embedding_type={embedding} does not take every t from 0 to the last; "
            "choose a network with positional"
        )
    try:
        return kind(**{key: value for key, value in given.items() if key in known})
    except Exception as error:  # nearly anything, of sizes that do not fit
        line = " ".join(str(error).split())[:200]
        raise ValueError(f"{where}: {name} cannot be built of its config ({line})") from error


def _conditioning(network: Any) -> str | None:
    kind = type(network).__name__
    if kind == "UNet2DConditionModel":
        return "text"
    if kind == "DiTTransformer2DModel":
        return "classes"
    if network.config.class_embed_type is not None:
        raise ValueError(f"config.class_embed_type={network.config.class_embed_type}: give null")
    return None if network.class_embedding is None else "classes"


def _prepare_dit(network: Any, published: bool) -> None:
    for block in network.transformer_blocks:
        block.norm1.emb.class_embedder.dropout_prob = 0.0  # whoever trains drops labels already
        if published:
            block.norm1.emb.time_proj.downscale_freq_shift = 0
            block.norm3.eps = PUBLISHED_EPS  # norm1's own is fixed to it


def _scheduler(source: str) -> dict[str, Any]:
    """What the pipeline of a network's folder says of its scheduler; empty without one."""
    with naming("source"):
        scheduler = read_scheduler(source) or {}
    given = scheduler.get("prediction_type", "epsilon")
    if given not in PREDICTIONS:
        raise ValueError(
            f"source={source}: its {SCHEDULER} has prediction_type={given}; known are "
            f"{', '.join(PREDICTIONS)}"
        )
    return scheduler


def _prediction(scheduler: Mapping[str, Any]) -> str | None:
    if "FlowMatch" in scheduler.get("_class_name", ""):
        return "velocity"
    return PREDICTIONS[scheduler.get("prediction_type", "epsilon")] if scheduler else None


def _process(scheduler: Mapping[str, Any]) -> str | None:
    if "FlowMatch" in scheduler.get("_class_name", ""):
        return "RectifiedFlow"
    return BETAS.get(scheduler.get("beta_schedule", ""))


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config as JSON would keep it, without what says where it is from."""
    return json.loads(json.dumps({k: v for k, v in config.items() if not k.startswith("_")}))
