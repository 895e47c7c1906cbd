"""Pixel and autoencoder spaces; the autoencoders are tiny, random, and built here."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.images import to_uint8
from models.spaces import WEIGHTS, PixelSpace, VAESpace

SCALE = 0.18215
OFFLINE = """
from models.spaces import VAESpace
space = VAESpace("nobody/nothing", size=4)
print(space.shape, space.image_size)
try:
    space.load()
except ValueError as error:
    print(error)
"""


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def edit_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def error_of(function, *args, **kwargs) -> str:
    with pytest.raises(ValueError) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "level"),
    [
        (-2.0, 0),
        (-1.0, 0),  # 0.5
        (-0.9961, 0),  # 0.997: rounding would give 1
        (-126.5 / 127.5, 1),  # 1.5
        (0.0, 128),
        (0.0039, 128),  # 128.497
        (0.0078, 128),  # 128.9945: rounding would give 129
        (126.5 / 127.5, 254),  # 254.5
        (1.0, 255),  # 255.5: unclamped, uint8 could wrap to 0
        (2.0, 255),
    ],
)
def test_pixel_levels(value, level):
    """Catches: rounding instead of floor, 127.5 in place of 128, a wrap around at either end."""
    image = PixelSpace(channels=3, size=2).decode(torch.full((1, 3, 2, 2), value))
    assert image.dtype == torch.uint8 and image.unique().tolist() == [level]


def test_pixel_layout_and_grey_triple():
    """Catches: NCHW handed out as NHWC, transposed sides, grey images with one channel."""
    latents = torch.arange(-8, 8).reshape(1, 1, 4, 4) / 8
    grey = PixelSpace(channels=1, size=4).decode(latents)
    wanted = (127.5 * latents + 128).clamp(0, 255).floor().to(torch.uint8)[0, 0]
    assert grey.shape == (1, 4, 4, 3) and grey.is_contiguous()
    assert all(torch.equal(grey[0, :, :, c], wanted) for c in range(3))
    colour = torch.stack([torch.full((2, 2), v) for v in (-1.0, 0.0, 1.0)])[None]
    assert PixelSpace(channels=3, size=2).decode(colour)[0, 1, 0].tolist() == [0, 128, 255]


def test_half_precision_is_decoded_in_float32():
    """Catches: 127.5 * x + 128 in bf16, which has steps of one level and more."""
    values = torch.linspace(-1, 1, 1024).bfloat16().reshape(1, 1, 32, 32)
    assert torch.equal(to_uint8(values), to_uint8(values.float()))
    assert not torch.equal(to_uint8(values), to_uint8((127.5 * values + 128).float() / 127.5 - 1))


def test_pixel_space_describes_itself():
    """Catches: an encode that copies or draws, attributes that differ from VAESpace's."""
    space = PixelSpace(channels=1, size=28)
    images, generator = noise(2, 1, 28, 28), torch.Generator().manual_seed(3)
    state = generator.get_state()
    assert space.to("cpu") is space and space.encode(images, generator) is images
    assert torch.equal(generator.get_state(), state)
    assert (space.shape, space.scale, space.image_channels) == ((1, 28, 28), 1.0, 1)
    assert (space.image_size, space.digest()) == (28, "pixel")


def test_other_batch_shapes_are_refused(vae):
    """Catches: broadcasting or convolution over images of another size or layout."""
    for space in (PixelSpace(channels=3, size=16), VAESpace(vae, size=8)):
        wanted = f"(N, {', '.join(map(str, space.shape))})"
        message = error_of(space.decode, noise(1, 3, 8, 16))
        assert message.startswith("latents: ") and wanted in message and "(1, 3, 8, 16)" in message
        assert error_of(space.encode, noise(2, 16, 16, 3)).startswith("images: ")
        assert error_of(space.decode, noise(*space.shape)).startswith("latents: ")


