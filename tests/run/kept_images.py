"""Small runs whose images are kept in tests/fixtures/runs.npz, and how they are made.

    PYTHONPATH=tests python tests/run/kept_images.py tests/fixtures/runs.npz

makes them anew, by the code that is checked out. The ones that are kept are those of the code as
it was before there were processes of noise other than the linear one. They are to be made anew
only where images are meant to change.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from stand_ins import fill, save_vae

from models.checkpoints import save_weights
from models.dit import DiT
from tstitch.config.cli import compose
from tstitch.run.generate import run_sampling

MACHINE = "machine"  # entry of the file
SHAPES = {  # of the denoisers: hidden_size, depth
    "small": (48, 1),
    "medium": (48, 2),
    "large": (64, 2),
}
SIZES = (
    "run.num_images=3",
    "run.batch_size=2",
    "run.seed=11",
    "run.device=cpu",
    "engine.threads=1",
    "evaluation=none",
)
DDIM = ("sampler=ddim", "sampler.steps=4")
TRIO = ("pair=fashion_mnist_trio", *DDIM, "stitch=fractions")
LATENT = (
    "pair=imagenet256_s_xl",
    "denoiser@pair.denoisers.small=fashion_mnist_small",
    "denoiser@pair.denoisers.large=fashion_mnist_large",
    "pair.space.size=8",
    "pair.space.dtype=fp32",
    *DDIM,
)


def solver(steps: int, spacing: str, algorithm: str, order: int) -> tuple[str, ...]:
    values = {"steps": steps, "spacing": spacing, "algorithm": algorithm, "order": order}
    return ("sampler=dpm_solver", *(f"sampler.{key}={value}" for key, value in values.items()))


RUNS: dict[str, tuple[str, ...]] = {
    "ddim": DDIM,
    "ddim 21": ("sampler=ddim", "sampler.steps=21"),
    "ddim stride": ("sampler=ddim", "sampler.steps=10", "sampler.spacing=ddim"),
    "ddim eta 0.5": (*DDIM, "sampler.eta=0.5"),
    "ddim eta 1": (*DDIM, "sampler.eta=1"),
    "ddpm": ("sampler=ddpm", "sampler.steps=5"),
    "ddpm stride": ("sampler=ddpm", "sampler.steps=5", "sampler.spacing=ddim"),
    **{
        f"{algorithm} {order} {spacing} {steps}": solver(steps, spacing, algorithm, order)
        for algorithm in ("dpmpp", "dpm")
        for order in (1, 2, 3)
        for spacing, steps in (("time", 5), ("logsnr", 11))
    },
    "small alone": (*DDIM, "stitch.fraction=1"),
    "large alone": (*DDIM, "stitch.fraction=0"),
    "axis step": (*DDIM, "stitch.axis=step", "stitch.fraction=0.25"),
    "fractions": (*DDIM, "stitch=fractions", "stitch.fractions=[0.3]"),
    "interleave": (*DDIM, "stitch=interleave"),
    "decreasing": (*DDIM, "stitch=decreasing", "stitch.seed=3"),
    "large to small": (*DDIM, "stitch=large_to_small", "stitch.fraction=0.25"),
    "explicit": (*DDIM, "stitch=explicit", "stitch.models=[1,0,1,0]"),
    "history over a switch": (*solver(6, "time", "dpmpp", 3), "stitch.fraction=0.5"),
    "no guidance": (*DDIM, "guidance.scale=1"),
    "guidance 4": (*DDIM, "guidance.scale=4"),
    "no class": (*DDIM, "guidance.scale=0"),
    "random labels": (*DDIM, "run.classes=random"),
    "a list of labels": (*DDIM, "run.classes=[7,2]"),
    "another seed": (*DDIM, "run.seed=12"),
    "bf16": (*DDIM, "run.dtype=bf16"),
    "trio": (*TRIO, "stitch.fractions=[0.3,0.3,0.4]"),
    "trio without a middle": (*TRIO, "stitch.fractions=[0.5,0,0.5]"),
    "latents": LATENT,
    "latents, one channel guided": (*LATENT, "guidance.scale=3", "guidance.channels=1"),
    "latents, scaled": (*LATENT, "pair.space.scale=0.5"),
}


def words(name: str, folder: Path) -> list[str]:
    """Overrides of a run; its networks are saved in the folder."""
    own = RUNS[name]
    latent, trio = own[: len(LATENT)] == LATENT, own[: len(TRIO)] == TRIO
    given = [*own, *(word for word in SIZES if word.split("=")[0] not in str(own))]
    if latent:
        given.append(f"pair.space.vae={save_vae(folder / 'vae')}")
    for seed, (denoiser, (width, depth)) in enumerate(SHAPES.items()):
        if denoiser == "medium" and not trio:
            continue
        values = {"hidden_size": width, "depth": depth, "num_heads": 2, "mlp_ratio": 4}
        values |= {"patch_size": 2 if latent else 4}
        sizes = {"input_size": 8, "in_channels": 4} if latent else {"input_size": 28}
        network = DiT(**{"in_channels": 1, "num_classes": 1000 if latent else 10} | sizes | values)
        path = folder / f"{denoiser}.safetensors"
        save_weights(fill(network, seed).state_dict(), path, metadata={})
        place = f"pair.denoisers.{denoiser}"
        given += [f"++{place}.network.{key}={value}" for key, value in values.items()]
        given += [f"{place}.weights={path}", f"{place}.sha256=null"]
    return given


def read(run: Path) -> dict[str, np.ndarray]:
    """Images uint8 (N, H, W, C), C = 1 where they are grey, and labels of a run."""
    with np.load(run / "samples.npz", allow_pickle=False) as archive:
        images, labels = archive["arr_0"], archive["arr_1"]
    grey = (images == images[..., :1]).all()
    return {"images": images[..., :1] if grey else images, "labels": labels}


def machine() -> str:
    """What decides the last bits of a float32 sum."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    return f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {model}"


def main() -> None:
    torch.set_num_threads(1)
    made: dict[str, np.ndarray] = {MACHINE: np.array(machine())}
    with tempfile.TemporaryDirectory() as scratch:
        for number, name in enumerate(RUNS):
            folder = Path(scratch, str(number))
            folder.mkdir()
            run = run_sampling(compose("sample", [*words(name, folder), f"run.dir={folder}/run"]))
            made |= {f"{name}/{key}": array for key, array in read(run).items()}
    np.savez_compressed(sys.argv[1], **made)


if __name__ == "__main__":
    main()
