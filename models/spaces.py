"""Spaces that denoisers work in: pixels, or the latents of a variational autoencoder."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from models.autoencoder_space import AutoencoderSpace
from models.checkpoints import load_autoencoder
from models.download import one_line, sha256_of
from models.folders import is_local, local_folder, naming
from models.images import are_finite, check_counts, checked, to_uint8
from models.latent_scale import LatentScale
from models.precision import DTYPES

WEIGHTS = "diffusion_pytorch_model.safetensors"
HUB_FACTOR = 8  # image pixels per latent, along a side, of the Stable Diffusion VAEs


class PixelSpace:
    """Latents are the images themselves, in [-1,1].

    Args:
        channels: 1 (greyscale) or 3.
        size: side of the square images, in pixels.
    """

    def __init__(self, channels: int, size: int) -> None:
        check_counts({"channels": channels, "size": size})
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
        return checked("images", images, self.shape)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N,C,H,W) as uint8 images (N,H,W,3) on the same device."""
        return to_uint8(checked("latents", latents, self.shape))

    def decode_checked(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """As `decode`, and which images are finite, bool (N,)."""
        return self.decode(latents), are_finite(latents)

    def digest(self) -> str:
        """What decides the images."""
        return "pixel"


class VAESpace(AutoencoderSpace):
    """Latents of diffusers' AutoencoderKL, scaled.

    The constructor checks what is cheap; the network is loaded by `load` or when first needed.

    Args:
        vae: folder from `save_pretrained`, with safetensors, `shipped:FOLDER`, or a Hugging Face
            name `owner/name`.
        size: side of the square latents.
        channels: of the latents.
        scale: latents handed out are the autoencoder's own, less `shift`, times this. None =
            scaling_factor of its config.json (0.18215 if there is none).
        shift: None = shift_factor, or latents_mean, of its config.json (0 if there is none).
        chunk, dtype: as of AutoencoderSpace.

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
        check_counts({"size": size, "channels": channels})
        super().__init__((channels, size, size), chunk, dtype)
        if scale is not None and (type(scale) not in (int, float) or not 0 < scale < math.inf):
            raise ValueError(f"scale={scale}: must be a positive number, or null")
        if shift is not None and (type(shift) not in (int, float) or not math.isfinite(shift)):
            raise ValueError(f"shift={shift}: must be a finite number, or null")
        self.vae = str(vae)
        self._given = {"scale": scale, "shift": shift}
        self._scale: LatentScale | None = None  # known with the config.json
        self.remarks: list[str] = []
        if local_folder(self.vae).is_file():
            raise self._error("is a file; give its folder, with the config.json")
        self._is_local = is_local(self.vae)
        if not self._is_local and not re.fullmatch(r"[\w.-]+/[\w.-]+", self.vae):
            raise self._error("is neither a folder nor a hub name; give a folder or owner/name")
        self._factor = self._check_folder(self._folder()) if self._is_local else HUB_FACTOR
        self.image_size = size * self._factor

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
        checked("images", images, (self.image_channels, self.image_size, self.image_size))
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

    @torch.no_grad()
    def decode_checked(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """As `decode`, and which images are finite, bool (N,): uint8 cannot tell."""
        checked("latents", latents, self.shape)
        network = self.load()._network

        def images(part: Tensor) -> tuple[Tensor, Tensor]:
            part = self.constants.undo(part.float()).to(DTYPES[self.precision])
            pixels = network.decode(part).sample
            return to_uint8(pixels), are_finite(pixels)

        levels, finite = zip(*self._in_chunks(images, latents.to(self._device)), strict=True)
        return torch.cat(levels), torch.cat(finite)

    def digest(self) -> str:
        """What decides the images: the weights' SHA-256, scale and precision on the device that
        `to` named; may ask the hub."""
        return f"vae:{sha256_of(self._folder() / WEIGHTS)}:{self.constants}:{self.precision}"

    def _folder(self) -> Path:
        """The folder of configuration and weights, fetched from the hub or its cache."""
        if self._is_local:
            return local_folder(self.vae)
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
