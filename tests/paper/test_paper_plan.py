"""What a figure is made of: points, pairs that run them, the paper's values beside them."""

from pathlib import Path

import pytest

from samplers import Fractions
from tstitch.config.cli import compose
from tstitch.paper.cost import count_cost, describe_cost
from tstitch.paper.figure.settings import Reproduction, benchmark_throughput
from tstitch.paper.kinds.tuning import interval_of
from tstitch.paper.parse import parse_figure
from tstitch.paper.report.place import report_folder

CURVES = [
    "fig1", "fig5", "fig6", "fig8", "fig9", "fig12", "fig13", "fig15", "fig18", "table5", "table7",
]  # fmt: skip


def parsed(name, *overrides):
    config = compose("reproduce", [f"paper={name}", *overrides])
    settings = Reproduction.parse(config)
    return parse_figure(config["paper"], settings), settings


def planned(name, *overrides):
    figure, settings = parsed(name, *overrides)
    return figure.plan(settings, trial=True)


FULL = pytest.param("full", marks=pytest.mark.slow)


@pytest.mark.parametrize("scale", ["miniature", FULL])
@pytest.mark.parametrize("name", CURVES)
def test_every_figure_can_be_planned(name, scale):
    """Catches: a figure whose overrides or schedules no run accepts."""
    points = planned(name, f"scale={scale}")
    counts = {"fig1": 29 if scale == "miniature" else 11, "fig6": 66, "table7": 5}
    assert len(points) == counts.get(name, len(points)) and points
    for point in points:
        assert point.experiment.sampler.steps == point.steps
        assert point.experiment.guidance.scale == point.guidance
        assert point.experiment.run.num_images == point.images


def test_table_9_is_figure_1():
    """Catches: an alias that samples its points anew."""
    one, other = parsed("fig1"), parsed("table9")
    assert one[0] == other[0] and report_folder(*one, 0) == report_folder(*other, 0)


def test_figures_share_their_runs():
    """Catches: a mix of two of three models run as a trio, with a directory of its own."""
    trio, pairs = planned("fig6", "images=8"), planned("fig5", "images=8")
    assert count_cost(trio).runs == 66
    assert count_cost((*trio, *pairs)).runs == 66
    curve = [point for point in planned("fig1", "images=8") if point.steps == 20]
    assert len(curve) == 6 and count_cost((*trio, *curve)).runs == 66


@pytest.mark.parametrize("scale", ["miniature", "full"])
def test_steps_of_the_mixes(scale):
    """Catches: shares given to the wrong models of a pair."""
    for point in planned("fig6", f"scale={scale}"):
        counts = dict(zip(point.roles, point.experiment.steps_per_denoiser.values(), strict=True))
        wanted = [round(share * point.steps) for share in point.shares]
        assert [counts.get(role, 0) for role in ("small", "medium", "large")] == wanted
        assert len(point.experiment.pair.denoisers) == max(2, sum(s > 0 for s in point.shares))


def test_few_steps_are_counted():
    """Catches: fractions of the time where a pair counts steps: of LCM's four the first two lie
    within a quarter of the time.
    """
    points = [p for p in planned("table10") if p.steps == 4]
    counts = [p.experiment.steps_per_denoiser["small"] for p in points]
    assert counts == [0, 1, 2, 3, 4]


def test_values_of_the_paper_stand_at_their_points():
    """Catches: a list of values in another order than the schedules."""
    at = {point.shares: point.expected for point in planned("fig6", "scale=full")}
    assert at[0.4, 0.2, 0.4]["fid"] == 9.95 and at[0.0, 0.3, 0.7]["inception_score"] == 253.3
    assert at[1.0, 0.0, 0.0] == {"fid": 33.0, "inception_score": 58.0, "seconds": 1.57}
    at = {point.fraction: point.expected for point in planned("fig1", "scale=full")}
    assert at[0.4]["fid"] == 8.95 and at[1.0]["recall"] == 0.63 and at[0.5]["seconds"] == 9.4
    assert "inception_score" not in at[0.1]
    at = {point.kind: point.expected["fid"] for point in planned("table7", "scale=full")[1:]}
    assert at["fraction"] == 10.06
    assert (at["decreasing"], at["interleave"], at["large_to_small"]) == (12.94, 19.02, 27.61)
    at = {
        (s.sampler, s.steps, s.fraction): s.expected["fid"] for s in planned("fig8", "scale=full")
    }
    assert at["ddpm", 20, 0.4] == 22.2 and at["dpm_solver", 50, 1.0] == 35.3


def test_full_scale_is_the_papers_protocol():
    """Catches: full scale with the miniature's seed, labels or number of images."""
    point = planned("fig1", "scale=full")[4]
    experiment = point.experiment
    assert experiment.pair.name == "imagenet256_s_xl" and experiment.run.num_images == 5000
    assert experiment.run.classes == "random" and experiment.guidance.channels == 3
    assert experiment.steps_per_denoiser == {"small": 40, "large": 60}
    assert experiment.config["sampler"]["eta"] == 0


