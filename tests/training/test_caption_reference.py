"""scripts/reference.py of images with captions: these are no classes, and the floor has a score."""

import json

import numpy as np
from stand_ins import save_judge

from evaluation.features.reference import open_reference
from tstitch.config.cli import compose
from tstitch.data.emoji_captions import EmojiCaptions
from tstitch.scoring.make_reference import make_reference


def test_reference_of_the_emojis(tmp_path):
    """Catches: captions counted as classes, which would flag every run as of other ones; a floor
    without CLIP score; a reference of the held-out images."""
    weights = save_judge(tmp_path, EmojiCaptions(side=8).prompts[:50])
    words = ["data=emoji_captions", "data.side=8", "evaluation=emoji", "evaluation.captions=null"]
    words += [f"evaluation.weights={weights}", "evaluation.extractor.side=8"]
    words += [f"output={tmp_path}/out.npz", f"floor={tmp_path}/floor.json", "device=cpu"]
    make_reference(compose("reference", [*words, "features=20", "floor_images=[40]"]))
    reference = open_reference(tmp_path / "out.npz", "reference")
    assert reference.num_images == 9039 and reference.class_counts is None
    assert reference.features.shape == (20, 16) and "pool" in reference.gaussians
    (floor,) = json.loads((tmp_path / "floor.json").read_text())
    assert floor["num_images"] == 40 and {"fid", "clip_score"} <= floor["metrics"].keys()
    assert floor["flags"] == {} and np.isfinite(floor["metrics"]["clip_score"]["value"])
