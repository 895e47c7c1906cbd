"""The text side of CLIP (arXiv 2103.00020), from a folder of transformers."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from evaluation.features.float32 import full_float32

TOKENIZER_FILES = (
    "vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json",
)  # fmt: skip
LENGTH = 77  # most tokens of a text, where the tokenizer does not say
BATCH = 64  # texts at once


class ClipTexts(nn.Module):
    """Texts as unit vectors in the space where they meet images; float32.

    Args:
        network: folder of a CLIPModel or CLIPTextModelWithProjection.
        tokenizer: folder of its tokenizer.

    Attributes:
        digest: SHA-256 of the tokenizer's files.

    Raises:
        ValueError: files that are missing, damaged, or of another network; one line.
    """

    def __init__(self, network: Path, tokenizer: Path) -> None:
        super().__init__()
        from transformers import CLIPTextModelWithProjection, CLIPTokenizer

        self._network = load_frozen(CLIPTextModelWithProjection, network)
        files = [tokenizer / name for name in TOKENIZER_FILES if (tokenizer / name).is_file()]
        try:
            self._tokenizer = CLIPTokenizer.from_pretrained(tokenizer, local_files_only=True)
        except Exception as error:  # damaged files raise nearly anything
            raise unreadable(tokenizer, "tokenizer", error) from error
        lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in files]
        self.digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def width(self) -> int:
        """Values of a vector."""
        return int(self._network.config.projection_dim)

    @torch.no_grad()
    def forward(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (N, width) of N > 0 texts; what is longer than the network takes is cut."""
        device = next(self.parameters()).device
        most = int(self._network.config.max_position_embeddings or LENGTH)
        options = {"padding": True, "truncation": True, "return_tensors": "pt"}
        parts = []
        with full_float32():
            for first in range(0, len(texts), BATCH):
                batch = [*texts[first : first + BATCH]]
                tokens = self._tokenizer(batch, max_length=most, **options).to(device)
                found = self._network(tokens["input_ids"], tokens["attention_mask"])
                parts.append(nn.functional.normalize(found.text_embeds, dim=-1))
        return torch.cat(parts)


def load_frozen(kind: Any, folder: Path) -> Any:
    """A network of transformers by its class, float32, frozen, on the CPU.

    Raises:
        ValueError: files that are missing, damaged, or of another network; one line.
    """
    options = {"local_files_only": True, "output_loading_info": True}
    try:
        with _without_bars():
            network, report = kind.from_pretrained(folder, **options)
    except Exception as error:  # damaged files raise nearly anything
        raise unreadable(folder, kind.__name__, error) from error
    if missing := sorted(report["missing_keys"]):
        raise ValueError(
            f"weights={folder}: is no {kind.__name__} (it lacks {missing[0]}); give another folder"
        )
    return network.float().eval().requires_grad_(False)


@contextmanager
def _without_bars() -> Iterator[None]:
    """Without transformers' progress bars, for files that are here already."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def unreadable(folder: Path, what: str, error: Exception) -> ValueError:
    """The error for a folder that something cannot be read from; the caller raises it."""
    reason = " ".join(str(error).split())[:200]
    return ValueError(
        f"weights={folder}: its {what} cannot be read ({reason}); get the folder again"
    )