@pytest.mark.parametrize(
    ("cls", "arguments", "start"),
    [
        (PixelSpace, {"channels": 2, "size": 28}, "channels=2: "),
        (PixelSpace, {"channels": True, "size": 28}, "channels=True: "),
        (PixelSpace, {"channels": 1, "size": 0}, "size=0: "),
        (PixelSpace, {"channels": 1, "size": 28.0}, "size=28.0: "),
        (VAESpace, {"vae": "a/b", "size": "32"}, "size=32: "),
        (VAESpace, {"vae": "a/b", "size": 32, "channels": -1}, "channels=-1: "),
        (VAESpace, {"vae": "a/b", "size": 32, "chunk": 0}, "chunk=0: "),
        (VAESpace, {"vae": "a/b", "size": 32, "chunk": "all"}, "chunk=all: "),
        (VAESpace, {"vae": "a/b", "size": 32, "dtype": "fp64"}, "dtype=fp64: "),
        (VAESpace, {"vae": "a/b", "size": 32, "scale": 0.0}, "scale=0.0: "),
        (VAESpace, {"vae": "a/b", "size": 32, "scale": float("nan")}, "scale=nan: "),
        (VAESpace, {"vae": "a/b", "size": 32, "scale": "1"}, "scale=1: "),
        (VAESpace, {"vae": "a/b", "size": 32, "shift": float("inf")}, "shift=inf: "),
        (VAESpace, {"vae": "sd-vae", "size": 32}, "vae=sd-vae: "),
        (VAESpace, {"vae": "a/b/c", "size": 32}, "vae=a/b/c: "),
        (VAESpace, {"vae": "", "size": 32}, "vae=: "),
        (VAESpace, {"vae": __file__, "size": 32}, f"vae={__file__}: is a file; give its folder"),
        (VAESpace, {"vae": "/nowhere/vae", "size": 32}, "vae=/nowhere/vae: "),
        (VAESpace, {"vae": "./nowhere", "size": 32}, "vae=./nowhere: "),
        (VAESpace, {"vae": "~/nowhere/vae", "size": 32}, "vae=~/nowhere/vae: "),
    ],
)
def test_bad_arguments(cls, arguments, start):
    """Catches: a bad value that is noticed only after minutes of sampling."""
    assert error_of(cls, **arguments).startswith(start)


def test_folder_that_is_no_fitting_vae(build_vae, tmp_path):
    """Catches: another model's folder, or other channels, that fail inside diffusers."""
    folder = tmp_path / "pipeline" / "vae"
    folder.mkdir(parents=True)
    assert "no config.json" in error_of(VAESpace, str(folder), size=8)
    assert error_of(VAESpace, str(folder.parent), size=8).endswith(f"give {folder.parent}/vae")
    build_vae(folder)
    assert error_of(VAESpace, str(folder), size=8, channels=16).startswith("channels=16: ")
    edit_config(folder, _class_name="UNet2DModel")
    assert "UNet2DModel" in error_of(VAESpace, str(folder), size=8)
    edit_config(folder, _class_name="AutoencoderKL")
    (folder / WEIGHTS).rename(folder / "diffusion_pytorch_model.bin")
    assert f"has no {WEIGHTS}" in error_of(VAESpace, str(folder), size=8)
    for text in ("[]", "{", "{}"):
        (folder / "config.json").write_text(text)
        assert "no folder of an AutoencoderKL" in error_of(VAESpace, str(folder), size=8)


def test_weights_that_do_not_load(build_vae, tmp_path):
    """Catches: diffusers' warning about randomly initialised weights, printed and forgotten."""
    folder = build_vae(tmp_path)
    state = load_file(folder / WEIGHTS)
    kept = state.pop("decoder.conv_in.weight")
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    message = error_of(VAESpace(str(folder), size=8).load)
    assert "1 weights do not fit" in message and "decoder.conv_in.weight" in message
    save_file(state | {"decoder.conv_in.weight": kept[:4]}, folder / WEIGHTS)
    assert "cannot be loaded" in error_of(VAESpace(str(folder), size=8).load)
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-9])
    assert "cannot be loaded" in error_of(VAESpace(str(folder), size=8).load)


