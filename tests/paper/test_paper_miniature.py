"""Figures with the models of another miniature: what they run, and what they leave out."""

import re
from pathlib import Path

import pytest

from tstitch.config.cli import compose
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.parse import parse_figure
from tstitch.paper.run import run_reproduction

ROOT = Path(__file__).parents[2]
EMOJI = "miniature=emoji_dit"
# Until the pair has features to compare in, any will do for a plan.
SCORED = "overrides=['evaluation=fashion_mnist']"


@pytest.fixture(scope="module")
def trial(build_vae, tmp_path_factory):
    """Overrides of a reproduction with tiny random models of the pair."""
    folder = build_vae(tmp_path_factory.mktemp("vae"), levels=4, latent_channels=3)
    own = [
        "sampler.steps=4", "run.batch_size=4", "run.device=cpu", "engine.threads=1",
        f"pair.space.vae={folder}", "pair.space.size=8", "pair.space.channels=3",
        *(f"pair.denoisers.{name}.network.{size}" for name in ("small", "large")
          for size in ("hidden_size=16", "depth=1", "num_heads=2")),
    ]  # fmt: skip
    words = ",".join(f"'{word}'" for word in own)
    return (EMOJI, "images=4", "weights.small=random", "weights.large=random",
            f"overrides=[{words}]")  # fmt: skip


@pytest.mark.parametrize("name", ["fig1", "fig8", "fig9", "fig13", "table7", "predict"])
def test_figures_of_two_models_run_on_it(name):
    """Catches: points of Fashion-MNIST under the other miniature's name, or in its folder."""
    config = compose("reproduce", [f"paper={name}", EMOJI, SCORED])
    settings = Reproduction.parse(config)
    figure = parse_figure(config["paper"], settings)
    assert figure.unfit(settings) is None
    assert {point.experiment.name for point in figure.plan(settings, trial=True)} == {"emoji_dit"}
    assert figure.folder(settings).name == f"{name}-emoji_dit"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["paper=fig5", EMOJI], "miniature=emoji_dit: has no medium model, which fig5 takes;"),
        (["paper=table6", EMOJI], "miniature=emoji_dit: has no medium model, which table6 takes;"),
        (["paper=fig18", EMOJI], "miniature=emoji_dit: has no models for fig18; choose miniature="),
        (["paper=table5", EMOJI], "miniature=emoji_dit: has no models for table5; choose"),
        (["paper=fig3", EMOJI, "scale=full"], "miniature=emoji_dit: is for scale=miniature; leave"),
        (["paper=fig3", "miniature=mnist"], "miniature=mnist: choose one of emoji_dit, fashion"),
        (["paper=fig3", "beside=/no/such.md"], "beside=/no/such.md: cannot be read (No such"),
        (
            ["paper=fig3", f"beside={ROOT}/README.md"],
            f"beside={ROOT}/README.md: has no verdicts; give",
        ),
    ],
)
def test_what_makes_no_sense_is_said(refusal, tmp_path, words, message):
    """Catches: a traceback, or the models of the other miniature in their place."""
    assert refusal(tmp_path, *words).startswith(message)


def test_ledger_with_verdicts_beside(trial, tmp_path):
    """Catches: a figure without models that ends the ledger, verdicts of the one for the other's,
    a page that is written over that of the usual miniature."""
    members = "paper.members=[fig3,fig11,fig5,fig18]"
    words = ["paper=ledger", members, f"root={tmp_path / 'runs'}", *trial]
    path = run_reproduction(compose("reproduce", [*words, f"beside={ROOT / 'docs' / 'claims.md'}"]))
    assert path == tmp_path / "runs" / "paper" / "ledger-emoji_dit.md"
    text = path.read_text()
    assert "| claim | statement | verdict | in claims.md |" in text
    row = next(line for line in text.splitlines() if line.startswith("| C5 "))
    assert row.endswith("| not tested | does not hold |")
    assert re.search(r"\| C16 \|.*\| (holds|does not hold) \| holds \|", text)
    assert "has no medium model, which fig5 takes" in text and "two DiTs of emojis" in text
    assert "paper=fig3 miniature=emoji_dit`" in text and "small/medium" not in text


def test_dry_run_names_what_is_left_out(capsys, tmp_path):
    """Catches: a dry run that fails over one figure of many."""
    words = ["paper=ledger", EMOJI, SCORED, "dry_run=true", f"root={tmp_path}"]
    run_reproduction(compose("reproduce", words))
    printed = capsys.readouterr().out
    assert "left out: miniature=emoji_dit: has no models for fig18" in printed
    assert "fig1: Figure 1" in printed and "fig6: " not in printed
