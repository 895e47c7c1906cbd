"""Steps that share an encoding: which do, what their solver sees, what is refused."""

import pytest
import torch

from samplers import (
    DDIM,
    DPMSolver,
    Euler,
    Fraction,
    Heun,
    Interleave,
    Matching,
    Misfit,
    NoiseInjection,
    PropagatedDenoiser,
    Propagation,
    RectifiedFlow,
    ScaledLinearVP,
    SketchRender,
    sample,
)

SD = ScaledLinearVP()
MODELS = (0.3, 0.8)


def pair(**stitch):
    kind = Fraction if "fraction" in stitch else Interleave
    return {"process": SD, "stitch": kind(**stitch), "num_models": 2}


def keys(sampler):
    return Propagation.of(sampler).keys


def encoded(model, x, t):
    return torch.sin(3 * x + model * t / 1000)


def predicted(model, features, t):
    return features * (0.4 + model * t / 1000)


class Network:
    """A denoiser whose encoder is `encoded` and whose decoder is `predicted`; counts them."""

    def __init__(self, model):
        self.model, self.encodings, self.decoded = model, 0, 0

    def __call__(self, x, t, y):
        return predicted(self.model, encoded(self.model, x, t), t), None

    def group(self, x, times, y):
        self.encodings += 1
        self.decoded += len(times)
        features = encoded(self.model, x, times[0])
        return [(predicted(self.model, features, t), None) for t in times]


def answering(sampler, networks):
    """As the sampler asks for them."""
    matching, propagation = Matching(sampler, SD, "eps"), Propagation.of(sampler)
    return [PropagatedDenoiser(network.group, matching, propagation) for network in networks]


def start():
    return torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))


def test_every_so_many_steps():
    """Catches: groups that go past a switch, or keys counted on over it."""
    assert keys(DDIM(10, **pair(fraction=0.0, propagate=3))) == (0, 3, 6, 9)
    assert keys(DDIM(10, **pair(fraction=0.4, propagate=3))) == (0, 3, 4, 7)
    assert keys(DDIM(10, **pair(fraction=1.0, propagate=10))) == (0,)
    assert keys(DDIM(6, **pair(fraction=0.5, propagate=1))) == tuple(range(6))
    groups = Propagation.of(DDIM(10, **pair(fraction=0.4, propagate=4))).groups
    assert [[step.model for step in group] for group in groups] == [[0] * 4, [1] * 4, [1] * 2]
    strict = Interleave(fraction=0.5, propagate=2)
    assert keys(DDIM(6, process=SD, stitch=strict, num_models=2)) == tuple(range(6))


def test_listed_steps():
    """Catches: a list that leaves the first step, or the switch, without features."""
    assert keys(DDIM(10, **pair(fraction=0.0, propagate=[0, 1, 2, 5]))) == (0, 1, 2, 5)
    assert keys(DDIM(10, **pair(fraction=0.4, propagate=[6, 1]))) == (0, 1, 4, 6)
    assert keys(DDIM(10, **pair(fraction=0.0, propagate=[]))) == (0,)
    assert Propagation.of(DDIM(10, **pair(fraction=0.4))) is None


SAMPLERS = {
    "ddim": lambda **stitch: DDIM(12, **pair(**stitch)),
    "eta": lambda **stitch: DDIM(12, eta=0.5, **pair(**stitch)),
    "dpmpp": lambda **stitch: DPMSolver(12, order=3, **pair(**stitch)),
    "dpm": lambda **stitch: DPMSolver(12, "logsnr", "dpm", **pair(**stitch)),
    "euler": lambda **stitch: Euler(12, **pair(**stitch)),
    "flow": lambda **stitch: Euler(12, **pair(**stitch) | {"process": RectifiedFlow(shift=3)}),
}


