"""Pairs of diffusers' networks, by configuration alone, through the sampler."""

import copy
import json
import shutil

import numpy as np
import pytest
import torch

from evaluation.cost.timing import StageTimer
from models.checkpoints import save_weights
from models.dit import DiT
from tstitch.benchmark.diffusers_dit import as_diffusers
from tstitch.config.cli import compose
from tstitch.engine.settings import choose_engines
from tstitch.maker.parse import parse_experiment
from tstitch.pair.spec import locate_weights
from tstitch.pair.weights import weights_digest
from tstitch.run.generate import run_sampling
from tstitch.runtime.errors import UserError

DENOISER = "models.diffusers_denoiser.DiffusersDenoiser"
SIZES = {"patch_size": 2, "hidden_size": 32, "depth": 2, "num_heads": 2}
SPACE = {"_target_": "models.spaces.PixelSpace", "channels": 3, "size": 8}
CLASSES = 5


@pytest.fixture(scope="module")
def base():
    """A configuration whose pair is to be given."""
    options = ["engine=plain", "run.device=cpu", "run.dtype=fp32", "evaluation=none"]
    options += ["sampler=ddim", "sampler.steps=4", "stitch.fraction=0.5", "run.batch_size=3"]
    return compose("sample", options)


@pytest.fixture(scope="module")
def dit(tmp_path_factory):
    """A random DiT as our file and as a folder of diffusers."""
    folder = tmp_path_factory.mktemp("dit")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = DiT(input_size=8, in_channels=3, num_classes=CLASSES, **SIZES)
        for name, parameter in network.named_parameters():
            if name != "pos_embed":
                torch.nn.init.normal_(parameter, std=0.1)
    save_weights(network.state_dict(), folder / "dit.safetensors", dtype=torch.float32, metadata={})
    as_diffusers(network, CLASSES).save_pretrained(folder / "transformer")
    path = folder / "transformer" / "config.json"  # as the hub has it
    path.write_text(json.dumps(json.loads(path.read_text()) | {"norm_eps": 1e-5}))
    return folder


def pair_of(denoiser, **values):
    """A pair section of one denoiser twice."""
    denoiser = {"sha256": None} | denoiser
    denoisers = {"small": denoiser, "large": copy.deepcopy(denoiser)}
    own = {"name": "toy", "space": SPACE, "denoisers": denoisers, "guidance": {"scale": 1.5}}
    own["evaluation"] = None
    return own | values


def engine_of(experiment):
    return choose_engines(experiment.engine, experiment.run)[0]


def latents(base, pair):
    """x_0 (3, C, 8, 8) of three images, and the experiment."""
    experiment = parse_experiment(base | {"pair": pair})
    pipeline = experiment.maker(experiment.load(engine_of(experiment)))
    batch = pipeline.draw([0, 1, 2], torch.tensor([0, 1, 1]), seed=0)
    return pipeline.denoise(batch, StageTimer(torch.device("cpu"))), experiment


def test_a_dit_of_diffusers_is_ours(base, dit):
    """Catches: another null class, frequencies of t or epsilon, swapped channels of variance."""
    ours = {"network": {"_target_": "models.dit.DiT", **SIZES}}
    ours["weights"] = str(dit / "dit.safetensors")
    network = {"_target_": DENOISER, "source": str(dit / "transformer"), "published_dit": True}
    expected, _ = latents(base, pair_of(ours, classes=CLASSES))
    theirs = pair_of({"network": network, "weights": "pretrained"}, classes=CLASSES)
    found, experiment = latents(base, theirs)
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * scale)
    del network["published_dit"]
    other, _ = latents(base, pair_of({"network": network, "weights": "pretrained"}, classes=5))
    assert float((other - expected).abs().max()) > 1e-3 * scale
    assert experiment.pair.sixteen_bits
    # Where a folder lies is no part of a run's identity.
    identity = experiment.identity({}, engine_of(experiment)).values
    assert str(dit) not in json.dumps(identity)
    assert identity["networks"]["large"]["published_dit"] is True


def test_weights_of_a_folder(base, dit):
    """Catches: a folder refused as a file, its sha256 not compared, random weights not random."""
    network = {"_target_": DENOISER, "source": str(dit / "transformer")}

    def spec(weights, sha256=None):
        section = {"network": network, "weights": weights, "sha256": sha256}
        return parse_experiment(base | {"pair": pair_of(section, classes=5)}).pair.denoisers[0]

    path = locate_weights(spec("pretrained"))
    assert path == locate_weights(spec(str(dit / "transformer"))) == dit / "transformer"
    assert locate_weights(spec("random")) is None
    assert locate_weights(spec(str(path), weights_digest(path))) == path
    with pytest.raises(UserError, match="expected 0000"):
        locate_weights(spec(str(path), "0" * 64))
    with pytest.raises(UserError, match="no config.json; give .*transformer"):
        locate_weights(spec(str(dit)))


