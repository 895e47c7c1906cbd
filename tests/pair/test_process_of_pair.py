"""What a pair says of process, predictions and guidance, in a run's plan, identity and images."""

import copy
import json

import numpy as np
import pytest

from samplers import LinearVP, RectifiedFlow, ScaledLinearVP
from tstitch.config.cli import compose
from tstitch.config.settings import GuidanceSection, GuidanceSettings
from tstitch.engine.settings import choose_engines
from tstitch.maker.parse import parse_experiment
from tstitch.maker.protocol import Weights
from tstitch.run.generate import run_sampling
from tstitch.runtime.errors import UserError

FLOW = {"_target_": "samplers.RectifiedFlow", "shift": 3}
NO_PROCESS = {"_target_": "fractions.Fraction"}
SCALED = {"_target_": "samplers.ScaledLinearVP"}
EULER = {"_target_": "samplers.Euler", "steps": 10}
DDIM = {"_target_": "samplers.DDIM", "steps": 10}
WEIGHTS = {"small": Weights("0"), "large": Weights("1")}


@pytest.fixture(scope="module")
def base():
    """The shipped pair's configuration."""
    return compose("sample", ["evaluation=none"])


@pytest.fixture
def parse(base):
    """parse(sampler, pair, small, guidance): the experiment with these sections changed."""

    def parsed(sampler=DDIM, pair=None, small=None, guidance=None):
        config = copy.deepcopy(base) | {"sampler": sampler}
        config["pair"] |= pair or {}
        config["pair"]["denoisers"]["small"] |= small or {}
        config["guidance"] |= guidance or {}
        return parse_experiment(config)

    return parsed


def identity(experiment):
    engine = choose_engines(experiment.engine, experiment.run)[0]
    return experiment.identity(WEIGHTS, engine).values


def test_runs_of_before_keep_their_identity(parse):
    """Catches: finished runs of the shipped pair that are refused, for keys they never had."""
    experiment = parse(small={"process": {"_target_": "samplers.LinearVP"}})
    values = identity(experiment)
    assert set(values) == {
        "networks", "weights", "space", "num_classes", "sampler", "stitch", "timesteps",
        "guidance", "run", "engine",
    }  # fmt: skip
    assert values["guidance"] == {"scale": 1.5, "channels": 3} and experiment.nfe == 20
    assert experiment.sampler.process == LinearVP()


def test_process_and_predictions_are_part_of_the_identity(parse):
    """Catches: a run resumed under another schedule or prediction; 3 and 3.0 taken for two."""
    flow = identity(parse(EULER, {"process": FLOW}, {"prediction": "x0"}))
    assert flow["process"] == {"kind": "RectifiedFlow", "shift": 3, "num_timesteps": 1000}
    assert list(flow["predictions"]) == ["small"]
    scaled = identity(parse(pair={"process": SCALED}))
    assert scaled["process"]["kind"] == "ScaledLinearVP" and "predictions" not in scaled
    other = identity(parse(small={"process": SCALED, "match": "t"}))
    assert other["predictions"]["small"]["match"] == "t" and "process" not in other


def test_denoisers_inherit_the_process_of_the_pair(parse):
    """Catches: denoisers of a flow pair matched as if they were trained on linear betas."""
    experiment = parse(EULER, {"process": FLOW}, {"process": SCALED, "prediction": "v"})
    small, large = experiment.pair.denoisers
    assert (small.process, small.prediction) == (ScaledLinearVP(), "v")
    assert (large.process, large.prediction) == (RectifiedFlow(shift=3), "velocity")
    assert experiment.sampler.process == RectifiedFlow(shift=3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pair": {"process": FLOW}}, r"pair\.process=RectifiedFlow.*: DDIM is defined for"),
        ({"pair": {"process": FLOW | {"shift": 0}}}, r"pair\.process\.shift=0: choose a number"),
        ({"pair": {"process": "linear"}}, r"pair\.process='linear': needs a section"),
        ({"pair": {"process": DDIM}}, r"pair\.process: give a value for"),
        (
            {"pair": {"process": {"_target_": "fractions.Fraction"}}},
            r"pair\.process\._target_=.*no",
        ),
        ({"small": {"prediction": "noise"}}, r"pair\.denoisers\.small\.prediction='noise': choose"),
        ({"small": {"match": "sigma"}}, r"pair\.denoisers\.small\.match='sigma': choose"),
        (
            {"sampler": EULER, "pair": {"process": FLOW}, "small": {"prediction": "eps"}},
            r"pair\.denoisers\.small\.prediction=eps: at pure noise it does not tell velocity",
        ),
        ({"small": {"latent_scale": 0}}, r"pair\.denoisers\.small\.latent_scale=0: choose a"),
        (
            {"small": {"match": "t", "latent_scale": 2}},
            r"pair\.denoisers\.small\.match=t: takes latents as they are",
        ),
        ({"small": {"guidance": -1}}, r"pair\.denoisers\.small\.guidance=-1: choose a number"),
        ({"pair": {"guidance": {"scale": "x"}}}, r"pair\.guidance\.scale='x': choose a number"),
        ({"pair": {"guidance": {"chanels": 3}}}, r"pair\.guidance\.chanels: unknown key"),
    ],
)
def test_bad_values(parse, changed, message):
    """Catches: a misfit that is found once weights are loaded, or named in the wrong section."""
    with pytest.raises(UserError, match=rf"\A{message}[^\n]*\Z"):
        parse(**changed)


