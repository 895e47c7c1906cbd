"""What engine=auto comes to: by device, by the images of the run and by its processes."""

import pytest
import torch

from tstitch.config.cli import compose
from tstitch.engine.settings import EngineSettings, auto_precision, decide
from tstitch.engine.worth import LEAST_EVALUATIONS, evaluations_per_process, preparations
from tstitch.maker.parse import parse_experiment


def auto(device: str, images: int, processes: int, *overrides: str):
    """The engine of a run of the default command with this many images."""
    config = compose("sample", [f"run.num_images={images}", *overrides])
    experiment = parse_experiment(config)
    prepare = preparations(device, experiment.evaluations(processes))[0]
    return decide(experiment.engine, torch.device(device), "fp32", prepare)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(("images", "prepared"), [(32, False), (256, False), (50_000, True)])
def test_auto_prepares_long_runs_on_a_gpu(images, prepared, processes):
    """Catches: half a minute of compilation for one batch, a long run that is never compiled."""
    engine = auto("cuda", images, processes)
    assert (engine.compile, engine.cuda_graphs) == (prepared, prepared)
    assert engine.static_shapes == prepared


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("images", [32, 50_000])
def test_auto_prepares_nothing_on_a_cpu(images, processes):
    """Catches: shipped runs on the CPU that change their bytes with their length."""
    engine = auto("cpu", images, processes)
    assert not engine.compile and not engine.static_shapes and engine.keep_memory


def test_evaluations_are_those_of_the_busiest_process():
    """Catches: images for batches, a last batch or rank forgotten."""
    assert evaluations_per_process(32, 32, 20, 1) == 20
    assert evaluations_per_process(33, 32, 20, 1) == 40
    assert evaluations_per_process(33, 32, 20, 2) == 20
    assert evaluations_per_process(50_000, 32, 100, 8) == 196 * 100


def test_the_rule_has_one_threshold():
    """Catches: a number of images that is not known taken for none."""
    assert preparations("cuda", LEAST_EVALUATIONS) == (True, False)
    assert preparations("cuda", LEAST_EVALUATIONS - 1) == (False, True)
    assert preparations("cuda", None)[0] is True
    assert preparations("mps", None) == preparations("cpu", 10**9) == (False,)


def test_what_is_asked_for_is_not_decided():
    """Catches: a rule that overrules engine=plain or engine.compile=true."""
    assert not auto("cuda", 50_000, 1, "engine=plain").static_shapes
    asked = auto("cuda", 32, 1, "engine.compile=true")
    assert asked.compile and asked.cuda_graphs
    graphs = auto("cuda", 32, 1, "engine.cuda_graphs=true")
    assert graphs.cuda_graphs and not graphs.compile
    assert not auto("cuda", 50_000, 1, "engine.offload=true").cuda_graphs


def test_without_a_compiler_long_runs_are_recorded():
    """Catches: recordings given up because triton is not there."""
    settings = EngineSettings.parse(compose("sample", [])["engine"])
    engine = decide(settings, torch.device("cuda"), "tf32", prepare=True, can_compile=False)
    assert engine.cuda_graphs and not engine.compile


@pytest.mark.parametrize(
    ("capability", "half", "expected"),
    [
        (None, "fp16", "fp32"),  # CPU, mps
        ((7, 5), "fp16", "fp32"),
        ((8, 0), "fp16", "fp16"),
        ((9, 0), "bf16", "bf16"),
        ((9, 0), None, "tf32"),
    ],
)
def test_precision_of_auto(capability, half, expected):
    """Catches: other bytes on a CPU, a user's network rounded as a whole without being asked."""
    assert auto_precision(capability, half) == expected


def test_pair_tells_whether_its_networks_name_what_stays_in_float32(tmp_path, monkeypatch):
    """Catches: one such network that speaks for all."""
    (tmp_path / "silent.py").write_text(
        "from models.dit import DiT\n\n\nclass Silent(DiT):\n    full_precision = None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert parse_experiment(compose("sample", [])).engine.sixteen_bits
    override = "pair.denoisers.large.network._target_=silent.Silent"
    assert not parse_experiment(compose("sample", [override])).engine.sixteen_bits
