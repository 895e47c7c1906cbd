"""The figures of docs/extending.md, as they stand there."""

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from tstitch.config.cli import compose
from tstitch.paper.kinds import KINDS
from tstitch.paper.run import run_reproduction

TEXT = (Path(__file__).parents[2] / "docs" / "extending.md").read_text()
EARLY, LATENTS = (
    yaml.safe_load(block)
    for block in re.findall(r"```yaml\n(name: .*?)```", TEXT, re.DOTALL)
    if "\nkind: " in block
)
[SIZES] = re.findall(r"```python\n([^`]*\(ProbedFigure\).*?)```", TEXT, re.DOTALL)


@pytest.fixture
def reproduce_section(tiny, tmp_path):
    """reproduce_section(paper): the report of such a section `paper`."""

    def run(paper: dict) -> Path:
        config = compose("reproduce", [*tiny, "images=4", f"root={tmp_path}"])
        return run_reproduction(config | {"paper": paper})

    return run


def test_a_figure_is_one_yaml(reproduce_section):
    """Catches: an example that no longer runs, a figure that must be known by name."""
    text = reproduce_section(EARLY).read_text()
    assert "The first half of the steps" in text and "early-miniature/early.png" in text
    assert all(f"\n| {fraction} | small " in text for fraction in ("0", "0.2", "0.5"))


def test_a_kind_is_one_class(reproduce_section, monkeypatch, tmp_path):
    """Catches: machinery that asks for the name of a kind and leaves out what it does not know."""
    module = ModuleType("sizes")
    monkeypatch.setitem(sys.modules, "sizes", module)  # where dataclasses look for annotations
    exec(compile(SIZES, "sizes", "exec"), module.__dict__)
    monkeypatch.setitem(KINDS, "sizes", module.SizesFigure)
    report = reproduce_section(LATENTS)
    text = report.read_text()
    assert "latents-miniature/latents.png" in text
    assert "looked at: sampler ddim, steps 50, guidance 1.5, images 4" in text
    kept = tmp_path / "paper" / "latents-miniature" / "measured.json"
    sizes = json.loads(kept.read_text())["measured"]
    assert len(sizes["rms"]) == len(sizes["timesteps"]) == 4  # sampler.steps=4 of every run here
    before = kept.stat().st_mtime_ns
    assert reproduce_section(LATENTS).read_text() == text
    assert kept.stat().st_mtime_ns == before