def test_guidance_of_pair_denoiser_and_command():
    """Catches: a command's guidance.scale that a denoiser's own quietly overrules."""
    pair = GuidanceSettings(4.0, 16, {"small": 1.0})
    assert GuidanceSection(scale=None, channels=None).over(pair) == pair
    assert GuidanceSection(scale=2.0, channels=None).over(pair) == GuidanceSettings(2.0, 16)
    own = GuidanceSettings(4.0, 3, {"small": 1.0})
    assert GuidanceSection(channels=3).over(pair) == own


def test_a_scale_is_read_by_the_formula(parse):
    """Catches: U-ViT's 0.4 taken for DiT's, which is no guidance but its opposite; a denoiser's
    own scale, or a command's, that is read by another formula than the pair's."""
    pair = {"guidance": {"scale": 0.4, "formula": "cond"}}
    experiment = parse(pair=pair, small={"guidance": 0})
    assert experiment.guidance.describe() == {"scale": 1.4, "channels": 1, "scales": {"small": 1}}
    assert experiment.guidance.evaluations("small") == 1
    assert parse(pair=pair, guidance={"scale": 1.5}).guidance.scale == 2.5
    other = parse(pair=pair, small={"guidance": 0.2}, guidance={"formula": "uncond"}).guidance
    assert (other.scale, other.scales) == (0.4, {"small": 0.2})
    # The number that is written tells two runs apart as little as its formula.
    same = parse(pair={"guidance": {"scale": 1.4}})
    assert identity(same) == identity(parse(pair=pair))
    assert parse(guidance={"formula": "cond"}).guidance.scale == 2.5  # the shipped pair's 1.5


def test_a_scale_per_denoiser_is_counted(parse):
    """Catches: evaluations of an unguided denoiser counted twice; its scale not in the identity."""
    experiment = parse(pair={"guidance": {"scale": 3}}, small={"guidance": 1})
    steps = experiment.steps_per_denoiser
    assert experiment.nfe == steps["small"] + 2 * steps["large"]
    assert identity(experiment)["guidance"] == {
        "scale": 3, "channels": 1, "scales": {"small": 1},
    }  # fmt: skip


@pytest.mark.parametrize("process", ["RectifiedFlow", "EDM"])
def test_a_run_on_another_process(process, tmp_path):
    """Catches: a run that does not know its pair's process; NFE that counts Heun's steps."""
    overrides = [
        "sampler=heun", "sampler.steps=3", "stitch.fraction=0.6", "evaluation=none",
        "run.num_images=2", "run.batch_size=2", "run.device=cpu", "engine.threads=1",
        "pair.denoisers.small.weights=random", "pair.denoisers.large.weights=random",
        "+pair.denoisers.small.process._target_=samplers.LinearVP",
        "+pair.denoisers.large.prediction=v", "+pair.denoisers.small.latent_scale=0.5",
    ]  # fmt: skip
    own = [f"+pair.process._target_=samplers.{process}", f"run.dir={tmp_path}"]
    folder = run_sampling(compose("sample", [*overrides, *own]))
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["nfe_per_image"] == 10  # 5 evaluations, guided
    assert {name: d["steps"] for name, d in metrics["denoisers"].items()} == {
        "small": 4,
        "large": 1,
    }
    report = (folder / "report.md").read_text()
    assert f"- Process of noise: {process} (" in report and "Sampler: Heun, 3 steps." in report
    assert "- large predicts v, on" in report and "its latents are times 0.5, plus 0" in report
    with np.load(folder / "samples.npz") as archive:
        assert archive["arr_0"].shape == (2, 28, 28, 3)
