"""The prompts of images as metrics want them: embedded, and with what else they might say."""

import logging

import torch

from evaluation.features.captions import CaptionGrid
from evaluation.features.extraction import Images
from evaluation.metrics.texts import Choices, Texts
from tstitch.config.cli import instantiate, not_a
from tstitch.runtime import distributed
from tstitch.scoring.extractor import LoadedExtractor
from tstitch.scoring.settings import EvaluationSettings

log = logging.getLogger(__name__)


class TextReader:
    """Embeds prompts by the extractor; every rank makes one and calls it alike.

    Attributes:
        identity: what decides an evaluation's values, of extractor and captions.

    Raises:
        UserError: `evaluation.captions` of another kind, or for an extractor that reads no texts.
    """

    def __init__(self, settings: EvaluationSettings, extractor: LoadedExtractor) -> None:
        self._extractor, self._grid, section = extractor, None, settings.captions
        self.identity = dict(extractor.identity)
        if section is not None:
            grid = instantiate(section, "evaluation.captions")
            if not isinstance(grid, CaptionGrid) or not extractor.reads_texts:
                raise not_a(section, "evaluation.captions", "grid of captions, or nothing reads it")
            self._grid = grid
            self.identity["captions_sha256"] = grid.digest

    def read(self, images: Images, field: str) -> Texts | None:
        """Of images with prompts; None of others, and where the extractor reads no texts.

        Args:
            field: configuration's name and value of the images, for messages.
        """
        if images.prompts is None or images.labels is None or not self._extractor.reads_texts:
            return None
        device = self._extractor.statistics_device
        labels = torch.from_numpy(images.labels)
        embeddings = self._extractor.embed_texts(images.prompts)
        return Texts(embeddings, labels.to(device), self._choices(images.prompts, labels, field))

    def _choices(
        self, prompts: tuple[str, ...], labels: torch.Tensor, field: str
    ) -> Choices | None:
        """None where a prompt of the images is none of the captions, which it says."""
        if self._grid is None:
            return None
        places = self._grid.places(prompts)
        strange = [n for n in labels.unique().tolist() if places[n] is None]
        if strange:
            log.warning(
                "%s: %d prompts are no caption of the data, as %r; no retrieval accuracy",
                field, len(strange), prompts[strange[0]],
            )  # fmt: skip
            return None
        numbers = torch.tensor([-1 if place is None else place for place in places])[labels]
        embeddings = self._extractor.embed_texts(self._grid.captions)
        if distributed.is_main():
            shape = (len(self._grid.subjects), len(self._grid.styles), -1)
            embeddings = embeddings.reshape(shape)
        return Choices(embeddings, numbers.to(self._extractor.statistics_device))
