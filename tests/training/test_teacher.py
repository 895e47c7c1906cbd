"""A training that learns from another denoiser of the pair."""

import pytest
import torch
from safetensors.torch import load_file

from models.checkpoints import save_weights
from samplers import LinearVP
from tstitch.config.cli import compose
from tstitch.pair.spec import build_network, parse_pair
from tstitch.runtime.errors import UserError
from tstitch.training.objective import HybridObjective
from tstitch.training.run import run_training
from tstitch.training.settings import TrainSettings
from tstitch.training.teacher import load_teacher


def test_the_teachers_noise_is_the_target():
    """Catches: the drawn noise still learned; a teacher that sees other inputs; a log without
    the error to the true noise, in which trainings are compared."""
    x_0, eps = torch.randn(2, 3, 2, 4, 4)
    t, y = torch.tensor([0, 400, 999]), torch.zeros(3, dtype=torch.int64)
    seen = {}

    def teacher(*inputs):
        seen["teacher"] = inputs
        return eps + 1.0

    def student(*inputs):
        seen["student"] = inputs
        return eps + 3.0

    noise, _, mse = HybridObjective(LinearVP().betas, teacher=teacher)(student, x_0, t, y, eps)
    assert noise.item() == pytest.approx(4.0) and mse.item() == pytest.approx(9.0)
    assert all(a is b for a, b in zip(seen["teacher"], seen["student"], strict=True))


@pytest.fixture
def taught(tiny, tmp_path):
    """A network with random weights, and overrides by which it is the small one's teacher."""
    fields = {"hidden_size": 16, "depth": 1, "patch_size": 7}
    more = [f"pair.denoisers.large.network.{name}={value}" for name, value in fields.items()]
    pair = parse_pair(compose("train", tiny(tmp_path, *more))["pair"])
    network = build_network(pair, pair.denoisers[1])
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.1, generator=generator)
    path = tmp_path / "teacher.safetensors"
    save_weights(network.state_dict(), path, dtype=torch.float32, metadata={})
    more += [f"pair.denoisers.large.weights={path}", "train.teacher=large"]
    return network.eval(), more


def test_teacher_is_the_trained_network(taught, tiny, tmp_path):
    """Catches: fresh weights, training mode, gradients, the logits of the variance as noise."""
    network, overrides = taught
    config = compose("train", tiny(tmp_path, *overrides))
    settings = TrainSettings.parse(config["train"], context={"denoisers": ["small", "large"]})
    teacher = load_teacher(parse_pair(config["pair"]), settings, torch.device("cpu"))
    x, t, y = torch.randn(3, 1, 28, 28), torch.tensor([0, 500, 999]), torch.tensor([0, 9, 10])
    noise = teacher(x, t, y)
    assert not noise.requires_grad
    torch.testing.assert_close(noise, network(x, t, y)[:, :1].detach())


def test_teacher_reaches_the_training(trained, taught, tmp_path):
    """Catches: an option that is read and not used."""
    told = trained(tmp_path / "told", *taught[1])
    alone = trained(tmp_path / "alone", *taught[1], "train.teacher=null")
    first, second = (load_file(folder / "ema.safetensors") for folder in (told, alone))
    assert not torch.equal(first["x_embedder.proj.weight"], second["x_embedder.proj.weight"])


def test_checkpoint_of_another_teacher_is_refused(trained, taught, tmp_path):
    """Catches: a training that goes on with another target than it began with."""
    folder = trained(tmp_path / "run", *taught[1], "train.steps=3")
    with pytest.raises(UserError, match=r"train\.teacher was large, is None"):
        trained(folder, *taught[1], "train.teacher=null")


@pytest.mark.parametrize("name", ["small", "huge"])
def test_a_teacher_is_another_denoiser(tiny, tmp_path, name):
    """Catches: a traceback, or a model that learns from itself."""
    with pytest.raises(UserError, match=f"train.teacher='{name}': choose one of large"):
        run_training(compose("train", tiny(tmp_path, f"train.teacher={name}")))


def test_random_teacher_is_refused(tiny, tmp_path):
    """Catches: a training for hours towards the predictions of an untrained network."""
    words = ["train.teacher=large", "pair.denoisers.large.weights=random"]
    with pytest.raises(UserError, match=r"large\.weights=random: .* give trained weights"):
        run_training(compose("train", tiny(tmp_path, *words)))


def test_a_teacher_on_another_process_is_refused(tiny, tmp_path):
    """Catches: noise of other timesteps learned as this process's."""
    words = ["train.teacher=large", "+pair.denoisers.large.process={_target_: samplers.VPSDE}"]
    with pytest.raises(UserError, match=r"train\.teacher=large: predicts eps on VPSDE"):
        run_training(compose("train", tiny(tmp_path, *words)))
