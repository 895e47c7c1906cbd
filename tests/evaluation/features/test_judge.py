"""The judge: features, and images and captions in one space, from the folder of a training."""

import shutil

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from stand_ins import save_judge

from evaluation.features.image_tower import ImageTower, load_image_tower
from evaluation.features.judge import JudgeExtractor

CAPTIONS = ["red square, flat style", "blue disc, drawn style", "red disc, grey style"]
IMAGES = torch.randint(0, 256, (4, 3, 16, 16), generator=torch.Generator().manual_seed(0)).byte()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_judge(tmp_path_factory.mktemp("pair"), CAPTIONS)


def test_what_it_gives(weights):
    """Catches: pixels on another scale than in training, a head that is left out, embeddings of
    other lengths than 1, texts that depend on those beside them."""
    judge = JudgeExtractor(weights, "emoji", 16)
    found, tower = judge(IMAGES), load_image_tower(weights)
    scaled = IMAGES.float() / 127.5 - 1
    assert torch.allclose(found["pool"], tower.features(scaled), atol=1e-6)
    assert torch.allclose(found["embedding"], F.normalize(tower(scaled), dim=1), atol=1e-6)
    texts = judge.embed_texts(CAPTIONS)
    assert texts.shape == (3, 5) and torch.allclose(texts.norm(dim=1), torch.ones(3))
    alone = torch.cat([judge.embed_texts([caption]) for caption in CAPTIONS])
    assert torch.allclose(texts, alone, atol=1e-5) and torch.pdist(texts).min() > 1e-3
    assert judge.space == "emoji" and judge.num_classes is None


def test_as_the_dual_encoder_was_trained(weights):
    """Catches: another end of texts or another projection than in training."""
    from transformers import CLIPTextModelWithProjection

    from tstitch.text_training.tokens import load_tokenizer, tokenized

    folder = weights.parent
    tokens = tokenized(load_tokenizer(folder.parent / "tokenizer"), CAPTIONS)
    network = CLIPTextModelWithProjection.from_pretrained(folder / "text").float().eval()
    with torch.no_grad():
        expected = F.normalize(network(tokens).text_embeds, dim=1)
    found = JudgeExtractor(weights, "emoji", 16).embed_texts(CAPTIONS)
    assert torch.allclose(found, expected, atol=1e-5)


def test_identity_tells_text_sides_apart(weights, tmp_path):
    """Catches: a CLIP score that is kept though the text side is another."""
    other = save_judge(tmp_path, CAPTIONS, seed=1)
    shutil.copy(weights, other)
    first, second = (JudgeExtractor(path, "emoji", 16).identity for path in (weights, other))
    assert first["text_sha256"] != second["text_sha256"]
    assert first["tokenizer_sha256"] == second["tokenizer_sha256"]


def test_what_is_refused(weights, tmp_path):
    """Catches: a traceback for folders without a part, halves of two trainings, other sizes."""
    with pytest.raises(ValueError, match="^28x28 images: the judge takes 16x16"):
        JudgeExtractor(weights, "emoji", 16)(torch.zeros(1, 3, 28, 28, dtype=torch.uint8))
    with pytest.raises(ValueError, match="^name=''"):
        JudgeExtractor(weights, "", 16)
    with pytest.raises(ValueError, match="^side=0"):
        JudgeExtractor(weights, "emoji", 0)
    for part in ("judge/text", "tokenizer"):
        pair = shutil.copytree(weights.parent.parent, tmp_path / part.replace("/", "-"))
        shutil.rmtree(pair / part)
        with pytest.raises(ValueError, match="^weights=.* cannot be read") as caught:
            JudgeExtractor(pair / "judge" / "image.safetensors", "emoji", 16)
        assert "\n" not in str(caught.value)
    pair = shutil.copytree(weights.parent.parent, tmp_path / "halves")
    save_file(ImageTower((8, 16), 7, 4).state_dict(), pair / "judge" / "image.safetensors")
    with pytest.raises(ValueError, match="images meet in 7 values, texts in 5"):
        JudgeExtractor(pair / "judge" / "image.safetensors", "emoji", 16)
