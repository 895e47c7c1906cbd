"""`guidance=auto`: images, counts and names of runs whose small denoiser guides the large one."""

import csv
import json

import numpy as np
import pytest

from tstitch.benchmark.measure import Measured
from tstitch.benchmark.peers import why_no_peer
from tstitch.benchmark.results import summarise
from tstitch.benchmark.settings import Case
from tstitch.config.cli import compose
from tstitch.config.settings import AutoguidanceSection
from tstitch.maker.parse import parse_experiment
from tstitch.paper.figure.settings import benchmark_throughput
from tstitch.runtime.errors import UserError
from tstitch.sweep.run import run_sweep

AUTO = "guidance=auto"
SMALL = "pair.denoisers.small"
FEW = "run.num_images=6"
TRIO = (
    "pair=fashion_mnist_trio",
    "pair.denoisers.medium.weights=random",
    "stitch=fractions",
    "stitch.fractions=[0.3,0.3]",
)
OTHER_PROCESS = (
    f"+{SMALL}.process._target_=samplers.ScaledLinearVP",
    f"+{SMALL}.prediction=v",
    f"+{SMALL}.latent_scale=0.5",
)


def read(folder):
    return json.loads((folder / "metrics.json").read_text())


def counts(folder):
    rows = read(folder)["denoisers"].items()
    return {name: (row["steps"], row["evaluations_per_image"]) for name, row in rows}


def test_yaml_names_every_field():
    """Catches: a setting that the yaml does not tell of."""
    assert set(compose("sample", [AUTO])["guidance"]) == set(AutoguidanceSection.model_fields)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "heun"])
def test_scale_one_is_no_guidance(tmp_path, sample, images, sampler):
    """Catches: a guide that changes bits, or is evaluated, where it has no weight."""
    words = (f"sampler={sampler}", "stitch.fraction=0.4", "guidance.scale=1", FEW)
    auto, plain = sample(tmp_path / "auto", AUTO, *words), sample(tmp_path / "plain", *words)
    assert np.array_equal(images(auto), images(plain))
    assert counts(auto) == counts(plain)


@pytest.mark.parametrize("own", [(), OTHER_PROCESS], ids=["alike", "another process"])
def test_scale_zero_is_the_guide(tmp_path, sample, images, own):
    """Catches: roles swapped, a guide evaluated for another class or x than the step's, and one of
    another process, prediction and latent scale that is not converted."""
    words = ("sampler=ddim", "guidance.scale=0", "stitch.fraction=0", FEW, *own)
    small = ("sampler=ddim", "guidance.scale=1", "stitch.fraction=1", FEW, *own)
    auto = sample(tmp_path / "auto", AUTO, *words)
    assert np.array_equal(images(auto), images(sample(tmp_path / "small", *small)))
    assert counts(auto) == {"small": (0, 4), "large": (4, 4)}


@pytest.mark.parametrize(("fraction", "small"), [(0, 0), (0.4, 2), (1, 4)])
def test_counts(tmp_path, sample, fraction, small):
    """Catches: evaluations of the guide left out of NFE, FLOPs or times, or counted twice in its
    own steps; the all-large run without its guide."""
    run = sample(tmp_path / "run", AUTO, f"stitch.fraction={fraction}", FEW)
    large = 4 - small
    assert counts(run) == {"small": (small, 4), "large": (large, large)}
    metrics = read(run)
    flops = {n: row["flops_per_evaluation"] for n, row in metrics["denoisers"].items()}
    work = 4 * flops["small"] + large * flops["large"]
    assert metrics["nfe_per_image"] == 4 + large and metrics["flops_per_image"] == work
    ratio = work / (4 * (flops["small"] + flops["large"]))
    assert metrics["flops_ratio_to_all_large"] == pytest.approx(ratio)
    ran = {name for name in metrics["seconds_per_image"]["stages"] if name.startswith("denoise/")}
    assert ran == {"denoise/small"} | ({"denoise/large"} if large else set())
    assert metrics["protocol"]["guidance"] == {"scale": 1.5, "channels": 3, "guide": "small"}
    report = (run / "report.md").read_text()
    assert f"NFE: {4 + large} network evaluations per image, 4 of small and {large} of" in report
    assert "- Autoguidance by small: scale 1.5, on the first 3 channels." in report
    assert "of the largest denoiser and its guide alone." in report


