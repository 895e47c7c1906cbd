"""docs/tutorial.ipynb, run from its first cell to its last in a kernel of its own."""

import re
from pathlib import Path

import pytest
from stand_ins import save_vae

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"
PATIENCE_S = 600  # of a cell, on a busy machine


@pytest.fixture
def emoji(tmp_path, text_pipeline, unet_config):
    """A tiny folder as models/pretrained/emoji is to be: a pipeline, and unet_small."""
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    config = {k: v for k, v in unet_config.items() if k[0] != "_"}
    config |= {"in_channels": 4, "out_channels": 4}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        large = UNet2DConditionModel(**config)
        small = UNet2DConditionModel(**config | {"block_out_channels": [4, 8]})
    from diffusers import AutoencoderKL

    pipe = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(save_vae(tmp_path / "vae")),
        text_encoder=CLIPTextModel.from_pretrained(text_pipeline / "text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(text_pipeline / "tokenizer", model_max_length=9),
        unet=large,
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    folder = tmp_path / "emoji"
    pipe.save_pretrained(folder)
    small.save_pretrained(folder / "unet_small")
    return folder


def read():
    return pytest.importorskip("nbformat").read(NOTEBOOK, as_version=4)


def test_it_is_kept_without_outputs():
    """Catches: images and paths of somebody's machine in the repository."""
    cells = [cell for cell in read().cells if cell.cell_type == "code"]
    assert cells and not any(cell.outputs or cell.execution_count for cell in cells)
    assert NOTEBOOK.stat().st_size < 20_000


@pytest.mark.slow
def test_it_runs(emoji):
    """Catches: a name of the notebook interface that changed, links and pairs that are gone."""
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = read()
    (settings,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", ()))
    settings.source, count = re.subn(r"(?m)^EMOJI = .*$", f"EMOJI = Path({str(emoji)!r})",
                                     settings.source)  # fmt: skip
    assert count == 1
    client = nbclient.NotebookClient(
        notebook, timeout=PATIENCE_S, resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    pictures = [o for o in outputs if "image/png" in o.get("data", ())]
    words = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")
    assert len(pictures) == 4 and "'small': 10, 'large': 15" in words
    assert "25 of 25 steps: small 10, large 15" in words and "10 of 10 steps: small 4" in words
