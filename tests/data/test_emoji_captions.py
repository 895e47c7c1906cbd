"""Emojis in an order drawn once, with captions that are all in the grid of choices."""

import torch

from tstitch.data.emoji_captions import EmojiCaptions, emoji_grid
from tstitch.data.emoji_set import emoji_set


def test_splits_and_grid():
    """Catches: an order by style, which the first images of a reference would be of one style of;
    images without their caption; captions that no retrieval knows."""
    data = emoji_set(side=8)
    train, test = (EmojiCaptions(side=8, split=split) for split in ("train", "test"))
    assert (len(train), len(test)) == (9039, 1004)
    image, number = test[5]
    place = data.captions.index(test.prompts[number])
    assert number == 5 and torch.equal(image, data.images[place]) and data.held_out[place]
    first = [prompt.rpartition(", ")[2] for prompt in train.prompts[:500]]
    assert len(set(first)) == 7 and max(map(first.count, set(first))) < 150
    grid = emoji_grid()
    assert len(grid.captions) == 1623 * 7
    assert None not in grid.places([*train.prompts, *test.prompts])
