"""Runs of `scripts/sample.py`: in this process, as a command, and what they leave behind."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from stand_ins import fill

from models.checkpoints import save_weights
from tstitch.config.cli import compose
from tstitch.maker.parse import parse_experiment
from tstitch.pair.spec import build_network
from tstitch.run.generate import run_sampling
from tstitch.runtime.errors import UserError

LONG_S = 900
RANDOM = ("pair.denoisers.small.weights=random", "pair.denoisers.large.weights=random")
SIZES = (
    "pair.denoisers.small.network.depth=2",
    "pair.denoisers.large.network.depth=2",
    "sampler.steps=4",
    "run.num_images=24",
    "run.batch_size=8",
    "run.device=cpu",
    "engine.threads=1",
    "evaluation=none",
)


@pytest.fixture(scope="session")
def network():
    """network(name, seed): a denoiser of `tiny` that predicts about its input."""
    pair = parse_experiment(compose("sample", [*RANDOM, *SIZES])).pair

    def build(name: str, seed: int) -> torch.nn.Module:
        return fill(build_network(pair, next(s for s in pair.denoisers if s.name == name)), seed)

    return build


@pytest.fixture(scope="session")
def tiny(network, tmp_path_factory):
    """Overrides that every run here begins with."""
    folder, weights = tmp_path_factory.mktemp("weights"), []
    for seed, name in enumerate(("small", "large")):
        path = folder / f"{name}.safetensors"
        save_weights(network(name, seed).state_dict(), path, metadata={})
        weights.append(f"pair.denoisers.{name}.weights={path}")
    return (*weights, *SIZES)


@pytest.fixture(scope="session")
def sample(tiny):
    """sample(directory, *overrides): a tiny run in this process; returns its directory."""

    def run(directory: Path, *overrides: str) -> Path:
        return run_sampling(compose("sample", [*tiny, f"run.dir={directory}", *overrides]))

    return run


@pytest.fixture(scope="session")
def refusal(sample):
    """refusal(directory, *overrides): the one line that a tiny run ends with."""

    def run(directory: Path, *overrides: str) -> str:
        with pytest.raises(UserError) as caught:
            sample(directory, *overrides)
        message = str(caught.value)
        assert len(message.splitlines()) == 1, message
        return message

    return run


@pytest.fixture(scope="session")
def whole(sample, tmp_path_factory):
    """A finished tiny run of 24 images; to be copied, not changed."""
    return sample(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="session")
def measured(tmp_path_factory):
    """Overrides that evaluate tiny runs."""
    path = tmp_path_factory.mktemp("reference") / "real.npz"
    grey = np.random.default_rng(0).integers(0, 256, (60, 28, 28, 1), np.uint8)
    np.savez(path, arr_0=np.repeat(grey, 3, axis=3))
    return (
        "evaluation=pair",
        f"evaluation.reference={path}",
        "evaluation.floor=null",
        "evaluation.groups=6",
    )


@pytest.fixture(scope="session")
def images():
    """images(directory): arr_0 of its samples.npz."""

    def read(directory: Path) -> np.ndarray:
        with np.load(directory / "samples.npz", allow_pickle=False) as archive:
            return archive["arr_0"]

    return read


@pytest.fixture(scope="session")
def command(tiny, run_script):
    """command(*arguments, processes, flags, cwd, ...): the finished command with its outputs."""

    def run(*arguments: str, flags: tuple[str, ...] = (), **options):
        return run_script("sample.py", *flags, *tiny, *arguments, **options)

    return run


@pytest.fixture
def launch(tiny, script_line, environment, tmp_path):
    """launch(*arguments, processes, restarts): the command; killed at the end of the test."""
    started: list[subprocess.Popen] = []

    def run(*arguments: str, **counts: int) -> subprocess.Popen:
        words = script_line("sample.py", *tiny, *arguments, **counts)
        with open(tmp_path / "launched.log", "a") as log:
            started.append(subprocess.Popen(words, env=environment, stdout=log, stderr=log))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()
    for pid in living(tmp_path):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def until():
    """until(condition, process): waits for it, as long as the process runs."""

    def wait(condition, process: subprocess.Popen | None = None) -> None:
        end = time.monotonic() + LONG_S
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            assert process is None or process.poll() is None, "the command has ended"
            time.sleep(0.05)

    return wait


@pytest.fixture(scope="session")
def ranks():
    """ranks(directory): process of each rank, by RANK, of the run in a directory."""

    def find(directory: Path) -> dict[int, int]:
        found = {}
        for pid in living(directory):
            try:
                variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            found |= {int(v[5:]): pid for v in variables if v.startswith(b"RANK=")}
        return found

    return find


@pytest.fixture(scope="session")
def processes():
    """processes(directory): ids of the processes whose command line names it."""
    return living


def living(directory: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it ended
            if str(directory).encode() in words:
                found.append(int(entry.name))
    return found
