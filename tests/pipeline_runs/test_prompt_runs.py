"""Runs of prompts by Stable Diffusion through the machinery of runs: nothing but the images, the
seed and the prompts decides what is made."""

import csv
import json

import numpy as np
import pytest
from by_hand import by_hand, load, rescheduled
from PIL import Image

from tstitch import load as notebook
from tstitch import stitch
from tstitch.config.cli import compose
from tstitch.run.generate import run_sampling
from tstitch.sweep.run import run_sweep

KIND, SHAPE = "StableDiffusionPipeline", (4, 8, 8)
CALL = {"height": 16, "width": 16, "num_inference_steps": 6, "guidance_scale": 7.5}


def metrics_of(run):
    return json.loads((run / "metrics.json").read_text())


@pytest.mark.slow
def test_ranks_resume_and_growth(sd, sample, images, run_script, tmp_path):
    """Catches: images that depend on the process, on what was made before, or on how many are
    asked for; a command that ends in anything but a finished run."""
    words = (*sd, "run.batch_size=2", f"run.dir={tmp_path / 'run'}")
    done = run_script("sample.py", *words, "run.num_images=6", processes=2)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    whole = (run / "samples.npz").read_bytes()
    for path in (run / "samples.npz", run / "shards" / "00000002-00000004.npz"):
        path.unlink()
    sample(run, *words, "run.num_images=6")
    assert (run / "samples.npz").read_bytes() == whole
    alone = sample(tmp_path / "alone", *words[:-1], "run.num_images=6")
    assert (alone / "samples.npz").read_bytes() == whole
    grown = sample(run, *words, "run.num_images=8")
    assert len(images(grown)) == 8 and (images(grown)[:6] == images(alone)).all()
    first = sample(run, *words, "run.num_images=3")
    assert first == run / "first-3" and (images(first) == images(alone)[:3]).all()
    prompts = json.loads((first / "prompts.json").read_text())
    assert len(prompts) == 4 and len(np.unique(images(alone), axis=0)) == 6
    report = (run / "report.md").read_text()
    assert "- Sampler: PNDMScheduler, 6 steps." in report and "| small | 3 | 6 |" in report
    assert "- Guidance: scale 7.5, on all channels." in report
    with Image.open(run / "grid.png") as grid:
        assert grid.size[0] > 16


def test_batch_size(sd, sample, images, tmp_path):
    """Catches: noise that is drawn per batch; more than rounding between batches."""
    one, three = (
        images(sample(tmp_path / str(size), *sd, f"run.batch_size={size}")) for size in (1, 3)
    )
    assert np.mean(np.abs(one.astype(int) - three) <= 1) >= 0.999


def test_prompts_of_a_file(sd, images, tmp_path):
    """Catches: prompts that decide nothing, or are no part of the run's identity."""
    runs = []
    for name, texts in (("a", "a red apple\n\ntwo birds\n"), ("b", "a city\ntwo birds")):
        path = tmp_path / f"{name}.txt"
        path.write_text(texts)
        words = [*sd, f"prompts={path}", f"run.root={tmp_path}/runs"]
        runs.append(run_sampling(compose("sample", words)))
    assert runs[0].parent == runs[1].parent and runs[0] != runs[1]
    assert runs[0].name.startswith("pndm6-steps3-4-cfg7.5-seed0-")
    assert json.loads((runs[0] / "prompts.json").read_text()) == ["a red apple", "two birds"]
    first, second = map(images, runs)
    assert (first[1] == second[1]).all() and not (first[0] == second[0]).all()


@pytest.mark.parametrize(
    ("scheduler", "steps", "counts", "nfe"),
    [
        ("HeunDiscreteScheduler", 4, [2, 5], 14),  # 7 evaluations; the last step has one
        ("DPMSolverMultistepScheduler", 6, [2, 4], 12),
        ("EulerAncestralDiscreteScheduler", 6, [2, 4], 12),
    ],
)
def test_other_schedulers(scheduler, steps, counts, nfe, sd, sample, images, family, tmp_path):
    """Catches: a step of order 2 that is split or counted once, noise of the steps that is not the
    image's own, the pair's scheduler in place of the one asked for."""
    words = (*sd, f"sampler.scheduler={scheduler}", f"sampler.steps={steps}")
    run = sample(tmp_path / "run", *words, "stitch.fraction=0.4")
    metrics = metrics_of(run)
    assert [part["steps"] for part in metrics["denoisers"].values()] == counts
    assert metrics["nfe_per_image"] == nfe
    large, small = (rescheduled(load(KIND, family("sd")[s]), scheduler) for s in ("large", "small"))
    prompts = compose("sample", list(words))["pair"]["prompts"][:3]
    call = CALL | {"num_inference_steps": steps}
    assert np.array_equal(
        images(run), by_hand(stitch(large, small, fraction=0.4), prompts, SHAPE, **call)
    )


def test_fifty_steps_of_pndm(words, sample, tmp_path):
    """Catches: another default than the paper's; 51 evaluations that are reported as 50."""
    given = (*words("sd14_bk_sdm_tiny", "sd"), "run.num_images=1", "stitch.fraction=0.2")
    metrics = metrics_of(sample(tmp_path / "run", *given))
    assert [part["steps"] for part in metrics["denoisers"].values()] == [11, 40]
    assert metrics["nfe_per_image"] == 102 and metrics["protocol"]["guidance"] == {"scale": 7.5}
    sampler = metrics["protocol"]["sampler"]
    assert (sampler["_target_"], sampler["steps"]) == ("diffusers.PNDMScheduler", 50)


