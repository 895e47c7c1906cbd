"""Images of small runs against those that an earlier version made (kept_images.py)."""

from pathlib import Path

import numpy as np
import pytest
from kept_images import MACHINE, RUNS, machine, read, words

from tstitch.config.cli import compose
from tstitch.run.generate import run_sampling

pytestmark = pytest.mark.slow
FIXTURE = Path(__file__).parents[1] / "fixtures" / "runs.npz"


@pytest.fixture(scope="module")
def kept():
    with np.load(FIXTURE, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def check(run: Path, name: str, kept) -> None:
    """On the machine of the kept ones byte by byte; sums of others round otherwise."""
    found = read(run)
    images, labels = kept[f"{name}/images"], kept[f"{name}/labels"]
    np.testing.assert_array_equal(found["labels"], labels)
    assert found["images"].shape == images.shape and len(np.unique(images)) > 8
    if str(kept[MACHINE]) == machine():
        np.testing.assert_array_equal(found["images"], images)
    levels = np.abs(found["images"].astype(int) - images.astype(int))
    assert np.mean(levels <= (8 if name == "bf16" else 1)) >= 0.99


def sample(*overrides: str) -> Path:
    return run_sampling(compose("sample", overrides))


@pytest.mark.parametrize("name", RUNS)
def test_same_images(name, kept, tmp_path):
    """Catches: a change of the code that changes images, of any sampler, schedule or space."""
    check(sample(*words(name, tmp_path), f"run.dir={tmp_path}/run"), name, kept)


def test_same_images_of_a_resumed_run(kept, tmp_path):
    """Catches: another batch, or another stream of noise, where a run goes on."""
    given = [*words("ddim eta 1", tmp_path), f"run.dir={tmp_path}/run"]
    sample(*given, "run.num_images=2")
    check(sample(*given), "ddim eta 1", kept)


def test_same_images_of_two_ranks(kept, run_script, tmp_path):
    """Catches: batches cut by rank."""
    given = [*words("ddim eta 1", tmp_path), f"run.dir={tmp_path}/run"]
    done = run_script("sample.py", *given, processes=2)
    assert done.returncode == 0, done.stderr
    check(tmp_path / "run", "ddim eta 1", kept)
