"""`paper=tiue`: seeds and images in one interval, verdicts, students that are trained once."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from scipy.stats import t as student_t
from torch.nn.functional import cosine_similarity

from evaluation.metrics.jackknife import interval
from evaluation.metrics.measured import Measured
from tstitch.config.cli import compose
from tstitch.paper.figure.base import FigureData
from tstitch.paper.figure.measure import Result
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.kinds.arms_features import FeatureCourse, Watch
from tstitch.paper.kinds.arms_report import encoder_share
from tstitch.paper.kinds.arms_rows import Arm, Measurement, difference, over_seeds
from tstitch.paper.kinds.arms_students import training_words
from tstitch.paper.kinds.arms_timing import ArmTimes
from tstitch.paper.parse import parse_figure
from tstitch.paper.report.claims import FAILS, HOLDS, UNRESOLVED, UNTESTED, judge, read_claims
from tstitch.run.finished import FinishedRun
from tstitch.runtime.errors import UserError
from tstitch.scoring.evaluation import Evaluation

GROUPS = 20
CLAIMS = {claim.id: claim for claim in read_claims()}


def metric(value: float, spread: float = 0.0, seed: int = 0) -> Measured:
    noise = np.random.default_rng(seed).normal(size=GROUPS) * spread / GROUPS
    return Measured(name="m", value=value, low=value, high=value, replicates=tuple(value + noise))


def result(**values: Measured) -> Result:
    evaluation = Evaluation.model_construct(metrics=values)
    return Result(None, FinishedRun(None, None, evaluation), None)


def arm(name: str, values: list[float], seeds=(0, 1, 2), trained: bool = True, **others) -> Arm:
    """One whose FID has these values by seed, and whose other metrics are the same for each."""
    same = {key: metric(value) for key, value in others.items()}
    results = [result(fid=metric(value), **same) for value in values]
    return Arm(name, results, [{}] * len(values), seeds[: len(values)], trained, None)


def parsed(*overrides: str):
    config = compose("reproduce", ["paper=tiue", *overrides])
    settings = Reproduction.parse(config)
    return parse_figure(config["paper"], settings), settings


# -- intervals ---------------------------------------------------------------------------------


def test_one_seed_is_the_jackknife():
    """Catches: an interval of images that a single training widens or narrows."""
    value = metric(3.0, spread=2.0)
    found, expected = over_seeds([value], [1.0]), interval(3.0, value.replicates)
    assert found.high - found.value == pytest.approx(expected.high - expected.value)
    assert found.value == pytest.approx(2.0)


def test_seeds_widen_it():
    """Catches: trainings that scatter, averaged as if they were images; a normal quantile."""
    found = over_seeds([metric(1.0), metric(2.0), metric(6.0)], [0.0, 0.0, 0.0])
    reach = student_t.ppf(0.975, 2) * np.std([1, 2, 6], ddof=1) / math.sqrt(3)
    assert found.value == pytest.approx(3.0)
    assert found.high - found.value == pytest.approx(reach)


def test_images_are_averaged_over_seeds():
    """Catches: replicates of one seed taken for all: what images do to all seeds stays, what they
    do to one shrinks."""
    alike = over_seeds([metric(1.0, 3.0, 0), metric(1.0, 3.0, 0)], [0.0, 0.0])
    other = over_seeds([metric(1.0, 3.0, 0), metric(1.0, 3.0, 1)], [0.0, 0.0])
    assert other.high < alike.high
    assert alike.high == pytest.approx(interval(1.0, metric(1.0, 3.0).replicates).high)


def test_differences_pair_seeds():
    """Catches: seeds compared crosswise, an arm without trainings that is paired with one seed."""
    one, other = arm("U", [5.0, 7.0, 9.0]), arm("O", [4.0, 6.0, 8.0])
    found = difference(one, other, "fid")
    assert (found.low, found.value, found.high) == pytest.approx((1, 1, 1))
    shuffled = arm("O", [8.0, 6.0, 4.0], seeds=(2, 1, 0))
    assert difference(one, shuffled, "fid").high == pytest.approx(1.0)
    teacher = arm("T", [4.0], seeds=(0,), trained=False)
    assert difference(one, teacher, "fid").value == pytest.approx(3.0)
    assert difference(one, arm("O", [4.0], seeds=(7,)), "fid") is None
    assert difference(one, other, "recall") is None


# -- verdicts ----------------------------------------------------------------------------------


def verdicts(arms: dict[str, Arm], times=None, course=None) -> dict[str, str]:
    figure, _ = parsed()
    order = [arms[own.arm] for own in figure.arms if own.arm in arms]
    settings = [
        SimpleNamespace(
            arm=a.name, seeds=a.seeds, student=() if a.is_trained else None, series=None
        )
        for a in order
    ]
    stub = SimpleNamespace(arms=settings, claim_tests=figure.claim_tests)
    results = [r for a in order for r in a.results]
    measured = Measurement([p for a in order for p in a.paired], {}, {}, times, course)
    data = {"tiue": FigureData(stub, results, measured)}
    return {name: judge(CLAIMS[name], data, {}).status for name in ("T1", "T2", "T3", "T4", "T5")}


def times(**latency: float) -> ArmTimes:
    spread = {name: [value, 0.98 * value, 1.02 * value] for name, value in latency.items()}
    return ArmTimes(spread, spread, 8, 3, 1, 2)


def many(name: str, fid: float, **others) -> Arm:
    return arm(name, [fid, fid + 0.01, fid - 0.01], **({"recall": 0.5, "coverage": 0.5} | others))


def test_verdicts_say_yes_and_no():
    """Catches: signs that are turned round, arms that are taken for one another."""
    good = {
        "O999": many("O999", 9.0, recall=0.4),
        "O751": many("O751", 6.0),
        "U": many("U", 5.0),
        "U-kl": many("U-kl", 5.0, coverage=0.6),
        "M4": many("M4", 4.95),
    }
    quick = times(U=1.2, O751=1.0, M4=4.0)
    found = verdicts(good, quick)
    assert found == {"T1": UNTESTED, "T2": HOLDS, "T3": HOLDS, "T4": HOLDS, "T5": HOLDS}
    bad = {
        "O999": many("O999", 4.0),
        "O751": many("O751", 4.0),
        "U": many("U", 5.0),
        "U-kl": many("U-kl", 5.0, recall=0.4, coverage=0.4),
        "M4": many("M4", 4.0),
    }
    found = verdicts(bad, quick)
    assert [found[f"T{n}"] for n in (2, 3, 4, 5)] == [FAILS] * 4


def test_nothing_measured_of_diversity():
    """Catches: a claim that fails by an empty list."""
    arms = {name: arm(name, [5.0, 5.01, 4.99]) for name in ("U", "U-kl")}
    assert verdicts(arms)["T4"] == UNTESTED


def test_slow_decoders_fail_t5():
    """Catches: a latency that is three times the single step's and called near it."""
    arms = {name: many(name, 5.0) for name in ("O751", "U", "M4")}
    assert verdicts(arms, times(U=3.0, O751=1.0, M4=4.0))["T5"] == FAILS
    assert verdicts(arms, times(U=1.5, O751=1.0, M4=4.0))["T5"] == HOLDS
    assert verdicts(arms)["T5"] == UNTESTED


