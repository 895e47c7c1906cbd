"""Runs of the shipped text pair whose steps share encodings: images, identity, arithmetic."""

import json

import numpy as np
import pytest
import torch

from evaluation.cost.timing import StageTimer
from tstitch.config.cli import compose
from tstitch.engine.settings import choose_engines
from tstitch.maker.parse import parse_experiment
from tstitch.run.generate import run_sampling
from tstitch.runtime.errors import UserError
from tstitch.sweep.plan import plan_sweep

WORDS = (
    "pair=emoji", "sampler=ddim", "sampler.steps=6", "run.num_images=3", "run.batch_size=2",
    "run.device=cpu", "engine.threads=1", "evaluation=none",
)  # fmt: skip
SHARED = ("stitch.fraction=0.5", "stitch.propagate=2", "stitch.injection=0.003")


def parsed(*words):
    return parse_experiment(compose("sample", [*WORDS, *words]))


@pytest.fixture(scope="module")
def images():
    """images(*words): two of them, by networks that are loaded once."""
    first = parsed()
    engine, *_ = choose_engines(first.engine, first.run)
    loaded = first.load(engine)

    def make(*words, watched=False):
        maker = parsed(*words).maker(loaded)
        batch = maker.draw([0, 1], torch.tensor([0, 5]), seed=0)
        if watched:
            return maker.trajectory(batch).predictions
        return maker.sample(batch, StageTimer(engine.device)).wait()

    return make


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A finished run of three images in two batches."""
    folder = tmp_path_factory.mktemp("shared")
    return run_sampling(compose("sample", [*WORDS, *SHARED, f"run.root={folder}"]))


@pytest.mark.parametrize("sampler", ["ddim", "dpm_solver", "euler"])
def test_every_step_a_key(images, sampler):
    """Catches: other bits than those of the networks' own forward."""
    words = (f"sampler={sampler}", "sampler.steps=6", "stitch.fraction=0.5")
    ordinary, every = images(*words), images(*words, "stitch.propagate=1")
    assert np.array_equal(ordinary, every)
    assert not np.array_equal(ordinary, images(*words, "stitch.propagate=2"))


def test_trajectories_are_the_runs(images):
    """Catches: predictions along another trajectory than the one that makes the image."""
    *_, last = images(*SHARED, watched=True)
    assert np.array_equal(last, images(*SHARED))


@pytest.mark.parametrize(("fraction", "model", "name"), [(0, 1, "large"), (1, 0, "small")])
def test_one_denoiser_alone(images, fraction, model, name):
    """Catches: features of the other denoiser; what stitching adds where there is none."""
    alone = (f"stitch.models={[model] * 6}", "stitch=explicit", "stitch.propagate=[0,1,4]")
    stitched = (f"stitch.fraction={fraction}", "stitch.propagate=[0,1,4]")
    assert np.array_equal(images(*stitched), images(*alone))
    experiment = parsed(*stitched)
    encoders = experiment.shared_encoders()
    assert {n: e.evaluations for n, e in encoders.items() if e.evaluations} == {name: 2 * 3}


def test_guided_by_the_small_one(images):
    """Catches: a guide that never encodes in the large denoiser's groups, or is not counted."""
    words = ("stitch.fraction=0", "guidance=auto")
    assert np.array_equal(images(*words), images(*words, "stitch.propagate=1"))
    encoders = parsed(*words, "stitch.propagate=3").shared_encoders()
    assert [e.evaluations for e in encoders.values()] == [2, 2]


def test_numbers(shared):
    """Catches: arithmetic of whole networks where parts ran; keys that no report tells."""
    assert shared.name.startswith("ddim6-steps3-3-keys4-cfg4-seed0-")
    metrics, report = json.loads((shared / "metrics.json").read_text()), (shared / "report.md")
    total = 0
    for row in metrics["denoisers"].values():
        encoder, decoder = row["encoder_flops_per_evaluation"], row["decoder_flops_per_evaluation"]
        whole = row["flops_per_evaluation"]
        assert row["encoder_evaluations_per_image"] == 2 * 2 and row["evaluations_per_image"] == 6
        assert whole < encoder + decoder < 1.02 * whole and encoder < decoder
        total += 4 * encoder + 6 * decoder
    assert metrics["flops_per_image"] == total and metrics["gmacs_per_image"] == total / 2e9
    large = metrics["denoisers"]["large"]["flops_per_evaluation"]
    assert metrics["flops_ratio_to_all_large"] == pytest.approx(total / (12 * large))
    text = report.read_text()
    assert "propagate 2, injection 0.003" in text
    assert "the encoder runs in 4 of 6 evaluations of small" in text


