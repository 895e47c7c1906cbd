"""Verdicts and comparisons on made-up measurements: each must be able to say no."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from evaluation.metrics.jackknife import GROUPS, Interval
from evaluation.metrics.measured import Measured
from tstitch.config.cli import compose
from tstitch.paper.figure.base import FigureData
from tstitch.paper.figure.measure import Result
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.kinds import KINDS
from tstitch.paper.kinds.curves_timing import Timing
from tstitch.paper.kinds.footprint import Footprint
from tstitch.paper.kinds.predict import predict_curves, safe_fraction
from tstitch.paper.kinds.repeats import Repeat
from tstitch.paper.kinds.similarity import Similarity
from tstitch.paper.kinds.spectrum import Spectrum
from tstitch.paper.kinds.tuning import ALL, BEFORE, OWN
from tstitch.paper.parse import parse_figure
from tstitch.paper.report.claims import (
    FAILS,
    HOLDS,
    UNRESOLVED,
    UNTESTED,
    claims_of,
    judge,
    read_claims,
)
from tstitch.paper.report.compare import compare_with_paper
from tstitch.paper.report.margins import images_needed, judge_course
from tstitch.run.finished import FinishedRun
from tstitch.scoring.evaluation import Evaluation

CLAIMS = {claim.id: claim for claim in read_claims()}
STEP_S = {"small": 0.001, "medium": 0.004, "large": 0.01}


def metric(value, spread=0.01, seed=0):
    noise = np.random.default_rng(seed).normal(size=GROUPS) * spread / GROUPS
    return Measured(name="m", value=value, low=value, high=value, replicates=tuple(value + noise))


def result(point, **values):
    """A point whose every metric has independent noise: differences have an interval."""
    seed = abs(hash((point.shares, point.kind, point.sampler, point.variant))) % 2**31
    metrics = {name: metric(value, seed=seed) for name, value in values.items()}
    steps = dict(zip(point.roles, point.experiment.steps_per_denoiser.values(), strict=True))
    measured = SimpleNamespace(
        steps_per_denoiser=steps,
        seconds_per_denoiser={role: n * STEP_S[role] for role, n in steps.items()},
        gmacs_per_image=sum(n * STEP_S[role] * 1000 for role, n in steps.items()),
        differences={},
    )
    evaluation = Evaluation.model_construct(metrics=metrics)
    return Result(point, FinishedRun(Path(), None, evaluation), measured)


def parsed(name, *overrides):
    config = compose("reproduce", [f"paper={name}", *overrides])
    settings = Reproduction.parse(config)
    return parse_figure(config["paper"], settings), settings


def data(name, value, *overrides, measured=None, scale="miniature"):
    """FigureData of `paper=name` with FID = value(point)."""
    figure, settings = parsed(name, f"scale={scale}", *overrides)
    points = figure.plan(settings, trial=True)
    found = [
        result(s, **v) if isinstance(v := value(s), dict) else result(s, fid=v) for s in points
    ]
    return FigureData(figure, found, measured)


def status(claim, *figures):
    """The verdict on a claim by its figures."""
    found = judge(CLAIMS[claim], dict(zip(CLAIMS[claim].sources, figures, strict=True)), {})
    assert found.numbers
    return found.status


def flat(limit, late=3.0):
    """FID 2 up to a fraction, then rising linearly to `late`."""
    return lambda s: 2 + max(0.0, s.fraction - limit) / (1 - limit) * (late - 2)


def test_flat_up_to_two_fifths():
    """Catches: a verdict that sees the ends alone."""
    assert status("C1", data("fig1", flat(0.4))) == HOLDS
    assert status("C1", data("fig1", flat(0.2))) == FAILS


LIKE_FIG1 = "paper.miniature.pair=fashion_mnist"


def test_unets_up_to_a_half():
    """Catches: a rise of FID at 0.5 that is not seen, a loss of Inception Score that is."""

    def table(limit, lost=0.0):
        values = flat(limit)
        score = lambda s: 9 - lost * (0 < s.fraction <= 0.3)  # noqa: E731
        return data("table1", lambda s: {"fid": values(s), "inception_score": score(s)}, LIKE_FIG1)

    assert status("C10", table(0.5)) == HOLDS
    assert status("C10", table(0.3)) == FAILS
    assert status("C10", table(0.5, lost=1.0)) == FAILS
    assert status("C10", table(0.5, lost=0.1)) == HOLDS
    assert status("C10", data("table1", flat(0.5), LIKE_FIG1)) == UNTESTED


def test_every_sampler_counts_but_few_steps_of_ddim():
    """Catches: a headline that looks at one curve, or is judged by what stands beside."""

    def steep(sampler, steps):
        return lambda s: flat(0.1 if (s.sampler, s.steps) == (sampler, steps) else 0.4)(s)

    for sampler, steps in (("ddim", 50), ("ddim", 100), ("dpm_solver", 25)):
        assert status("C1", data("fig1", steep(sampler, steps))) == FAILS
    assert status("C1", data("fig1", steep("ddim", 20))) == HOLDS


def timing(fractions, seconds, **conditions):
    conditions = {"batch_size": 8, "rounds": 3, "device": "a CPU", "threads": 1} | conditions
    return Timing(fractions, [[s] * 3 for s in seconds], engine="plain", cores=1, **conditions)


def timed(seconds):
    fractions = [i / 10 for i in range(11)]
    return timing(fractions, [seconds(f) for f in fractions])


def test_no_speed_up_above_the_flops():
    """Catches: a table of times that tells what the load of the machine made of them."""
    found = timing([0.0, 0.9, 1.0], [10.0, 0.8, 1.5], batch_size=1)
    figure = data("fig1", lambda s: 1.0, measured=found)
    lines = "\n".join(figure.figure.tables(figure))
    assert "12.50x" not in lines and "above the 5.26x of the FLOPs" in lines and "6.67x" in lines


def test_speed_up_and_line():
    """Catches: fractions mixed up with one another, a curve taken for a line."""
    straight = data("fig1", flat(0.4), measured=timed(lambda f: 10 - 9.2 * f))
    bent = data("fig1", flat(0.4), measured=timed(lambda f: 10 - 9 * f**3))
    assert [status(c, straight) for c in ("C2", "C3", "C11")] == [HOLDS] * 3
    assert [status(c, bent) for c in ("C2", "C11")] == [FAILS] * 2
    slow = data("fig1", flat(0.4), measured=timed(lambda f: 10 - 8 * f))
    assert status("C3", slow) == FAILS


def test_monotone_rise():
    """Catches: a dip between 0.5 and 1 that is not seen."""
    assert status("C4", data("fig1", flat(0.4))) == HOLDS
    dip = data("fig1", lambda s: flat(0.4)(s) - 0.5 * (s.fraction == 0.8))
    assert status("C4", dip) == FAILS
    assert status("C4", widened(data("fig1", flat(0.4)), 0.05)) == UNRESOLVED


def test_ends_bound_the_curve():
    """Catches: one pair judged for all three."""
    assert status("C5", data("fig5", flat(0.4))) == HOLDS
    bump = data("fig5", lambda s: flat(0.4)(s) + 2 * (s.fraction == 0.9 and s.curve == 2))
    assert status("C5", bump) == FAILS
    assert status("C6", data("fig5", flat(0.4))) == HOLDS
    assert status("C6", data("fig5", lambda s: flat(0.4 if s.curve else 0.1)(s))) == FAILS


def test_precision_and_recall():
    """Catches: precision and recall taken for one another."""

    def values(precision_from, recall_from):
        return lambda s: {
            "fid": flat(0.4)(s),
            "precision": 0.8 - max(0.0, s.fraction - precision_from) * 0.3,
            "recall": 0.7 - max(0.0, s.fraction - recall_from) * 0.3,
        }

    assert status("C7", data("fig1", values(0.4, 0.6))) == HOLDS
    assert status("C7", data("fig1", values(0.1, 0.6))) == FAILS
    assert status("C7", data("fig1", values(0.4, 0.2))) == FAILS


def mixes(rise):
    return lambda s: 2 + rise(s.shares[0]) + 0.5 * max(0.0, s.shares[1] - 0.5)


def test_front_of_three_models():
    """Catches: a front with a gap that is called smooth."""
    smooth = data("fig6", mixes(lambda f: 3 * max(0.0, f - 0.4)))
    assert status("C8", smooth) == HOLDS
    steep = data("fig6", lambda s: 2.0 if s.shares[2] == 1 else 3 + s.shares[0])
    assert status("C8", steep) == FAILS
    assert status("C9", data("fig12", mixes(lambda f: 3 * max(0.0, f - 0.2)))) == HOLDS
    broken = data(
        "fig12", lambda s: (3.0 if s.guidance < 3 else 9.0) * (s.shares[2] < 1) + s.fraction
    )
    assert status("C9", broken) == FAILS


def test_samplers_and_steps():
    """Catches: one sampler at one number of steps that rises unseen."""
    assert status("C13", data("fig8", flat(0.4)), data("fig9", flat(0.4))) == HOLDS
    rising = data("fig8", lambda s: flat(0.1 if (s.sampler, s.steps) == ("ddpm", 20) else 0.4)(s))
    assert status("C13", rising, data("fig9", flat(0.4))) == FAILS


def test_two_families_by_both_matchings():
    """Catches: a verdict by the matching that the small model was not trained for, an answer on the
    small model alone that does not come from its two values."""

    def by(log_snr, t):
        return lambda s: (log_snr if s.variant == "matched by log-SNR" else t)(s)

    def numbers(figure):
        return judge(CLAIMS["C15"], {"table5": figure}, {}).numbers

    late = data("table5", by(flat(0.4), flat(0.1, late=12.0)))
    assert status("C15", late) == HOLDS
    assert "matched by log-SNR: does not rise" in numbers(late)
    assert "matched by t: rises" in numbers(late)
    assert "by t 12, by log-SNR 3" in numbers(late)
    assert numbers(late).endswith("matching by t explains it")
    some = data("table5", by(flat(0.4), flat(0.4, late=6.0)))
    assert numbers(some).endswith("matching by t explains a part of it")
    early = data("table5", by(flat(0.1), flat(0.4, late=3.0)))
    assert status("C15", early) == FAILS
    assert "matched by t: does not rise" in numbers(early)
    assert numbers(early).endswith("matching by t does not explain it")
    assert status("C15", widened(data("table5", flat(0.4)), 0.05)) == UNRESOLVED


def test_orders():
    """Catches: an order of schedules that is judged by its ends."""
    fid = {"fraction": 2.0, "decreasing": 3.0, "interleave": 4.0, "large_to_small": 5.0}
    assert status("C14", data("table7", lambda s: fid[s.kind])) == HOLDS
    swapped = fid | {"decreasing": 4.0, "interleave": 3.0}
    assert status("C14", data("table7", lambda s: swapped[s.kind])) == FAILS


def test_checkpoints():
    """Catches: the difference of a checkpoint at 1 taken for that at 0.2."""

    def worse(at):
        return lambda s: 2 + (s.variant == "1.0 M images") * (s.fraction >= at)

    assert status("C18", data("fig18", worse(0.6))) == HOLDS
    assert status("C18", data("fig18", worse(0.2))) == FAILS
    assert status("C18", data("fig18", lambda s: 2.0)) == FAILS


def widened(figure, spread):
    """The same values with intervals of about 2 sqrt(2 GROUPS) spread to either side."""
    for result in figure.results:
        for key, entry in result.metrics.items():
            noise = np.random.default_rng(
                int(1e3 * result.point.fraction) + len(result.point.sampler)
            )
            replicates = tuple(entry.value + noise.normal(size=GROUPS) * spread)
            result.metrics[key] = replace(entry, replicates=replicates)
    return figure


@pytest.mark.parametrize("claim", ["C1", "C13"])
def test_flat_within_wide_intervals_is_not_resolved(claim):
    """Catches: a flat course called so, or not so, for want of images."""
    figures = [widened(data(name, flat(0.4)), 0.05) for name in CLAIMS[claim].sources]
    assert status(claim, *figures) == UNRESOLVED
    found = judge(CLAIMS[claim], dict(zip(CLAIMS[claim].sources, figures, strict=True)), {})
    assert "images do" in found.numbers and "by significance alone" in found.numbers


@pytest.mark.parametrize(
    ("low", "high", "answer", "weaker"),
    [(-0.01, 0.02, True, "holds"), (0.01, 0.03, True, "does not hold"),
     (0.01, 0.09, None, "does not hold"), (-0.05, 0.09, None, "holds"),
     (-0.3, 0.3, None, "not tested"), (0.08, 0.12, False, "does not hold"),
     (-0.3, -0.2, True, "holds")],
)  # fmt: skip
def test_margin_decides(low, high, answer, weaker):
    """Catches: a small significant rise that fails, a large one hidden by few images."""
    changes = {0.1: Interval(0.0, -0.001, 0.001), 0.4: Interval((low + high) / 2, low, high)}
    course = judge_course(changes, 0.066, 2.0, 1000)
    assert course.answer is answer
    assert weaker in course.note
    assert ("not resolved at 0.4" in course.note) == (answer is None)


def test_images_that_would_tell():
    """Catches: intervals that shrink with the number itself, a division by nothing."""
    change = Interval(0.02, -0.04, 0.08)  # half 0.06, 0.04 from the limit
    assert images_needed(change, 0.06, 1000) == 2300  # 2250, rounded up
    assert images_needed(Interval(0.06, 0.0, 0.12), 0.06, 1000) == 1_000_000


def test_what_was_not_measured_is_not_tested():
    """Catches: a verdict without the numbers that it needs."""
    assert status("C7", data("fig1", flat(0.4))) == UNTESTED  # no precision there
    assert status("C8", data("fig6", lambda s: 2 + s.fraction * 0)) == UNTESTED  # a front of one
    alike = data("fig13", flat(0.4), "images=64")
    assert status("C19", alike) == UNTESTED


def test_counts_of_images():
    """Catches: values compared where differences should be: FID falls with more images."""
    assert status("C19", data("fig13", lambda s: flat(0.4)(s) + 100 / s.images)) == HOLDS
    other = data("fig13", lambda s: flat(0.4 if s.images < 1000 else 0.1)(s))
    assert status("C19", other) == FAILS


def test_fewer_steps():
    """Catches: mixes that need more time than the run with fewer steps."""

    def value(stitched):
        return lambda s: stitched(s) if len(s.models) == 3 else 2 + 0.5 * (20 / s.steps - 1)

    assert status("C20", data("fig15", value(lambda s: 2 + 0.1 * s.shares[0]))) == HOLDS
    assert status("C20", data("fig15", value(lambda s: 2 + 2 * s.shares[0] + s.shares[1]))) == FAILS


def test_similarity_and_frequencies():
    """Catches: late steps taken for early ones."""
    rising, falling = np.linspace(0.5, 1, 10).tolist(), np.linspace(1, 0.5, 10).tolist()
    falling[:2] = [0.99, 0.97]

    def similar(values):
        course = {"small/large": {"cosine": values, "distance": values}}
        return data("fig3", lambda s: 1.0, measured=Similarity(list(range(10)), course, course))

    assert [status("C16", similar(v)) for v in (falling, rising)] == [HOLDS, FAILS]
    early, late = [0, 0.9, 1, 1, 1], [0, 0, 0, 0.2, 1]

    def spectrum(low, high):
        rows = [[a, a, b, b] for a, b in zip(low, high, strict=True)]
        return data("fig11", lambda s: 1.0, measured=Spectrum([4, 3, 2, 1], rows))

    assert [status("C17", spectrum(*v)) for v in ((early, late), (late, early))] == [HOLDS, FAILS]


def test_tuning_and_footprint():
    """Catches: variants in another order, ratios upside down."""
    figure, settings = parsed("table6")
    point = figure.plan(settings, trial=True)[0]

    def tuned(*values):
        at = dict(zip((BEFORE, ALL, OWN), values, strict=True))
        points = [(replace(point, variant=label), value) for label, value in at.items()]
        return FigureData(figure, [result(s, fid=v) for s, v in points])

    assert [status("C22", tuned(*v)) for v in ((3, 2, 1), (3, 1, 2))] == [HOLDS, FAILS]

    def sizes(both):
        rows = [Footprint([], size, size, size, [size]) for size in (5, 100, both)]
        return data("table8", lambda s: 1.0, measured=rows)

    assert [status("C23", sizes(v)) for v in (105, 150)] == [HOLDS, FAILS]


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [((104, 106, 108), HOLDS), ((112, 113, 115), FAILS), ((106, 108, 111), UNRESOLVED)],
)
def test_memory_is_judged_by_all_repetitions(rounds, expected):
    """Catches: a verdict by the median, which the next measurement turns round."""
    rows = [
        Footprint([], size, size, memory[1], memory)
        for size, memory in ((5, (5, 5, 5)), (100, (100, 100, 100)), (105, rounds))
    ]
    assert status("C23", data("table8", lambda s: 1.0, measured=rows)) == expected


def test_points_outside_the_papers_tolerance():
    """Catches: a tolerance that is the same early and late, or forgets the error of reading."""
    early = data("fig1", lambda s: s.expected["fid"] + 0.2, scale="full")
    found = compare_with_paper(early.results)
    assert [c.inside for c in found] == [False] * 7 + [True] * 4
    read = data("fig5", lambda s: s.expected["fid"] - 0.2, scale="full")
    assert all(c.inside for c in compare_with_paper(read.results))


def test_every_claim_has_a_verdict():
    """Catches: a claim without a test or a reason, a figure that does not know its claims."""
    own = [f"C{i}" for i in range(1, 27)]
    assert list(CLAIMS) == [*own, *(f"T{i}" for i in range(1, 6))]
    ledger, _ = parsed("ledger")
    assert [claim.id for claim in claims_of(ledger)] == own  # TiUE's are of another paper
    for claim in CLAIMS.values():
        assert bool(claim.untested) != bool(claim.test and claim.sources)
        for name in claim.sources:
            figure = compose("reproduce", [f"paper={name}"])["paper"]
            assert claim.id in figure["claims"]
            assert claim.id in KINDS[figure["kind"]].claim_tests
    found = judge(CLAIMS["C22"], {}, {"table6": "no data"})
    assert (found.status, found.numbers) == (UNTESTED, "no data")


@pytest.mark.parametrize(
    ("values", "limit", "expected"),
    [([0, 0, 1], 0.5, 0.75), ([0, 1, 1], 0.5, 0.25), ([0, 0, 0], 0.5, 1.0), ([1, 1, 1], 0.5, 0.0),
     ([0, 1, 0], 0.5, 0.25)],
)  # fmt: skip
def test_safe_fraction(values, limit, expected):
    """Catches: the last crossing in place of the first."""
    assert safe_fraction([0.0, 0.5, 1.0], values, limit) == pytest.approx(expected)


def test_predictions_find_the_same_switch(tmp_path):
    """Catches: a threshold taken from the curve that it predicts, images of another run."""
    figure, settings = parsed("predict")
    points = figure.plan(settings)
    results = []
    for number, point in enumerate(points):
        folder = tmp_path / str(number)
        folder.mkdir()
        images = np.full((64, 28, 28, 3), round(200 * point.fraction**2), np.uint8)
        np.savez(folder / "samples.npz", arr_0=images)
        made = result(point, fid=2 + point.fraction**2)
        results.append(replace(made, run=replace(made.run, folder=folder)))
    cosine = [1 - 0.1 * (1 - t / 1000) for t in range(999, -1, -50)]
    course = {"small/large": {"cosine": cosine}}
    similarity = Similarity(list(range(999, -1, -50)), course, course)
    found = predict_curves(results, [similarity] * 3, figure.probe)
    json.dumps([asdict(row) for row in found])
    for row in found:
        # f squared reaches 5 % of 2 at 0.316, up to the interpolation between fractions.
        assert row.measured.safe == pytest.approx(0.316, abs=0.08)
        assert row.predicted["change"] == pytest.approx(row.measured.safe, abs=0.08)
        assert row.predicted["similarity"] == pytest.approx(row.measured.safe, abs=0.15)
    assert found[0].thresholds["change"] != found[1].thresholds["change"]


def test_text_to_image_better_up_to_a_third():
    """Catches: a better FID that is claimed of one that is only no worse, or of the small model's
    late steps; a rise that is not seen."""
    early = lambda change: lambda s: 9 + (change if 0 < s.fraction <= 0.3 else 0)  # noqa: E731
    assert status("C12", data("table2", early(-0.5))) == HOLDS
    assert status("C12", data("table2", early(0.5))) == FAILS
    assert status("C12", data("table2", early(0.0))) == UNRESOLVED
    late = data("table2", lambda s: 9 - (s.fraction > 0.5))
    assert status("C12", late) == UNRESOLVED


def test_alignment_of_a_stylised_model():
    """Catches: alignment that is judged by the small model alone, or by FID; a score that is
    missing and taken for one that did not rise."""

    def table(change, last=0.0):
        score = lambda s: 60 + (change if 0 < s.fraction <= 0.5 else 0) + last * (s.fraction == 1)  # noqa: E731
        return data("fig2", lambda s: {"fid": 9.0, "clip_score": score(s)})

    assert status("C25", table(2.0)) == HOLDS
    assert status("C25", table(-2.0)) == FAILS
    assert status("C25", table(0.0, last=5.0)) == UNRESOLVED
    assert status("C25", data("fig2", flat(0.5))) == UNTESTED


def test_beside_the_accelerations_of_others():
    """Catches: a pair without any that stands for those with one; a figure that is overlooked; a
    rise of distilled networks that is judged by 3 % of FID, or not at all."""

    def figure(name, bad=""):
        rise = flat(0.1)
        return data(name, lambda s: rise(s) if s.experiment.name == bad else 2.0)

    def lcm(first=2.1):
        values = {0: 2.0, 0.25: first, 0.5: 2.5, 0.75: 2.8, 1: 3.0}
        return data("table10", lambda s: values[s.fraction] if s.steps < 20 else 2.0)

    pair = figure("fig19"), figure("fig20")
    assert status("C24", *pair, lcm()) == HOLDS
    assert status("C24", figure("fig19", "emoji_deepcache"), pair[1], lcm()) == FAILS
    assert status("C24", pair[0], figure("fig20", "emoji_tome"), lcm()) == FAILS
    assert status("C24", *pair, lcm(2.6)) == FAILS
    assert status("C24", *pair, data("table10", lambda s: 2.0)) == UNRESOLVED
    assert status("C24", pair[0], figure("fig20", "emoji_tome"), data("table10", flat(0))) == FAILS
    figures = lcm(), pair[0], data("table10", lambda s: 2.0, "paper.miniature.curves.1.steps=[2]")
    for one, expected in zip(figures, (HOLDS, HOLDS, UNTESTED), strict=True):
        alone = claims_of(one.figure)[0]  # as paper=NAME judges it
        assert judge(alone, {one.figure.name: one}, {}).status == expected


def test_shape_of_as_many_steps():
    """Catches: the paper's curve of two steps drawn beside ours of four."""
    figure = data("table10", lambda s: 2.0 + s.fraction)
    shape = figure.figure.panels(figure)[-1]
    ours, theirs = shape.lines
    assert theirs.published and list(ours.x) == list(theirs.x) == [0, 0.25, 0.5, 0.75, 1]
    assert theirs.y[1] == pytest.approx((18.32 - 17.05) / (25.50 - 17.05))


def test_runs_in_a_row():
    """Catches: images that change from run to run; a stand-in whose verdict is SDXL's."""
    same, other = Repeat("a", 1.0, 8), Repeat("b", 1.0, 8)
    figure, _ = parsed("fig31")
    assert status("C26", FigureData(figure, [], [same, other])) == FAILS
    assert status("C26", FigureData(figure, [], [same, same])) == UNRESOLVED
    own = figure.model_copy(update={"is_stand_in": False})
    assert status("C26", FigureData(own, [], [same, same])) == HOLDS