def test_few_seeds_resolve_nothing():
    """Catches: a verdict of two trainings, which may be luck."""
    arms = {"O751": arm("O751", [6.0, 6.0]), "U": arm("U", [5.0, 5.0])}
    assert verdicts(arms)["T3"] == UNRESOLVED
    one = {"O751": many("O751", 5.0), "U": many("U", 5.0), "M4": arm("M4", [5.0])}
    assert verdicts(one, times(U=1.2, O751=1.0, M4=4.0))["T5"] == UNRESOLVED
    scattered = {"O751": many("O751", 6.0), "U": arm("U", [3.0, 5.0, 9.0])}
    assert verdicts(scattered)["T3"] == UNRESOLVED


@pytest.mark.parametrize(("gap", "expected"), [(0.1, HOLDS), (-0.1, FAILS), (0.0, UNRESOLVED)])
def test_features(gap, expected):
    """Catches: encoder and decoder swapped, steps taken for images."""
    noise = 0.02 * np.random.default_rng(0).normal(size=(5, 12))
    noise -= noise.mean()
    decoder = np.full((5, 12), 0.7)
    course = FeatureCourse([1.0] * 5, (decoder + gap + noise).tolist(), decoder.tolist())
    assert verdicts({}, course=course)["T1"] == expected


# -- features ----------------------------------------------------------------------------------


