"""`scripts/benchmark.py` in small."""

import json

import pytest

from tstitch.benchmark.measure import Measured
from tstitch.benchmark.results import summarise
from tstitch.benchmark.run import run_benchmark
from tstitch.benchmark.settings import Case
from tstitch.benchmark.worker import with_fraction
from tstitch.config.cli import compose
from tstitch.runtime.errors import UserError
from tstitch.runtime.threads import available_cores


@pytest.mark.slow
def test_numbers(folder):
    """Catches: a case or fraction that is not measured, shares above one, an eager engine whose
    latents are not the plain ones."""
    cases = json.loads((folder / "benchmark.json").read_text())["cases"]
    assert [c["engine"] for c in cases] == ["plain", "eager"]
    for case in cases:
        assert [row["fraction"] for row in case["fractions"]] == [0, 0.5, 1]
        assert [list(row["steps"].values()) for row in case["fractions"]] == [
            [0, 4],
            [2, 2],
            [4, 0],
        ]
        assert case["latent_deviation"] < 1e-5
        assert 0 < case["not_denoising"]["median"] < 1 and case["peak_bytes"] > 2**20
        assert all(d["share_of_matmul_peak"]["low"] > 0 for d in case["denoisers"].values())
        assert set(case["seconds_per_image_beside"]) == {"noise", "write"}
        slow, fast = (case["fractions"][k]["ideal_speedup"]["median"] for k in (0, 2))
        assert slow == 1 < fast
    assert {c["options"]["keep_memory"] for c in cases} == {False, True}


@pytest.mark.slow
def test_two_processes(tmp_path, tiny):
    """Catches: processes that do not run at the same time, or with all cores each."""
    options = ["benchmark.processes=[1,2]", "benchmark.fractions=[0]", f"benchmark.dir={tmp_path}"]
    run_benchmark(compose("benchmark", [*tiny, *options]))
    cases = json.loads((tmp_path / "benchmark.json").read_text())["cases"]
    assert [(c["engine"], c["processes"]) for c in cases] == [
        ("plain", 1),
        ("plain", 2),
        ("eager", 1),
        ("eager", 2),
    ]
    threads = {c["processes"]: c["threads_per_process"] for c in cases}
    assert threads[2] == max(1, available_cores() // 2)


@pytest.mark.slow
def test_files(folder):
    """Catches: a page without its picture or protocol."""
    text = (folder / "benchmark.md").read_text()
    assert "## plain fp32, batch 2\n" in text and "- versions: python" in text
    assert (folder / "benchmark.png").read_bytes().startswith(b"\x89PNG")


def test_summary(tiny):
    """Catches: rates of different rounds that are divided, ideal and measured swapped, guidance
    or batch size forgotten in the share of the peak."""
    base = compose("benchmark", list(tiny))
    del base["benchmark"]
    experiments = {f: with_fraction(base, f) for f in (0.0, 0.5, 1.0)}
    setup = {"engine": {}, "threads": 1, "seconds": {}}

    def measured(engine, factor):
        result = Measured(Case(2, "fp32", 1, engine), setup)
        for busy in (1.0, 2.0):  # the second round finds a machine half as fast
            result.steps.append({"small": 0.1 * busy / factor, "large": 1.0 * busy / factor})
            result.matmul.append(1000.0 / busy)
            for fraction, rate in ((0.0, 0.5), (0.5, 0.75), (1.0, 4.0)):
                result.rates.setdefault(fraction, []).append(factor * rate / busy)
            result.stages.append({"denoise/large": 1.9 * busy, "wait": 0.1 * busy})
            result.beside.append({"write": 0.5 * busy})
        return result

    plain, fast = summarise(
        [measured("plain", 1.0), measured("eager", 3.0)], experiments, {"small": 10, "large": 100}
    )
    assert fast["speedup_over_plain"] == pytest.approx({"median": 3, "low": 3, "high": 3})
    assert plain["speedup_over_plain"]["median"] == 1
    middle = plain["fractions"][1]
    assert middle["speedup"]["low"] == middle["speedup"]["high"] == pytest.approx(1.5)
    assert middle["ideal_speedup"]["median"] == pytest.approx(4 / 2.2)
    assert middle["share_of_ideal"]["median"] == pytest.approx(1.5 * 2.2 / 4)
    # 2 images, 2 evaluations each, 100 FLOPs, in 1 s against 1000 FLOPs per second
    share = plain["denoisers"]["large"]["share_of_matmul_peak"]
    assert share == pytest.approx({"median": 0.4, "low": 0.4, "high": 0.4})
    assert plain["not_denoising"]["median"] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("override", "allowed"),
    [
        ("benchmark.batch_sizes=[0]", "at least 1"),
        ("benchmark.batch_sizes=[]", "at least 1"),
        ("benchmark.batch_sizes=[[4]]", "at least 1"),
        ("benchmark.compile=[[true]]", "true and false"),
        ("benchmark.fractions=[[0]]", "0 among them"),
        ("benchmark.processes=[0]", "at least 1"),
        ("benchmark.dtypes=[fp64]", "fp32, tf32, bf16, fp16"),
        ("benchmark.dtypes=fp32", "a list of fp32"),
        ("benchmark.dtypes=[[fp32]]", "a list of fp32"),
        ("benchmark.dtypes=[tf32]", "needs a CUDA device"),
        ("benchmark.compile=[yes]", "true and false"),
        ("benchmark.baseline=fast", "choose one of fp32"),
        ("benchmark.fractions=[0.5]", "0 among them"),
        ("benchmark.fractions=[0,2]", "from 0 to 1"),
        ("benchmark.rounds=0", "at least 1"),
        ("benchmark.minutes=-1", "at least 0"),
        ("benchmark.batches=0", "at least 1"),
        ("+benchmark.foo=1", "choose one of dir"),
        ("pair=fashion_mnist_trio", "a pair of two"),
        ("pair.denoisers.small.weights=nowhere.pt", "no such file"),
    ],
)
def test_bad_input(tmp_path, tiny, override, allowed):
    """Catches: a traceback, possibly of another process."""
    trio = ["stitch=fractions", "stitch.fractions=[0,0,1]"] if "trio" in override else []
    with pytest.raises(UserError) as caught:
        run_benchmark(compose("benchmark", [*tiny, f"benchmark.dir={tmp_path}", *trio, override]))
    message = str(caught.value)
    assert message.startswith(override.lstrip("+").split("=")[0]) and allowed in message, message
