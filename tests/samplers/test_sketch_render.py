"""SRDiffusion's schedule on made-up predictions: where exactly an image goes to the small one."""

from math import atanh

import numpy as np
import pytest
import torch

from samplers import (
    DDIM,
    DDPM,
    DPMSolver,
    Explicit,
    Fraction,
    Heun,
    LinearVP,
    OnlineDenoiser,
    RectifiedFlow,
    SketchRender,
    VarianceError,
    sample,
)


def outputs(changes):
    """Predictions o_1, o_2, .. of one pixel with d_2, d_3, .. = changes."""
    values = [1.0]
    for change in changes:
        values.append(values[-1] * (1 + atanh(change)))
    return values


def large_steps(rows, **options):
    """Large steps of images whose predictions are these, all of one length."""
    steps = len(rows[0])
    decisions = SketchRender(**options).begin(len(rows), steps)
    taken = np.zeros(len(rows), int)
    for values in zip(*rows, strict=True):
        taken += decisions.models
        decisions.observe(torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1, 1))
    return taken.tolist()


FALLS = [0.5, 0.4, 0.3, 0.2, 0.195, 0.1, 0.09, 0.089, 0.0, 0.0]  # d_2 .. d_11
RISES = [0.1 + 0.01 * i for i in range(10)]


@pytest.mark.parametrize(
    ("changes", "options", "expected"),
    [
        # the first fall below 0.01 is d_5 - d_6 = 0.005
        (FALLS, {"earliest": 1}, 6),
        (FALLS, {"earliest": 6}, 6),
        # 0.195 - 0.1 is too much, 0.1 - 0.09 is just not below 0.01: then 0.09 - 0.089
        (FALLS, {"earliest": 7, "latest": 11, "tolerance": 0.0099}, 9),
        (FALLS, {"earliest": 7, "latest": 11, "tolerance": 0.0101}, 8),
        (FALLS, {"earliest": 10, "latest": 11}, 11),  # no change of d is no fall
        (RISES, {"earliest": 1, "latest": 9}, 9),
        ([0.1, 0.101, 0.102, 0.2, 0.1, 0.3], {"earliest": 1, "latest": 7}, 7),  # rises are none
        ([0.30, 0.295, 0.2, 0.1, 0.1, 0.1], {"earliest": 0}, 3),  # three predictions at least
        ([0.30, 0.295, 0.2, 0.1, 0.1, 0.1], {"earliest": 0, "latest": 2}, 2),
        ([0.30, 0.295, 0.2, 0.1, 0.1, 0.1], {"latest": 0}, 0),
        ([0.30, 0.295, 0.29, 0.1, 0.1, 0.1], {"earliest": 4}, 4),
        ([0.30, 0.295, 0.29, 0.1, 0.1, 0.1], {"earliest": 7}, 7),  # latest follows
    ],
)
def test_where_it_switches(changes, options, expected):
    """Catches: a step too early or late, `<=` for `<`, rises or no change taken for settling."""
    assert large_steps([outputs(changes)], **options) == [expected]


def test_images_do_not_see_each_other():
    """Catches: means over the batch; one image's end that ends all; a switch that is taken back."""
    rows = [outputs(c) for c in (FALLS, [0.5, 0.495] * 5, RISES, FALLS[::-1])]
    alone = [large_steps([row], earliest=3, latest=10)[0] for row in rows]
    assert alone == [6, 3, 10, 10]
    assert large_steps(rows, earliest=3, latest=10) == alone
    assert large_steps(rows[::-1], earliest=3, latest=10) == alone[::-1]


def test_predictions_of_zero_do_not_settle():
    """Catches: a division by zero (networks begin there) that is taken for a decision."""
    assert large_steps([[0.0] * 8, [0.0] + [1.0] * 7], earliest=1, latest=7) == [7, 7]


