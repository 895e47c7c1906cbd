"""diffusers' rows: the same network, on a pair with an autoencoder."""

import json

import pytest
import torch

from models.dit import DiT
from tstitch.benchmark.diffusers_dit import NULL_CLASS, as_diffusers, what_does_not_fit
from tstitch.benchmark.run import run_benchmark
from tstitch.config.cli import compose


def random_dit(**sizes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = DiT(input_size=8, hidden_size=32, depth=2, num_heads=2, num_classes=5, **sizes)
        for name, parameter in network.named_parameters():
            if name != "pos_embed":
                torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


@torch.no_grad()
def test_same_network():
    """Catches: a speed compared with another network's, the null class taken for a class,
    features of t at diffusers' own frequencies."""
    network = random_dit()
    other = as_diffusers(network)
    x = torch.randn((6, 4, 8, 8), generator=torch.Generator().manual_seed(1))
    t = torch.tensor([0, 1, 500, 501, 998, 999])
    labels, theirs = torch.tensor([0, 1, 2, 3, 4, 5]), torch.tensor([0, 1, 2, 3, 4, NULL_CLASS])
    expected = network(x, t.float(), labels)
    found = other(x, timestep=t, class_labels=theirs).sample
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (torch.nn.Linear(1, 1), "is a Linear, not a DiT"),
        (random_dit(mlp_ratio=2.0), "mlp_ratio=2"),
        (DiT(input_size=4, hidden_size=8, depth=1, num_heads=1, num_classes=1001), "1001 classes"),
        (random_dit(), None),
    ],
)
def test_what_does_not_fit(network, reason):
    """Catches: a traceback of diffusers in the middle of a benchmark."""
    found = what_does_not_fit(network)
    assert found is None if reason is None else reason in found


@pytest.mark.slow
def test_rows(tmp_path, latent_pair):
    """Catches: rows that cannot run on a pair with an autoencoder, are compiled in neither or
    both, or are nowhere in the report; a document that does not say which networks it is of."""
    options = ["benchmark.batch_sizes=[2]", "benchmark.compile=[false]", "benchmark.rounds=1"]
    options += ["benchmark.fractions=[0]", "benchmark.minutes=60", f"benchmark.dir={tmp_path}"]
    run_benchmark(compose("benchmark", [*latent_pair, *options]))
    document = json.loads((tmp_path / "benchmark.json").read_text())
    assert document["finished"] and document["left_out"] == []
    assert [case["engine"] for case in document["cases"]] == ["plain", "eager"]
    rows = document["peers"]
    assert [row["engine"] for row in rows] == ["diffusers compiled", "diffusers"]
    assert [row["options"]["compile"] for row in rows] == [True, False]
    assert all(row["images_per_second"]["median"] > 0 for row in rows)
    report = (tmp_path / "benchmark.md").read_text()
    assert all(f"| {row['name']} | " in report for row in rows)
    assert document["pair"] == "imagenet256_s_xl" and document["image_size"] == 16
    assert (
        document["networks"]["large"]["parameters"] == document["networks"]["small"]["parameters"]
    )


@pytest.mark.slow
def test_pixels(folder):
    """Catches: a pair without an autoencoder that has no rows, and no word about it."""
    document = json.loads((folder / "benchmark.json").read_text())
    assert document["peers"] == []
    (entry,) = document["left_out"]
    assert "DiTPipeline" in entry["name"] and "no autoencoder" in entry["reason"]
    assert entry["reason"] in (folder / "benchmark.md").read_text()
