"""What a run over a pipeline refuses: one line that names field, value and remedy."""

import json
import shutil

import pytest
from saved import save_controlnet, save_sd

SMALL, LARGE = "pair.networks.small", "pair.networks.large"


@pytest.mark.parametrize(
    ("overrides", "begins", "says"),
    [
        (["sampler=ddim"], "sampler._target_=samplers.DDIM", "choose sampler=scheduler"),
        (["guidance=auto"], "guidance=auto", "choose guidance=cfg"),
        (["guidance.channels=3"], "guidance.channels=3", "set null"),
        (["engine.cuda_graphs=true"], "engine.cuda_graphs=true", "choose auto"),
        (["run.export=mp4"], "run.export=mp4", "makes images; choose png"),
        # schedules that need to look into a trajectory
        (["stitch=topk"], "stitch._target_=samplers.TopK", "tstitch.calibrate"),
        (["stitch=search"], "stitch._target_=samplers.Search", "choose another"),
        (["stitch=sketch_render"], "stitch=SketchRender", "decides per image"),
        (["stitch=explicit", "stitch.models=[0,1]"], "stitch.models=[0, 1]", "choose 6 indices"),
        # prompts
        (["prompts=/nowhere.txt"], "pair.prompts='/nowhere.txt'", "give a text file, or a list"),
        (["prompts=[]"], "pair.prompts=[]", "give a list of texts"),
        (["run.classes=[9]"], "run.classes=[9]", "from 0 to 3"),
        # schedulers
        (["sampler.steps=0"], "sampler.steps=0", "from 1 to 1000"),
        (["sampler.scheduler=PLMS"], "sampler.scheduler=PLMS", "no such class"),
        (["sampler.scheduler=UNet2DModel"], "sampler.scheduler=UNet2DModel", "e.g. PNDMScheduler"),
        (["+sampler.options.eta=1"], "sampler.options.eta", "leave it out"),
        (["sampler.scheduler=DPMSolverSDEScheduler"], "sampler.scheduler=DPMSolverSDE", "no image"),
        # the pair
        (
            ["pair.pipeline=SDPipeline"],
            "pair.pipeline='SDPipeline'",
            "e.g. StableDiffusionPipeline",
        ),
        (["pair.pipeline=UNet2DModel"], "pair.pipeline='UNet2DModel'", "give a pipeline class"),
        ([f"{SMALL}.source=/nowhere"], f"{SMALL}.source=/nowhere", "no such folder"),
        ([f"{LARGE}.source=/nowhere"], f"{LARGE}.source=/nowhere", "no such folder"),
        ([f"+{SMALL}.lora=/nowhere"], f"{SMALL}.lora=/nowhere", "no such folder"),
        ([f"+{SMALL}.loras=x"], f"{SMALL}.loras", "choose one of source, network, lora"),
        ([f"~{SMALL}"], "pair.networks=", "at least two"),
        (["+pair.frames=5"], "pair.frames=5", "makes images; give 1"),
        (["pair.height=17"], "pair.height=17", "a multiple of 2"),
        (["+pair.options.latents=1"], "pair.options.latents", "runs set it"),
        (["+pair.options.colour=red"], "pair.options.colour", "does not take it"),
        (["+pair.components.vea=x"], "pair.components.vea", "vae"),
        (["+pair.components.vae=/nowhere"], "pair.components.vae=/nowhere", "no such folder"),
        (["+pair.control={network: x, images: null, scale: 1}"], "pair.control", "takes none"),
    ],
)
def test_a_bad_value(overrides, begins, says, sd, refusal):
    """Catches: a traceback, a silent fallback, weights that are loaded before a typing error."""
    message = refusal(*sd, *overrides)
    assert message.startswith(begins) and says in message, message


@pytest.mark.parametrize(
    ("scheduler", "says"),
    [
        ({"prediction_type": "v_prediction"}, "scheduler.prediction_type=v_prediction"),
        ({"beta_schedule": "linear"}, "scheduler.beta_schedule=linear"),
        ({"num_train_timesteps": 500}, "scheduler.num_train_timesteps=500"),
    ],
)
def test_another_process_of_noise(scheduler, says, sd, family, refusal, tmp_path):
    """Catches: a latent that is another one to each network."""
    folder = shutil.copytree(family("sd")["small"], tmp_path / "small")
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | scheduler))
    message = refusal(*sd, f"{SMALL}.source={folder}")
    assert message.startswith(f"{SMALL}: ") and says in message


def test_another_scale_of_latents(sd, family, refusal, tmp_path):
    """Catches: a small pipeline of another autoencoder; a scale that is no difference, left out."""
    folder = shutil.copytree(family("sd")["small"], tmp_path / "small")
    path = folder / "vae" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"scaling_factor": 0.5}))
    message = refusal(*sd, f"{SMALL}.source={folder}")
    assert message.startswith(f"{SMALL}: vae.scaling_factor=0.5: the large")
    del config["scaling_factor"]
    path.write_text(json.dumps(config))
    assert refusal(*sd, f"{SMALL}.source={folder}", "prompts=[]").startswith("pair.prompts")


def test_networks_that_do_not_fit(sd, words, family, saved, refusal):
    """Catches: SDXL stitched to Stable Diffusion; other texts; a folder that is no pipeline."""
    other = family("xl")["small"]
    assert "the large one has" in refusal(*sd, f"{SMALL}.source={other}")
    narrow = saved("narrow", save_sd, "small", cross_attention_dim=16)
    message = refusal(*sd, f"{SMALL}.source={narrow}")
    assert message.startswith(f"{SMALL}: cross_attention_dim=16")
    unet = family("sd")["large"] / "unet"
    assert "no folder of a pipeline" in refusal(*sd, f"{LARGE}.source={unet}")


def test_weights_that_are_not_there(sd, family, refusal, tmp_path):
    """Catches: a run directory, or a process, that waits for weights."""
    folder = shutil.copytree(family("sd")["large"], tmp_path / "large")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    message = refusal(*sd, f"{LARGE}.source={folder}")
    assert message.startswith(f"{LARGE}.source=") and "holds no weights" in message


def test_control_images(words, family, saved, refusal, tmp_path):
    """Catches: a ControlNet without its images, or with a folder of something else."""
    given = (
        *words("sdxl_canny_ssd_1b", "xl"), f"pair.components.vae={family('xl')['large']}/vae",
        f"pair.control.network={saved('controlnet', save_controlnet)}", "sampler.steps=4",
    )  # fmt: skip
    assert refusal(*given).startswith("pair.control.images=null: give a folder of edges")
    assert "no such folder" in refusal(*given, "pair.control.images=/nowhere")
    assert "holds no images" in refusal(*given, f"pair.control.images={tmp_path}")
    assert "needs one" in refusal(*given, "pair.control=null")


def test_pairs_of_denoisers(refusal, run_script):
    """Catches: a diffusers scheduler for our own networks, prompts for classes, with a traceback
    or without the exit code."""
    assert refusal("sampler=scheduler").startswith("sampler")
    assert refusal("prompts=[a cat]").startswith(
        "prompts=['a cat']: pair fashion_mnist has classes"
    )
    ended = run_script("sample.py", "pair=emoji_pipeline", "sampler=ddim", "prompts=/nowhere.txt")
    assert ended.returncode == 2 and len(ended.stderr.strip().splitlines()) == 1, ended.stderr
