"""A pair of U-Nets with random weights and prompts, on the command line and in a sweep."""

import csv
import json
import shutil

import numpy as np
import pytest
import tiles
import yaml
from PIL import Image

from evaluation.report.sheets import cell_size
from tstitch.config.cli import compose
from tstitch.run.generate import run_sampling
from tstitch.sweep.run import run_sweep

PROMPTS = ["a cat on a mat", "dog", "a very long story of a bird that flew over the sea"]
SIZE, IMAGES = 8, 6


@pytest.fixture(scope="module")
def toy(tmp_path_factory, text_pipeline, unet_config, environment):
    """Words of the command line that choose the pair; its feature space needs no download."""
    folder = tmp_path_factory.mktemp("toy")
    shutil.copy(tiles.__file__, folder)
    (folder / "prompts.txt").write_text("\n".join(PROMPTS))
    (folder / "none.pt").write_text("nobody reads these weights")
    colours = np.random.default_rng(0).integers(0, 256, (40, SIZE, SIZE, 3), np.uint8)
    np.savez(folder / "real.npz", colours)
    network = {"_target_": "models.diffusers_denoiser.DiffusersDenoiser"}
    small = network | {"config": unet_config | {"block_out_channels": [4, 8]}}
    large = network | {"source": str(text_pipeline / "unet")}
    pair = {
        "name": "toy",
        "prompts": str(folder / "prompts.txt"),
        "text_encoder": {"_target_": "models.text_encoder.ClipText", "source": str(text_pipeline)},
        "space": {"_target_": "models.spaces.PixelSpace", "channels": 3, "size": SIZE},
        "process": {"_target_": "samplers.ScaledLinearVP"},
        "guidance": {"scale": 3},
        "denoisers": {
            "small": {"network": small, "weights": "random", "sha256": None},
            "large": {"network": large, "weights": "pretrained", "sha256": None},
        },
        "evaluation": {
            "extractor": {"_target_": "tiles.TileMeans"},
            "weights": str(folder / "none.pt"),
            "reference": str(folder / "real.npz"),
            "floor": None,
            "groups": 3,
            "batch_size": 10,
        },
    }
    (folder / "pair").mkdir()
    (folder / "pair" / "toy.yaml").write_text(yaml.safe_dump(pair, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(environment, "PYTHONPATH", str(folder))  # of tiles.py
        yield (
            f"hydra.searchpath=[{folder}]", "pair=toy", "sampler=ddim", "sampler.steps=4",
            "stitch.fraction=0.5", f"run.num_images={IMAGES}", "run.batch_size=2",
            "run.device=cpu", "engine.threads=1",
        )  # fmt: skip


@pytest.mark.slow
def test_prompts_on_the_command_line(toy, run_script, tmp_path):
    """Catches: prompts that a command, a second process, a resumed run, a grid, a report or a
    sweep knows nothing of; images that depend on who made them."""
    words = (*toy, f"run.root={tmp_path}/one")
    done = run_script("sample.py", *words, "run.num_images=4", processes=2)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "one" / "toy").iterdir()
    for path in (folder / "samples.npz", folder / "shards" / "00000002-00000004.npz"):
        path.unlink()
    run_sampling(compose("sample", [*words]))
    assert [path.name for path in (tmp_path / "one" / "toy").iterdir()] == [folder.name]

    with np.load(folder / "samples.npz") as archive:
        images, labels = archive["arr_0"], archive["arr_1"]
    assert images.shape == (IMAGES, SIZE, SIZE, 3) and labels.tolist() == [0, 1, 2] * 2
    assert labels.dtype == np.int64 and len(np.unique(images, axis=0)) == IMAGES
    assert json.loads((folder / "prompts.json").read_text()) == PROMPTS
    report = (folder / "report.md").read_text()
    assert f"- Images: {IMAGES} of 3 prompts, classes balanced" in report
    assert "- Guidance: scale 3" in report and "## Quality" in report
    width, height = cell_size((SIZE, SIZE), lines=3)
    with Image.open(folder / "grid.png") as grid:
        assert grid.size[1] % height < 5 and grid.size[0] >= IMAGES * width

    words = (*toy, f"run.root={tmp_path}/two", "sweep.fractions=[0,0.5]", "sweep.strip=3")
    report = run_sweep(compose("sweep", [*words, "sweep.timing_rounds=1"]))
    rows = list(csv.DictReader((report / "points.csv").open()))
    assert [row["steps_small"] for row in rows] == ["0", "2"]
    assert rows[1]["fid_difference"] and (report / "strip.png").is_file()
    same = tmp_path / "two" / "toy" / folder.name
    assert (same / "samples.npz").read_bytes() == (folder / "samples.npz").read_bytes()