@pytest.mark.parametrize(("scale", "fractions"), [("miniature", 5), ("full", 11)])
def test_both_matchings_of_table_5(scale, fractions):
    """Catches: a matching under the other's name or counted as its run, all large sampled twice,
    weights of DiT-XL given to U-ViT-H, the paper's value at another fraction."""
    words = [f"scale={scale}", "weights.small=a", "weights.large=b", "weights.uvit=c"]
    points = planned("table5", *words)
    for match, name in (("snr", "matched by log-SNR"), ("t", "matched by t")):
        own = [point for point in points if point.variant == name]
        assert len(own) == fractions
        for point in own:
            small, large = point.experiment.pair.denoisers
            assert small.match == ("snr" if point.fraction == 0 else match)
            assert (type(small.process).__name__, large.process) == (
                "LinearVP", point.experiment.sampler.process,
            )  # fmt: skip
            used = [s.weights for s in (small, large)]
            assert used[0] in (("a",) if point.fraction else (used[0],))
            assert used[1] in (("c",) if point.fraction < 1 else (used[1],))
    assert count_cost(points).runs == 2 * fractions - 1
    if scale == "full":
        at = {p.fraction: p.expected["fid"] for p in points if p.variant == "matched by t"}
        assert (at[0], at[0.2], at[1]) == (15.04, 12.44, 121.95)
        assert {p.guidance for p in points} == {2.5}  # U-ViT's 1.5


def test_cost_of_figure_1():
    """Catches: guidance that does not double the evaluations, runs counted twice."""
    points = planned("fig1", "scale=full")
    cost = count_cost(points)
    assert (cost.points, cost.runs, cost.images) == (11, 11, 55_000)
    assert cost.evaluations == 11 * 5000 * 200
    # Half of all evaluations are DiT-XL's, 118.6 G multiply-adds, half DiT-S's, 6.06 (counted).
    assert cost.flops == pytest.approx(55_000 * 100 * 2 * (118.6e9 + 6.06e9), rel=0.01)


def test_throughput_of_a_benchmark():
    """Catches: multiply-adds taken for FLOPs, guidance forgotten, the slowest case taken."""
    rates = [{"fractions": [{"fraction": f, "images_per_second": {"median": r / (1 - f / 2)}}
              for f in (0, 0.5)]} for r in (3.0, 4.0)]  # fmt: skip
    protocol = {"guidance": {"scale": 1.5}, "sampler": {"steps": 10},
                "gmacs_per_evaluation": {"small": 1.0, "large": 8.0}}  # fmt: skip
    found = benchmark_throughput({"protocol": protocol, "cases": rates})
    assert found == pytest.approx(4 * 10 * 2 * 8e9 * 2)


BENCHMARK = Path(__file__).parents[2] / "docs" / "performance" / "benchmark.json"


def hours_of(*words):
    return "\n".join(describe_cost(count_cost(planned(*words)), parsed(*words)[1].throughput))


def test_hours_only_from_a_benchmark_of_the_same_networks():
    """Catches: 2,095.59 hours for ImageNet by what a CPU did on Fashion-MNIST."""
    same = hours_of("fig1", "scale=miniature", f"throughput={BENCHMARK}")
    assert " hours at " in same and "measured on AMD EPYC, " in same
    other = hours_of("fig1", "scale=full", f"throughput={BENCHMARK}")
    assert " hours at " not in other and " minutes at " not in other
    assert "no hours for imagenet256_s_xl" in other and "of other networks (fashion_mnist" in other
    assert "run python scripts/benchmark.py pair=imagenet256_s_xl" in other
    # A figure of several pairs: those that were measured have hours, the others are named.
    some = hours_of("fig5", "scale=miniature", f"throughput={BENCHMARK}")
    assert " for fashion_mnist at " in some and "no hours for " in some


@pytest.mark.parametrize("mix", [(0.5, 0.3, 0.2), (0.4, 0.0, 0.6), (0.1, 0.25, 0.65)])
def test_intervals_are_what_the_schedule_runs(mix):
    """Catches: a model tuned on its neighbour's timesteps, or an end that is off by one."""
    timesteps = list(range(999, -1, -1))
    models = Fractions(fractions=mix).assign([1 - t / 1000 for t in timesteps], 3)
    for place in range(3):
        first, end = interval_of(mix, place)
        ran = [t for t, model in zip(timesteps, models, strict=True) if model == place]
        assert ran == list(range(end - 1, first - 1, -1))


def test_variants_replace_the_weights_of_models_that_run():
    """Catches: checkpoints that make the all-large run another run."""
    points = planned("fig18")
    sources = {}
    for point in points:
        weights = {s.name: s.weights for s in point.experiment.pair.denoisers}
        sources.setdefault(point.fraction, set()).add(weights["small"])
        assert weights["large"] == "shipped:fashion_mnist/large.safetensors"
    assert len(sources[0.0]) == 1 and all(len(found) == 6 for f, found in sources.items() if f)