@pytest.mark.parametrize(("steps", "earliest", "latest"), [(50, 5, 30), (25, 3, 15), (4, 1, 3)])
def test_shares_of_the_steps(steps, earliest, latest):
    """Catches: the paper's numbers for 50 steps in a run of fewer."""
    own = SketchRender().resolved(steps)
    assert (own.earliest, own.latest, own.tolerance) == (earliest, latest, 0.01)
    plan = DDIM(steps, process=LinearVP(), stitch=SketchRender(), num_models=2).plan
    assert [step.model for step in plan] == [1] * latest + [0] * (steps - latest)


BAD = [
    ({"earliest": 6, "latest": 5}, 2, "earliest=6: choose at most latest=5"),
    ({"earliest": 11}, 2, "earliest=11: choose at most the sampler's 10 steps"),
    ({"latest": 11}, 2, "latest=11: choose at most the sampler's 10 steps"),
    ({"latest": -1}, 2, "latest=-1: choose an integer from 0"),
    ({"earliest": 2.5}, 2, "earliest=2.5: choose an integer from 0"),
    ({"tolerance": 0}, 2, "tolerance=0: choose a number above 0"),
    ({"tolerance": -0.1}, 2, "tolerance=-0.1: choose a number from 0"),
    ({"tolerance": float("nan")}, 2, "tolerance=nan: choose a number from 0"),
    ({}, 3, "tolerance=0.01: this stitch schedule takes exactly two denoisers, not 3"),
]


@pytest.mark.parametrize(("options", "models", "message"), BAD)
def test_bad_values(options, models, message):
    """Catches: options that mean nothing and run nevertheless."""
    with pytest.raises(ValueError) as caught:
        DDIM(10, process=LinearVP(), stitch=SketchRender(**options), num_models=models)
    assert str(caught.value).startswith(message)


FLOW, LINEAR = {"process": RectifiedFlow()}, {"process": LinearVP()}
SAMPLERS = {
    "ddim": lambda **pair: DDIM(12, eta=0.7, **LINEAR, **pair),
    "ddpm": lambda **pair: DDPM(12, **LINEAR, **pair),
    "dpmpp 3": lambda **pair: DPMSolver(12, order=3, **LINEAR, **pair),
    "dpm 2": lambda **pair: DPMSolver(12, "logsnr", "dpm", 2, **LINEAR, **pair),
    "heun": lambda **pair: Heun(12, **FLOW, **pair),
}
IMAGES = 6


def begin():
    """x_T of the images, and a source of their step noise."""
    generators = [torch.Generator().manual_seed(k) for k in range(IMAGES)]

    def draw():
        return torch.stack([torch.randn(1, 4, 4, generator=g) for g in generators])

    return draw(), draw


@pytest.fixture
def uneven(stand_ins):
    """uneven(sampler): denoisers under which the image of label y settles at step 3 + y."""
    pattern = torch.linspace(0.5, 1.5, 16).reshape(1, 4, 4)
    tables = []
    for label in range(IMAGES):
        changes = [0.1 + 0.01 * i for i in range(11)]
        changes[label + 1] = changes[label] - 0.005
        tables.append(outputs(changes))
    values = torch.tensor(tables)

    def build(sampler):
        times = sorted({step.t for step in sampler.plan}, reverse=True)

        def large(x, t, y):
            strength = values[y, times.index(t)].reshape(-1, 1, 1, 1)
            return 0.3 * strength * pattern + 0.001 * torch.sin(x), torch.tanh(x)

        return stand_ins[0], large

    return build


def online(sampler, denoisers, split, rows=slice(None)):
    x, noise = begin()
    y = torch.arange(IMAGES)[rows]
    own = OnlineDenoiser(sampler, denoisers, len(y), split)
    x_0 = sample(sampler, [own] * 2, x[rows], y, lambda: noise()[rows])
    return x_0, own.evaluations


