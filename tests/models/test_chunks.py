"""Images that go through an autoencoder at once: by a device's memory, fewer where it is short."""

import logging

import pytest
import torch

from models.chunks import MOST, images_at_once, in_chunks

SD = [128, 256, 512, 512]  # Stable Diffusion's autoencoder
GIB = 2**30


@pytest.mark.parametrize(
    ("side", "itemsize", "gib", "expected"),
    [(256, 4, 79, 32), (256, 4, 139, 64), (256, 2, 79, 64), (256, 4, 23, 8), (512, 4, 79, 8)],
)
def test_chunk_by_memory(side, itemsize, gib, expected):
    """Catches: bytes for numbers, the widest level forgotten, half of the memory for decoding."""
    assert images_at_once(SD, side, itemsize, gib * GIB) == expected


def test_chunk_is_at_least_one_and_bounded():
    """Catches: a chunk of none on a small device, one of thousands for tiny images."""
    assert images_at_once(SD, 1024, 4, GIB) == 1
    assert images_at_once([8], 16, 4, 80 * GIB) == MOST


def limited(most: int, seen: list[int]):
    """Doubles its input, like a device with room for `most` images."""

    def function(part: torch.Tensor) -> torch.Tensor:
        seen.append(len(part))
        if len(part) > most:
            raise torch.OutOfMemoryError("no room")
        return 2 * part

    return function


def test_short_memory_halves_the_chunk_and_says_so(caplog):
    """Catches: a run that ends, images lost or doubled in the second trial, bits that change
    without a word.
    """
    batch, seen = torch.arange(11.0), []
    with caplog.at_level(logging.WARNING):
        result, size = in_chunks(limited(3, seen), batch, 8)
    assert torch.equal(torch.cat(result), 2 * batch) and size == 2
    assert seen == [8, 4, 2, 2, 2, 2, 2, 1]
    assert [r.getMessage().split(";")[0] for r in caplog.records] == [
        "pair.space.chunk: memory is short"
    ] * 2
    caplog.clear()
    assert in_chunks(limited(3, seen), batch, 2)[1] == 2 and not caplog.records


def test_no_room_for_one_image():
    """Catches: an endless loop of trials."""
    with pytest.raises(torch.OutOfMemoryError):
        in_chunks(limited(0, []), torch.zeros(3), 4)
