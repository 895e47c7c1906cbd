"""A training in pieces is the training in one go; several processes average their gradients."""

import csv
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from samplers import LinearVP
from tstitch.config.cli import compose
from tstitch.data.datasets import StepBatches, idx_folder
from tstitch.pair.spec import build_network, parse_pair
from tstitch.runtime.errors import UserError
from tstitch.training import loop, recorder, run
from tstitch.training.ema import Ema
from tstitch.training.latents import to_float
from tstitch.training.objective import HybridObjective
from tstitch.training.settings import TrainSettings


def log_rows(folder: Path) -> list[dict]:
    with (folder / "log.csv").open(newline="") as file:
        return [{k: v for k, v in r.items() if k != "images_per_s"} for r in csv.DictReader(file)]


def saved(folder: Path) -> dict:
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def assert_same(first, second) -> None:
    """Nested dicts, lists and tensors are equal bit by bit."""
    assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            assert_same(a, b)
    else:
        assert first == second


class Killed(BaseException):
    """Stands for kill -9."""


def kill_at(monkeypatch, step: int, *, before_checkpoint: bool = False) -> None:
    """The process dies after that step's records, or before its checkpoint is written."""
    write = recorder.save_checkpoint

    def save(state, folder):
        if before_checkpoint and state.step == step:
            raise Killed
        write(state, folder)

    record = recorder.Recorder.__call__

    def call(self, number, row):
        record(self, number, row)
        if number == step:
            raise Killed

    monkeypatch.setattr(recorder, "save_checkpoint", save)
    monkeypatch.setattr(recorder.Recorder, "__call__", call)


@pytest.fixture(scope="module")
def in_one_go(tmp_path_factory, trained) -> Path:
    """Six steps, checkpoints at 3 and 6, a log row every 2 steps."""
    return trained(tmp_path_factory.mktemp("run"), "train.log_every=2")


@pytest.mark.parametrize(
    ("step", "before_checkpoint"), [(3, False), (3, True), (5, False), (6, True)]
)
def test_killed_and_resumed(tmp_path, trained, in_one_go, monkeypatch, step, before_checkpoint):
    """Catches: state missing from the checkpoint, draws that restart, doubled or lost log rows,
    a mean over fewer steps after a resume, weights that are never exported.
    """
    with monkeypatch.context() as patch:
        kill_at(patch, step, before_checkpoint=before_checkpoint)
        with pytest.raises(Killed):
            trained(tmp_path, "train.log_every=2")
    trained(tmp_path, "train.log_every=2")
    assert_same(saved(tmp_path), saved(in_one_go))
    assert log_rows(tmp_path) == log_rows(in_one_go)
    exported = [load_file(folder / "ema.safetensors") for folder in (tmp_path, in_one_go)]
    assert_same(*exported)


def test_log_has_a_row_per_interval_and_checkpoint(in_one_go):
    """Catches: rows that are sums, a row that is missing at the end."""
    rows = log_rows(in_one_go)
    assert [row["step"] for row in rows] == ["2", "3", "4", "6"]
    assert [row["images"] for row in rows] == ["16", "24", "32", "48"]
    assert 0.3 < float(rows[0]["mse"]) < 3.0
    assert all(float(v) == float(v) for row in rows for v in row.values())


def test_checkpoint_holds_what_earlier_ones_did(in_one_go):
    """Catches: a renamed entry, which would end every training in progress."""
    assert saved(in_one_go).keys() == {"model", "ema", "optimizer", "stream", "step"}
    assert saved(in_one_go)["step"] == 6


def test_finished_training_changes_nothing(tmp_path, trained):
    """Catches: a step too many, files written again, when the same command runs once more."""
    trained(tmp_path, "train.steps=2")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    trained(tmp_path, "train.steps=2")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_checkpoint_from_before_an_option_was_made_without_it(tmp_path, trained):
    """Catches: a training that goes on with another objective than it was begun with."""
    trained(tmp_path, "train.steps=2")
    checkpoint = saved(tmp_path)
    for name in ("focus", "focus_share", "noise_weight_limit"):
        del checkpoint["stream"][name]
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    trained(tmp_path, "train.steps=3")
    for option in ("noise_weight_limit=30", "focus_share=0.5"):
        with pytest.raises(UserError, match=f"train.{option.split('=')[0]} was"):
            trained(tmp_path, "train.steps=4", f"train.{option}")


def test_more_steps_extend_a_training(tmp_path, trained):
    """Catches: a finished training that cannot go on when train.steps is raised."""
    trained(tmp_path, "train.steps=4", "train.decay_steps=0")
    trained(tmp_path, "train.steps=6", "train.decay_steps=0")
    assert [row["step"] for row in log_rows(tmp_path)] == ["1", "2", "3", "4", "5", "6"]
    assert saved(tmp_path)["step"] == 6


def test_global_random_state_does_not_matter(tmp_path, trained, in_one_go):
    """Catches: draws from torch's global generator, which a resume cannot restore."""
    torch.manual_seed(999)
    trained(tmp_path, "train.log_every=2")
    assert_same(saved(tmp_path), saved(in_one_go))


