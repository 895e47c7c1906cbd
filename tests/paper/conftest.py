"""Reproductions in miniature of the miniature: the shipped models, 4 steps, a handful of images."""

from pathlib import Path

import numpy as np
import pytest

from tstitch.config.cli import compose
from tstitch.paper.run import run_reproduction
from tstitch.runtime.errors import UserError

PATIENCE_S = 900


@pytest.fixture(scope="session")
def reference(tmp_path_factory) -> Path:
    """A few images to compare with: the shipped reference takes seconds to read."""
    path = tmp_path_factory.mktemp("reference") / "real.npz"
    tiles = np.random.default_rng(0).integers(0, 256, (60, 4, 4), dtype=np.uint8)
    np.savez(path, tiles.repeat(7, axis=1).repeat(7, axis=2))
    return path


@pytest.fixture(scope="session")
def tiny(reference):
    """Overrides of every reproduction here."""
    own = [
        "sampler.steps=4", "run.batch_size=4", "run.device=cpu", "engine.threads=1",
        f"evaluation.reference={reference}", "evaluation.floor=null", "evaluation.groups=4",
    ]  # fmt: skip
    return ("images=8", "overrides=[" + ",".join(f"'{word}'" for word in own) + "]")


@pytest.fixture(scope="session")
def reproduce(tiny):
    """reproduce(root, *overrides): the report's path, made in this process."""

    def run(root: Path, *overrides: str) -> Path | None:
        return run_reproduction(compose("reproduce", [*tiny, f"root={root}", *overrides]))

    return run


@pytest.fixture(scope="session")
def refusal(reproduce):
    """refusal(root, *overrides): the one line that a reproduction ends with."""

    def run(root: Path, *overrides: str) -> str:
        with pytest.raises(UserError) as caught:
            reproduce(root, *overrides)
        message = str(caught.value)
        assert len(message.splitlines()) == 1, message
        return message

    return run


@pytest.fixture(scope="session")
def command(tiny, run_script):
    """command(*arguments, processes): the finished command."""

    def run(*arguments: str, processes: int = 0):
        words = (*tiny, *arguments)
        return run_script("reproduce.py", *words, processes=processes, timeout=PATIENCE_S)

    return run
