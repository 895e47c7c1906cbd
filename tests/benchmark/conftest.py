"""The smallest benchmarks: of the shipped pair, and of tiny networks with an autoencoder."""

import pytest

TINY = (
    "sampler.steps=4",
    "run.device=cpu",
    "benchmark.batch_sizes=[2]",
    "benchmark.compile=[false]",
    "benchmark.dtypes=[fp32]",
    "benchmark.fractions=[1,0,0.5]",
    "benchmark.rounds=2",
    "benchmark.minutes=60",
)


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Overrides: the shipped pair, two cases, two rounds."""
    return TINY


@pytest.fixture(scope="session")
def folder(run_script, tmp_path_factory):
    """The results of a tiny benchmark, made by the command."""
    target = tmp_path_factory.mktemp("benchmark")
    run = run_script("benchmark.py", *TINY, f"benchmark.dir={target}")
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == (target / "benchmark.md").read_text().strip()
    return target


@pytest.fixture(scope="session")
def latent_pair(vae) -> tuple[str, ...]:
    """Overrides: 16x16 images, four DDIM steps."""
    words = ["pair=imagenet256_s_xl", f"pair.space.vae={vae}", "pair.space.size=8"]
    words += ["sampler=ddim", "sampler.steps=4", "run.device=cpu", "run.dtype=fp32"]
    for role in ("small", "large"):
        network = f"pair.denoisers.{role}.network"
        sizes = {"patch_size": 2, "hidden_size": 32, "num_heads": 2, "depth": 1}
        words += [f"pair.denoisers.{role}.weights=random", f"~{network}.variant"]
        words += [f"{network}._target_=models.dit.DiT"]
        words += [f"+{network}.{name}={value}" for name, value in sizes.items()]
    return tuple(words)
