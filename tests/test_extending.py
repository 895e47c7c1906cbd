"""The worked examples of docs/extending.md, as they stand there, through the real commands."""

import hashlib
import json
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from samplers import EDM, Fractions, RectifiedFlow
from tstitch.config.cli import compose
from tstitch.run.generate import run_sampling
from tstitch.training.run import run_training

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "extending.md").read_text()
FILES = dict(re.findall(r"```\w+\n# (mine/\S+)\n(.*?)```", TEXT, re.DOTALL))
LINES = re.findall(r"^.*python .*--config-dir=mine.*$", TEXT.replace("\\\n", ""), re.MULTILINE)
TINY = (
    "sampler.steps=4", "run.num_images=2", "run.batch_size=2", "run.device=cpu", "run.dir=run",
    "engine.threads=1", "evaluation=none",
)  # fmt: skip
COLOURS = '''"""Mean colours of 16 tiles: features that need no weights."""

from torch import Tensor, nn


class Colours(nn.Module):
    space, num_classes = "colours", None

    def __init__(self, weights) -> None:
        super().__init__()

    def check(self, height: int, width: int) -> None:
        pass

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"pool": nn.functional.adaptive_avg_pool2d(images.float(), 4).flatten(1)}
'''


@pytest.fixture
def home(tmp_path):
    """A user's folder, outside the clone, with the files of the document in mine/."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.fixture
def at_home(home, script_line, environment):
    """at_home(variables, script, *words): a command, given in that folder."""

    def run(variables: list[str], script: str, *words: str) -> None:
        done = subprocess.run(
            script_line(Path(script).name, *words),
            cwd=home,
            env=environment | dict(variable.split("=") for variable in variables),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr

    return run


def printed(word: str) -> tuple[list[str], str, list[str]]:
    """The document's one command that has the word: variables, script, what follows it."""
    [words] = [words for words in map(shlex.split, LINES) if word in words]
    place = words.index("python")
    return words[:place], words[place + 1], words[place + 2 :]


def images(run: Path) -> np.ndarray:
    with np.load(run / "samples.npz") as archive:
        return archive["arr_0"]


def metrics(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text())


def test_every_example_is_run():
    """Catches: an example that is added to the document, and tested by nothing."""
    assert set(FILES) == {
        "mine/adams_bashforth.py", "mine/sampler/adams_bashforth.yaml", "mine/denoiser/unet.yaml",
        "mine/denoiser/text_unet.yaml", "mine/pair/animals.yaml",
    }  # fmt: skip
    assert len(LINES) == 4


def test_a_sampler(home, at_home):
    """Catches: classes that are found in the clone alone, a sampler that must be named twice."""
    variables, script, words = printed("sampler=adams_bashforth")
    at_home(variables, script, *words, *TINY)
    sampler = metrics(home / "run")["protocol"]["sampler"]
    assert sampler == {"_target_": "adams_bashforth.AdamsBashforth", "steps": 4}
    found = images(home / "run")
    assert found.shape == (2, 28, 28, 3) and found.std() > 0


@pytest.mark.parametrize("process", [RectifiedFlow(), EDM()], ids=lambda p: type(p).__name__)
def test_the_sampler_is_of_second_order(home, monkeypatch, process):
    """Catches: an example with a wrong extrapolation, which images hardly show."""
    monkeypatch.syspath_prepend(home / "mine")
    monkeypatch.syspath_prepend(ROOT / "tests" / "samplers")
    from adams_bashforth import AdamsBashforth
    from oracle import Gaussian, run

    exact, errors = Gaussian(process, "v"), []
    single = {"process": process, "stitch": Fractions(fractions=[1]), "num_models": 1}
    for steps in (200, 400):
        mean, std = exact.marginal(process.t_max)
        x = float(mean) + float(std) * torch.linspace(-2, 2, 9, dtype=torch.float64)
        x_0 = run(AdamsBashforth(steps, **single), [exact], x)
        errors.append((x_0 - exact.flow(x, process.t_max, process.t_min)).abs().max().item())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1) and errors[1] < 1e-3


