"""What all tests share: one thread per process, commands, small networks of others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Tests run in two processes, and start more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
SCRIPTS = Path(__file__).parents[1] / "scripts"
PATIENCE_S = 900
TEXT_WIDTH, TEXT_TOKENS = 12, 9  # of `text_pipeline`


@pytest.fixture(autouse=True)
def one_thread():
    """As many threads in this process as in the commands, whatever the test before has set."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Of every command: one thread, and no torchrun around it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TORCHELASTIC")}
    return kept | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def script_line():
    """script_line(script, *arguments, processes, restarts): the command of one of scripts/, or of
    a path; 1 or more processes are torchrun's."""

    def build(
        script: str | Path, *arguments: str, processes: int = 0, restarts: int = 0
    ) -> list[str]:
        launcher = ["-m", "torch.distributed.run", "--standalone"]
        launcher += [f"--nproc_per_node={processes}", f"--max-restarts={restarts}"]
        start = [sys.executable, *(launcher if processes else []), str(SCRIPTS / script)]
        return [*start, *arguments]

    return build


@pytest.fixture(scope="session")
def run_script(script_line, environment):
    """run_script(script, *arguments, processes, timeout, ...): the finished command."""

    def run(script, *arguments: str, processes: int = 0, timeout: float = PATIENCE_S, **options):
        return subprocess.run(
            script_line(script, *arguments, processes=processes),
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            **options,
        )

    return run


@pytest.fixture(scope="session")
def build_vae():
    """build_vae(folder, ...): of `stand_ins.save_vae`."""
    from stand_ins import save_vae

    return save_vae


@pytest.fixture(scope="session")
def vae(build_vae, tmp_path_factory) -> str:
    """Folder of an autoencoder that halves the side."""
    return str(build_vae(tmp_path_factory.mktemp("vae")))


@pytest.fixture(scope="session")
def unet_config():
    """Of a UNet2DConditionModel of 3 channels, for texts of width TEXT_WIDTH."""
    return {
        "_class_name": "UNet2DConditionModel",
        "sample_size": 8,
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": [8, 16],
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 4,
        "cross_attention_dim": TEXT_WIDTH,
    }


@pytest.fixture(scope="session")
def text_pipeline(tmp_path_factory, unet_config) -> Path:
    """Folder with unet, text_encoder, tokenizer and a scheduler of v-prediction; the U-Net is in
    several shards."""
    pytest.importorskip("transformers")
    import torch
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    folder = tmp_path_factory.mktemp("pipeline")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    config = CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=TEXT_WIDTH,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TEXT_TOKENS,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        CLIPTextModel(config).save_pretrained(folder / "text_encoder")
        UNet2DConditionModel(
            **{key: value for key, value in unet_config.items() if key[0] != "_"}
        ).save_pretrained(folder / "unet", max_shard_size="50KB")
    (folder / "tokenizer").mkdir()
    tokens = {token: number for number, token in enumerate(vocabulary)}
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps(tokens))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    (folder / "scheduler").mkdir()
    scheduler = {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    return folder


@pytest.fixture(scope="session")
def prompt_pair(tmp_path_factory, text_pipeline, unet_config) -> Path:
    """Folder for hydra.searchpath or --config-dir: `pair=toy` is two random U-Nets of prompts."""
    import torch
    import yaml
    from diffusers import UNet2DConditionModel

    folder = tmp_path_factory.mktemp("prompt_pair")
    config = {key: value for key, value in unet_config.items() if key[0] != "_"}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        small = UNet2DConditionModel(**config | {"block_out_channels": [4, 8]})
        small.save_pretrained(folder / "small")
    denoisers = {
        name: {
            "network": {
                "_target_": "models.diffusers_denoiser.DiffusersDenoiser", "source": str(source)
            },
            "weights": "pretrained",
            "sha256": None,
        }
        for name, source in (("small", folder / "small"), ("large", text_pipeline / "unet"))
    }  # fmt: skip
    pair = {
        "name": "toy",
        "prompts": ["a cat", "a dog on a mat"],
        "text_encoder": {"_target_": "models.text_encoder.ClipText", "source": str(text_pipeline)},
        "space": {"_target_": "models.spaces.PixelSpace", "channels": 3, "size": 8},
        "process": {"_target_": "samplers.ScaledLinearVP"},
        "guidance": {"scale": 3},
        "denoisers": denoisers,
        "evaluation": None,
    }
    (folder / "pair").mkdir()
    (folder / "pair" / "toy.yaml").write_text(yaml.safe_dump(pair, sort_keys=False))
    return folder
