"""Latents of latent diffusion's VQ autoencoders (Rombach et al., arXiv 2112.10752, App. G)."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from models.autoencoder_space import AutoencoderSpace
from models.blank import blank_parameters
from models.checkpoint_names import places
from models.checkpoints import load_weights
from models.download import fetch, is_remote, sha256_of
from models.entries import Misfit
from models.folders import naming
from models.images import are_finite, check_counts, checked, to_uint8
from models.ldm_names import decoder_names, renamed
from models.precision import DTYPES, float32_products

RANDOM = "random"
RANDOM_SEED, RANDOM_STD = 0, 0.05
FIRST_STAGE = "first_stage_model."  # of a whole checkpoint of LDM
DECODING = ("quantize.", "post_quant_conv.", "decoder.")  # what of it is needed here
AVERAGED = "model_ema."


class VQSpace(AutoencoderSpace):
    """Latents before quantisation, of a diffusers VQModel; decoding quantises them first.

    Latents are decoded only: pairs in this space are sampled, not trained. The constructor checks
    what is cheap; the network is loaded by `load` or when first needed.

    Args:
        vq: file of its weights: path, URL or gdrive:ID of the VQ autoencoder, or of a checkpoint
            of LDM, which has it as `first_stage_model`; or `random` for a trial without weights.
        size: side of the square latents.
        channels: of the latents.
        codebook: number of its entries.
        widths: channels by level, full resolution first.
        layers: residual blocks per level.
        attention_sides: sides of the levels that attend.
        scale: latents handed out are the autoencoder's own times this.
        chunk, dtype: as of AutoencoderSpace. The nearest entry is always found in float32.

    Raises:
        ValueError: a value out of range; the message is `name=value: what is allowed`.
    """

    def __init__(
        self,
        vq: str,
        size: int = 32,
        channels: int = 4,
        codebook: int = 16384,
        widths: Sequence[int] = (128, 256, 256, 512),
        layers: int = 2,
        attention_sides: Sequence[int] = (32,),
        scale: float = 1.0,
        chunk: int | str = "auto",
        dtype: str = "auto",
    ) -> None:
        check_counts({"size": size, "channels": channels, "codebook": codebook, "layers": layers})
        for name, values in (("widths", widths), ("attention_sides", attention_sides)):
            if isinstance(values, str) or not isinstance(values, Sequence):
                raise ValueError(f"{name}={values}: give a list of integers")
            for value in values:
                check_counts({name: value})
        if not widths:
            raise ValueError("widths=[]: give the channels of every level")
        if type(scale) not in (int, float) or not 0 < scale < math.inf:
            raise ValueError(f"scale={scale}: must be a positive number")
        super().__init__((channels, size, size), chunk, dtype)
        self.vq, self.scale = str(vq), float(scale)
        self.image_size = size * 2 ** (len(widths) - 1)
        sides = [self.image_size >> level for level in range(len(widths))]
        unknown = [side for side in attention_sides if side not in sides]
        if unknown:
            raise ValueError(f"attention_sides={list(attention_sides)}: levels have sides {sides}")
        self._codebook, self._widths, self._layers = codebook, tuple(widths), layers
        self._attends = [side in attention_sides for side in sides]
        given = self.vq == RANDOM or is_remote(self.vq) or Path(self.vq).expanduser().is_file()
        if not given:
            remedy = "give a path, URL, gdrive:ID, or random"
            raise ValueError(f"vq={self.vq}: is no file; {remedy}")

    def load(self) -> Self:
        """Loads the network, downloading it if need be; once.

        Raises:
            ValueError: not reachable, damaged, or of other sizes.
        """
        if self._network is None:
            with blank_parameters():
                network = VQDecoder(self._build(), self._attends, self._layers)
            if self.vq == RANDOM:
                _randomize(network)
            else:
                with naming("vq"):
                    load_weights(network, self._file())
            self._network = network.model.eval().requires_grad_(False)
            self._place()
        return self

    @torch.no_grad()
    def decode_checked(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """As `decode`, and which images are finite, bool (N,): uint8 cannot tell.

        An image of latents that are not finite is not, whatever entry they are nearest to.
        """
        checked("latents", latents, self.shape)
        network = self.load()._network

        def images(part: Tensor) -> tuple[Tensor, Tensor]:
            entries = self.quantized(part).to(DTYPES[self.precision])
            pixels = network.decode(entries, force_not_quantize=True).sample
            return to_uint8(pixels), are_finite(pixels) & are_finite(part)

        levels, finite = zip(*self._in_chunks(images, latents.to(self._device)), strict=True)
        return torch.cat(levels), torch.cat(finite)

    @torch.no_grad()
    def quantized(self, latents: Tensor) -> Tensor:
        """The nearest entry of the codebook at every position, (N,C,H,W) float32.

        Image by image, which bounds the memory: a position is compared with every entry.
        """
        book = self.load()._network.quantize.embedding.weight.float()
        own = (latents.to(self._device).float() / self.scale).permute(0, 2, 3, 1)
        rows = []
        with float32_products(False):
            for image in own.flatten(1, 2):
                rows.append(book[torch.cdist(image, book).argmin(1)])
        return torch.stack(rows).reshape(own.shape).permute(0, 3, 1, 2).contiguous()

    def digest(self) -> str:
        """What decides the images: the file's SHA-256, scale and precision on the device that
        `to` named; may download the file."""
        source = RANDOM if self.vq == RANDOM else sha256_of(self._file())
        sizes = f"{self._codebook}:{self._widths}:{self._layers}:{self._attends}"
        return f"vq:{source}:{sizes}:scale={self.scale!r}:{self.precision}"

    def _file(self) -> Path:
        with naming("vq"):
            return fetch(self.vq)

    def _build(self) -> nn.Module:
        from diffusers import VQModel

        kinds = ["AttnUpDecoderBlock2D" if a else "UpDecoderBlock2D" for a in self._attends]
        levels = len(self._widths)
        try:
            model: Any = VQModel(
                down_block_types=("DownEncoderBlock2D",) * levels,
                up_block_types=tuple(reversed(kinds)),
                block_out_channels=self._widths,
                layers_per_block=self._layers,
                latent_channels=self.shape[0],
                num_vq_embeddings=self._codebook,
                vq_embed_dim=self.shape[0],
            )
        except Exception as error:  # nearly anything, of sizes that do not fit
            line = " ".join(str(error).split())[:200]
            raise ValueError(f"widths={self._widths}: no such autoencoder ({line})") from error
        model.encoder = model.quant_conv = None
        return model


class VQDecoder(nn.Module):
    """The decoding half of a VQModel as files of weights are read into it."""

    def __init__(self, model: Any, attends: list[bool], layers: int) -> None:
        super().__init__()
        self.model = model
        self._names = decoder_names(len(attends), layers, attends)

    def translated(self, content: Mapping[Any, Any]) -> Mapping[Any, Any]:
        """What a VQ checkpoint of LDM's code, or a whole one of LDM, has for it, by its names.

        Raises:
            Misfit: no such part.
        """
        found = next(
            (part for _, tensors in places(content) if (part := self._decoding(tensors))), None
        )
        if found is None:
            raise Misfit(
                ": has no VQ autoencoder (quantize.embedding.weight); give the file of the first "
                "stage, or a whole checkpoint of LDM"
            )
        return found

    def _decoding(self, tensors: object) -> dict[str, Tensor]:
        if not isinstance(tensors, dict):
            return {}
        plain = {
            name.removeprefix(FIRST_STAGE): value
            for name, value in tensors.items()
            if not name.startswith(AVERAGED)
        }
        if "quantize.embedding.weight" not in plain:
            return {}
        part = {name: value for name, value in plain.items() if name.startswith(DECODING)}
        own = self.model.state_dict()
        return {
            # LDM's attention has 1x1 convolutions where diffusers has linear layers.
            f"model.{name}": value[..., 0, 0] if _is_linear(own.get(name), value) else value
            for name, value in renamed(part, self._names).items()
        }


def _is_linear(own: Tensor | None, value: Tensor) -> bool:
    return own is not None and own.ndim == 2 and value.ndim == 4


def _randomize(network: nn.Module) -> None:
    generator = torch.Generator().manual_seed(RANDOM_SEED)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=RANDOM_STD, generator=generator)
