"""One loading under many settings: the images of a fresh one, times, disagreement, prompts."""

import numpy as np
import pytest

from tstitch import UserError, load

TRIAL = ("pair.denoisers.small.weights=random", "pair.denoisers.large.weights=random")
PLAIN = ("run.device=cpu", "engine.threads=1", "evaluation=none", "sampler=ddim")


@pytest.fixture(scope="module")
def loaded():
    return load("fashion_mnist", *TRIAL, *PLAIN, "sampler.steps=4")


@pytest.fixture(scope="module")
def texts(prompt_pair):
    """load(*overrides) of the pair of prompts."""

    def build(*words):
        return load("toy", *PLAIN, "sampler.steps=4", f"hydra.searchpath=[{prompt_pair}]", *words)

    return build


def test_settings_change_and_networks_stay(loaded):
    """Catches: settings of before that stay, another sampling path, networks loaded again."""
    words = ("sampler=dpm_solver", "sampler.steps=6", "stitch.fraction=0.5", "guidance.scale=2")
    changed = loaded.under(*words[:2]).under(*words[2:])
    fresh = load("fashion_mnist", *TRIAL, *PLAIN[:-1], *words)
    assert np.array_equal(changed([3, 4], seed=2), fresh([3, 4], seed=2))
    assert changed.schedule == fresh.schedule == (0, 0, 0, 1, 1, 1)
    assert loaded.steps_per_denoiser == {"small": 2, "large": 2}  # the first one's are its own
    assert changed._loaded.networks is loaded._loaded.networks


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("pair=fashion_mnist_trio", "pair.denoisers.large.weights: "),
        ("pair.denoisers.small.weights=shipped:x", "pair.denoisers.small.weights: "),
        ("run.dtype=bf16", "run.dtype: "),
        ("engine.threads=2", "engine.threads: "),
    ],
)
def test_what_is_decided_by_loading(loaded, word, line):
    """Catches: weights, a dtype or threads that are asked for and silently not taken."""
    with pytest.raises(UserError, match=rf"^{line}[^\n]*is decided when a pair is loaded"):
        loaded.under(word)
    with pytest.raises(UserError, match="^stitch.fraction=7: "):
        loaded.under("stitch.fraction=7")


def test_times_and_steps_of_images(loaded):
    """Catches: seconds of one batch of several, a denoiser's counted twice, images that differ
    from those of a plain call."""
    small = loaded.under("run.batch_size=2", "stitch.fraction=0.5")
    made = small.make([0, 1, 2], seed=1)
    assert np.array_equal(made.images, small([0, 1, 2], seed=1)) and len(made.images) == 3
    assert made.steps == {"small": 2, "large": 2}
    assert 0 < sum(made.denoiser_seconds.values()) < made.seconds
    assert loaded.under("stitch.fraction=1").make([0]).denoiser_seconds["large"] == 0
    online = loaded.under("stitch=sketch_render", "sampler.steps=10").make([0, 1])
    assert sum(online.steps.values()) == 10  # each image's own, on average


def test_disagreement_is_that_of_topk(loaded):
    """Catches: a curve along the stitched trajectory, of other noise, or with axes swapped."""
    apart = loaded.under("run.batch_size=2").disagreement([0, 1, 2], seed=4)
    assert apart.shape == (4, 3) and apart.dtype == np.float64 and (apart > 0).all()
    other = loaded.under("stitch.fraction=1").disagreement([0, 1, 2], seed=4)
    np.testing.assert_allclose(apart, other, rtol=1e-4)
    with pytest.raises(UserError, match="^stitch.compare=eggs: choose one of eps, x0, v, "):
        loaded.disagreement([0], compare="eggs")


@pytest.mark.slow
def test_schedules_that_are_measured(loaded):
    """Catches: stitch=budget or topk in a notebook, which ended in `give stitch.models`."""
    found = loaded.under("stitch=topk", "stitch.steps=3", "stitch.inputs=2")
    assert sorted(found.schedule) == [0, 0, 0, 1]
    spent = loaded.under("stitch=budget", "stitch.speedup=1")
    assert spent.schedule == (1, 1, 1, 1)
    with pytest.raises(UserError, match=r"^stitch.speedup=1000: "):
        loaded.under("stitch=budget", "stitch.speedup=1000")
    with pytest.raises(UserError, match=r"^stitch.steps=9: "):
        loaded.under("stitch=topk", "stitch.steps=9")


def test_any_text_where_there_are_prompts(texts):
    """Catches: a new prompt that shows another's image, one that changes what was loaded before,
    a null condition at the place of the last table's."""
    sampler = texts()
    before = sampler(["a cat", "a dog on a mat"])
    bird, cat = sampler(["a small bird", "a cat"])
    expected = texts("pair.prompts=[a small bird,a cat]")([0, 1])
    assert np.array_equal(bird, expected[0]) and np.array_equal(cat, expected[1])
    assert not np.array_equal(bird, before[0])
    assert np.array_equal(sampler([0, 1]), before)  # after the other table was bound
    assert np.array_equal(sampler.under("stitch.fraction=0")(["A bird"]),
                          texts("stitch.fraction=0", "pair.prompts=[A bird]")([0]))  # fmt: skip
    unlike = sampler.disagreement(["a small bird"]) - sampler.disagreement(["a cat"])
    assert np.abs(unlike).max() > 1e-6


def test_texts_that_are_none(texts):
    """Catches: an empty prompt taken for the null condition; labels mixed with texts."""
    sampler = texts()
    for empty in ([""], ["a cat", "  "]):
        with pytest.raises(UserError, match="^classes: a prompt is empty; give it a text$"):
            sampler(empty)
    with pytest.raises(UserError, match="^classes: 'a bird' is no class"):
        sampler([0, "a bird"])
    with pytest.raises(UserError, match="^seed=-1: "):
        sampler.check(["a bird"], seed=-1)