def test_trio_with_a_guide_of_its_own(tmp_path, sample):
    """Catches: a guide that is always the first, and small steps that a larger one guides."""
    run = sample(tmp_path / "run", *TRIO, AUTO, "guidance.guide=medium", FEW)
    assert counts(run) == {"small": (2, 2), "medium": (1, 2), "large": (1, 1)}
    smallest = sample(tmp_path / "smallest", *TRIO, AUTO, FEW)
    assert counts(smallest) == {"small": (2, 4), "medium": (1, 1), "large": (1, 1)}
    assert read(run)["fingerprint"] != read(smallest)["fingerprint"]


def test_identity(tmp_path, sample, refusal):
    """Catches: a run of classifier-free guidance that goes on under autoguidance; a derived folder
    that says cfg."""
    sample(tmp_path / "run", FEW)
    message = refusal(tmp_path / "run", AUTO, FEW)
    assert "belongs to another run" in message and "guidance.guide" in message
    derived = sample(tmp_path, AUTO, FEW, "run.dir=null", f"run.root={tmp_path}")
    assert "-auto1.5-" in derived.name


@pytest.mark.slow
def test_one_and_two_processes(tmp_path, command, sample, images):
    """Catches: an image that depends on the rank, the batch or what was made before it."""
    words = (AUTO, "guidance.scale=2")
    runs = [sample(tmp_path / "one", *words), tmp_path / "two"]
    done = command(*words, f"run.dir={runs[1]}", processes=2)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(*map(images, runs))
    assert counts(runs[0]) == counts(runs[1]) == {"small": (2, 4), "large": (2, 2)}
    assert read(runs[0])["fingerprint"] == read(runs[1])["fingerprint"]


