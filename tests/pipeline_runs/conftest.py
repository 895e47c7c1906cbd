"""Runs of prompts over tiny pipelines: in this process, as a command, and by hand."""

from pathlib import Path

import numpy as np
import pytest

from tstitch.config.cli import compose
from tstitch.run.generate import run_sampling
from tstitch.runtime.errors import UserError

SIZES = (
    "evaluation=none", "run.device=cpu", "engine.threads=1", "run.num_images=3", "run.batch_size=3",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for kind in ("DeprecationWarning", "FutureWarning"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """saved(name, make, *arguments): the folder that make(folder, *arguments) wrote, once."""
    root, made = tmp_path_factory.mktemp("saved"), {}

    def folder(name, make, *arguments, **options) -> Path:
        if name not in made:
            made[name] = root / name
            make(made[name], *arguments, **options)
        return made[name]

    return folder


@pytest.fixture(scope="session")
def family(saved):
    """family(name): folders of its small and large pipeline."""
    from saved import FAMILIES

    def folders(name) -> dict[str, Path]:
        return {size: saved(f"{name}-{size}", FAMILIES[name], size) for size in ("small", "large")}

    return folders


@pytest.fixture(scope="session")
def words(family):
    """words(pair, family, side): overrides of a shipped pair over tiny pipelines."""

    def overrides(pair, name, side=16) -> tuple[str, ...]:
        folders = family(name)
        sources = [f"pair.networks.{size}.source={path}" for size, path in folders.items()]
        return (f"pair={pair}", *sources, f"pair.height={side}", f"pair.width={side}", *SIZES)

    return overrides


@pytest.fixture(scope="session")
def sd(words):
    """Overrides of Stable Diffusion and BK-SDM-Tiny, six steps."""
    return (*words("sd14_bk_sdm_tiny", "sd"), "sampler.steps=6")


@pytest.fixture(scope="session")
def sample():
    """sample(directory, *overrides): a run in this process; returns its directory."""

    def run(directory, *overrides) -> Path:
        return run_sampling(compose("sample", [*overrides, f"run.dir={directory}"]))

    return run


@pytest.fixture(scope="session")
def refusal(sample, tmp_path_factory):
    """refusal(*overrides): the one line that a run ends with, before it has a directory."""

    def run(*overrides) -> str:
        folder = tmp_path_factory.mktemp("refused") / "run"
        with pytest.raises(UserError) as caught:
            sample(folder, *overrides)
        message = str(caught.value)
        assert len(message.splitlines()) == 1 and not folder.exists(), message
        return message

    return run


@pytest.fixture(scope="session")
def images():
    """images(directory): arr_0 of its samples.npz."""

    def read(directory) -> np.ndarray:
        with np.load(Path(directory) / "samples.npz", allow_pickle=False) as archive:
            return archive["arr_0"]

    return read