OPTIONS = {"earliest": 4, "latest": 7}
LARGE = [7, 4, 5, 6, 7, 7]  # image 0 settles before `earliest`, and does not again


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("kind", SAMPLERS)
def test_each_image_is_the_one_of_its_own_plan(uneven, kind, split):
    """Catches: history or noise of a neighbour after the batch parts; counts that are not what
    ran; a step of Heun's that two denoisers share."""
    sampler = SAMPLERS[kind](stitch=SketchRender(**OPTIONS), num_models=2)
    denoisers = uneven(sampler)
    x_0, evaluations = online(sampler, denoisers, split)
    total = np.cumsum((0, *sampler.evaluations))
    assert evaluations.tolist() == [[total[-1] - total[n], total[n]] for n in LARGE]
    x, noise = begin()
    drawn = [noise() for _ in sampler.plan]
    for image, large in enumerate(LARGE):
        models = [1] * large + [0] * (sampler.steps - large)
        planned = SAMPLERS[kind](stitch=Explicit(models=models), num_models=2)
        row, left = slice(image, image + 1), iter(drawn)
        y = torch.tensor([image])
        alone = sample(planned, denoisers, x[row], y, lambda r=row, left=left: next(left)[r])
        torch.testing.assert_close(x_0[row], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rows", [slice(0, 1), slice(2, 5), slice(0, 6, 2)])
def test_decisions_do_not_depend_on_the_batch(uneven, rows):
    """Catches: a threshold that is of the batch; split and masked rows that decide differently."""
    sampler = SAMPLERS["dpmpp 3"](stitch=SketchRender(**OPTIONS), num_models=2)
    for split in (True, False):
        assert online(sampler, uneven(sampler), split, rows)[1][:, 1].tolist() == LARGE[rows]


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize(("options", "fraction"), [({"latest": 0}, 1), ({"earliest": 12}, 0)])
def test_ends(uneven, kind, options, fraction):
    """Catches: other bits than those of the plan where nothing is left to decide."""
    sampler = SAMPLERS[kind](stitch=SketchRender(**options), num_models=2)
    planned = SAMPLERS[kind](stitch=Fraction(fraction=fraction), num_models=2)
    x, noise = begin()
    expected = sample(planned, uneven(planned), x, torch.arange(IMAGES), noise)
    for split in (True, False):
        assert torch.equal(online(sampler, uneven(sampler), split)[0], expected)


def test_denoisers_see_their_images_alone(uneven):
    """Catches: a split that computes everything, or static shapes that shrink."""
    sampler = SAMPLERS["ddim"](stitch=SketchRender(**OPTIONS), num_models=2)
    for split in (True, False):
        seen: list[list[int]] = [[], []]

        def counted(model, seen=seen):
            def denoiser(x, t, y):
                seen[model].append(len(x))
                return uneven(sampler)[model](x, t, y)

            return denoiser

        evaluations = online(sampler, (counted(0), counted(1)), split)[1]
        if split:
            assert [sum(counts) for counts in seen] == evaluations.sum(0).tolist()
        else:  # the small one from the first image that leaves, the large one to the last
            assert seen == [[IMAGES] * (12 - min(LARGE)), [IMAGES] * max(LARGE)]


def test_variance_of_some(uneven):
    """Catches: DDPM's fixed variance in place of a learned one, in silence."""
    schedule = {"stitch": SketchRender(**OPTIONS), "num_models": 2}
    sampler, ddim = SAMPLERS["ddpm"](**schedule), SAMPLERS["ddim"](**schedule)
    small, large = uneven(sampler)
    pair = (lambda x, t, y: (small(x, t, y)[0], None), large)
    with pytest.raises(VarianceError, match="predicts its variance and another does not"):
        online(sampler, pair, True)
    expected = online(ddim, (small, large), True)[0]
    assert torch.equal(online(ddim, pair, True)[0], expected)


def test_a_plan_is_not_decided():
    """Catches: counts of a schedule that nobody asked."""
    sampler = SAMPLERS["ddim"](stitch=Fraction(fraction=0.5), num_models=2)
    with pytest.raises(ValueError, match="choose an OnlineSchedule"):
        OnlineDenoiser(sampler, [], 1, True)