def test_hub_that_cannot_be_reached(tmp_path):
    """Catches: a constructor that needs the network, and pages of traceback without it."""
    environment = dict(os.environ, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        [sys.executable, "-c", OFFLINE],
        env=environment | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = run.stdout.splitlines()
    assert lines[0] == "(4, 4, 4) 32" and len(lines) == 2, run
    assert lines[1].startswith("vae=nobody/nothing: ") and "give its folder" in lines[1]


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_vae_shapes(build_vae, tmp_path, levels):
    """Catches: a reduction of 8 taken for granted, or float images handed out."""
    space = VAESpace(str(build_vae(tmp_path, levels=levels)), size=4)
    side = 4 * 2 ** (levels - 1)
    assert (space.shape, space.image_channels, space.image_size) == ((4, 4, 4), 3, side)
    latents = space.encode(noise(3, 3, side, side).clamp(-1, 1))
    images = space.decode(latents)
    assert latents.shape == (3, 4, 4, 4) and latents.dtype == torch.float32
    assert images.shape == (3, side, side, 3) and images.dtype == torch.uint8
    assert not latents.requires_grad and images.device.type == "cpu"


def test_chunks_change_nothing(vae):
    """Catches: chunks lost, repeated or out of order, noise that depends on the chunk."""
    one, many = VAESpace(vae, size=8, chunk=1), VAESpace(vae, size=8, chunk=8)
    latents, images = noise(5, 4, 8, 8), noise(5, 3, 16, 16)
    difference = one.decode(latents).int() - many.decode(latents).int()
    assert difference.abs().max() <= 1 and (difference != 0).float().mean() < 1e-3
    assert one.decode(latents)[0].ne(one.decode(latents)[1]).any()
    drawn = [space.encode(images, torch.Generator().manual_seed(1)) for space in (one, many)]
    torch.testing.assert_close(*drawn)


def test_nothing_is_warned_of(vae, caplog):
    """Catches: diffusers' warning, at every run, of modules to keep in float32, which are none."""
    logger = logging.getLogger("diffusers")
    logger.addHandler(caplog.handler)
    try:
        VAESpace(vae, size=8, dtype="bf16").load()
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.text == ""


def test_scale_goes_out_and_in(vae):
    """Catches: a scale applied twice, or only one way; moments that are scaled already."""
    unit, space = VAESpace(vae, size=8, scale=1.0), VAESpace(vae, size=8, scale=SCALE)
    images = noise(2, 3, 16, 16)
    mean, std = space.encode_moments(images)
    assert torch.equal(mean, unit.encode_moments(images)[0])
    expected = (mean + std * noise(2, 4, 8, 8, seed=5)) * SCALE
    torch.testing.assert_close(space.encode(images, torch.Generator().manual_seed(5)), expected)
    assert torch.equal(space.decode(mean * SCALE), to_uint8(unit.load()._network.decode(mean)[0]))
    levels = space.decode(mean * SCALE).int() - unit.decode(mean).int()
    assert levels.abs().max() <= 1


CONSTANTS = {
    "flux": ({"scaling_factor": 0.3611, "shift_factor": 0.1159}, 0.1159, 1.0, 0.3611),
    "scale": ({"scaling_factor": 0.13025}, 0.0, 1.0, 0.13025),
    "none": ({"scaling_factor": None, "shift_factor": None}, 0.0, 1.0, SCALE),
    "channels": (
        {"scaling_factor": 0.5, "latents_mean": [0.1, 0.2, 0.3, 0.4], "latents_std": [1, 2, 3, 4]},
        torch.tensor([0.1, 0.2, 0.3, 0.4])[:, None, None],
        torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None],
        0.5,
    ),
}


@pytest.mark.parametrize("case", CONSTANTS)
def test_constants_of_its_config(build_vae, tmp_path, case):
    """Catches: a scale or shift that is not read, or on the way in or out only."""
    changes, shift, std, scale = CONSTANTS[case]
    folder = build_vae(tmp_path)
    edit_config(folder, **changes)
    space, images = VAESpace(str(folder), size=8), noise(2, 3, 16, 16)
    mean, deviation = space.encode_moments(images)
    own = mean + deviation * noise(2, 4, 8, 8, seed=5)
    found = space.encode(images, torch.Generator().manual_seed(5))
    torch.testing.assert_close(found, (own - shift) / std * scale)
    plain = to_uint8(space._network.decode(own).sample)
    assert (space.decode(found).int() - plain.int()).abs().max() <= 1
    assert space.remarks == []