@pytest.mark.parametrize(
    "field", ["seed=1", "learning_rate=1e-3", "label_dropout=1.0", "flip=true"]
)
def test_settings_reach_the_training(tmp_path, trained, in_one_go, field):
    """Catches: a setting that is parsed and then ignored."""
    trained(tmp_path, "train.log_every=2", f"train.{field}")
    first, second = saved(tmp_path)["ema"], saved(in_one_go)["ema"]
    assert any(not torch.equal(first[name], second[name]) for name in first)


class Line(nn.Module):
    """Predicts slope * 1000, whatever it gets: a gradient far above any limit."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(3))

    def forward(self, x, t, y):
        return x * 0 + 1000 * self.slope.sum()


@pytest.mark.parametrize("limit", [0.0, 0.5])
def test_gradients_are_clipped_before_the_step(limit):
    """Catches: clipping after the step, a limit of 0 that stops learning, a clipped norm logged."""
    config = compose("train", [f"train.grad_clip={limit}", "train.steps=1", "train.decay_steps=0"])
    settings = TrainSettings.parse(config["train"], context={"denoisers": ["large"]})
    network, norms, rows = Line(), [], []
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    optimizer.register_step_pre_hook(lambda *_: norms.append(network.slope.grad.norm().item()))
    loop.train(
        loop.TrainState(network, Ema(network, 0.9), optimizer),
        HybridObjective(LinearVP().betas),
        lambda generator: (torch.zeros(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64)),
        settings=settings,
        num_classes=10,
        device=torch.device("cpu"),
        after_step=lambda step, row: rows.append(row),
    )
    assert rows[0]["grad_norm"] > 1e6
    assert norms[0] == pytest.approx(limit or rows[0]["grad_norm"].item(), rel=1e-4)


def averaged_gradients(config: dict, world: int) -> dict[str, torch.Tensor]:
    """The weights that `world` processes must end with, computed in this one."""
    pair, settings = (
        parse_pair(config["pair"]),
        TrainSettings.parse(config["train"], context={"denoisers": ["small"]}),
    )
    torch.manual_seed(settings.seed)
    network = build_network(pair, pair.denoisers[0])
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=settings.weight_decay)
    objective, dataset = HybridObjective(LinearVP().betas), idx_folder(config["data"]["folder"])
    whole = StepBatches(
        len(dataset), batch_size=settings.batch_size, seed=settings.seed,
        steps=range(settings.steps), rank=0, world=1,
    )  # fmt: skip
    for step, indices in enumerate(whole):
        for rank in range(world):
            generator = loop.step_generator(settings.seed, step, rank)
            images, y = dataset[torch.tensor(indices[rank::world])]
            x_0 = to_float(images)
            t, eps, y = loop.draw(x_0, y, settings, pair.num_classes, generator)
            losses = objective(network, x_0, t, y, eps)
            ((losses.noise + losses.bound) / world).backward()
        nn.utils.clip_grad_norm_(network.parameters(), settings.grad_clip)
        optimizer.param_groups[0]["lr"] = settings.learning_rate_at(step)
        optimizer.step()
        optimizer.zero_grad()
    return network.state_dict()


@pytest.mark.parametrize("world", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_processes_average_their_gradients(run_script, tmp_path, tiny, trained, world):
    """Catches: gradients summed or not exchanged, the same images or noise on every rank."""
    fields = ["train.steps=3", "train.grad_clip=0.05"]
    if world == 1:
        trained(tmp_path, *fields)
    else:
        done = run_script("train.py", *tiny(tmp_path, *fields), processes=world)
        assert done.returncode == 0, done.stderr
    config = compose("train", tiny(tmp_path, *fields))
    got, expected = saved(tmp_path)["model"], averaged_gradients(config, world)
    other = averaged_gradients(config, 3 - world)
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, atol=2e-5, rtol=1e-3, msg=name)
    assert any((expected[name] - other[name]).abs().max() > 1e-3 for name in got)
    assert len(log_rows(tmp_path)) == 3


def test_full_disk_is_one_line(tmp_path, trained):
    """Catches: a traceback, a damaged checkpoint in place of the last good one."""
    trained(tmp_path, "train.steps=3")
    good = (tmp_path / "checkpoint.pt").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(good) // 2, hard))
    try:
        with pytest.raises(UserError, match="cannot be written") as caught:
            trained(tmp_path, "train.steps=6")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value).startswith(f"train.dir={tmp_path}: ")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "checkpoint.pt").read_bytes() == good
    trained(tmp_path, "train.steps=6")
    assert saved(tmp_path)["step"] == 6


def test_plain_attention_is_the_same_network(tiny, tmp_path):
    """Catches: a switch for speed on the CPU that changes what is trained."""
    pair = parse_pair(compose("train", tiny(tmp_path))["pair"])
    network = build_network(pair, pair.denoisers[0])
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    inputs = torch.randn(2, 1, 28, 28), torch.tensor([3, 900]), torch.tensor([1, 10])
    fused = network(*inputs)
    run._prefer_plain_attention(network, torch.device("cpu"))
    assert not network.blocks[0].attn.fused_attn
    torch.testing.assert_close(network(*inputs), fused, atol=1e-5, rtol=1e-5)