def noises():
    draw = torch.Generator().manual_seed(1)
    return lambda: torch.randn(2, 4, 3, 3, generator=draw)


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("fraction", [0.0, 0.4, 1.0])
def test_every_step_a_key_is_ordinary_sampling(kind, fraction):
    """Catches: a prediction of another step, timestep or denoiser."""
    sampler = SAMPLERS[kind](fraction=fraction, propagate=1)
    networks = [Network(model) for model in MODELS]
    whole = [Matching(sampler, SD, "eps")(network) for network in networks]
    ordinary = sample(sampler, whole, start(), None, noises())
    shared = sample(sampler, answering(sampler, networks), start(), None, noises())
    assert torch.equal(shared, ordinary)


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("propagate", [3, [0, 1, 7]])
def test_what_the_solver_sees(kind, propagate):
    """Catches: features of a member's own x or of another model; predictions converted at the key
    step's x; a solver's history lost at the switch or at a group's end."""
    sampler = SAMPLERS[kind](fraction=0.5, propagate=propagate)
    networks = [Network(model) for model in MODELS]
    found = sample(sampler, answering(sampler, networks), start(), None, noises())

    x, history, noise = start(), [], noises()
    matching, own = Matching(sampler, SD, "eps"), {}
    for group in Propagation.of(sampler).groups:
        model = MODELS[group[0].model]

        def kept(x, t, y, model=model, own=own):
            if own["key"]:
                own["features"] = encoded(model, x, t)
            return predicted(model, own["features"], t), None

        for step in group:
            own["key"] = step is group[0]
            prediction, _ = matching(kept)(x, step.t, None)
            x = sampler.update(step, x, prediction, None, noise, history)
    assert torch.equal(found, x)
    groups = Propagation.of(sampler).groups
    for index, network in enumerate(networks):
        mine = [group for group in groups if group[0].model == index]
        assert network.encodings == len(mine) and network.decoded == sum(map(len, mine))


def test_prior_noise():
    """Catches: noise into early steps, after the last one, or at t = T/2 itself."""
    sampler = DDIM(12, **pair(fraction=0.0, propagate=4, injection=0.01))
    networks = [Network(model) for model in MODELS]
    x_T = start()
    injecting = NoiseInjection(sampler, 0.01, x_T)
    found = sample(injecting, answering(sampler, networks), x_T, None, noises())
    x, history, denoisers = x_T, [], answering(sampler, networks)
    late = 0
    for step in sampler.plan:
        if step.t < 500:
            x, late = x + 0.01 * x_T, late + 1
        prediction, _ = denoisers[step.model](x, step.t, None)
        x = sampler.update(step, x, prediction, None, noises(), history)
    assert late == 6 and torch.equal(found, x)
    none = sample(NoiseInjection(sampler, 0.0, x_T), answering(sampler, networks), x_T, None, None)
    plain = sample(sampler, answering(sampler, networks), x_T, None, None)
    assert torch.equal(none, plain) and not torch.equal(found, plain)


@pytest.mark.parametrize(
    ("stitch", "words"),
    [
        ({"propagate": 0}, "propagate=0: choose an integer from 1 to 10"),
        ({"propagate": 11}, "propagate=11: "),
        ({"propagate": True}, "propagate=True: choose null, a number m"),
        ({"propagate": 2.0}, r"propagate=2.0: choose null, a number m"),
        ({"propagate": "few"}, "propagate='few': choose null, a number m"),
        ({"propagate": [0, 10]}, "propagate=10: choose an integer from 0 to 9"),
        ({"propagate": [0, 1.5]}, "propagate=1.5: "),
        ({"propagate": 2, "injection": 2}, "injection=2: choose a number from 0 to 1"),
        ({"injection": 0.003}, "injection=0.003: goes with propagate"),
    ],
)
def test_refusals(stitch, words):
    """Catches: keys that are no steps, or prior noise that nothing adds, taken in silence."""
    with pytest.raises(Misfit, match=words):
        Propagation.of(DDIM(10, **pair(fraction=0.4, **stitch)))


def test_two_evaluations_a_step():
    """Catches: the slope at a step's end taken from what was seen at its beginning."""
    with pytest.raises(Misfit, match="propagate=2: Heun evaluates a step twice"):
        Propagation.of(Heun(10, **pair(fraction=0.4, propagate=2)))
    with pytest.raises(TypeError, match="propagate"):
        SketchRender(propagate=2)
