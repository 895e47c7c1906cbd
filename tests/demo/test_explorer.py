"""What answers the page: settings, what is made once, errors of one line; without Gradio."""

import numpy as np
import pytest

from tstitch import UserError, load
from tstitch.demo.answers import answers
from tstitch.demo.explorer import IN_TURN, Explorer, defaults
from tstitch.notebook.words import sampling_words

WORDS = ("run.device=cpu", "engine.threads=1", "evaluation=none", "sampler.steps=4")


@pytest.fixture(scope="module")
def explorer():
    return Explorer("fashion_mnist", WORDS)


def ask(explorer, condition=IN_TURN, images=2, steps=4, guidance=1.5, seed=0):
    return explorer.ask("fashion_mnist", condition, images, steps, guidance, seed)


def test_images_are_those_of_the_pair(explorer):
    """Catches: a fraction, seed, class or guidance of the page that reaches no network."""
    asked = ask(explorer, "Bag", images=2, steps=5, guidance=2, seed=3)
    made = explorer.make(asked, 0.4)
    words = (*WORDS, "sampler.steps=5", "guidance.scale=2", "stitch.fraction=0.4")
    expected = load("fashion_mnist", *words).make(["Bag", "Bag"], seed=3)
    assert np.array_equal(made.images, expected.images) and made.steps == expected.steps
    assert explorer.make(asked, 0.4) is made  # kept, not made again
    assert explorer.make(ask(explorer, "Bag", 2, 5, 2, 4), 0.4) is not made


def test_every_class_in_turn(explorer):
    """Catches: more images than classes that end in an index error."""
    names = explorer.sampler("fashion_mnist").class_names
    assert ask(explorer, images=8).conditions == names[:8]
    assert defaults(explorer.sampler("fashion_mnist")) == (4, 1.5)


def test_three_denoisers_share_the_rest(explorer):
    """Catches: the trio refused for the two-denoiser rule, or its small one's share left out."""
    trio = Explorer("fashion_mnist_trio", (*WORDS, "sampler.steps=10"))
    asked = trio.ask("fashion_mnist_trio", "Bag", 1, 10, 1.5, 0)
    assert trio.make(asked, 0.4).steps == {"small": 4, "medium": 3, "large": 3}
    assert trio.make(asked, 1.0).steps == {"small": 10, "medium": 0, "large": 0}


def page(explorer, every=True, fraction=0.5, condition=IN_TURN, steps=4, seed=7):
    given = ("fashion_mnist", condition, 2, steps, 1.5, seed)
    return list(answers(explorer, (0, 0.5, 1), fraction, every, *given))


def test_the_page_fills_piece_by_piece(explorer):
    """Catches: a page that shows nothing until all is made, parts that are missing at the end."""
    states = page(explorer)
    assert [state.line.count("making fraction") for state in states] == [1, 1, 1, 0, 0]
    assert [state.strip.count("<img") for state in states] == [0, 2, 4, 6, 6]
    assert "At fraction <b>0.5</b>" in states[1].chosen  # the chosen one comes first
    last = states[-1]
    assert last.line == "" and "<svg" in last.curve and last.chosen.count("<img") == 2
    assert "as fast as large alone" in last.chosen and last.strip.count('class="ts-mark"') == 7
    assert page(explorer) == [last]  # all kept
    (waiting, other) = page(explorer, every=False, fraction=0.25)
    assert "fraction 0.25, 1 of 1" in waiting.line
    assert "At fraction <b>0.25</b>" in other.chosen and other.strip.count("<img") == 6


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"condition": "Sock"}, "classes: &#x27;Sock&#x27; is no class"),
        ({"condition": ""}, "classes: "),
        ({"seed": -1}, "seed=-1: choose a whole number"),
        ({"seed": None}, "seed: is empty; give a number"),
        ({"fraction": None}, "fraction: is empty; give a number"),
        ({"steps": 5000}, "sampler.steps=5000: "),
    ],
)
def test_bad_input_is_one_line_of_the_page(explorer, given, line):
    """Catches: a traceback in the terminal and a page that waits for ever; old images beside it."""
    (state,) = page(explorer, **given)
    assert line in state.line and 'role="alert"' in state.line and "\n" not in state.line
    assert state.strip == state.curve == "" and "<img" not in state.chosen


def test_prompts(prompt_pair):
    """Catches: a text that is no class of the pair refused, an empty one sampled."""
    toy = Explorer("toy", (*WORDS, f"hydra.searchpath=[{prompt_pair}]"))
    asked = toy.ask("toy", " a red bird ", 2, 4, 3, 0)
    assert asked.conditions == ("a red bird", "a red bird")
    first, second = toy.make(asked, 0.5).images
    assert first.shape == (8, 8, 3) and not np.array_equal(first, second)
    assert len(toy.disagreement(asked).apart) == 4
    for empty in ("", "  "):
        with pytest.raises(UserError, match="^prompt: is empty; write what the image shows$"):
            toy.ask("toy", empty, 2, 4, 3, 0)


def test_words_of_the_command_line():
    """Catches: the page's settings taken for the sampler's, a schedule that is silently ignored."""
    words = ["pair=a", "demo.port=0", "sampler=ddim", "stitch.axis=step"]
    assert sampling_words(words, "demo") == ("sampler=ddim", "stitch.axis=step")
    with pytest.raises(UserError, match="^stitch=topk: fractions are chosen by demo"):
        sampling_words(["stitch=topk"], "demo")