def test_watch_compares_neighbouring_steps(unet_config):
    """Catches: blocks of one part counted to the other, a step compared with itself."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(**{k: v for k, v in unet_config.items() if k[0] != "_"}).eval()
    side, width = unet.config.sample_size, unet.config.cross_attention_dim
    x = torch.randn(3, 2, unet.config.in_channels, side, side)
    texts = torch.randn(2, 4, width)
    last: list[torch.Tensor] = []
    unet.up_blocks[-1].register_forward_hook(lambda _m, _i, out: last.append(out.flatten(1)))
    with torch.no_grad(), Watch(unet).watching() as watch:
        for step, t in zip(x, (900, 500, 100), strict=True):
            unet(step, t, texts)
    encoder, decoder = watch.courses
    assert [tuple(row.shape) for row in (*encoder, *decoder)] == [(2,)] * 4
    own = [cosine_similarity(a, b) for a, b in zip(last[1:], last[:-1], strict=True)]
    others = []
    with torch.no_grad():
        first: list[list[torch.Tensor]] = []
        for step, t in zip(x, (900, 500, 100), strict=True):
            row: list[torch.Tensor] = []
            hooks = [
                block.register_forward_hook(lambda _m, _i, out, row=row: row.append(out.flatten(1)))
                for block in unet.up_blocks[:-1]
            ]
            unet(step, t, texts)
            [hook.remove() for hook in hooks]
            first.append(row)
    for before, after, top in zip(first[:-1], first[1:], own, strict=True):
        parts = [cosine_similarity(a, b) for a, b in zip(after, before, strict=True)]
        others.append(torch.stack([*parts, top]).mean(0))
    torch.testing.assert_close(torch.stack(decoder), torch.stack(others))


# -- plan and input ----------------------------------------------------------------------------


def test_every_arm_is_planned_with_its_cost():
    """Catches: students whose stand-in has another number of decoders, arms left out, and
    comparisons of other images."""
    figure, settings = parsed()
    points = figure.plan(settings, trial=True)
    assert len(points) == 22
    at = {point.planned.label: point.experiment for point in points}
    parts = {
        name: sum(
            at[name].evaluations_per_image[n] * cost.flops for n, cost in at[name].costs().items()
        )
        for name in ("O751, seed 0", "U, seed 0", "U3, seed 0", "M4, seed 0", "T4")
    }
    one, four = parts["O751, seed 0"], parts["U, seed 0"]
    assert 2.5 < four / one < 3.5  # tiue.md: about 3 passes for four decoders
    assert one < parts["U3, seed 0"] < four < parts["M4, seed 0"] < parts["T4"]
    assert {tuple(e.run.classes) for e in at.values()} == {tuple(at["T50"].run.classes)}
    assert len(set(at["T50"].run.classes)) == 250


def test_both_figures_have_the_same_students():
    """Catches: students that the second figure trains anew, for a setting of one file alone."""

    def students(name: str) -> dict[tuple[str, int], list[str]]:
        config = compose("reproduce", [f"paper={name}"])
        figure = parse_figure(config["paper"], Reproduction.parse(config))
        return {
            (own.arm, seed): training_words(figure.training, own.student, seed)
            for own in figure.arms
            if own.student is not None
            for seed in own.seeds
        }

    front, tiue = students("front"), students("tiue")
    assert len(front) == 9 and front.items() <= tiue.items()


def test_the_encoder_has_its_share():
    """Catches: a student's one encoding counted once per decoder."""
    figure, settings = parsed()
    points = {p.planned.label: p for p in figure.plan(settings, trial=True)}
    encoder, decoder = 31, 69
    parts = {"small": (2, 3), "large": (encoder, decoder)}

    def share(label: str, trained: bool, flops: int) -> float:
        measured = SimpleNamespace(flops_per_image=flops)
        found = Arm("", [Result(points[label], None, measured)], [{}], (0,), trained, None)
        return encoder_share(found, parts)

    assert share("T50", False, 0) == pytest.approx(0.31)
    assert share("U, seed 0", True, encoder + 4 * decoder) == pytest.approx(31 / 307)
    assert share("M4, seed 0", True, 4 * 100) == pytest.approx(0.31)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"arms": []}, "arms"),
        ({"conditions": 5000}, "conditions=5000"),
        ({"features": {"arm": "none", "images": 4}}, "features.arm"),
        ({"features": {"arm": "U", "images": 4}}, "features.arm=U"),
        ({"features": {"arm": "P", "images": 4}}, "features.arm=P"),
        ({"training": ["distil.steps=x"]}, "distil.steps"),
        ({"training": ["distil.dir=here"]}, "distil.dir"),
    ],
)
def test_bad_sections(change, named):
    """Catches: a bad section that is found when students are trained, or not at all."""
    config = compose("reproduce", ["paper=tiue"])
    config["paper"]["miniature"] |= change
    with pytest.raises(UserError) as caught:
        settings = Reproduction.parse(config)
        parse_figure(config["paper"], settings).plan(settings, trial=True)
    assert named in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
