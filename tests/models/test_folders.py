"""Folders of weights: what is in them, where a pipeline's scheduler lies, refusals."""

import json

import pytest
import torch
from safetensors.torch import save_file

from models.checkpoints import CheckpointError, read_checkpoint
from models.download import DownloadError
from models.folders import fetch_folder, read_config, read_scheduler, weight_files


def test_which_files(tmp_path):
    """Catches: pickled weights taken before safetensors, an index that is not followed."""
    for name in ("diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors"):
        (tmp_path / name).touch()
    assert [p.suffix for p in weight_files(tmp_path)] == [".safetensors"]
    index = tmp_path / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "2.st", "b": "1.st", "c": "2.st"}}))
    assert [p.name for p in weight_files(tmp_path)] == ["1.st", "2.st"]
    index.write_text(json.dumps({"weight_map": {"a": "../elsewhere"}}))
    with pytest.raises(CheckpointError, match="no index of shards .*other folders"):
        read_checkpoint(tmp_path)


def test_names_of_old_attention(tmp_path):
    """Catches: the published DDPMs refused, whose attention has the names of before."""
    names = ["mid.attentions.0.query.weight", "mid.attentions.0.proj_attn.bias", "query.weight"]
    tensors = {name: torch.zeros(1) for name in names}
    save_file(tensors, tmp_path / "diffusion_pytorch_model.safetensors")
    found = set(read_checkpoint(tmp_path))
    expected = {"mid.attentions.0.to_q.weight", "mid.attentions.0.to_out.0.bias", "query.weight"}
    assert found == expected


def test_a_folder_of_the_hub(tmp_path, monkeypatch):
    """Catches: a part of a repository taken for all of it, shards that nobody fetches."""
    repository = tmp_path / "models--owner--name"
    folder = repository / "snapshots" / "abc" / "unet"
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    (folder / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    names = {"a": "1.safetensors", "b": "2.safetensors"}
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": names}))
    for key, name in names.items():
        save_file({key: torch.ones(1)}, folder / name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert read_config("owner/name/unet")["_class_name"] == "UNet2DModel"
    assert fetch_folder("owner/name/unet") == folder
    assert set(read_checkpoint(folder)) == {"a", "b"}
    (folder / "2.safetensors").unlink()
    with pytest.raises(DownloadError, match="owner/name/unet: cannot be had from the hub"):
        fetch_folder("owner/name/unet")


def test_schedulers(tmp_path):
    """Catches: a prediction that is not found, which would be taken for noise."""
    (tmp_path / "unet").mkdir()
    assert read_scheduler(str(tmp_path / "unet")) is None
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text('{"a": 1}')
    assert read_scheduler(str(tmp_path / "unet")) == {"a": 1}
    (tmp_path / "unet" / "scheduler_config.json").write_text('{"a": 2}')
    assert read_scheduler(str(tmp_path / "unet")) == {"a": 2}
    for content in ("[1]", "{"):
        (tmp_path / "unet" / "scheduler_config.json").write_text(content)
        with pytest.raises(DownloadError, match="unet: its scheduler_config.json"):
            read_scheduler(str(tmp_path / "unet"))


def test_refusals(tmp_path):
    """Catches: a traceback, or a name sent to the hub that is a folder mistyped."""
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text("{}")
    (tmp_path / "file").touch()
    for call, source, words in (
        (read_config, tmp_path, "no config.json; give .*/unet"),
        (read_config, tmp_path / "nowhere", "no such folder"),
        (read_config, tmp_path / "file", "is a file"),
        (read_config, "one", "neither a folder nor a hub name"),
        (fetch_folder, tmp_path / "unet", "holds no weights"),
    ):
        with pytest.raises(DownloadError, match=words):
            call(str(source))
