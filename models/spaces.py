"""Spaces that denoisers work in: pixels, or the latents of a variational autoencoder."""

import json
import math
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from models.checkpoints import load_autoencoder
from models.chunks import images_at_once, in_chunks
from models.download import one_line, sha256_of
from models.folders import is_local, naming
from models.latent_scale import LatentScale
from models.precision import DTYPES, float32_products, has_tf32

T = TypeVar("T")
WEIGHTS = "diffusion_pytorch_model.safetensors"
CHUNK = 8  # images at once where the memory is not asked, as on the CPU
HUB_FACTOR = 8  # image pixels per latent, along a side, of the Stable Diffusion VAEs


def to_uint8(images: Tensor) -> Tensor:
    """Images (N,C,H,W), C 1 or 3, of [-1,1] as uint8 (N,H,W,3); grey is repeated."""
    levels = (127.5 * images.float() + 128).clamp(0, 255).floor().to(torch.uint8)
    return levels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous()


class PixelSpace:
    """Latents are the images themselves, in [-1,1].

    Args:
        channels: 1 (greyscale) or 3.
        size: side of the square images, in pixels.
    """

    def __init__(self, channels: int, size: int) -> None:
        _check_counts({"channels": channels, "size": size})
        if channels not in (1, 3):
            raise ValueError(f"channels={channels}: must be 1 (greyscale) or 3 (colour)")
        self.shape = (channels, size, size)
        self.scale, self.image_channels, self.image_size = 1.0, channels, size

    def to(self, device: str | torch.device) -> Self:
        """Nothing to move: latents stay on their device."""
        return self

    def load(self) -> Self:
        """Nothing to load."""
        return self

    def encode(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images (N,C,H,W) in [-1,1] as they are; nothing is drawn from `generator`."""
        return _checked("images", images, self.shape)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N,C,H,W) as uint8 images (N,H,W,3) on the same device."""
        return to_uint8(_checked("latents", latents, self.shape))

    def decode_checked(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """As `decode`, and which images are finite, bool (N,)."""
        return self.decode(latents), _finite(latents)

    def digest(self) -> str:
        """What decides the images."""
        return "pixel"


class VAESpace:
    """Latents of diffusers' AutoencoderKL, scaled; on CUDA its layout is channels-last.

    The constructor checks what is cheap; the network is loaded by `load` or when first needed.

    Args:
        vae: folder from `save_pretrained`, with safetensors, or a Hugging Face name `owner/name`.
        size: side of the square latents.
        channels: of the latents.
        scale: latents handed out are the autoencoder's own, less `shift`, times this. None =
            scaling_factor of its config.json (0.18215 if there is none).
        shift: None = shift_factor, or latents_mean, of its config.json (0 if there is none).
        chunk: images that go through the network at once; bounds its memory. auto = 8, on CUDA by
            the memory that the device has in all.
        dtype: fp32, tf32, bf16 or fp16, of its weights and products; latents and images stay
            float32. auto = tf32 where a GPU has it, else fp32.

    Attributes:
        shape: (C,H,W) of a latent.
        image_size: side of the images; 8 x `size` for a hub name, which `load` verifies.
        remarks: lines on what was given and differs from the config.json; whole once loaded.
    """

    def __init__(
        self,
        vae: str,
        size: int,
        channels: int = 4,
        scale: float | None = None,
        shift: float | None = None,
        chunk: int | str = "auto",
        dtype: str = "auto",
    ) -> None:
        _check_counts({"size": size, "channels": channels})
        if chunk != "auto":
            _check_counts({"chunk": chunk}, " or auto")
        if scale is not None and (type(scale) not in (int, float) or not 0 < scale < math.inf):
            raise ValueError(f"scale={scale}: must be a positive number, or null")
        if shift is not None and (type(shift) not in (int, float) or not math.isfinite(shift)):
            raise ValueError(f"shift={shift}: must be a finite number, or null")
        if dtype not in ("auto", *DTYPES):
            raise ValueError(f"dtype={dtype}: choose one of auto, {', '.join(DTYPES)}")
        self.vae, self.chunk, self.dtype = str(vae), chunk, dtype
        self._given = {"scale": scale, "shift": shift}
        self._scale: LatentScale | None = None  # known with the config.json
        self.remarks: list[str] = []
        self.shape, self.image_channels = (channels, size, size), 3
        self._network: Any = None  # diffusers' AutoencoderKL, once loaded
        self._chunk = CHUNK
        self._device = torch.device("cpu")
        if Path(self.vae).expanduser().is_file():
            raise self._error("is a file; give its folder, with the config.json")
        self._is_local = is_local(self.vae)
        if not self._is_local and not re.fullmatch(r"[\w.-]+/[\w.-]+", self.vae):
            raise self._error("is neither a folder nor a hub name; give a folder or owner/name")
        self._factor = self._check_folder(self._folder()) if self._is_local else HUB_FACTOR
        self.image_size = size * self._factor

    def to(self, device: str | torch.device) -> Self:
        """Moves the network, now or when it is loaded; encode and decode accept any device.

        Raises:
            ValueError: tf32 asked for on a device that is not a GPU.
        """
        before, self._device = self._device, torch.device(device)
        if self.dtype == "tf32" and self._device.type != "cuda":
            raise ValueError(f"dtype=tf32: needs a CUDA device, not {self._device.type}; give auto")
        if self._network is not None and self._device != before:
            self._place()  # anew also the chunk, which may have been halved
        return self

    @property
    def precision(self) -> str:
        """fp32, tf32, bf16 or fp16: what `dtype` comes to on the device."""
        if self.dtype != "auto":
            return self.dtype
        return "tf32" if has_tf32(self._device) else "fp32"

    def _place(self) -> None:
        layout = torch.preserve_format
        if self._device.type == "cuda":
            layout = torch.channels_last  # what cuDNN's convolutions are fastest with
        self._network.to(self._device, DTYPES[self.precision], memory_format=layout)
        self._chunk = self.chunk if isinstance(self.chunk, int) else CHUNK
        if self.chunk == "auto" and self._device.type == "cuda":
            widths, size = self._network.config.block_out_channels, DTYPES[self.precision].itemsize
            memory = torch.cuda.get_device_properties(self._device).total_memory
            self._chunk = images_at_once(list(widths), self.image_size, size, memory)

    def _in_chunks(self, function: Callable[[Tensor], T], batch: Tensor) -> list[T]:
        """The function over parts of the batch, in the autoencoder's own precision."""
        products: AbstractContextManager[None] = nullcontext()
        if self._device.type == "cuda":
            products = float32_products(self.precision == "tf32")
        with products, torch.autocast(self._device.type, enabled=False):
            results, self._chunk = in_chunks(function, batch, self._chunk)
        return results

    def load(self) -> Self:
        """Loads the network, from the hub if need be, and checks that it fits; once.

        Raises:
            ValueError: not reachable, no AutoencoderKL, damaged, or of other dimensions.
        """
        if self._network is None:
            folder = self._folder()
            factor = self._check_folder(folder)
            if factor != self._factor:
                expected = f"not {self._factor} times as is expected of hub names"
                raise self._error(f"shrinks {factor} times, {expected}; give a local folder of it")
            with naming("vae"):
                self._network = load_autoencoder(folder / WEIGHTS)
            self._place()
        return self

    @torch.no_grad()
    def encode_moments(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the posterior, of the autoencoder's own latents.

        A latent is `scaled` (mean + std * noise), with standard normal noise.

        Args:
            images: float32 (N,3,image_size,image_size) in [-1,1], on any device.

        Returns:
            Two float32 tensors (N,C,H,W) on the space's device.
        """
        _checked("images", images, (self.image_channels, self.image_size, self.image_size))
        network = self.load()._network

        def moments(part: Tensor) -> tuple[Tensor, Tensor]:
            posterior = network.encode(part.to(self._device, DTYPES[self.precision])).latent_dist
            return posterior.mean, posterior.std

        means, stds = zip(*self._in_chunks(moments, images), strict=True)
        return torch.cat(means).float(), torch.cat(stds).float()

    def encode(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Samples latents float32 (N,C,H,W), scaled; images as for `encode_moments`.

        The noise is drawn on the generator's device (None: torch's own, on the CPU), for the whole
        batch at once, so that it depends on neither `chunk` nor the space's device.
        """
        mean, std = self.encode_moments(images)
        device = "cpu" if generator is None else generator.device
        noise = torch.randn(mean.shape, generator=generator, device=device)
        return self.scaled(mean + std * noise.to(mean.device))

    @property
    def constants(self) -> LatentScale:
        """Scale and shift of the latents; may ask the hub for the config.json."""
        if self._scale is None:
            self._check_folder(self._folder())
        assert self._scale is not None  # as its folder was checked
        return self._scale

    def scaled(self, own: Tensor) -> Tensor:
        """The autoencoder's own latents (N,C,H,W) as denoisers take them, of the loaded network."""
        return self.constants.apply(own)

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents (N,C,H,W) as uint8 images (N,image_size,image_size,3), on the device."""
        return self.decode_checked(latents)[0]

    @torch.no_grad()
    def decode_checked(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """As `decode`, and which images are finite, bool (N,): uint8 cannot tell."""
        _checked("latents", latents, self.shape)
        network = self.load()._network

        def images(part: Tensor) -> tuple[Tensor, Tensor]:
            part = self.constants.undo(part.float()).to(DTYPES[self.precision])
            pixels = network.decode(part).sample
            return to_uint8(pixels), _finite(pixels)

        levels, finite = zip(*self._in_chunks(images, latents.to(self._device)), strict=True)
        return torch.cat(levels), torch.cat(finite)

    def digest(self) -> str:
        """What decides the images: the weights' SHA-256, scale and precision on the device that
        `to` named; may ask the hub."""
        return f"vae:{sha256_of(self._folder() / WEIGHTS)}:{self.constants}:{self.precision}"

    def _folder(self) -> Path:
        """The folder of configuration and weights, fetched from the hub or its cache."""
        if self._is_local:
            return Path(self.vae).expanduser()
        import huggingface_hub

        try:
            huggingface_hub.hf_hub_download(self.vae, "config.json")
            return Path(huggingface_hub.hf_hub_download(self.vae, WEIGHTS)).parent
        except Exception as error:  # the hub lets its HTTP library's own errors through
            reason = f"cannot be had from the hub ({one_line(error)})"
            remedy = "check the name and the network, or download it and give its folder"
            raise self._error(f"{reason}; {remedy}") from error

    def _check_folder(self, folder: Path) -> int:
        """Checks what can be seen without the weights; returns image pixels per latent."""
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            if config["_class_name"] != "AutoencoderKL":
                raise ValueError(f"its config.json describes a {config['_class_name']}")
            channels, blocks = config["latent_channels"], len(config["block_out_channels"])
            own = LatentScale.of(config)
        except (OSError, ValueError, KeyError, TypeError) as error:
            hint = f"; give {self.vae}/vae" if (folder / "vae").is_dir() else ""
            reason = "no config.json" if isinstance(error, OSError) else one_line(error)
            raise self._error(f"is no folder of an AutoencoderKL ({reason}){hint}") from error
        if not (folder / WEIGHTS).is_file():
            raise self._error(f"has no {WEIGHTS}; save the autoencoder as safetensors")
        if channels != self.shape[0]:
            raise ValueError(f"channels={self.shape[0]}: {self.vae} has {channels}; give that")
        self._choose_scale(own)
        return 2 ** (blocks - 1)

    def _choose_scale(self, own: LatentScale) -> None:
        """The constants given, else the autoencoder's; remarks on where they differ."""
        known = self._given.items()
        given: dict[str, Any] = {n: float(value) for n, value in known if value is not None}
        self._scale = replace(own, **given)
        theirs = {"scale": own.scale, "shift": own.shift}
        self.remarks = [
            f"{name}={value:g}: the config.json of {self.vae} says {theirs[name]}; {value:g} is "
            "used, give null for the autoencoder's own"
            for name, value in given.items()
            if value != theirs[name]
        ]

    def _error(self, text: str) -> ValueError:
        return ValueError(f"vae={self.vae}: {text}")


def _finite(batch: Tensor) -> Tensor:
    return torch.isfinite(batch).flatten(1).all(1)


def _check_counts(counts: Mapping[str, object], otherwise: str = "") -> None:
    for name, value in counts.items():
        if type(value) is not int or value < 1:
            raise ValueError(f"{name}={value}: must be an integer of at least 1{otherwise}")


def _checked(name: str, batch: Tensor, shape: tuple[int, int, int]) -> Tensor:
    if batch.ndim != 4 or batch.shape[1:] != shape:
        wanted = ", ".join(map(str, shape))
        raise ValueError(f"{name}: must have shape (N, {wanted}), got {tuple(batch.shape)}")
    return batch
