"""A published CLIP (arXiv 2103.00020) as transformers reads it: features, and the CLIP score."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from evaluation.features.clip_text import TOKENIZER_FILES, ClipTexts, load_frozen, unreadable
from evaluation.features.float32 import full_float32

PROCESSOR = "preprocessor_config.json"


class ClipExtractor(nn.Module):
    """Both sides of a CLIP, and its own preparation of images; float32.

    Images are resized, cropped and normalised by transformers' CLIPImageProcessor with the values
    of the folder, as torchmetrics' CLIPScore does.

    Args:
        weights: folder with config.json, weights, preprocessor_config.json and the tokenizer.
        name: of the model, part of the name of every metric measured with it.

    Attributes:
        companions: files that it needs beside config.json and weights, where the folder has them.
        identity: what decides its values besides the weights.

    Raises:
        ValueError: files that are missing or damaged, or no name; one line.
    """

    companions = (PROCESSOR, *TOKENIZER_FILES)
    num_classes: int | None = None

    def __init__(self, weights: Path, name: str) -> None:
        super().__init__()
        from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

        if not name:
            raise ValueError("name='': would pass for Inception's features; name the model")
        self.space, folder = name, Path(weights)
        if not (folder / PROCESSOR).is_file():
            raise ValueError(f"weights={folder}: has no {PROCESSOR}; give the folder of a CLIP")
        self._images = load_frozen(CLIPVisionModelWithProjection, folder)
        self._texts = ClipTexts(folder, folder)
        try:
            self._processor: Any = CLIPImageProcessor.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # damaged files raise nearly anything
            raise unreadable(folder, PROCESSOR, error) from error
        self.identity = {
            "tokenizer_sha256": self._texts.digest,
            "processor_sha256": hashlib.sha256((folder / PROCESSOR).read_bytes()).hexdigest(),
            "processor": type(self._processor).__name__,
        }

    def check(self, height: int, width: int) -> None:
        """Raises ValueError for images without pixels; all others are resized."""
        if height < 1 or width < 1:
            raise ValueError(f"{width}x{height} images have no pixels; give larger ones")

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Of uint8 images (N, 3, H, W): "pool" (N, E), "embedding" the same as unit vectors."""
        prepared = self._processor([*images.cpu()], return_tensors="pt")["pixel_values"]
        with full_float32():
            pool = self._images(prepared.to(images.device)).image_embeds
        return {"pool": pool, "embedding": nn.functional.normalize(pool, dim=-1)}

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Tensor:
        """Unit vectors (N, E) of N > 0 texts, in the space of "embedding"."""
        return self._texts(texts)