@pytest.mark.slow
def test_a_u_net_is_trained_and_stitched(home, at_home, monkeypatch):
    """Catches: weights that training writes and sampling cannot read; networks of diffusers that
    only a pair of their own can have."""
    monkeypatch.syspath_prepend(ROOT / "tests" / "training")
    from idx_files import visible_classes, write_idx

    pixels, labels = visible_classes(8)
    write_idx(home / "train-images-idx3-ubyte", pixels)
    write_idx(home / "train-labels-idx1-ubyte", labels)
    weights = "runs/train/fashion_mnist/small/ema.safetensors"
    _, script, (option, *words) = printed("train.denoiser=small")
    assert (script, option) == ("scripts/train.py", "--config-dir=mine")
    tiny = ["steps=2", "batch_size=4", "sample_every=0", "device=cpu", "dtype=fp32"]
    tiny.append(f"dir={(home / weights).parent}")
    words += ["data=idx_folder", f"data.folder={home}", *(f"train.{word}" for word in tiny)]
    run_training(compose("train", [f"hydra.searchpath=[{home}/mine]", *words]))

    variables, script, words = printed(f"pair.denoisers.small.weights={weights}")
    at_home(variables, script, *words, *TINY)
    small = metrics(home / "run")["denoisers"]["small"]
    digest = hashlib.sha256((home / weights).read_bytes()).hexdigest()
    assert small["weights_sha256"] == digest and small["steps"] == 2
    assert images(home / "run").shape == (2, 28, 28, 3)


@pytest.fixture
def prompts(text_pipeline, unet_config):
    """Overrides for a tiny text encoder in place of the document's, Stable Diffusion's."""
    config, width = "network.config", unet_config["cross_attention_dim"]
    widths = (
        f"pair.denoisers.{name}.{config}.cross_attention_dim={width}" for name in ("small", "large")
    )
    return (f"pair.text_encoder.source={text_pipeline}", "pair.space.size=16", *widths, *TINY)


@pytest.mark.slow
def test_a_pair_of_prompts(home, at_home, prompts):
    """Catches: prompts that reach one denoiser alone, a run of them that cannot be extended."""
    variables, script, words = printed("pair=animals")
    at_home(variables, script, *words, *prompts)
    run = home / "run"
    first = images(run)
    assert first.shape == (2, 16, 16, 3) and (first[0] != first[1]).any()
    texts = json.loads((run / "prompts.json").read_text())
    assert texts == ["a cat", "a dog", "two birds on a roof"]
    assert all(denoiser["steps"] == 2 for denoiser in metrics(run)["denoisers"].values())
    words = [f"hydra.searchpath=[{home}/mine]", "pair=animals", *prompts, f"run.dir={run}"]
    run_sampling(compose("sample", [*words, "run.num_images=3"]))
    with np.load(run / "samples.npz") as archive:
        assert (archive["arr_0"][:2] == first).all() and archive["arr_1"].tolist() == [0, 1, 2]


@pytest.mark.slow
def test_a_sweep_of_samplers_and_prompts(home, at_home, prompts):
    """Catches: sweeps that look for samplers, pairs and extractors in the clone alone."""
    (home / "mine" / "colours.py").write_text(COLOURS)
    real = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8)
    np.savez(home / "real.npz", arr_0=real)
    at_home(
        ["PYTHONPATH=mine"], "scripts/sweep.py", "--config-dir=mine", "pair=animals", *prompts,
        "run.dir=null", "run.num_images=4", "evaluation.extractor={_target_:colours.Colours}",
        "evaluation.weights=real.npz", "evaluation.reference=real.npz", "evaluation.groups=2",
        "sweep.samplers=[euler,adams_bashforth]", "sweep.fractions=[0,0.5]",
        "sweep.timing_rounds=0", "sweep.dir=swept",
    )  # fmt: skip
    table = (home / "swept" / "points.csv").read_text()
    assert table.count("runs/animals/euler4-") == table.count("runs/animals/adamsbashforth4-") == 2
    assert "FID (colours)" in table
