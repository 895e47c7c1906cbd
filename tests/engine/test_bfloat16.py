"""What bfloat16 costs in quality; products as bfloat16 units compute them, everywhere."""

import numpy as np
import pytest
import torch
from bfloat16 import Bfloat16Products

from evaluation.cost.machine import has_bfloat16
from tstitch.config.cli import compose
from tstitch.run.generate import run_sampling
from tstitch.scoring.compare import compare
from tstitch.scoring.evaluation import Evaluation

RUN = ("sampler.steps=10", "run.num_images=200", "run.batch_size=50", "run.device=cpu")


@pytest.mark.skipif(has_bfloat16() is True, reason="the units themselves are tested below")
def test_emulated_products():
    """Catches: a stand-in that does not compute what PyTorch computes, only slower."""
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(shape, generator=generator).bfloat16()
        for shape in ((98, 256), (64, 256), (64,))
    )
    with torch.inference_mode():
        expected = torch.nn.functional.linear(x, weight, bias)
        with Bfloat16Products():
            found = torch.nn.functional.linear(x, weight, bias)
    assert found.dtype == torch.bfloat16
    assert (found != expected).float().mean() < 0.01


@pytest.mark.slow
def test_quality(tmp_path):
    """Catches: sampler state or update in bfloat16, whose rounding errors add up over the steps."""

    def run(name, dtype):
        config = compose("sample", [*RUN, f"run.dtype={dtype}", f"run.dir={tmp_path / name}"])
        folder = run_sampling(config)
        evaluation = Evaluation.read(folder / "evaluation.json")
        with np.load(folder / "samples.npz") as samples:
            return samples["arr_0"].astype(int), evaluation

    exact, reference = run("exact", "fp32")
    with Bfloat16Products():
        rounded, evaluation = run("rounded", "bf16")
    assert 0 < np.abs(rounded - exact).mean() < 3
    change = compare(evaluation, reference)["fid"]
    assert abs(change.difference) < 0.02 * reference.metrics["fid"].value
