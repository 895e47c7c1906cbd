"""DINOv2's features against torch-fidelity's extractor, both around one tiny random network."""

import pytest
import torch
from torch import nn
from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

from evaluation.features.dinov2 import Dinov2Extractor


class ClassToken(nn.Module):
    """What torch.hub's networks return."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x).pooler_output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from transformers import Dinov2Config, Dinov2Model

    path = tmp_path_factory.mktemp("dinov2")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = Dinov2Config(
            hidden_size=12, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
        )
        Dinov2Model(config).save_pretrained(path)
    return path


def fidelity(network) -> FeatureExtractorDinoV2:
    """Theirs without its constructor, which downloads and runs code."""
    extractor = FeatureExtractorDinoV2.__new__(FeatureExtractorDinoV2)
    nn.Module.__init__(extractor)
    extractor.model, extractor.features_list = ClassToken(network), ["dinov2"]
    extractor.feature_extractor_internal_dtype = torch.float32
    return extractor


def test_same_as_torch_fidelity(folder):
    """Catches: another resize, normalisation or token, or one before the last layer norm."""
    from transformers import Dinov2Model

    images = torch.randint(0, 256, (3, 3, 40, 33), generator=torch.Generator().manual_seed(0))
    ours = Dinov2Extractor(folder, "tiny").eval()
    network = Dinov2Model.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = fidelity(network)(images.byte())[0]
        found = ours(images.byte())
    assert torch.allclose(found["pool"], expected, atol=1e-5) and expected.std() > 0.1
    assert found.keys() == {"pool"} and ours.num_classes is None


def test_other_folders_are_refused(folder, tmp_path):
    """Catches: a traceback, or random weights in place of those that a folder lacks."""
    with pytest.raises(ValueError, match="^weights=.*cannot be read"):
        Dinov2Extractor(tmp_path, "tiny")
    with pytest.raises(ValueError, match="^name=''"):
        Dinov2Extractor(folder, "")