def test_students_are_trained_once(run_script, tmp_path):
    """Catches: two processes that wait for each other, a second command that trains or measures
    again, a student that loses its plan."""
    common = ["prompts=shipped:emoji/held_out.txt", "evaluation=emoji_held_out"]
    section = {
        "about": "tiny", "images": 8, "conditions": 4,
        "common": [*common, "evaluation.groups=4", "run.batch_size=4", "run.device=cpu"],
        "training": ["distil.steps=2", "distil.batch_size=2", "distil.preview.images=0",
                     "distil.log_every=1", "distil.device=cpu"],
        "timing": {"batch_size": 2, "rounds": 2}, "features": {"arm": "T4", "images": 2},
        "arms": [
            {"arm": "T4", "run": ["pair=emoji", "stitch.fraction=0", "sampler=ddim_leading"]},
            {"arm": "O751", "run": ["pair=emoji_tiue"], "student": ["distil.arm=O751"]},
            {"arm": "U", "run": ["pair=emoji_tiue"], "student": ["distil.arm=U"], "seeds": [0, 1]},
            {"arm": "M4", "run": ["pair=emoji_m4"], "student": ["distil.arm=M4"]},
        ],
    }  # fmt: skip
    paper = {"name": "tiue", "kind": "arms", "title": "tiny", "claims": ["T1", "T3"]}
    folder = tmp_path / "configs" / "paper"
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_text(yaml.safe_dump(paper | {"miniature": section, "full": None}))
    words = [f"hydra.searchpath=[file://{tmp_path}/configs]", "paper=own", f"root={tmp_path}/runs"]

    def run(processes: int) -> str:
        done = run_script("reproduce.py", *words, processes=processes, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    first = run(2)
    students = sorted((tmp_path / "runs/paper/students").glob("*/student/unet/tiue.json"))
    arms = [json.loads(path.read_text()) for path in students]
    assert [(a["arm"], a["seed"]) for a in arms] == [("M4", 0), ("O751", 0), ("U", 0), ("U", 1)]
    report = tmp_path / "runs/paper/tiue-miniature.md"
    text = report.read_text()
    assert "T1" in first and "T3 not resolved" in first
    assert text.count("| U | 2 |") == 2 and "## Students" in text
    assert (tmp_path / "runs/paper/tiue-miniature/tiue.png").is_file()
    before = {path: path.stat().st_mtime_ns for path in [*students, report.with_suffix("")]}
    weights = sorted((tmp_path / "runs").rglob("*.safetensors"))
    stamps = [path.stat().st_mtime_ns for path in weights]
    run(0)
    assert [path.stat().st_mtime_ns for path in weights] == stamps
    assert all(path.stat().st_mtime_ns == before[path] for path in students)
    assert report.read_text() == text
