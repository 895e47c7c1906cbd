"""The image half of a dual encoder: read as it was written, or refused in one line."""

import pytest
import torch
from safetensors.torch import save_file

from evaluation.features.image_tower import ImageTower, load_image_tower


@pytest.mark.parametrize(("widths", "patch"), [((8, 16), 4), ((8, 8, 16, 24), 2)])
def test_sizes_are_those_of_the_file(tmp_path, widths, patch):
    """Catches: widths in another order, a patch that is guessed."""
    tower = ImageTower(widths, 5, patch)
    save_file(tower.state_dict(), tmp_path / "image.safetensors")
    images = torch.randn(2, 3, 32, 32)
    found = load_image_tower(tmp_path / "image.safetensors")
    assert found(images).shape == (2, 5) and found.features(images).shape == (2, widths[-1])
    assert torch.equal(found(images), tower(images).detach())
    assert not any(parameter.requires_grad for parameter in found.parameters())


@pytest.mark.parametrize("content", [None, b"", {"stem.bias": torch.zeros(8)}])
def test_other_files_are_refused(tmp_path, content):
    """Catches: a traceback for a file that is missing, cut off, or of another network."""
    path = tmp_path / "image.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        save_file(content, path)
    with pytest.raises(ValueError, match="is no image tower") as caught:
        load_image_tower(path)
    assert "\n" not in str(caught.value)
