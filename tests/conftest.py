"""What all tests share: one thread per process, commands, a small autoencoder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Tests run in two processes, and start more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
SCRIPTS = Path(__file__).parents[1] / "scripts"
PATIENCE_S = 240


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """As many threads in this process as in the commands."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Of every command: one thread, and no torchrun around it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TORCHELASTIC")}
    return kept | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def script_line():
    """script_line(script, *arguments, processes, restarts): the command of one of scripts/, or of
    a path; 1 or more processes are torchrun's."""

    def build(
        script: str | Path, *arguments: str, processes: int = 0, restarts: int = 0
    ) -> list[str]:
        launcher = ["-m", "torch.distributed.run", "--standalone"]
        launcher += [f"--nproc_per_node={processes}", f"--max-restarts={restarts}"]
        start = [sys.executable, *(launcher if processes else []), str(SCRIPTS / script)]
        return [*start, *arguments]

    return build


@pytest.fixture(scope="session")
def run_script(script_line, environment):
    """run_script(script, *arguments, processes, timeout, ...): the finished command."""

    def run(script, *arguments: str, processes: int = 0, timeout: float = PATIENCE_S, **options):
        return subprocess.run(
            script_line(script, *arguments, processes=processes),
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            **options,
        )

    return run


@pytest.fixture(scope="session")
def build_vae():
    """build_vae(folder): saves a random AutoencoderKL that reduces images 2 ** (levels - 1)
    times."""

    def build(folder: Path, *, latent_channels: int = 4, levels: int = 2, seed: int = 0) -> Path:
        import torch
        from diffusers import AutoencoderKL

        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = AutoencoderKL(
                block_out_channels=(8,) * levels,
                down_block_types=("DownEncoderBlock2D",) * levels,
                up_block_types=("UpDecoderBlock2D",) * levels,
                latent_channels=latent_channels,
                norm_num_groups=4,
            )
            network.save_pretrained(folder)
        return folder

    return build


@pytest.fixture(scope="session")
def vae(build_vae, tmp_path_factory) -> str:
    """Folder of an autoencoder that halves the side."""
    return str(build_vae(tmp_path_factory.mktemp("vae")))
