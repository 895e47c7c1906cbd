"""Images as an evaluation resizes them before any network sees them."""

import numpy as np

from evaluation.features.extraction import Images

METHOD = "Pillow bicubic, whole image"  # as BK-SDM's COCO images are, arXiv 2305.15798


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """A uint8 image (H, W, 3) as (side, side, 3), whatever its proportions; itself if it is so."""
    from PIL import Image

    if image.shape[:2] == (side, side):
        return image
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


class Resized:
    """Images of a source, each resized when it is read.

    Args:
        images: of any size.
        side: in pixels.
    """

    def __init__(self, images: Images, side: int) -> None:
        self._images, self.height, self.width = images, side, side

    @property
    def labels(self) -> np.ndarray | None:
        """Those of the source."""
        return self._images.labels

    @property
    def prompts(self) -> tuple[str, ...] | None:
        """Those of the source."""
        return self._images.prompts

    def __len__(self) -> int:
        return len(self._images)

    def read(self, first: int, end: int) -> np.ndarray:
        """Images first..end-1, uint8 (n, side, side, 3)."""
        images = self._images.read(first, end)
        found = np.empty((len(images), self.height, self.width, 3), np.uint8)
        for number, image in enumerate(images):
            found[number] = resized(image, self.height)
        return found