def test_guidance_and_negative_prompts(sd, sample, images, family, tmp_path):
    """Catches: a scale of 1 that is guided or counted so, a negative prompt that is lost."""
    large = load(KIND, family("sd")["large"])
    prompts = compose("sample", list(sd))["pair"]["prompts"][:3]
    words = (*sd, "stitch.fraction=0")
    plain = sample(tmp_path / "plain", *words, "guidance.scale=1")
    assert metrics_of(plain)["nfe_per_image"] == 7
    call = CALL | {"guidance_scale": 1.0}
    assert np.array_equal(images(plain), by_hand(large, prompts, SHAPE, **call))
    run = sample(tmp_path / "negative", *words, "pair.negative_prompt=a city", "run.seed=5")
    expected = by_hand(large, prompts, SHAPE, seed=5, negative_prompt=["a city"] * 3, **CALL)
    assert np.array_equal(images(run), expected)


def test_options_and_a_network_alone(sd, sample, images, family, tmp_path):
    """Catches: options of the call that are dropped, a small network without a pipeline of its
    own, a component from elsewhere that is not taken."""
    folders = family("sd")
    words = (
        *sd, "stitch.fraction=1", "+pair.options.guidance_rescale=0.7",
        f"pair.networks.small.source={folders['large']}",
        f"+pair.networks.small.network={folders['small']}/unet",
        f"+pair.components.text_encoder={folders['small']}/text_encoder",
    )  # fmt: skip
    prompts = compose("sample", list(words))["pair"]["prompts"][:3]
    small = load(KIND, folders["small"])
    expected = by_hand(small, prompts, SHAPE, guidance_rescale=0.7, **CALL)
    assert np.array_equal(images(sample(tmp_path / "run", *words)), expected)


def test_a_budget(sd, sample, tmp_path):
    """Catches: networks of a pipeline that cannot be timed, a schedule that is not kept."""
    words = (*sd, "stitch=budget", "stitch.speedup=null", "stitch.ms_per_image=1e6")
    run = sample(tmp_path / "run", *words)
    found = json.loads((run / "schedule.json").read_text())["schedule"]
    assert min(found["step_ms_per_image"].values()) > 0 and found["steps"]["large"] == 7
    steps = {name: part["steps"] for name, part in metrics_of(run)["denoisers"].items()}
    assert steps == found["steps"]


@pytest.mark.slow
def test_a_sweep(sd, tmp_path):
    """Catches: points that share a scheduler's state; tables, times or pages that want networks
    of our own."""
    words = [*sd, f"run.root={tmp_path}", "sweep.fractions=[0,0.5]", "sweep.kinds=[steps]"]
    words += ["sweep.steps=[4,6]", "sweep.timing_rounds=1", "sweep.strip=2", "run.num_images=4"]
    colours = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
    np.savez(tmp_path / "real.npz", colours)
    config = compose("sweep", words)
    config["evaluation"] |= {
        "extractor": {"_target_": "tiles.TileMeans"},
        "weights": str(tmp_path / "real.npz"),  # nobody reads them
        "reference": str(tmp_path / "real.npz"),
        "groups": 2,
    }
    folder = run_sweep(config)
    rows = list(csv.DictReader((folder / "points.csv").open()))
    assert [(row["steps_small"], row["steps_large"]) for row in rows] == [
        ("0", "5"), ("3", "2"), ("0", "7"), ("4", "3"),
    ]  # fmt: skip
    assert (folder / "report.html").is_file() and (folder / "strip.png").is_file()
    run = folder / rows[3]["run_dir"]
    alone = sd[:-1] + ("sampler.steps=6", "stitch.fraction=0.5", "run.num_images=4")
    again = run_sampling(compose("sample", [*alone, "stitch=steps", f"run.dir={tmp_path}/alone"]))
    assert (again / "samples.npz").read_bytes() == (run / "samples.npz").read_bytes()


@pytest.mark.slow
def test_a_benchmark(sd, run_script, tmp_path):
    """Catches: a benchmark that can do with our own samplers only."""
    words = [word for word in sd if not word.startswith(("run.batch", "run.num", "evaluation"))]
    done = run_script(
        "benchmark.py", *words, "benchmark.batch_sizes=[2]", "benchmark.compile=[false]",
        "benchmark.dtypes=[fp32]", "benchmark.fractions=[1,0,0.5]", "benchmark.rounds=2",
        "benchmark.minutes=60", f"benchmark.dir={tmp_path}", timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "benchmark.json").read_text())
    assert document["finished"] and document["pair"] == "sd14_bk_sdm_tiny"


def test_in_a_notebook(sd, sample, images, tmp_path):
    """Catches: prompts that the notebook's call does not take."""
    pair, *words = sd
    sampler = notebook(pair.removeprefix("pair="), *words)
    run = images(sample(tmp_path / "run", *sd))
    assert np.array_equal(sampler([0, 1, 2]), run)
