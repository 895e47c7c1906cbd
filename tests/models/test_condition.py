"""The condition table: what an index means to a network, and the null condition."""

import shutil

import pytest
import torch
from torch import nn

from models.condition import Classes, Prompts, read_prompts
from models.diffusers_denoiser import DiffusersDenoiser
from models.text_encoder import ClipText

CPU = torch.device("cpu")


def test_prompts_from_a_file(tmp_path):
    """Catches: blank lines that count as prompts, line ends in texts, other encodings."""
    path = tmp_path / "prompts.txt"
    path.write_text("a red cube\n\n  caf\u00e9\r\n", encoding="utf-8")
    assert read_prompts(str(path)) == ("a red cube", "caf\u00e9")
    assert read_prompts(["", "one"]) == ("", "one")
    path.write_bytes(b"\xff\xfe\x00")
    for value, reason in ((str(path), "no UTF-8"), (str(tmp_path / "none"), "cannot be read"),
                          ([], "a list of texts"), ([1], "a list of texts")):  # fmt: skip
        with pytest.raises(ValueError, match=reason):
            read_prompts(value)


def test_classes_and_texts_are_not_mixed_up(unet_config):
    """Catches: labels given as texts and texts as labels, found in the middle of a run."""
    with torch.device("meta"):
        text = DiffusersDenoiser(config=unet_config, input_size=8, in_channels=3, num_classes=2)
    classes = Classes(("cat", "dog"))
    assert classes.null == 2 and classes.identity() == {}
    classes.check(nn.Linear(1, 1))
    with pytest.raises(ValueError, match="conditioned on text"):
        classes.check(text)
    prompts = Prompts(("cat",), None, None)
    with pytest.raises(ValueError, match="takes no text"):
        prompts.check(nn.Linear(1, 1))


def test_rows_of_the_table(text_pipeline):
    """Catches: the null condition in another row than the last, prompts encoded in another way
    than a pipeline does, an identity that does not know the negative prompt."""
    encoder = ClipText(str(text_pipeline))
    prompts = Prompts(("a cat", "dog"), "bad", encoder)
    network = DiffusersDenoiser(
        source=str(text_pipeline / "unet"), input_size=8, in_channels=3, num_classes=prompts.null
    ).eval()
    prompts.check(network)
    prompts.bind([network], CPU)
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(text_pipeline / "tokenizer")
    ids = tokenizer(["bad"], padding="max_length", max_length=9, return_tensors="pt").input_ids
    assert ids[0, 0] == 0 and ids[0, -1] == 1 and ids.shape == (1, 9)
    model = CLIPTextModel.from_pretrained(text_pipeline / "text_encoder").eval()
    generator = torch.Generator().manual_seed(0)
    x, t = torch.randn((3, 3, 8, 8), generator=generator), torch.full((3,), 500.5)
    with torch.no_grad():
        bad = model(ids).last_hidden_state
        expected = network.network(x[2:], t[2:], bad, return_dict=False)[0]
        found = network(x, t, torch.tensor([0, 1, prompts.null]))
        swapped = network(x, t, torch.tensor([1, 1, prompts.null]))
    torch.testing.assert_close(found[2:], expected)
    assert not torch.equal(found[0], swapped[0]) and torch.equal(found[1:], swapped[1:])
    assert prompts.identity() != Prompts(prompts.names, None, encoder).identity()
    with pytest.raises(ValueError, match="width"):
        network.bind({"encoder_hidden_states": torch.zeros(3, 9, 5)})


def test_both_encoders_of_sdxl(text_pipeline, tmp_path):
    """Catches: last states in place of those before, the other encoder's pooled text, an empty
    negative prompt where SDXL takes zeros, a tokenizer that is not found as transformers 5
    saves it."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

    shutil.copytree(text_pipeline / "text_encoder", tmp_path / "text_encoder")
    shutil.copytree(text_pipeline / "tokenizer", tmp_path / "tokenizer")
    config = CLIPTextConfig.from_pretrained(tmp_path / "text_encoder")
    config.hidden_size, config.projection_dim = 8, 10
    with torch.random.fork_rng():
        torch.manual_seed(1)
        second = CLIPTextModelWithProjection(config).eval()
    second.save_pretrained(tmp_path / "text_encoder_2")
    with pytest.raises(ValueError, match="tokenizer_2"):
        ClipText(str(tmp_path))
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path / "tokenizer")
    tokenizer.save_pretrained(tmp_path / "tokenizer_2")
    encoder = ClipText(str(tmp_path))
    assert encoder.widths == {"encoder_hidden_states": 12 + 8, "text_embeds": 10}
    table = Prompts(("a cat",), None, encoder)._encode(CPU)
    assert {name: rows.shape[-1] for name, rows in table.items()} == encoder.widths
    ids = tokenizer(["a cat"], padding="max_length", max_length=9, return_tensors="pt").input_ids
    with torch.no_grad():
        expected = second(ids, output_hidden_states=True)
    states = table["encoder_hidden_states"]
    torch.testing.assert_close(states[:1, :, 12:], expected.hidden_states[-2])
    torch.testing.assert_close(table["text_embeds"][:1], expected.text_embeds)
    assert states[0, :, :12].any() and not states[1].any() and not table["text_embeds"][1].any()