def test_given_constants_win_and_the_difference_is_told(build_vae, tmp_path):
    """Catches: a pair's own scale that is passed over, or a difference that nobody sees."""
    folder = build_vae(tmp_path)
    edit_config(folder, scaling_factor=0.3611, shift_factor=0.1159)
    agreeing = VAESpace(str(folder), size=8, scale=0.3611, shift=0.1159)
    assert agreeing.remarks == [] and agreeing.digest() == VAESpace(str(folder), size=8).digest()
    space = VAESpace(str(folder), size=8, scale=0.5, shift=0)
    assert [line.split(":")[0] for line in space.remarks] == ["scale=0.5", "shift=0"]
    assert "says 0.3611" in space.remarks[0] and "says 0.1159" in space.remarks[1]
    mean, _ = space.encode_moments(noise(1, 3, 16, 16))
    torch.testing.assert_close(space.scaled(mean), mean * 0.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scaling_factor": 0}, "must be positive"),
        ({"scaling_factor": "0.18"}, "scaling_factor=0.18 in its config.json"),
        ({"shift_factor": float("nan")}, "shift_factor=nan"),
        ({"latents_mean": [0.0, 1.0]}, "needs 4 numbers"),
        ({"latents_mean": [0.0] * 4, "shift_factor": 1.0}, "remove one"),
        ({"latents_std": [1.0, 0.0, 1.0, 1.0]}, "must be positive"),
    ],
)
def test_constants_that_are_none(build_vae, tmp_path, changes, words):
    """Catches: a division by zero, or a TypeError out of the decoder."""
    folder = build_vae(tmp_path)
    edit_config(folder, **changes)
    assert words in error_of(VAESpace, str(folder), size=8)


def test_digest_of_a_scale_alone_is_unchanged(vae):
    """Catches: run directories of earlier versions that are refused for a new way to write it."""
    assert VAESpace(vae, size=8).digest().endswith(f":scale={SCALE!r}:fp32")
    assert VAESpace(vae, size=8, shift=0.5).digest().endswith(":scale=0.18215:shift=0.5:fp32")


def test_images_that_are_not_finite_are_told(build_vae, tmp_path):
    """Catches: an overflow in 16 bits that uint8 turns into black."""
    folder = build_vae(tmp_path)
    state = load_file(folder / WEIGHTS)
    state["decoder.conv_in.weight"] *= 3e4
    state["decoder.mid_block.resnets.0.conv1.weight"] *= 1e3
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    latents = noise(3, 4, 8, 8)
    _, finite = VAESpace(str(folder), size=8, dtype="fp16", chunk=2).decode_checked(latents)
    assert finite.shape == (3,) and not finite.any()
    images, finite = VAESpace(str(folder), size=8, chunk=2).decode_checked(latents)
    assert finite.all() and images.float().std() > 1
    assert PixelSpace(3, 8).decode_checked(torch.zeros(2, 3, 8, 8) / 0)[1].tolist() == [False] * 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t * float("nan"), "infinite or not a number"),
        (lambda t: t.to(torch.int8), "is int8, probably quantised"),
    ],
)
def test_autoencoder_of_unusable_weights(build_vae, tmp_path, change, words):
    """Catches: quantised weights that diffusers casts without their scale."""
    folder = build_vae(tmp_path)
    state = load_file(folder / WEIGHTS)
    state["decoder.conv_in.weight"] = change(state["decoder.conv_in.weight"])
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    message = error_of(VAESpace(str(folder), size=8).load)
    assert words in message and "decoder.conv_in.weight" in message