def test_sizes_and_guidance_of_the_pair(base):
    """Catches: a network of other sizes, or one without a null class guided, found by its images;
    sizes forced on constructors that know none."""
    config = {
        "_class_name": "UNet2DModel", "block_out_channels": [8], "layers_per_block": 1,
        "down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"], "norm_num_groups": 4,
        "attention_head_dim": 4,
    }  # fmt: skip
    section = {"network": {"_target_": DENOISER, "config": config}, "weights": "random"}
    with pytest.raises(UserError, match="guidance.scale=1.5: small has no null condition"):
        parse_experiment(base | {"pair": pair_of(section, classes=1)})
    unguided = pair_of(section, classes=1, guidance={"scale": 1})
    assert parse_experiment(base | {"pair": unguided}).nfe == 4
    grey = unguided | {"space": SPACE | {"channels": 1}}
    with pytest.raises(UserError, match=r"small.network.in_channels=1: config has 3"):
        parse_experiment(base | {"pair": grey})
    linear = {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 2}
    parse_experiment(base | {"pair": pair_of({"network": linear, "weights": "random"}, classes=1)})


def test_what_a_scheduler_says(base, dit, tmp_path, caplog):
    """Catches: a prediction that nobody knows taken for noise, betas of another schedule used
    without a word."""
    shutil.copytree(dit / "transformer", tmp_path / "transformer")
    (tmp_path / "scheduler").mkdir()
    path = tmp_path / "scheduler" / "scheduler_config.json"
    network = {"_target_": DENOISER, "source": str(tmp_path / "transformer")}
    pair = pair_of({"network": network, "weights": "pretrained"}, classes=CLASSES)
    path.write_text(json.dumps({"beta_schedule": "scaled_linear", "prediction_type": "sample"}))
    experiment = parse_experiment(base | {"pair": pair})
    assert experiment.pair.denoisers[0].prediction == "x0"
    assert "says ScaledLinearVP, and its process is LinearVP" in caplog.text
    path.write_text(json.dumps({"prediction_type": "score"}))
    with pytest.raises(UserError, match="prediction_type=score; known are epsilon"):
        parse_experiment(base | {"pair": pair})


def test_prompts(base, text_pipeline):
    """Catches: prompts that do not reach the network, guidance from another text than the
    negative one, images that belong to a place on this disk."""
    network = {"_target_": DENOISER, "source": str(text_pipeline / "unet")}
    encoder = {"_target_": "models.text_encoder.ClipText", "source": str(text_pipeline)}
    values = {"prompts": ["a cat", "dog"], "text_encoder": encoder}
    section = {"network": network, "weights": "pretrained"}
    plain, experiment = latents(base, pair_of(section, **values))
    assert experiment.pair.class_names == ("a cat", "dog")
    assert experiment.pair.denoisers[0].prediction == "v"
    assert not torch.equal(plain[0], plain[1]) and torch.isfinite(plain).all()
    negative, other = latents(base, pair_of(section, **values, negative_prompt="bad"))
    assert not torch.equal(plain, negative)
    identity = [e.identity({}, engine_of(e)).values for e in (experiment, other)]
    assert identity[0] != identity[1] and str(text_pipeline) not in json.dumps(identity)
    reworded, _ = latents(base, pair_of(section, **values | {"prompts": ["a cat", "bird"]}))
    torch.testing.assert_close(plain[0], reworded[0])
    assert not torch.equal(plain[1], reworded[1])


def test_a_run_of_prompts(base, text_pipeline, tmp_path):
    """Catches: reports or grids that know classes only, a run of prompts that does not resume or
    that goes on with other ones."""
    network = {"_target_": DENOISER, "source": str(text_pipeline / "unet")}
    pair = pair_of(
        {"network": network, "weights": "pretrained"},
        prompts=["a cat", "dog"],
        text_encoder={"_target_": "models.text_encoder.ClipText", "source": str(text_pipeline)},
        process={"_target_": "samplers.ScaledLinearVP"},
    )

    def run(count, **changes):
        options = {"dir": str(tmp_path / "run"), "num_images": count}
        return run_sampling(base | {"pair": pair | changes, "run": base["run"] | options})

    with np.load(run(3) / "samples.npz") as archive:
        first = archive["arr_0"]
    with np.load(run(6) / "samples.npz") as archive:
        images, labels = archive["arr_0"], archive["arr_1"]
    assert labels.tolist() == [0, 1, 0, 1, 0, 1] and (images[:3] == first).all()
    with pytest.raises(UserError, match="belongs to another run .*prompts"):
        run(6, prompts=["a cat", "bird"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"classes": 2, "prompts": ["a"]}, "pair.classes=2: give either classes or prompts"),
        ({"classes": 2, "negative_prompt": "b"}, "pair.negative_prompt='b': is for pairs with"),
        ({"prompts": "nowhere.txt"}, "pair.prompts='nowhere.txt': cannot be read"),
        ({"prompts": ["a"]}, "pair.text_encoder=None: needs a section"),
        (
            {"prompts": ["a"], "text_encoder": {"_target_": "samplers.LinearVP"}},
            "pair.text_encoder._target_=samplers.LinearVP: is no text encoder",
        ),
    ],
)
def test_bad_conditions(base, values, message):
    """Catches: a pair whose conditions are two things, or nothing that can be read."""
    section = {"network": {"_target_": "models.dit.DiT", **SIZES}, "weights": "random"}
    with pytest.raises(UserError) as caught:
        parse_experiment(base | {"pair": pair_of(section, **values)})
    assert message in str(caught.value)
