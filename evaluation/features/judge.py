"""A dual encoder that is trained here, as a measure of images and of what they should show.

Its Frechet distance, "FID (emoji)", and its CLIP score compare runs of one data set with each
other; they are not those of Inception and of a published CLIP.
"""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from evaluation.features.clip_text import ClipTexts
from evaluation.features.float32 import full_float32
from evaluation.features.image_tower import load_image_tower

WHITE = 255.0


class JudgeExtractor(nn.Module):
    """Features of an image, and the space where it meets its caption; float32.

    Args:
        weights: image.safetensors of its image tower. Its text side lies beside it in text/, the
            tokenizer in tokenizer/ there or one folder above, as scripts/train_text.py writes them.
        name: of the feature space, part of the name of every metric measured in it.
        side: of the images, in pixels.

    Attributes:
        identity: what decides its values besides the weights.

    Raises:
        ValueError: files that are missing, damaged or of networks that do not meet; no name.
    """

    num_classes: int | None = None

    def __init__(self, weights: Path, name: str, side: int) -> None:
        super().__init__()
        if not name:
            raise ValueError("name='': would pass for Inception's features; name the judge")
        if type(side) is not int or side < 1:
            raise ValueError(f"side={side}: give a whole number of pixels from 1")
        self.space, self._side = name, side
        folder = Path(weights).parent
        self._tower = load_image_tower(Path(weights))
        places = (folder / "tokenizer", folder.parent / "tokenizer")
        tokenizer = next((place for place in places if place.is_dir()), places[0])
        self._texts = ClipTexts(folder / "text", tokenizer)
        if self._texts.width != self._tower.head.out_features:
            raise ValueError(
                f"weights={weights}: images meet in {self._tower.head.out_features} values, texts "
                f"in {self._texts.width}; take both from one training"
            )
        text = (folder / "text" / "model.safetensors").read_bytes()
        self.identity = {
            "text_sha256": hashlib.sha256(text).hexdigest(),
            "tokenizer_sha256": self._texts.digest,
        }

    def check(self, height: int, width: int) -> None:
        """Raises ValueError for images of another size than it was trained on."""
        if (height, width) != (self._side, self._side):
            raise ValueError(
                f"{width}x{height} images: the judge takes {self._side}x{self._side}; choose an "
                "extractor for this size"
            )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Of uint8 images (N, 3, side, side): "pool" (N, D), "embedding" unit vectors (N, E).

        Raises:
            ValueError: another size.
        """
        self.check(*images.shape[2:])
        with full_float32():
            pool = self._tower.features(images.float() / (WHITE / 2) - 1)
            embedding = self._tower.head(pool)
        return {"pool": pool, "embedding": nn.functional.normalize(embedding, dim=-1)}

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Tensor:
        """Unit vectors (N, E) of N > 0 texts, in the space of "embedding"."""
        return self._texts(texts)
