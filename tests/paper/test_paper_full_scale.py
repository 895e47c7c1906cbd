"""Full scale without weights: the paper's networks with random ones, tiny autoencoders."""

import numpy as np
import pytest

from tstitch.config.cli import compose
from tstitch.paper.run import run_reproduction

RANDOM = dict.fromkeys(("small", "medium", "large", "uvit"), "random")


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> list[str]:
    """Two steps, and a feature space that needs no download."""
    path = tmp_path_factory.mktemp("real") / "real.npz"
    np.savez(path, np.random.default_rng(0).integers(0, 256, (20, 28, 28, 3), dtype=np.uint8))
    run = ["sampler.steps=2", "run.batch_size=4", "run.device=cpu", f"evaluation.reference={path}"]
    extractor = ["evaluation.extractor={_target_: tiles.TileMeans}", f"evaluation.weights={path}"]
    return [*run, *extractor, "evaluation.floor=null", "evaluation.groups=4"]


@pytest.fixture
def overrides(vae, scored) -> list[str]:
    """Of DiTs, at 49 tokens."""
    return [*scored, "pair.space.size=14", f"pair.space.vae={vae}"]


@pytest.mark.slow
def test_figure_1_with_the_papers_networks(overrides, tmp_path):
    """Catches: a full scale that was planned and never run."""
    config = compose("reproduce", ["paper=fig1", "scale=full", "images=4", f"root={tmp_path}"])
    curve = config["paper"]["full"]["curves"][0]
    known = curve["expected"]["fid"]
    curve["fractions"] = [0, 0.4, 0.5, 1]
    curve["expected"] = {"source": "Fig. 1", "error": 0, "fid": [known[i] for i in (0, 4, 5, 10)]}
    del config["paper"]["full"]["timing"]
    config["paper"]["claims"] = []
    config["paper"]["name"] = "fig1_trial"
    path = run_reproduction(config | {"overrides": overrides, "weights": RANDOM})
    text = path.read_text()
    assert "Not compared: FID depends on the number of images, 4 here and 5,000 there" in text
    assert "imagenet256_s_xl" in text and "fraction" in text


@pytest.mark.slow
def test_table_5_with_the_papers_networks(overrides, tmp_path):
    """Catches: networks of two families that do not run as one pair at their full size."""
    config = compose("reproduce", ["paper=table5", "scale=full", "images=4", f"root={tmp_path}"])
    curve = config["paper"]["full"]["curves"][0]
    known = curve["expected"]["fid"]
    curve["fractions"] = [0, 0.4, 1]
    curve["expected"] = {"source": "Table 5", "error": 0, "fid": [known[i] for i in (0, 4, 10)]}
    path = run_reproduction(config | {"overrides": overrides, "weights": RANDOM})
    text = path.read_text()
    assert "Not compared: FID depends on the number of images, 4 here and 5,000 there" in text
    assert "imagenet256_dit_s_uvit_h" in text and "guidance 2.5" in text and "C15" in text


@pytest.mark.slow
def test_table_1_with_the_papers_networks(scored, tmp_path):
    """Catches: U-Nets of the published sizes that cannot be run, weights that go to other ones."""
    config = compose("reproduce", ["paper=table1", "scale=full", "images=4", f"root={tmp_path}"])
    curve = config["paper"]["full"]["curves"][0]
    curve["fractions"] = [0, 0.5, 1]
    curve["expected"] = {"source": "Table 1", "error": 0, "fid": [20.11, 19.33, 40.92]}
    config["paper"] |= {"claims": [], "name": "table1_trial"}
    space = ["size=28", "widths=[32]", "attention_sides=[]", "layers=1", "codebook=64"]
    own = [
        *scored,
        "run.batch_size=1",
        *(f"pair.space.{word}" for word in space),
        "pair.space.vae=/of/the/dits",
    ]
    weights = RANDOM | {"small": "/of/the/dits", "ldm_s": "random", "ldm": "random"}
    text = run_reproduction(config | {"overrides": own, "weights": weights}).read_text()
    assert "ldm_imagenet256" in text and "Table 1" in text