def test_resumed(shared):
    """Catches: groups or prior noise that depend on what was there."""
    before = (shared / "samples.npz").read_bytes()
    for name in ("samples.npz", "shards/00000000-00000002.npz"):
        (shared / name).unlink()
    run_sampling(compose("sample", [*WORDS, *SHARED, f"run.root={shared.parent.parent}"]))
    assert (shared / "samples.npz").read_bytes() == before


@pytest.mark.slow
def test_two_processes(shared, run_script, tmp_path):
    """Catches: groups or prior noise that depend on who makes an image."""
    done = run_script("sample.py", *WORDS, *SHARED, f"run.dir={tmp_path}/run", processes=2)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/samples.npz").read_bytes() == (shared / "samples.npz").read_bytes()


def test_what_decides_is_in_the_fingerprint(shared):
    """Catches: a run resumed under other keys; one without any that is no longer itself."""
    for words in (SHARED[:2], (*SHARED, "stitch.propagate=3"), SHARED[:1]):
        with pytest.raises(UserError, match=r"belongs to another run \(.*propagation"):
            run_sampling(compose("sample", [*WORDS, *words, f"run.dir={shared}"]))
    plain = parsed("stitch.fraction=0.5")
    weights = plain.weights()
    engine, *_ = choose_engines(plain.engine, plain.run)
    values = plain.identity(weights, engine).values
    assert "propagation" not in values and "propagate" not in json.dumps(values)
    assert "propagate" not in plain.protocol()["stitch"]


def test_a_sweep_has_it_at_every_point():
    """Catches: an option of the command line that a sweep's own schedules lose."""
    words = ["pair=emoji", "stitch.propagate=3", "sweep.fractions=[0,0.4]", "run.num_images=400"]
    points = plan_sweep(compose("sweep", [*words, "sweep.kinds=[fraction,interleave]"])).points
    assert len(points) == 4 and all(p.experiment.propagation for p in points)
    assert {p.protocol for p in points} == {"DPM-Solver++ 25 steps, encoder every 3, guidance 4"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pair=fashion_mnist"], r"stitch.propagate=2: denoiser small of .* no encoder"),
        (["pair=emoji_pipeline", "sampler=scheduler"], r"stitch.propagate=2: a pipeline's own"),
        (["sampler=heun"], r"stitch.propagate=2: Heun evaluates a step twice"),
        (["stitch.propagate=0"], r"stitch.propagate=0: choose an integer from 1 to 25"),
        (["stitch.propagate=[25]"], r"stitch.propagate=25: choose an integer from 0 to 24"),
        (["stitch.propagate=often"], r"stitch.propagate='often': choose null, a number m"),
        (["stitch.propagate=null", "stitch.injection=0.1"], r"stitch.injection=0.1: goes with"),
        (["engine.compile=true"], r"engine.compile=true: .*stitch.propagate=2.*engine=plain"),
        (["engine.cuda_graphs=true"], r"engine.cuda_graphs=true: .*engine=plain"),
    ],
)
def test_refusals(words, message):
    """Catches: an option that is taken and does nothing."""
    with pytest.raises(UserError, match=message):
        parse_experiment(compose("sample", ["pair=emoji", "stitch.propagate=2", *words]))


@pytest.mark.parametrize("kind", ["sketch_render", "budget", "topk", "search"])
def test_schedules_without_it(kind):
    """Catches: keys of a plan that is no plan, or measured without them."""
    with pytest.raises(UserError, match=r"stitch.propagate: unknown key"):
        run_sampling(compose("sample", [*WORDS, f"stitch={kind}", "+stitch.propagate=2"]))
