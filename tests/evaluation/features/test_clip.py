"""A CLIP of transformers, tiny and random: as transformers computes it, or refused in one line."""

import json
import shutil

import pytest
import torch
from stand_ins import save_clip

from evaluation.features.clip import ClipExtractor

TEXTS = ["a red fish", "an old boat at sea in the rain", "fish"]
IMAGES = torch.randint(0, 256, (3, 3, 40, 30), generator=torch.Generator().manual_seed(0)).byte()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip"))


def test_cosines_are_those_of_the_model(folder):
    """Catches: images prepared in another way, texts padded so that they mean something else, a
    projection that is left out."""
    from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

    extractor = ClipExtractor(folder, "tiny")
    model = CLIPModel.from_pretrained(folder).eval()
    tokens = CLIPTokenizer.from_pretrained(folder)(
        TEXTS, padding=True, truncation=True, max_length=10, return_tensors="pt"
    )
    pixels = CLIPImageProcessor.from_pretrained(folder)([*IMAGES], return_tensors="pt")
    with torch.no_grad():
        expected = model(**tokens, **pixels)
        found = extractor(IMAGES)
    assert pixels["pixel_values"].shape == (3, 3, 20, 20)
    cosines = found["embedding"] @ extractor.embed_texts(TEXTS).T
    scale = model.logit_scale.exp()
    assert torch.allclose(cosines * scale, expected.logits_per_image, atol=1e-4)
    assert found["pool"].shape == (3, 6) and cosines.std() > 0.01
    alone = torch.cat([extractor.embed_texts([text]) for text in TEXTS])
    assert torch.allclose(alone, extractor.embed_texts(TEXTS), atol=1e-5)


def test_identity_has_what_prepares_images(folder, tmp_path):
    """Catches: scores of another crop or vocabulary that pass for the same measure."""
    other = shutil.copytree(folder, tmp_path / "other")
    path = other / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_center_crop": False}))
    first, second = (ClipExtractor(f, "tiny").identity for f in (folder, other))
    assert first["processor_sha256"] != second["processor_sha256"]
    assert first["tokenizer_sha256"] == second["tokenizer_sha256"] and first["processor"]


@pytest.mark.parametrize(
    ("part", "inside"),
    [
        ("preprocessor_config.json", "has no preprocessor_config.json"),
        ("model.safetensors", "cannot be read"),
        ("vocab.json", "tokenizer cannot be read"),
    ],
)
def test_folders_that_lack_a_part(folder, tmp_path, part, inside):
    """Catches: a traceback, or another network's download, for a folder that is not whole."""
    other = shutil.copytree(folder, tmp_path / "other")
    (other / part).unlink()
    with pytest.raises(ValueError, match=inside) as caught:
        ClipExtractor(other, "tiny")
    assert str(caught.value).startswith(f"weights={other}: ") and "\n" not in str(caught.value)