def test_encode_samples_from_its_generator(vae):
    """Catches: the posterior's mode in place of a sample, the global generator, or one noise."""
    space, images = VAESpace(vae, size=8), noise(1, 3, 16, 16).repeat(2, 1, 1, 1)
    generator = torch.Generator().manual_seed(7)
    state = torch.get_rng_state()
    first, second = space.encode(images, generator), space.encode(images, generator)
    assert torch.equal(first, space.encode(images, torch.Generator().manual_seed(7)))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, second) and not torch.equal(first[0], first[1])


def test_vae_computes_in_float32(vae):
    """Catches: decoding in the run's bf16, by autocast or by the latents' own dtype."""
    space, latents = VAESpace(vae, size=8), noise(2, 4, 8, 8).bfloat16()
    wanted = space.decode(latents.float())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(space.decode(latents), wanted)
        assert space.encode_moments(noise(1, 3, 16, 16))[0].dtype == torch.float32


def test_dtype_of_the_autoencoder(vae):
    """Catches: a dtype that is not used, latents or images that follow it."""
    latents, pictures = noise(2, 4, 8, 8), noise(1, 3, 16, 16)
    full, half = VAESpace(vae, size=8), VAESpace(vae, size=8, dtype="bf16")
    levels = (full.decode(latents).int() - half.decode(latents).int()).abs()
    assert 0 < levels.max() <= 16 and levels.float().mean() < 2
    mean, _ = half.encode_moments(pictures)
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean, full.encode_moments(pictures)[0], atol=0.05, rtol=0.05)


def test_precision_is_decided_by_the_device(vae):
    """Catches: `auto` in a digest, by which CPU and GPU images would pass for the same; other
    bytes, or another run directory, on the CPU.
    """
    space, fp32 = VAESpace(vae, size=8), VAESpace(vae, size=8, dtype="fp32")
    assert space.digest() == fp32.digest() and space.digest().endswith(":fp32")
    assert error_of(VAESpace(vae, size=8, dtype="tf32").to, "cpu").startswith("dtype=tf32: needs ")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_decoding_on_a_gpu(vae):
    """Catches: TF32 that is not switched on, or left on for the denoisers; chunks that are lost."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    space, latents = VAESpace(vae, size=8).to("cuda"), noise(70, 4, 8, 8)
    levels = (space.decode(latents).cpu().int() - VAESpace(vae, size=8).decode(latents).int()).abs()
    assert levels.max() <= 2 and levels.float().mean() < 0.1
    assert before == (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)
    assert space.precision in ("tf32", "fp32") and space.digest().endswith(f":{space.precision}")


def test_old_attention_names_load(build_vae, tmp_path):
    """Catches: a strict loader that refuses the published SD autoencoders' older names."""
    folder = build_vae(tmp_path)
    wanted = VAESpace(str(folder), size=8).decode(noise(1, 4, 8, 8))
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = load_file(folder / WEIGHTS)
    for new, old in names.items():
        state = {key.replace(f".{new}.", f".{old}."): value for key, value in state.items()}
    assert any(".query." in key for key in state)
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    assert torch.equal(VAESpace(str(folder), size=8).decode(noise(1, 4, 8, 8)), wanted)


def test_digest_follows_weights_and_scale(build_vae, tmp_path):
    """Catches: a resumed run that mixes images of two autoencoders or two scales."""
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    for folder, seed in ((first, 0), (again, 0), (other, 1)):
        build_vae(folder, seed=seed)
    digest = VAESpace(str(first), size=8).digest()
    assert digest == VAESpace(str(again), size=8, chunk=2).digest()
    assert digest != VAESpace(str(other), size=8).digest()
    assert digest != VAESpace(str(first), size=8, scale=0.2).digest()
    assert digest != VAESpace(str(first), size=8, dtype="bf16").digest()


def test_loading_is_lazy_and_quiet(vae, capfd):
    """Catches: weights read by the constructor, once per call, or progress bars on every rank."""
    space = VAESpace(vae, size=8).to("cpu")
    assert space._network is None
    network = space.load()._network
    assert space.load()._network is network and not network.training
    assert not any(p.requires_grad for p in network.parameters())
    assert capfd.readouterr() == ("", "")
