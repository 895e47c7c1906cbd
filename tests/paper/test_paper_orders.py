"""`paper=orders`: equal cost, comparisons of the right runs, resuming, verdicts, bad input."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from evaluation.metrics.jackknife import Interval
from evaluation.metrics.measured import Measured
from tstitch.config.cli import compose
from tstitch.paper.cost import count_cost
from tstitch.paper.figure.measure import Result
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.kinds.orders_rows import compare_orders
from tstitch.paper.kinds.orders_verdicts import (
    against_margin,
    judge_diversity,
    judge_quality,
    verdict_items,
)
from tstitch.paper.parse import parse_figure
from tstitch.run.finished import FinishedRun
from tstitch.scoring.evaluation import Evaluation

ORDERS = "paper=orders"
SMALL = "paper.miniature.small_steps=2"  # of the 4 steps of every run here
START = "paper.miniature.orders=[{label: first, stitch: fraction}"
FEW = f"{START}, {{label: ends, models: [0, 1, 1, 0]}}]"
WORDS = (ORDERS, SMALL, FEW, "images=24")
GROUPS = 20


def parsed(*overrides):
    config = compose("reproduce", [ORDERS, *overrides])
    settings = Reproduction.parse(config)
    return parse_figure(config["paper"], settings), settings


@pytest.fixture(scope="module")
def finished(reproduce, tmp_path_factory):
    """A finished comparison of two orders; to be read, not changed."""
    root = tmp_path_factory.mktemp("orders")
    return root, reproduce(root, *WORDS)


def images_of(folder: Path) -> np.ndarray:
    with np.load(folder / "samples.npz") as archive:
        return archive["arr_0"].astype(float)


def by_schedule(root: Path) -> dict[tuple[int, ...], Path]:
    files = root.rglob("config.yaml")
    return {tuple(yaml.safe_load(p.read_text())["decides"]["stitch"]): p.parent for p in files}


def kept(root: Path) -> list[dict]:
    path = root / "paper" / "orders-miniature" / "measured.json"
    return json.loads(path.read_text())["measured"]["paired"]


@pytest.mark.slow
def test_orders_are_compared_with_all_large(finished):
    """Catches: an order compared with its neighbour in the table, or with images of other noise."""
    root, report = finished
    large, first, ends, small = kept(root)
    assert large["rms"]["value"] == 0 and large["diversity"]["value"] == pytest.approx(1)
    runs = {
        (1, 1, 1, 1): large, (0, 0, 1, 1): first, (0, 1, 1, 0): ends, (0, 0, 0, 0): small,
    }  # fmt: skip
    folders = by_schedule(root)
    assert folders.keys() == runs.keys()
    base = images_of(folders[1, 1, 1, 1])
    for schedule, entry in runs.items():
        errors = ((images_of(folders[schedule]) - base) ** 2).mean((1, 2, 3))
        assert entry["rms"]["value"] == pytest.approx(np.sqrt(errors).mean())
    text = report.read_text()
    assert "| first | ssLL |" in text and "| ends | sLLs |" in text
    assert "fashion_mnist: DDIM 4 steps, guidance 1.5, 2 of 4 steps small, 24 images" in text
    assert "- **small first, quality: not tested**" in text
    assert "diversity retention (Fashion-MNIST classifier)" in text
    assert (report.with_suffix("") / "orders.png").stat().st_size > 0


def test_it_resumes(finished, reproduce, caplog):
    """Catches: comparisons or runs that the same command makes again."""
    root, report = finished
    before, measured = report.read_text(), kept(root)
    written = (root / "paper" / "orders-miniature" / "measured.json").stat().st_mtime_ns
    with caplog.at_level("INFO", logger="tstitch"):
        assert reproduce(root, *WORDS) == report
    assert "0 of 24 images to sample" in caplog.text and "evaluating" not in caplog.text
    assert report.read_text() == before and kept(root) == measured
    path = root / "paper" / "orders-miniature" / "measured.json"
    assert path.stat().st_mtime_ns == written


@pytest.mark.slow
def test_two_processes(finished, command, tmp_path):
    """Catches: comparisons of one rank's groups alone, ranks that wait for each other."""
    root, _ = finished
    done = command(*WORDS, f"root={tmp_path}", processes=2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("- **small first, ") == 2
    for entry, other in zip(kept(root), kept(tmp_path), strict=True):
        assert entry.keys() == other.keys()
        for key, value in entry.items():
            assert other[key]["value"] == pytest.approx(value["value"], rel=1e-9)
            assert other[key]["replicates"] == pytest.approx(value["replicates"], rel=1e-9)


@pytest.mark.slow
def test_several_pairs(reproduce, tmp_path):
    """Catches: pairs that are compared with each other's large model, a picture that replaces
    another's, points of one number of images that hide those of another."""
    pairs = "paper.miniature.pairs=[fashion_mnist,fashion_mnist_s_m]"
    report = reproduce(tmp_path, *WORDS, pairs)
    entries, text = kept(tmp_path), report.read_text()
    assert [e["rms"]["value"] == 0 for e in entries] == [True, False, False, False] * 2
    for pair in ("fashion_mnist", "fashion_mnist_s_m"):
        assert f"## {pair}: DDIM 4 steps, guidance 1.5, 2 of 4 steps small" in text
        assert f"- **closest to all large** ({pair}: " in text
    pictures = {path.name for path in report.with_suffix("").glob("*.png")}
    assert pictures == {"orders-fashion_mnist.png", "orders-fashion_mnist_s_m.png"}


@pytest.mark.slow
def test_schedules_that_are_measured(reproduce, caplog, tmp_path):
    """Catches: a schedule that stands for one that is not known yet and is sampled; measuring at
    every command."""
    topk = f"{START}, {{label: nearest, stitch: topk, compare: x0, inputs: 4}}]"
    words = (ORDERS, SMALL, topk, "images=8")
    report = reproduce(tmp_path, *words)
    [path] = tmp_path.rglob("schedule.json")
    found = json.loads(path.read_text())["schedule"]
    assert found["compare"] == "x0" and found["models"].count(0) == 2
    steps = "".join("sL"[model] for model in found["models"])
    text = report.read_text()
    assert f"| nearest | {steps} |" in text
    assert ("One schedule, and one run: first, nearest" in text) == (steps == "ssLL")
    assert by_schedule(tmp_path).keys() >= {tuple(found["models"]), (0, 0, 1, 1)}
    before = path.stat().st_mtime_ns
    assert reproduce(tmp_path, *words) == report and report.read_text() == text
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("scale", ["miniature", "full"])
def test_every_order_costs_the_same(scale):
    """Catches: an order of one more small step, orders that are one run by mistake."""
    figure, settings = parsed(f"scale={scale}")
    points = figure.plan(settings, trial=True)
    per_row = len(figure.orders) + 2
    assert len(points) == per_row * len(figure.pairs) * len(figure.curves)
    for place, point in enumerate(points):
        wanted = {0: 0, per_row - 1: point.steps}.get(place % per_row, figure.small_steps)
        assert point.experiment.schedule.count(0) == wanted
        assert point.experiment.pair.name in figure.pairs
    assert count_cost(points).runs == len(points)
    at = {point.planned.label: point.experiment.schedule for point in points}
    small, steps = figure.small_steps, points[0].steps
    assert at["first"] == (0,) * small + (1,) * (steps - small)
    assert at["last"] == (1,) * (steps - small) + (0,) * small


def test_steps_that_are_evaluated_twice():
    """Catches: evaluations counted for steps, a stand-in of more steps than there are."""
    curve = "{models: [small, large], sampler: heun, steps: [10], fractions: [0, 1], images: 8}"
    figure, settings = parsed(
        f"paper.miniature.curves=[{curve}]",
        "paper.miniature.small_steps=4",
        f"{START}, {{label: topk, stitch: topk}}, {{label: last, stitch: last}}]",
    )
    large, *orders, small = figure.plan(settings)
    models = {point.planned.label: point.experiment.step_models for point in orders}
    assert models["first"] == (0,) * 4 + (1,) * 6 and models["last"] == (1,) * 6 + (0,) * 4
    assert sorted(models["topk"]) == [0] * 4 + [1] * 6
    assert orders[0].experiment.steps_per_denoiser == {"small": 8, "large": 11}  # evaluations
    assert (large.experiment.step_models, small.experiment.step_models) == ((1,) * 10, (0,) * 10)


def test_a_window_is_in_the_middle_or_where_it_is_said():
    """Catches: a window of one step more or less by rounding."""
    for steps, small in ((25, 10), (20, 7), (50, 33)):
        start = (steps - small - 1) / steps
        figure, settings = parsed(
            f"paper.miniature.curves.0.steps=[{steps}]",
            f"paper.miniature.small_steps={small}",
            f"{START}, {{label: middle, stitch: window}}, "
            f"{{label: late, stitch: window, start: {start}}}]",
        )
        at = {p.planned.label: p.experiment.schedule for p in figure.plan(settings)}
        before = (steps - small) // 2
        assert at["middle"] == (1,) * before + (0,) * small + (1,) * (steps - small - before)
        assert at["late"] == (1,) * (steps - small - 1) + (0,) * small + (1,)


def test_dry_run_at_full_scale(reproduce, capsys, tmp_path):
    """Catches: a dry run that wants weights, or leaves the orders out of the cost."""
    words = ("scale=full", "dry_run=true", "throughput=10", "overrides=[]", "images=null")
    reproduce(tmp_path / "runs", ORDERS, *words)
    printed = capsys.readouterr().out
    figure, _ = parsed("scale=full")
    assert f"{len(figure.orders) + 2} points, {len(figure.orders) + 2} runs" in printed
    assert "40 small steps; orders first, topk eps" in printed
    assert (
        "found by measuring, which is not counted: topk eps, topk x0, topk velocity, search"
        in printed
    )
    assert "hours at 10 TFLOP/s" in printed
    assert not (tmp_path / "runs").exists()


def odd(order: str) -> str:
    return f"{START}, {{{order}}}]"


BAD = [
    (["paper.miniature.small_steps=0"], "small_steps=0: choose a whole number of at least 1"),
    (["paper.miniature.small_steps=4"], "small_steps=4: choose fewer than the 4 steps"),
    (["paper.miniature.pairs=[]"], "pairs=[]: give at least one value"),
    (["paper.miniature.pairs=[mnist]"], "pair=mnist: choose one of"),
    (["paper.miniature.pairs=[fashion_mnist_trio]"], "fashion_mnist_trio: has small, medium"),
    (["paper.miniature.orders=3"], "orders=3: give a list of sections, one for each order"),
    ([f"{START}]"], "give at least two orders, one with label: first"),
    ([odd("axis: step")], "give a label of its own, and stitch (a file of configs/stitch)"),
    ([odd("label: first, stitch: last")], "{'label': 'first', 'stitch': 'last'}: give a label"),
    ([odd("label: odd, stitch: none")], "stitch=none: choose one of"),
    ([odd("label: odd, stitch: fraction, seed: 3")], "odd: stitch.seed: unknown key"),
    ([odd("label: odd, models: [0, 1]")], "orders.odd: stitch.models=[0, 1]: choose 4"),
    ([odd("label: odd, models: [0, 1, 1, 1]")], "orders.odd: has 1 small steps, not 2"),
    ([odd("label: odd, stitch: topk, compare: x1")], "orders.odd: stitch.compare=x1: choose eps"),
    ([odd("label: odd, stitch: topk, steps: 9")], "orders.odd: stitch.steps=9"),
    ([odd("label: odd, stitch: random, steps: 3")], "orders.odd: has 3 small steps, not 2"),
    ([odd("label: odd, stitch: decreasing")], "choose orders of equal cost"),
    ([odd("label: odd, stitch: sketch_render, latest: 2")], "odd: each image decides its own"),
    (["paper.miniature.curves.0.fractions=[0, 0.5]"], "and fractions [0, 1]"),
    (["paper.miniature.curves.0.steps=[4, 5]"], "give each [small, large], one steps"),
    (["+paper.miniature.found={}"], "paper.miniature.found: unknown key"),
    (["overrides=['evaluation=none']"], "evaluation.reference=null: a figure compares quality"),
]


@pytest.mark.parametrize(("words", "message"), BAD)
def test_bad_input_is_one_line(words, message, refusal, tmp_path):
    """Catches: a traceback, or images sampled before the bad value is seen."""
    assert message in refusal(tmp_path / "runs", ORDERS, SMALL, *words)


def metric(value, seed=0, spread=0.01):
    noise = np.random.default_rng(seed).normal(size=GROUPS) * spread / GROUPS
    return Measured(name="m", value=value, low=value, high=value, replicates=tuple(value + noise))


def row(fid, kept, images=1000, spread=0.01):
    """A row of made-up values by label, all large being FID 2 and diversity 1."""
    figure, settings = parsed(f"images={images}")
    results, paired = [], []
    for seed, point in enumerate(figure.plan(settings, trial=True)):
        label = point.planned.label
        found = {"fid": metric(fid.get(label, 2.5), seed, spread)}
        evaluation = Evaluation.model_construct(metrics=found)
        results.append(Result(point, FinishedRun(Path(), None, evaluation), SimpleNamespace()))
        paired.append(
            {
                "diversity": metric(kept.get(label, 0.9), seed, spread / 10),
                "rms": metric(10.0 - fid.get(label, 2.5), seed),
            }
        )
    [only] = compare_orders(results, paired)
    return only


BEST = {"all large": 2.0, "first": 2.01, "all small": 4.0}
KEPT = {"all large": 1.0, "first": 0.97, "all small": 0.8}


def test_small_first_holds_or_not():
    """Catches: a verdict that looks at the anchors, at the sign alone, or the wrong way round."""
    assert judge_quality(row(BEST, KEPT)).answer is True
    within = row(BEST | {"last": 1.99}, KEPT)
    assert judge_quality(within).answer is True  # 0.02 of a margin of 0.066
    beaten = judge_quality(row(BEST | {"last": 1.8}, KEPT))
    assert beaten.answer is False and "exceeded by last" in beaten.note
    assert "+0.21" in beaten.note and "to the best other order, last" in beaten.note
    large_is_better = row(BEST | {"first": 2.4}, KEPT)
    assert judge_quality(large_is_better).answer is True  # all large is no order of equal cost
    wide = judge_quality(row(BEST | {"last": 1.97}, KEPT, spread=2.0))
    assert wide.answer is None and "images would" in wide.note


def test_diversity_is_a_verdict_of_its_own():
    """Catches: a run more diverse than all large that counts against first."""
    assert judge_diversity(row(BEST, KEPT)).answer is True
    assert judge_diversity(row(BEST, KEPT | {"last": 0.99})).answer is False
    over = KEPT | {"first": 0.995, "last": 1.2}
    assert judge_diversity(row(BEST, over)).answer is True
    short = judge_diversity(row(BEST, over | {"first": 0.9}))
    assert short.answer is False and "exceeded by last" in short.note
    unmeasured = row(BEST, KEPT)
    orders = [replace(order, paired={"rms": order.paired["rms"]}) for order in unmeasured.orders]
    items = verdict_items(replace(unmeasured, orders=orders))
    assert "diversity: not tested" in items[1] and "quality: holds" in items[0]


def test_a_twin_of_first_is_no_rival():
    """Catches: first compared with its own run under another name, as the best of the others."""
    rival = row(BEST | {"topk eps": 2.005}, KEPT)
    assert "to the best other order, topk eps" in judge_quality(rival).note
    first = rival.first.result.point
    twins = []
    for order in rival.orders:
        same = order.label.startswith("topk")
        point = replace(first, planned=replace(first.planned, label=order.label))
        result = replace(order.result, point=point) if same else order.result
        twins.append(replace(order, result=result))
    found = verdict_items(replace(rival, orders=twins))[0]
    assert "topk eps, topk x0, topk velocity: the same schedule" in found
    assert "best other order, topk" not in found
    alone = replace(
        rival, orders=[order for order in twins if order.models == first.experiment.schedule]
    )
    [only] = verdict_items(alone)
    assert "not tested" in only and "no order has another schedule" in only


def test_few_images_tell_nothing():
    """Catches: a verdict from FIDs that are mostly their bias."""
    items = verdict_items(row(BEST, KEPT, images=100))
    assert all("not tested" in item and "fewer than 200 images" in item for item in items[:2])
    assert all("holds" in item for item in verdict_items(row(BEST, KEPT, images=200))[:2])


def test_nearest_order_is_named():
    """Catches: the farthest order called the closest."""
    item = verdict_items(row(BEST | {"last": 2.9}, KEPT))[2]
    count = len(parsed()[0].orders)
    assert "last, RMS 7.1" in item and f"first is {count} of {count}" in item


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [(-0.2, 0.05, True), (0.01, 0.05, True), (0.05, 0.2, None), (0.11, 0.2, False)],
)
def test_margin(low, high, answer):
    """Catches: significance in place of the margin."""
    changes = {"a": Interval(0.0, -0.01, 0.01), "b": Interval((low + high) / 2, low, high)}
    assert against_margin(changes, 0.1, 1000).answer is answer
