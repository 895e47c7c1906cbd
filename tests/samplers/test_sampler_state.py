"""The loop and its contract: no state in a sampler, dtypes kept, the plan followed."""

import pytest
import torch

from samplers import (
    DDIM,
    DDPM,
    DPMSolver,
    Euler,
    Fraction,
    Heun,
    LinearVP,
    RectifiedFlow,
    Sampler,
    Step,
    StitchSchedule,
    sample,
)

PAIR = {"process": LinearVP(), "stitch": Fraction(fraction=0.5), "num_models": 2}
SAMPLERS = [
    DDPM(6, **PAIR),
    DDPM(6, variance="large", **PAIR),
    DDIM(6, eta=0.7, **PAIR),
    DPMSolver(6, order=3, **PAIR),
    DPMSolver(12, "logsnr", "dpm", 3, **PAIR),
    DPMSolver(12, order=3, **PAIR | {"process": RectifiedFlow(shift=3)}),
    Euler(6, **PAIR | {"process": RectifiedFlow()}),
    Heun(4, **PAIR),
]


def start(seed, dtype=torch.float32):
    """x_T and a source of step noise."""
    generator = torch.Generator().manual_seed(seed)

    def draw():
        return torch.randn(2, 1, 4, 4, generator=generator).to(dtype)

    return draw(), draw


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_interleaved_runs_equal_separate_runs(sampler, stand_ins):
    """Catches: past predictions or a step counter kept in the sampler, mixing two batches."""
    separate = []
    for seed in (0, 1):
        x, noise = start(seed)
        separate.append(sample(sampler, stand_ins, x, None, noise))
    runs = [(*start(seed), []) for seed in (0, 1)]
    for step in sampler.plan:
        for k, (x, noise, history) in enumerate(runs):
            eps, variance = stand_ins[step.model](x, step.t, None)
            runs[k] = (sampler.update(step, x, eps, variance, noise, history), noise, history)
    for x_0, run in zip(separate, runs, strict=True):
        assert torch.equal(x_0, run[0])


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_nothing_is_changed(sampler, stand_ins):
    """Catches: x_T overwritten in place, the global generator used, attributes set in the loop."""
    x, noise = start(0)
    kept, attributes = x.clone(), dict(vars(sampler))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = sample(sampler, stand_ins, x, None, noise)
    assert torch.equal(x, kept) and vars(sampler) == attributes
    assert torch.equal(torch.get_rng_state(), before)
    x, noise = start(0)
    assert torch.equal(sample(sampler, stand_ins, x, None, noise), first)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_of_x_is_kept(sampler, stand_ins, dtype):
    """Catches: a half-precision denoiser dragging x, or its arithmetic, down to its dtype."""

    def halved(x, t, y):
        eps, variance = stand_ins[0](x, t, y)
        return eps.bfloat16(), variance.bfloat16()

    def widened(x, t, y):
        return tuple(output.to(dtype) for output in halved(x, t, y))

    x, noise = start(0, dtype)
    x_0 = sample(sampler, [halved, halved], x, None, noise)
    x, noise = start(0, dtype)
    assert x_0.dtype == dtype
    assert torch.equal(x_0, sample(sampler, [widened, widened], x, None, noise))


def test_loop_follows_the_plan():
    """Catches: a step skipped or repeated, the wrong t or y handed on, gradients recorded."""
    calls = []

    def recorder(model):
        def denoiser(x, t, y):
            calls.append((t, model, y))
            return x * weight, None

        return denoiser

    weight = torch.ones((), requires_grad=True)
    sampler = DDIM(5, **PAIR)
    y = torch.tensor([3, 7])
    x_0 = sample(sampler, [recorder(0), recorder(1)], start(0)[0], y, None)
    assert [call[:2] for call in calls] == [(step.t, step.model) for step in sampler.plan]
    assert [call[:2] for call in calls] == [(999, 0), (749, 0), (500, 0), (250, 1), (0, 1)]
    assert all(call[2] is y for call in calls) and not x_0.requires_grad
    assert sampler.steps == 5 and all(type(step.t) is float for step in sampler.plan)


def test_history_stays_short(stand_ins):
    """Catches: a long multistep run that keeps every past prediction in memory."""
    sampler, history = DPMSolver(30, order=2, **PAIR), []
    x, noise = start(0)
    for step in sampler.plan:
        eps, _ = stand_ins[0](x, step.t, None)
        x = sampler.update(step, x, eps, None, noise, history)
        assert len(history) <= 2


def test_own_sampler_and_schedule(stand_ins):
    """Catches: user classes that need more than the documented methods; their errors unseen."""

    class Ends(StitchSchedule):
        def assign(self, progress, num_models):
            return (num_models - 1, *[0] * (len(progress) - 2), num_models - 1)

    class Broken(StitchSchedule):
        def assign(self, progress, num_models):
            return (num_models,) * len(progress)

    class Mean(Sampler):
        def update(self, step, x, eps, variance, noise, history):
            return x - eps / self.steps

    sampler = Mean([900, 500, 100], LinearVP(), Ends(), 2)
    assert sampler.plan[1] == Step(1, 500.0, 0) and sampler.plan[2].model == 1
    assert sample(sampler, stand_ins, start(0)[0], None, None).shape == (2, 1, 4, 4)
    with pytest.raises(ValueError, match="^stitch=.*must assign one of 0..1"):
        DDIM(3, **PAIR | {"stitch": Broken()})
