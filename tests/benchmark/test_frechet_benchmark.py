"""`scripts/benchmark_frechet.py` in small."""

import pytest

from tstitch.benchmark.frechet import run_frechet_benchmark
from tstitch.config.cli import compose
from tstitch.runtime.errors import UserError

SMALL = ("benchmark.dimension=40", "benchmark.samples=[100,20]", "benchmark.reference=150")


def test_table(capsys):
    """Catches: two ways that measure different distances, a case that is not shown."""
    run_frechet_benchmark(compose("benchmark_frechet", [*SMALL, "benchmark.rounds=2"]))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[1] for line in lines[2:4]] == ["100", "20"]
    for line in lines[2:4]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == lines[1].count(":|")
        assert all(float(cell.split(" ")[0]) > 0 for cell in cells[1:7]) and float(cells[7]) < 1e-4
    assert "40 dimensions, 150 reference features, medians of 2 rounds" in lines[-1]


@pytest.mark.parametrize(
    ("override", "allowed"),
    [
        ("benchmark.dimension=0", "at least 1"),
        ("benchmark.samples=[1]", "at least 2"),
        ("benchmark.samples=[]", "at least one"),
        ("benchmark.rounds=0", "at least 1"),
        ("benchmark.device=mps", "choose one of auto, cpu, cuda"),
        ("+benchmark.foo=1", "choose one of dimension"),
    ],
)
def test_bad_input(override, allowed):
    """Catches: a traceback from numpy."""
    with pytest.raises(UserError) as caught:
        run_frechet_benchmark(compose("benchmark_frechet", [override]))
    message = str(caught.value)
    assert message.startswith(override.lstrip("+").split("=")[0]) and allowed in message