BAD = [
    ([AUTO, "guidance.guide=tiny"], "guidance.guide='tiny': choose one of small,"),
    ([AUTO, "guidance.guide=large"], "guidance.guide='large': choose one of small,"),
    ([AUTO, "guidance.guide=0"], "guidance.guide=0: choose one of small,"),
    ([AUTO, "guidance.scale=-1"], "guidance.scale=-1: choose a number of at least 0"),
    ([AUTO, "guidance.scale=null"], "guidance.scale=None: choose a number of at least 0"),
    ([AUTO, "guidance.channels=0"], "guidance.channels=0: choose a whole number of at least 1"),
    (["guidance.guide=small"], "guidance.guide: unknown key"),
    # a scale for a denoiser that there is not
    (["+pair.denoisers.huge.guidance=4"], "pair.denoisers.huge: has no network; choose one of sm"),
    (["+guidance.scales.huge=4"], "guidance.scales: unknown key; choose one of scale, channels"),
    ([AUTO, "+guidance.scales.huge=4"], "guidance.scales: unknown key; choose one of guide, sc"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_values(tmp_path, refusal, words, message):
    """Catches: a guide that is not there and found out once weights are loaded, or not at all."""
    assert refusal(tmp_path / "run", *words).startswith(message)
    assert not (tmp_path / "run").exists()


def test_a_pair_of_one_denoiser():
    """Catches: an only denoiser that guides itself, or a list to choose from that is empty."""
    config = compose("sample", [AUTO, "stitch=fractions", "stitch.fractions=[1]"])
    del config["pair"]["denoisers"]["small"]
    with pytest.raises(UserError, match=r"\Aguidance\.guide=None: a pair of one denoiser .*=cfg\Z"):
        parse_experiment(config)


def test_command_ends_with_one_line(tmp_path, command):
    """Catches: a traceback, or another exit code."""
    done = command(AUTO, "guidance.guide=tiny", f"run.dir={tmp_path}/run")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: guidance.guide='tiny'") and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_guide_is_compiled_too(tmp_path, sample, images):
    """Catches: a guide without steps of its own that is compiled within the first batch."""
    words = (AUTO, "stitch.fraction=0", "run.num_images=16")
    run = sample(tmp_path / "run", *words, "engine.compile=true")
    assert set(read(run)["seconds_per_image"]["prepared"]) == {"small", "large"}
    plain = images(sample(tmp_path / "plain", *words, "engine.compile=false"))
    assert np.abs(images(run).astype(int) - plain.astype(int)).max() <= 1


def test_budget_stays_in_its_run(tmp_path, sample):
    """Catches: a schedule by times of other guidance, steps that it does not add up to."""
    folder = sample(tmp_path / "run", AUTO, "stitch=budget", "stitch.speedup=1.3", FEW)
    steps = json.loads((folder / "schedule.json").read_text())["schedule"]["steps"]
    assert {name: own for name, (own, _) in counts(folder).items()} == steps
    assert counts(folder)["small"][1] == 4 and steps["large"] < 4


@pytest.mark.slow
def test_sweep(tmp_path, tiny, measured):
    """Catches: a series that says guidance, arithmetic without the guide's evaluations."""
    words = ["sweep.fractions=[0,0.5]", "sweep.guidance=[1,2]", AUTO]
    words += ["sweep.strip=0", "sweep.timing_rounds=0"]
    roots = [f"sweep.dir={tmp_path}/report", f"run.root={tmp_path}/runs"]
    run_sweep(compose("sweep", [*tiny, *measured, *words, *roots]))
    rows = list(csv.DictReader((tmp_path / "report" / "points.csv").read_text().splitlines()))
    found = {(row["series"].split(", ")[1], row["label"], row["nfe"]) for row in rows}
    one, two = (f"autoguidance {scale} by small" for scale in (1, 2))
    assert found == {
        (one, "fraction 0", "4"), (one, "fraction 0.5", "4"),
        (two, "fraction 0", "8"), (two, "fraction 0.5", "6"),
    }  # fmt: skip
    for row in rows:
        own = {n: float(row[f"gmacs_per_evaluation_{n}"]) for n in ("small", "large")}
        large = int(row["steps_large"])
        small = 4 - large if one in row["series"] else 4
        work = small * own["small"] + large * own["large"]
        assert float(row["gmacs_per_image"]) == pytest.approx(work)


def test_benchmark_counts_the_guide():
    """Catches: a rate of the large denoiser's steps without its guide's arithmetic; a row of
    diffusers' pipeline beside it, which has no such guidance."""
    config = compose("sample", [AUTO, "sampler.steps=4", "evaluation=none", "run.device=cpu"])
    experiment = parse_experiment(config)
    assert why_no_peer(experiment) == "DiTPipeline knows no autoguidance"
    result = Measured(Case(2, "fp32", 1, "plain"), {"engine": {}, "threads": 1, "seconds": {}})
    result.steps.append({"small": 1.0, "large": 1.0})
    result.matmul.append(1000.0)
    result.rates[0.0] = [1.0]
    result.stages.append({"denoise/large": 1.0})
    result.beside.append({})
    (case,) = summarise([result], {0.0: experiment}, {"small": 10, "large": 100})
    shares = {n: row["share_of_matmul_peak"]["median"] for n, row in case["denoisers"].items()}
    assert shares == pytest.approx({"small": 2 * 10 / 1000, "large": 2 * (100 + 10) / 1000})
    protocol = {"guidance": experiment.guidance.describe(), "sampler": {"steps": 4},
                "gmacs_per_evaluation": {"small": 1.0, "large": 8.0}}  # fmt: skip
    rate = {"fractions": [{"fraction": 0, "images_per_second": {"median": 3.0}}]}
    found = benchmark_throughput({"protocol": protocol, "cases": [rate]})
    assert found == pytest.approx(3 * 4 * (8 + 1) * 2e9)
