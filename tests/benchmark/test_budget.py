"""A benchmark within a time, and one that is stopped."""

import json
import subprocess
import time

import pytest

from tstitch.benchmark.budget import Costs
from tstitch.benchmark.run import run_benchmark
from tstitch.benchmark.settings import Case
from tstitch.config.cli import compose

PATIENCE_S = 900


def test_costs():
    """Catches: compilation that is not counted, batch sizes or processes that cost the same."""
    costs = Costs()
    assert costs.of_first(Case(8, "fp32", 1, "plain")) == 0
    costs.note(Case(8, "fp32", 1, "plain"), begin=3.0, one_round=4.0)
    assert costs.of_round(Case(16, "fp32", 2, "plain")) == 16
    assert costs.of_first(Case(8, "fp32", 1, "eager")) == 7
    assert costs.of_first(Case(8, "fp32", 1, "compiled")) > 40
    costs.note(Case(8, "fp32", 1, "compiled"), begin=10.0, one_round=2.0)
    assert costs.of_first(Case(16, "fp32", 1, "compiled")) == 14
    assert costs.of_first(Case(8, "bf16", 1, "diffusers compiled")) < 20


@pytest.mark.slow
def test_too_little_time(tmp_path, latent_pair):
    """Catches: a case, round or fraction that is left out in silence, a benchmark without its
    first case, one that goes on without looking at the time."""
    options = ["benchmark.batch_sizes=[2,1]", "benchmark.compile=[true,false]"]
    options += ["benchmark.rounds=3", "benchmark.fractions=[0,0.5,1]", "benchmark.minutes=0"]
    run_benchmark(compose("benchmark", [*latent_pair, *options, f"benchmark.dir={tmp_path}"]))
    document = json.loads((tmp_path / "benchmark.json").read_text())
    (case,) = document["cases"]
    assert document["finished"] and document["peers"] == []
    assert (case["engine"], case["batch_size"], case["rounds"]) == ("plain", 2, 1)
    assert [row["fraction"] for row in case["fractions"]] == [0]
    left_out = [entry["name"] for entry in document["left_out"]]
    cases = ["compiled fp32", "diffusers compiled ", "diffusers ", "eager fp32"]
    expected = [
        "fraction 0.5",
        "fraction 1",
        *cases,
        "batch 2: rounds 2 to 3",
        "plain fp32",
        *cases,
    ]
    assert len(left_out) == len(expected)
    assert all(name.startswith(start) for name, start in zip(left_out, expected, strict=True))
    assert all(entry["seconds"] > 0 for entry in document["left_out"])
    report = (tmp_path / "benchmark.md").read_text()
    assert all(f"- {name}, some " in report for name in left_out)


def test_stopped(tmp_path, script_line, environment):
    """Catches: results that are written at the end only, or half."""
    options = ["run.device=cpu", "sampler.steps=2", "benchmark.batch_sizes=[1]"]
    options += ["benchmark.compile=[false]", "benchmark.dtypes=[fp32]", "benchmark.fractions=[0]"]
    options += ["benchmark.rounds=100000", "benchmark.minutes=60", f"benchmark.dir={tmp_path}"]
    process = subprocess.Popen(script_line("benchmark.py", *options), env=environment)
    try:
        until = time.monotonic() + PATIENCE_S
        while not (tmp_path / "benchmark.json").is_file():
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    document = json.loads((tmp_path / "benchmark.json").read_text())
    assert document["finished"] is False
    assert document["cases"][0]["engine"] == "plain" and document["cases"][0]["rounds"] >= 1
    assert "**Incomplete" in (tmp_path / "benchmark.md").read_text()
    assert (tmp_path / "benchmark.png").is_file()
